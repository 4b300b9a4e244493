# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Conditions of statements, by operator and by what IAM does with keys that are absent. Pure, private here.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html, and
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-logic-multiple-context-keys-or-values.html:
operators, and keys of one operator, are joined by and; values of a key by or, those of a negated operator by nor.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone

from ansible_collections.dbops.rds_iam.plugins.module_utils._iam import patterns
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.request_context import (
    ABSENT,
    AVOIDED,
    MET,
    NotBefore,
    RequestContext,
    Values,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.truth import (
    NO,
    YES,
    Truth,
    every,
    negated,
    some,
    unknown,
)

_OPERATOR = re.compile(
    r"(?:(?P<set>forallvalues|foranyvalue):)?(?P<base>[a-z]+?)(?P<if_exists>ifexists)?", re.IGNORECASE
)
_ORDER = {
    "equals": lambda value, bound: value == bound,
    "lessthan": lambda value, bound: value < bound,
    "lessthanequals": lambda value, bound: value <= bound,
    "greaterthan": lambda value, bound: value > bound,
    "greaterthanequals": lambda value, bound: value >= bound,
}


@dataclass(frozen=True)
class Part:
    """A key below an operator, and whether it holds."""

    operator: str
    key: str
    truth: Truth


def evaluate(condition: object, context: RequestContext, variables: bool = True) -> list[Part]:
    """Return the parts of a C(Condition), which holds if all do. Without C(variables) C(${...}) is text."""
    if not condition:
        return []
    if not isinstance(condition, dict) or not all(isinstance(block, dict) for block in condition.values()):
        return [Part("", "", unknown("a Condition that is no list of operators and keys"))]
    return [
        Part(operator, key, _part(operator, key, _listed(values), context, variables))
        for operator, block in condition.items()
        for key, values in block.items()
    ]


def _listed(values: object) -> list[str]:
    values = values if isinstance(values, list) else [values]
    return [str(value).lower() if isinstance(value, bool) else str(value) for value in values]


def _part(operator: str, key: str, policy_values: list[str], context: RequestContext, variables: bool) -> Truth:
    parsed = _OPERATOR.fullmatch(operator)
    base = parsed["base"].lower() if parsed else ""
    value = context.get(key)
    if base == "null" and parsed["if_exists"] is None and parsed["set"] is None:
        return _null(value, policy_values, key)
    compare = _comparison(base)
    if compare is None or not policy_values:
        return unknown(f"the condition operator {operator} on {key}")
    if value is MET:
        return YES
    if value is AVOIDED:
        return NO
    if value is ABSENT:
        return _absent(parsed, compare, operator, key)
    if isinstance(value, NotBefore):
        return _later(compare, value.moment, policy_values) or unknown(key)
    if not isinstance(value, Values):
        return unknown(key)
    return _known(parsed, compare, value.values, policy_values, key, context, variables)


def _null(value: object, policy_values: list[str], key: str) -> Truth:
    """Tell whether the key is absent as C(true) asks for, or present as C(false) does."""
    if value is MET or value is AVOIDED:
        return YES if value is MET else NO
    if value is not ABSENT and not isinstance(value, (Values, NotBefore)):
        return unknown(key)
    return YES if ("true" if value is ABSENT else "false") in [text.lower() for text in policy_values] else NO


def _absent(parsed: re.Match, compare: Comparison, operator: str, key: str) -> Truth:
    """Tell whether an operator holds for an absent key: ForAllValues, IfExists and negated ones do, and no others.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html:
    ForAnyValue returns false. That page and the one of IfExists do not agree on both of them together.
    """
    if (parsed["set"] or "").lower() == "foranyvalue":
        return unknown(f"the condition operator {operator} on {key}") if parsed["if_exists"] else NO
    return YES if parsed["set"] or parsed["if_exists"] or compare.is_negated else NO


@dataclass(frozen=True)
class Comparison:
    """How an operator compares a value of the request with one of the policy.

    C(matches) answers for the operator without its negation; it raises ValueError where one of the two has no meaning
    for the operator.
    """

    matches: Callable
    is_negated: bool
    takes_variables: bool
    order: str = ""  # of dates and numbers


def _comparison(base: str) -> Comparison | None:
    """Return the comparison of an operator; None for one that is not known here, as BinaryEquals."""
    is_negated, plain = "not" in base, base.replace("not", "")
    if plain in _TEXTS:
        return Comparison(_TEXTS[plain], is_negated, True)
    if base == "bool":
        return Comparison(_same_bool, False, True)
    if plain == "ipaddress":
        return Comparison(_in_network, is_negated, False)
    for kind, read in (("numeric", _number), ("date", _date)):
        order = plain.removeprefix(kind) if plain.startswith(kind) else ""
        if order in _ORDER and (not is_negated or order == "equals"):
            ordered = _ORDER[order]
            return Comparison(_compared(read, ordered), is_negated, False, order)
    return None


def _compared(read: Callable, ordered: Callable) -> Callable:
    return lambda value, pieces: ordered(read(value), read(_plain(pieces)))


def _known(
    parsed: re.Match,
    compare: Comparison,
    values: tuple[str, ...],
    policy_values: list[str],
    key: str,
    context: RequestContext,
    variables: bool,
) -> Truth:
    pieces = [patterns.tokens(text, context, variables and compare.takes_variables) for text in policy_values]
    truths = [_compare(compare, value, pieces, key) for value in values]
    if (parsed["set"] or "").lower() == "forallvalues":
        return YES if values == ("",) else every(truths)
    if parsed["set"]:
        return NO if values == ("",) else some(truths)
    return truths[0] if len(truths) == 1 else unknown(f"{key}, which has several values")


def _compare(compare: Comparison, value: str, policy_values: list[list[patterns.Token]], key: str) -> Truth:
    truths = []
    for pieces in policy_values:
        open_variables = patterns.open_variables(pieces)
        if open_variables:
            truths.append(unknown(*open_variables))
        elif patterns.is_void(pieces):
            # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html#policy-vars-no-value
            truths.append(NO)
        else:
            try:
                truths.append(YES if compare.matches(value, pieces) else NO)
            except ValueError:
                truths.append(unknown(f"how IAM compares {key} with {_plain(pieces)}"))
    matched = some(truths)
    return negated(matched) if compare.is_negated else matched


def _plain(pieces: list[patterns.Token]) -> str:
    return "".join(token.text for token in pieces)


def _equals(value: str, pieces: list[patterns.Token]) -> bool:
    return value == _plain(pieces)


def _equals_without_case(value: str, pieces: list[patterns.Token]) -> bool:
    return value.lower() == _plain(pieces).lower()


def _like(value: str, pieces: list[patterns.Token]) -> bool:
    return re.fullmatch(patterns.expression(pieces, patterns.ANY), value, re.S) is not None


def _arn_like(value: str, pieces: list[patterns.Token]) -> bool:
    """Compare each of the six parts by itself, with wildcards, for ArnEquals as for ArnLike."""
    parts = patterns.split_arn(pieces)
    given = value.split(":", patterns.ARN_PARTS - 1)
    if len(parts) != patterns.ARN_PARTS or len(given) != patterns.ARN_PARTS:
        raise ValueError
    return all(_like(text, part) for text, part in zip(given, parts))


def _same_bool(value: str, pieces: list[patterns.Token]) -> bool:
    pair = {value.lower(), _plain(pieces).lower()}
    if not pair <= {"true", "false"}:
        raise ValueError
    return len(pair) == 1


def _in_network(value: str, pieces: list[patterns.Token]) -> bool:
    return ipaddress.ip_address(value) in ipaddress.ip_network(_plain(pieces), strict=False)


def _number(text: str) -> float:
    return float(text)


def _date(text: str) -> datetime:
    """Read a date and time of ISO 8601, or in seconds since 1970."""
    if re.fullmatch(r"\d{9,11}", text):
        return datetime.fromtimestamp(int(text), timezone.utc)
    moment = datetime.fromisoformat(re.sub(r"[Zz]$", "+00:00", text))
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


def _later(compare: Comparison, earliest: datetime, policy_values: list[str]) -> Truth | None:
    """Tell whether it holds for all times from this one on; None if that can change."""
    try:
        bounds = [_date(text) for text in policy_values]
    except ValueError:
        return None
    if not all(bound < earliest for bound in bounds) or compare.order not in _ORDER:
        return None
    past = YES if compare.order.startswith("greaterthan") else NO
    return negated(past) if compare.is_negated else past


_TEXTS = {
    "stringequals": _equals,
    "stringequalsignorecase": _equals_without_case,
    "stringlike": _like,
    "arnequals": _arn_like,
    "arnlike": _arn_like,
}
