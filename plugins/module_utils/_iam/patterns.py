# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read patterns of policies with their wildcards and variables. Pure, and private to this collection."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from itertools import takewhile

from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.request_context import ABSENT, RequestContext, Values

# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html: ${key}, ${key, 'default'}, and
# ${*}, ${?}, ${$} for these very characters.
_TOKEN = re.compile(r"\$\{(?P<literal>[*?$])\}|\$\{(?P<variable>[^}]*)\}|(?P<wildcard>[*?])|(?P<text>[^$*?]+|\$)")
_DEFAULT = re.compile(r"(?P<name>.*?), '(?P<value>.*)'")
TEXT, WILDCARD, VALUE = "text", "wildcard", "value of a variable"
UNKNOWN_VARIABLE, EMPTY_VARIABLE = "variable that is not known", "variable without a value"


@dataclass(frozen=True)
class Token:
    """A piece of a pattern. The text of a variable without a known value is its name."""

    kind: str
    text: str


@lru_cache(maxsize=4096)
def _split(pattern: str, with_variables: bool) -> tuple[tuple[str, str], ...]:
    """Return the kinds and texts of the pieces of a pattern, before values stand in for variables."""
    if not with_variables:
        return tuple(("wildcard" if text in "*?" else "text", text) for text in re.split(r"([*?])", pattern) if text)
    return tuple((piece.lastgroup or "", piece[piece.lastgroup or 0]) for piece in _TOKEN.finditer(pattern))


def tokens(pattern: str, context: RequestContext, with_variables: bool = True) -> list[Token]:
    """Return the pieces of a pattern, with the values that the context knows in place of variables.

    Without C(with_variables), as in documents of an earlier version than 2012-10-17, C(${...}) is text as any other.
    """
    return [
        _substitute(text, context) if kind == "variable" else Token(WILDCARD if kind == "wildcard" else TEXT, text)
        for kind, text in _split(pattern, with_variables)
    ]


def _substitute(variable: str, context: RequestContext) -> Token:
    default = _DEFAULT.fullmatch(variable)
    name = (default["name"] if default else variable).strip()
    value = context.get(name) if name else ABSENT
    if isinstance(value, Values) and len(value.values) == 1 and value.values[0]:
        return Token(VALUE, value.values[0])
    if value is ABSENT or value == Values(("",)):
        return Token(VALUE, default["value"]) if default else Token(EMPTY_VARIABLE, name)
    return Token(UNKNOWN_VARIABLE, name)


def unknown_variables(pieces: list[Token]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(token.text for token in pieces if token.kind == UNKNOWN_VARIABLE))


def empty_variable(pieces: list[Token]) -> str:
    """Return a variable that has no value, so that the pattern equals nothing and is like nothing; empty if none is."""
    return next((token.text for token in pieces if token.kind == EMPTY_VARIABLE), "")


_WILDCARDS = {"*", "?"}
ARN_PARTS = 6  # the last one may have colons in it


def split_arn(pieces: list[Token]) -> list[list[Token]]:
    """Return the pieces of each part of a pattern of ARNs. Colons in values of variables part nothing."""
    parts: list[list[Token]] = [[]]
    for token in pieces:
        if token.kind != TEXT:
            parts[-1].append(token)
            continue
        for index, text in enumerate(token.text.split(":", ARN_PARTS - len(parts))):
            if index:
                parts.append([])
            if text:
                parts[-1].append(Token(TEXT, text))
    return parts


ANY_CHARACTERS = {"*": ".*", "?": "."}


def expression(pieces: list[Token], wildcards: dict[str, str]) -> str:
    """Return a regular expression for a pattern, in which a variable without a known value stands for any text.

    C(wildcards) has the expressions for V(*) and V(?).
    """
    return "".join(_token_expression(token, wildcards) for token in pieces)


def _token_expression(token: Token, wildcards: dict[str, str]) -> str:
    if token.kind == UNKNOWN_VARIABLE:
        return ".*"
    return wildcards[token.text] if token.kind == WILDCARD else re.escape(token.text)


@lru_cache(maxsize=4096)
def _glob(pattern: str) -> re.Pattern[str]:
    return re.compile("".join(ANY_CHARACTERS.get(character) or re.escape(character) for character in pattern), re.S)


def glob_matches(pattern: str, text: str) -> bool:
    """Tell whether a text has the form of a pattern with V(*) and V(?) in it, whatever characters they stand for."""
    if "*" not in pattern and "?" not in pattern:
        return pattern == text
    return _glob(pattern).fullmatch(text) is not None


def globs_meet(first: str, second: str) -> bool:
    """Tell whether some text has the form of both patterns.

    It is a search over places, which are pairs of an index into each pattern, from the beginning of both to their end.
    """
    if "*" in (first, second):
        return True
    start = _count_common(first, second)
    if min(len(first), len(second)) > start and not _WILDCARDS & {first[start], second[start]}:
        return False
    visited = {(start, start)}
    pending = [(start, start)]
    while pending:
        place = pending.pop()
        if place == (len(first), len(second)):
            return True
        for step in _steps(first, second, *place):
            if step not in visited:
                visited.add(step)
                pending.append(step)
    return False


def _count_common(first: str, second: str) -> int:
    """Count the characters that both begin with, before the first wildcard."""
    equal_pairs = takewhile(lambda pair: pair[0] == pair[1] and pair[0] not in _WILDCARDS, zip(first, second))
    return sum(1 for _pair in equal_pairs)


def _steps(first: str, second: str, i: int, j: int) -> list[tuple[int, int]]:
    """Return the places that come next: a star may end, or take in a character of the other pattern."""
    a, b = first[i : i + 1], second[j : j + 1]
    steps = [(i + 1, j)] * (a == "*") + [(i, j + 1)] * (b == "*")
    if a and b and (a == b or a in "*?" or b in "*?"):
        steps.append((i + (a != "*"), j + (b != "*")))
    return steps
