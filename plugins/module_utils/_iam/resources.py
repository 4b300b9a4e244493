# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Match the actions and resources of statements as IAM does. Pure, and private to this collection."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property, lru_cache

from ansible_collections.dbops.rds_iam.plugins.module_utils._iam import patterns
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.patterns import (
    EMPTY_VARIABLE,
    TEXT,
    UNKNOWN_VARIABLE,
    VALUE,
    WILDCARD,
    Token,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.request_context import RequestContext
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.truth import NO, YES, Truth, any_of, unknown

_SERVICE = 2  # the index of the service among the parts of an ARN
# The characters for the wildcards of a pattern of users, where it is matched as text: only * is as wide as *.
_STAR, _QUESTION_MARK = "\ue000", "\ue001"
_IN_PART = {"*": "[^:]*", "?": "[^:]"}
_IN_RESOURCE = {"*": ".*", "?": f"[^{_STAR}]"}


@lru_cache(maxsize=4096)
def matches_action(pattern: str, action: str) -> Truth:
    """Tell whether a pattern in C(Action) has an action; case does not count.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_action.html has wildcards in the name
    of the action, and none in the prefix of the service.
    """
    pattern = pattern.lower()
    if pattern == "*":
        return YES
    if not patterns.glob_matches(pattern, action):
        return NO
    prefix, colon, _name = pattern.partition(":")
    return unknown(f"how IAM reads the action {pattern}") if not colon or re.search(r"[*?]", prefix) else YES


def is_pattern(text: str) -> bool:
    return "*" in text or "?" in text


class ResourcePattern:
    """A pattern in C(Resource) or C(NotResource) of one statement.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html: wildcards stand for
    characters within the segments of an ARN, the parts between colons, and an asterisk at the end for all that follows.
    The answer is unknown where that page says that an asterisk at the end of another segment "can" reach beyond colons,
    and where AWS does not say how IAM reads a pattern: ARNs with too few parts, wildcards in the service or in the type
    of the resource (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html: not allowed), variables
    before the fifth colon, case in what comes before it.
    """

    def __init__(self, text: str, context: RequestContext, with_variables: bool) -> None:
        self.text = text
        self.pieces = patterns.tokens(text.strip(), context, with_variables)
        self._parts = patterns.split_arn(self.pieces)

    @cached_property
    def empty_variable(self) -> str:
        """Return a variable in it that has no value, so that it matches no resource; empty if none is."""
        return patterns.empty_variable(self.pieces)

    @cached_property
    def is_exact(self) -> bool:
        """Tell whether it is the whole ARN of a resource, without wildcards or variables that are not known."""
        *head, resource = self._parts
        is_plain = all(token.kind == TEXT for part in head for token in part)
        return is_plain and not self._is_short and self.text == self.text.strip() and _has_only_text(resource)

    @cached_property
    def glob(self) -> str:
        """Return it with V(*) in place of variables that are not known."""
        return "".join("*" if token.kind in (UNKNOWN_VARIABLE, EMPTY_VARIABLE) else token.text for token in self.pieces)

    @cached_property
    def has_wildcards(self) -> bool:
        return any(token.kind == WILDCARD for token in self.pieces)

    def covers(self, arn: str, is_pattern_of_users: bool = False) -> Truth:
        """Tell whether it has the ARN of a database user, or all that the ARN has, if its user is a pattern."""
        if self.empty_variable:
            return NO
        if self.text == "*":
            return YES
        if self._certain_matches and self._certain_matches.fullmatch(
            _with_stand_ins(arn) if is_pattern_of_users else arn
        ):
            return YES
        if patterns.globs_meet(self.glob, arn) if is_pattern_of_users else self._possible_matches.fullmatch(arn):
            variables = patterns.unknown_variables(self.pieces)
            return unknown(*variables) if variables else unknown(f"how IAM reads the resource {self.text}")
        return NO

    def users(self, prefix: str) -> Iterator[str]:
        """Yield the user, or the pattern of users, that it names on a database.

        C(prefix) is what the ARNs of the users of the database begin with, without the slash.
        """
        if self.empty_variable:
            return
        head, slash, user = self.glob.partition("/")
        if self.is_exact:
            yield from [user] * bool(slash and head.lower() == prefix.lower())
            return
        if slash and _may_begin_with(head, prefix):
            yield user
        elif patterns.globs_meet(self.glob, f"{prefix}/*") or self._possible_matches.fullmatch(f"{prefix}/"):
            yield "*"

    @cached_property
    def _is_short(self) -> bool:
        return len(self._parts) < patterns.ARN_PARTS

    @cached_property
    def _certain_matches(self) -> re.Pattern[str] | None:
        """Return an expression for the ARNs that it certainly matches; None if nothing is certain."""
        *head, resource = self._parts
        is_bare = self.text == self.text.strip() and not any(
            token.kind not in (TEXT, WILDCARD) for part in head for token in part
        )
        has_service = len(self._parts) > _SERVICE and not any(token.kind == WILDCARD for token in self._parts[_SERVICE])
        if (
            not is_bare
            or not has_service
            or any(token.kind in (UNKNOWN_VARIABLE, EMPTY_VARIABLE) for token in resource)
        ):
            return None
        start = ":".join(patterns.expression(part, _IN_PART) for part in head)
        if self._is_short:
            if resource[-1:] != [Token(WILDCARD, "*")]:
                return None
            return re.compile(f"{start}:{patterns.expression(resource[:-1], _IN_PART)}.*", re.S)
        if not _has_fixed_type(resource):
            return None
        return re.compile(f"{start}:{patterns.expression(resource, _IN_RESOURCE)}", re.S)

    @cached_property
    def _possible_matches(self) -> re.Pattern[str]:
        """Return an expression for the ARNs that it may match."""
        expressions = []
        for index, part in enumerate(self._parts):
            if index == patterns.ARN_PARTS - 1:
                expressions.append(patterns.expression(part, patterns.ANY_CHARACTERS))
            elif part[-1:] == [Token(WILDCARD, "*")]:
                expressions.append(f"(?i:{patterns.expression(part[:-1], _IN_PART)}).*")
            else:
                expressions.append(f"(?i:{patterns.expression(part, _IN_PART)})")
        return re.compile(":".join(expressions) + ("(?::.*)?" if self._is_short else ""), re.S)


def _has_only_text(pieces: list[Token]) -> bool:
    return all(token.kind in (TEXT, VALUE) for token in pieces)


def _has_fixed_type(resource: list[Token]) -> bool:
    """Tell whether the type of the resource, as dbuser, is text, or the whole resource is an asterisk."""
    if resource == [Token(WILDCARD, "*")]:
        return True
    if any(token.kind in (WILDCARD, VALUE) for token in resource):
        return bool(resource) and resource[0].kind == TEXT and re.search("[:/]", resource[0].text) is not None
    return True


def _with_stand_ins(arn: str) -> str:
    return arn.replace("*", _STAR).replace("?", _QUESTION_MARK)


@lru_cache(maxsize=4096)
def _may_begin_with(head: str, prefix: str) -> bool:
    return patterns.globs_meet(head.lower(), prefix.lower())


class ResourcePatterns:
    """The patterns in one C(Resource) or C(NotResource). The exact ones among them are looked up, however many."""

    def __init__(self, resources: list[ResourcePattern]) -> None:
        self.patterns = resources
        self._exact_arns: set[str] = set()
        self._exact_patterns: dict[str, list[ResourcePattern]] = {}  # by ARN in lower case
        self._users: dict[str, list[str]] = {}  # by prefix in lower case
        self._inexact_patterns = []
        for pattern in resources:
            if not pattern.is_exact:
                self._inexact_patterns.append(pattern)
                continue
            self._exact_arns.add(pattern.glob)
            self._exact_patterns.setdefault(pattern.glob.lower(), []).append(pattern)
            prefix, slash, user = pattern.glob.partition("/")
            self._users.setdefault(prefix.lower(), []).extend([user] * bool(slash))

    def cover(self, arn: str, is_pattern_of_users: bool = False) -> Truth:
        """Tell whether one of them has the ARN of a database user, or all of it, if its user is a pattern."""
        if is_pattern_of_users:
            return any_of(pattern.covers(arn, True) for pattern in self.patterns)
        if arn in self._exact_arns:
            return YES
        candidates = (*self._exact_patterns.get(arn.lower(), []), *self._inexact_patterns)
        return any_of(pattern.covers(arn) for pattern in candidates)

    def users(self, prefix: str) -> Iterator[str]:
        """Yield the users, or patterns of users, that they name on a database, as C(ResourcePattern.users) does."""
        yield from self._users.get(prefix.lower(), [])
        for pattern in self._inexact_patterns:
            yield from pattern.users(prefix)
