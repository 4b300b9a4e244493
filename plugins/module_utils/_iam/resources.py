# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The actions and resources of statements, as IAM reads them. Pure, and private to this collection."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property, lru_cache

from ansible_collections.dbops.rds_iam.plugins.module_utils._iam import patterns
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.patterns import (
    OPEN,
    TEXT,
    VALUE,
    VOID,
    WILDCARD,
    Token,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.request_context import RequestContext
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.truth import NO, YES, Truth, some, unknown

_SERVICE = 2
# What stands for the wildcards of a pattern of users, where a pattern is held against it: only * is as wide as *.
_STAR, _ONE = "\ue000", "\ue001"
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

    def __init__(self, text: str, context: RequestContext, variables: bool):
        self.text = text
        self.pieces = patterns.tokens(text.strip(), context, variables)
        self._parts = patterns.split_arn(self.pieces)

    @cached_property
    def void_variable(self) -> str:
        """Return a variable in it that has no value, so that it matches no resource; empty without any."""
        return next((token.text for token in self.pieces if token.kind == VOID), "")

    @cached_property
    def is_exact(self) -> bool:
        """Tell whether it is the whole ARN of a resource, without wildcards or variables that are not known."""
        *head, last = self._parts
        plain = all(token.kind == TEXT for part in head for token in part)
        return plain and not self._is_short and self.text == self.text.strip() and _has_only_text(last)

    @cached_property
    def widened(self) -> str:
        """Return it with V(*) in place of variables that are not known."""
        return "".join("*" if token.kind in (OPEN, VOID) else token.text for token in self.pieces)

    @cached_property
    def has_wildcards(self) -> bool:
        return any(token.kind == WILDCARD for token in self.pieces)

    def covers(self, arn: str, is_pattern_of_users: bool = False) -> Truth:
        """Tell whether it has the ARN of a database user, or all that the ARN has, if its user is a pattern."""
        if self.void_variable:
            return NO
        if self.text == "*":
            return YES
        if self._sure and self._sure.fullmatch(_with_stand_ins(arn) if is_pattern_of_users else arn):
            return YES
        if patterns.globs_meet(self.widened, arn) if is_pattern_of_users else self._maybe.fullmatch(arn):
            variables = patterns.open_variables(self.pieces)
            return unknown(*variables) if variables else unknown(f"how IAM reads the resource {self.text}")
        return NO

    def users(self, prefix: str) -> Iterator[str]:
        """Yield the user, or the pattern of users, that it names on the database whose user ARNs begin so."""
        if self.void_variable:
            return
        head, slash, user = self.widened.partition("/")
        if self.is_exact:
            yield from [user] * bool(slash and head.lower() == prefix.lower())
            return
        if slash and _may_be(head, prefix):
            yield user
        elif patterns.globs_meet(self.widened, f"{prefix}/*") or self._maybe.fullmatch(f"{prefix}/"):
            yield "*"

    @cached_property
    def _is_short(self) -> bool:
        return len(self._parts) < patterns.ARN_PARTS

    @cached_property
    def _sure(self) -> re.Pattern | None:
        """Return an expression for what it certainly matches; None if nothing is certain."""
        *head, last = self._parts
        bare = self.text == self.text.strip() and not any(
            token.kind not in (TEXT, WILDCARD) for part in head for token in part
        )
        fixed = len(self._parts) > _SERVICE and not any(token.kind == WILDCARD for token in self._parts[_SERVICE])
        if not bare or not fixed or any(token.kind in (OPEN, VOID) for token in last):
            return None
        start = ":".join(patterns.expression(part, _IN_PART) for part in head)
        if self._is_short:
            if last[-1:] != [Token(WILDCARD, "*")]:
                return None
            return re.compile(f"{start}:{patterns.expression(last[:-1], _IN_PART)}.*", re.S)
        if not _has_fixed_type(last):
            return None
        return re.compile(f"{start}:{patterns.expression(last, _IN_RESOURCE)}", re.S)

    @cached_property
    def _maybe(self) -> re.Pattern:
        """Return an expression for what it may match."""
        expressions = []
        for index, part in enumerate(self._parts):
            if index == patterns.ARN_PARTS - 1:
                expressions.append(patterns.expression(part, patterns.ANY))
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
    return arn.replace("*", _STAR).replace("?", _ONE)


@lru_cache(maxsize=4096)
def _may_be(head: str, prefix: str) -> bool:
    return patterns.globs_meet(head.lower(), prefix.lower())


class ResourcePatterns:
    """All patterns in one C(Resource) or C(NotResource). The exact ones among them are looked up, however many."""

    def __init__(self, resources: list[ResourcePattern]):
        self.all = resources
        self._exact, self._exact_in_lower_case, self._users, self._others = set(), {}, {}, []
        for pattern in resources:
            if not pattern.is_exact:
                self._others.append(pattern)
                continue
            self._exact.add(pattern.widened)
            self._exact_in_lower_case.setdefault(pattern.widened.lower(), []).append(pattern)
            prefix, slash, user = pattern.widened.partition("/")
            self._users.setdefault(prefix.lower(), []).extend([user] * bool(slash))

    def cover(self, arn: str, is_pattern_of_users: bool = False) -> Truth:
        """Tell whether one of them has the ARN of a database user, or all of it, if its user is a pattern."""
        if is_pattern_of_users:
            return some(pattern.covers(arn, True) for pattern in self.all)
        if arn in self._exact:
            return YES
        near = self._exact_in_lower_case.get(arn.lower(), [])
        return some(pattern.covers(arn) for pattern in (*near, *self._others))

    def users(self, prefix: str) -> Iterator[str]:
        """Yield the users, or patterns of users, that they name on the database whose user ARNs begin so."""
        yield from self._users.get(prefix.lower(), [])
        for pattern in self._others:
            yield from pattern.users(prefix)
