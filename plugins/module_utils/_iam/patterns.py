# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Patterns of policies with their wildcards and variables. Pure, and private to this collection."""

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
OPEN, VOID = "variable that is not known", "variable without a value"


@dataclass(frozen=True)
class Token:
    """A piece of a pattern. The text of a variable without a known value is its name."""

    kind: str
    text: str


@lru_cache(maxsize=4096)
def _pieces(pattern: str, variables: bool) -> tuple[tuple[str, str], ...]:
    """Return the kinds and texts of the pieces of a pattern, before values stand in for variables."""
    if not variables:
        return tuple(("wildcard" if text in "*?" else "text", text) for text in re.split(r"([*?])", pattern) if text)
    return tuple((piece.lastgroup, piece[piece.lastgroup]) for piece in _TOKEN.finditer(pattern))


def tokens(pattern: str, context: RequestContext, variables: bool = True) -> list[Token]:
    """Return the pieces of a pattern, with the values that the context knows in place of variables.

    Without C(variables), as in documents of an earlier version than 2012-10-17, C(${...}) is text as any other.
    """
    result = []
    for kind, text in _pieces(pattern, variables):
        if kind == "variable":
            result.append(_substituted(text, context))
        else:
            result.append(Token(WILDCARD if kind == "wildcard" else TEXT, text))
    return result


def _substituted(variable: str, context: RequestContext) -> Token:
    default = _DEFAULT.fullmatch(variable)
    name = (default["name"] if default else variable).strip()
    value = context.get(name) if name else ABSENT
    if isinstance(value, Values) and len(value.values) == 1 and value.values[0]:
        return Token(VALUE, value.values[0])
    if value is ABSENT or value == Values(("",)):
        return Token(VALUE, default["value"]) if default else Token(VOID, name)
    return Token(OPEN, name)


def open_variables(pieces: list[Token]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(token.text for token in pieces if token.kind == OPEN))


def is_void(pieces: list[Token]) -> bool:
    """Tell whether a variable has no value, so that the pattern equals nothing and is like nothing."""
    return any(token.kind == VOID for token in pieces)


_WILD = {"*", "?"}
ARN_PARTS = 6  # the last one may have colons in it


def split_arn(pieces: list[Token]) -> list[list[Token]]:
    """Return the pieces of each part of a pattern of ARNs. Colons in values of variables part nothing."""
    parts = [[]]
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


ANY = {"*": ".*", "?": "."}


def expression(pieces: list[Token], wildcards: dict[str, str]) -> str:
    """Return a regular expression for a pattern, with these for V(*) and V(?), and anything for an open variable."""
    return "".join(
        wildcards[token.text] if token.kind == WILDCARD else ".*" if token.kind == OPEN else re.escape(token.text)
        for token in pieces
    )


@lru_cache(maxsize=4096)
def _glob(pattern: str) -> re.Pattern:
    return re.compile("".join(ANY.get(character) or re.escape(character) for character in pattern), re.S)


def glob_matches(pattern: str, text: str) -> bool:
    """Tell whether a text has the form of a pattern with V(*) and V(?) in it, whatever characters they stand for."""
    return _glob(pattern).fullmatch(text) is not None


def globs_meet(first: str, second: str) -> bool:
    """Tell whether some text has the form of both patterns."""
    if "*" in (first, second):
        return True
    start = _common(first, second)
    if min(len(first), len(second)) > start and not _WILD & {first[start], second[start]}:
        return False
    reached = {(start, start)}
    todo = [(start, start)]
    while todo:
        place = todo.pop()
        if place == (len(first), len(second)):
            return True
        for step in _steps(first, second, *place):
            if step not in reached:
                reached.add(step)
                todo.append(step)
    return False


def _common(first: str, second: str) -> int:
    """Count the characters that both begin with, before the first wildcard."""
    same = takewhile(lambda pair: pair[0] == pair[1] and pair[0] not in _WILD, zip(first, second))
    return sum(1 for _pair in same)


def _steps(first: str, second: str, i: int, j: int) -> list[tuple[int, int]]:
    """Return the places that come next: a star may end, or take in a character of the other pattern."""
    left, right = first[i : i + 1], second[j : j + 1]
    steps = [(i + 1, j)] * (left == "*") + [(i, j + 1)] * (right == "*")
    if left and right and (left == right or left in "*?" or right in "*?"):
        steps.append((i + (left != "*"), j + (right != "*")))
    return steps
