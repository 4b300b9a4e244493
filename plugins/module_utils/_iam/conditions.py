# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Evaluate the conditions of statements, also where keys are absent or unknown. Pure, and private to this collection.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html, and
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-logic-multiple-context-keys-or-values.html:
operators, and keys of one operator, are joined by and; values of a key by or, those of a negated operator by nor.
"""

from __future__ import annotations

import ipaddress
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from ansible_collections.dbops.rds_iam.plugins.module_utils._iam import patterns
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.request_context import (
    ABSENT,
    AVOIDED,
    MET,
    ContextKey,
    NotBefore,
    RequestContext,
    Values,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.truth import (
    NO,
    YES,
    Truth,
    all_of,
    any_of,
    negate,
    unknown,
)

_OPERATOR = re.compile(
    r"(?:(?P<set>forallvalues|foranyvalue):)?(?P<base>[a-z]+?)(?P<if_exists>ifexists)?", re.IGNORECASE
)
_ORDERS: dict[str, Callable[[Any, Any], bool]] = {  # of two numbers, or of two times
    "equals": operator.eq,
    "lessthan": operator.lt,
    "lessthanequals": operator.le,
    "greaterthan": operator.gt,
    "greaterthanequals": operator.ge,
}


@dataclass(frozen=True)
class Part:
    """A key below an operator, and whether it holds."""

    operator: str
    key: str
    truth: Truth


def evaluate(condition: object, context: RequestContext, with_variables: bool = True) -> list[Part]:
    """Return the parts of a C(Condition), which holds if all do. Without C(with_variables) C(${...}) is text."""
    if not condition:
        return []
    if not isinstance(condition, dict) or not all(isinstance(block, dict) for block in condition.values()):
        return [Part("", "", unknown("a Condition that is no list of operators and keys"))]
    return [
        Part(name, key, _evaluate_key(_parse_operator(name), key, _as_texts(values), context, with_variables))
        for name, block in condition.items()
        for key, values in block.items()
    ]


def _as_texts(values: object) -> list[str]:
    values = values if isinstance(values, list) else [values]
    return [str(value).lower() if isinstance(value, bool) else str(value) for value in values]


@dataclass(frozen=True)
class Comparison:
    """A comparison of a value of the request with a value of the policy.

    C(matches) answers for the operator without its negation; it raises ValueError where one of the two has no meaning
    for the operator.
    """

    matches: Callable[[str, list[patterns.Token]], bool]
    is_negated: bool
    takes_variables: bool
    order: str = ""  # of dates and numbers


@dataclass(frozen=True)
class Operator:
    """A condition operator. C(comparison) is None for one that is not known here, as BinaryEquals."""

    name: str
    comparison: Comparison | None = None
    set_prefix: str = ""  # forallvalues, foranyvalue, or empty
    if_exists: bool = False
    is_null: bool = False

    def unknown_truth(self, key: str) -> Truth:
        return unknown(f"the condition operator {self.name} on {key}")


def _parse_operator(name: str) -> Operator:
    match = _OPERATOR.fullmatch(name)
    if match is None:
        return Operator(name)
    base, set_prefix, if_exists = match["base"].lower(), (match["set"] or "").lower(), match["if_exists"] is not None
    return Operator(name, _comparison(base), set_prefix, if_exists, base == "null" and not set_prefix and not if_exists)


def _evaluate_key(
    condition_operator: Operator, key: str, policy_values: list[str], context: RequestContext, with_variables: bool
) -> Truth:
    value, comparison = context.get(key), condition_operator.comparison
    if condition_operator.is_null:
        return _evaluate_null(value, policy_values, key)
    if comparison is None or not policy_values:
        return condition_operator.unknown_truth(key)
    if value is ABSENT:
        return _evaluate_absent(condition_operator, comparison, key)
    if isinstance(value, NotBefore):
        return _evaluate_later(comparison, value.moment, policy_values) or unknown(key)
    if isinstance(value, Values):
        variables = with_variables and comparison.takes_variables
        pieces = [patterns.tokens(text, context, variables) for text in policy_values]
        truths = [_compare(comparison, text, pieces, key) for text in value.values]
        return _combine(condition_operator, truths, value.values == ("",), key)
    return {MET: YES, AVOIDED: NO}.get(value, unknown(key))


def _evaluate_null(value: ContextKey, policy_values: list[str], key: str) -> Truth:
    """Tell whether the key is absent as C(true) asks for, or present as C(false) does."""
    if value is MET or value is AVOIDED:
        return YES if value is MET else NO
    if value is not ABSENT and not isinstance(value, (Values, NotBefore)):
        return unknown(key)
    return YES if ("true" if value is ABSENT else "false") in [text.lower() for text in policy_values] else NO


def _evaluate_absent(condition_operator: Operator, comparison: Comparison, key: str) -> Truth:
    """Tell whether an operator holds for an absent key: ForAllValues, IfExists and negated ones do, and no others.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html:
    ForAnyValue returns false. That page and the one of IfExists do not agree on both of them together.
    """
    if condition_operator.set_prefix == "foranyvalue":
        return condition_operator.unknown_truth(key) if condition_operator.if_exists else NO
    return YES if condition_operator.set_prefix or condition_operator.if_exists or comparison.is_negated else NO


def _evaluate_later(comparison: Comparison, earliest: datetime, policy_values: list[str]) -> Truth | None:
    """Tell whether it holds for all times from this one on; None if that can change."""
    try:
        bounds = [_date(text) for text in policy_values]
    except ValueError:
        return None
    if not all(bound < earliest for bound in bounds) or comparison.order not in _ORDERS:
        return None
    truth = YES if comparison.order.startswith("greaterthan") else NO
    return negate(truth) if comparison.is_negated else truth


def _combine(condition_operator: Operator, truths: list[Truth], is_empty: bool, key: str) -> Truth:
    """Combine the truths of the values of a key. C(is_empty) says that its only value is an empty text."""
    if condition_operator.set_prefix == "forallvalues":
        return YES if is_empty else all_of(truths)
    if condition_operator.set_prefix:
        return NO if is_empty else any_of(truths)
    return truths[0] if len(truths) == 1 else unknown(f"{key}, which has several values")


def _compare(comparison: Comparison, value: str, policy_values: list[list[patterns.Token]], key: str) -> Truth:
    truth = any_of([_compare_with(comparison, value, pieces, key) for pieces in policy_values])
    return negate(truth) if comparison.is_negated else truth


def _compare_with(comparison: Comparison, value: str, pieces: list[patterns.Token], key: str) -> Truth:
    variables = patterns.unknown_variables(pieces)
    if variables:
        return unknown(*variables)
    if patterns.empty_variable(pieces):
        # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html#policy-vars-no-value
        return NO
    try:
        return YES if comparison.matches(value, pieces) else NO
    except ValueError:
        return unknown(f"how IAM compares {key} with {_plain(pieces)}")


def _comparison(base: str) -> Comparison | None:
    """Return the comparison of an operator without prefix and suffix; None for one that is not known here."""
    is_negated, positive_base = "not" in base, base.replace("not", "")
    if positive_base in _TEXT_MATCHES:
        return Comparison(_TEXT_MATCHES[positive_base], is_negated, True)
    if base == "bool":
        return Comparison(_same_bool, False, True)
    if positive_base == "ipaddress":
        return Comparison(_in_network, is_negated, False)
    parsers: dict[str, Callable[[str], float | datetime]] = {"numeric": float, "date": _date}
    for kind, parse in parsers.items():
        order = positive_base.removeprefix(kind) if positive_base.startswith(kind) else ""
        if order in _ORDERS and (not is_negated or order == "equals"):
            return Comparison(_ordered(parse, _ORDERS[order]), is_negated, False, order)
    return None


def _ordered(
    parse: Callable[[str], float | datetime], order: Callable[[Any, Any], bool]
) -> Callable[[str, list[patterns.Token]], bool]:
    return lambda value, pieces: order(parse(value), parse(_plain(pieces)))


def _plain(pieces: list[patterns.Token]) -> str:
    return "".join(token.text for token in pieces)


def _equals(value: str, pieces: list[patterns.Token]) -> bool:
    return value == _plain(pieces)


def _equals_ignoring_case(value: str, pieces: list[patterns.Token]) -> bool:
    return value.lower() == _plain(pieces).lower()


def _like(value: str, pieces: list[patterns.Token]) -> bool:
    return re.fullmatch(patterns.expression(pieces, patterns.ANY_CHARACTERS), value, re.S) is not None


def _arn_like(value: str, pieces: list[patterns.Token]) -> bool:
    """Compare each of the six parts by itself, with wildcards, for ArnEquals as for ArnLike."""
    pattern_parts, value_parts = patterns.split_arn(pieces), value.split(":", patterns.ARN_PARTS - 1)
    if len(pattern_parts) != patterns.ARN_PARTS or len(value_parts) != patterns.ARN_PARTS:
        raise ValueError
    return all(_like(text, part) for text, part in zip(value_parts, pattern_parts))


def _same_bool(value: str, pieces: list[patterns.Token]) -> bool:
    pair = {value.lower(), _plain(pieces).lower()}
    if not pair <= {"true", "false"}:
        raise ValueError
    return len(pair) == 1


def _in_network(value: str, pieces: list[patterns.Token]) -> bool:
    return ipaddress.ip_address(value) in ipaddress.ip_network(_plain(pieces), strict=False)


def _date(text: str) -> datetime:
    """Read a date and time of ISO 8601, or in seconds since 1970."""
    if re.fullmatch(r"\d{9,11}", text):
        return datetime.fromtimestamp(int(text), timezone.utc)
    moment = datetime.fromisoformat(re.sub(r"[Zz]$", "+00:00", text))
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


_TEXT_MATCHES = {
    "stringequals": _equals,
    "stringequalsignorecase": _equals_ignoring_case,
    "stringlike": _like,
    "arnequals": _arn_like,
    "arnlike": _arn_like,
}
