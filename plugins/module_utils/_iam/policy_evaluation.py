# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the policies of a principal say of rds-db:connect, as far as it can be known. Pure, private to this collection.

The order is that of https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html: a Deny
anywhere denies; else one of the identity policies must allow, and the permissions boundary, if there is one, too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from ansible_collections.dbops.rds_iam.plugins.module_utils._iam import conditions
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.request_context import RequestContext
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.resources import (
    ResourcePattern,
    ResourcePatterns,
    matches_action,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.truth import NO, Truth, every, negated, some, unknown

ACTION = "rds-db:connect"
_WITH_VARIABLES = "2012-10-17"  # the version of the language that knows them


@dataclass(frozen=True)
class Policy:
    """A policy of the principal; without a document it could not be read, and C(reason) says why."""

    name: str
    document: dict | None
    boundary: bool = False
    reason: str = ""

    def __str__(self) -> str:
        return f"the permissions boundary {self.name}" if self.boundary else f"the policy {self.name}"


def statements(policy: Policy) -> list[dict]:
    """Return the statements of a document, which may have one that is no list."""
    listed = policy.document.get("Statement", []) if isinstance(policy.document, dict) else []
    return [raw for raw in (listed if isinstance(listed, list) else [listed]) if isinstance(raw, dict)]


def texts(statement: dict, key: str) -> list[str]:
    value = statement.get(key, [])
    return [str(text) for text in (value if isinstance(value, list) else [value])]


def about(statement: dict, actions: Iterable[str]) -> Truth:
    """Tell whether the C(Action) or C(NotAction) of a statement has one of these actions, given in lower case."""
    if "NotAction" in statement:
        excluded = texts(statement, "NotAction")
        return some(negated(some(matches_action(text, action) for text in excluded)) for action in actions)
    return some(matches_action(text, action) for action in actions for text in texts(statement, "Action"))


class Statement:
    """A statement that is, or may be, about rds-db:connect."""

    def __init__(self, policy: Policy, raw: dict, action: Truth, context: RequestContext):
        self.policy, self.raw, self.action = policy, raw, action
        self.is_deny = raw.get("Effect") == "Deny"
        self.variables = policy.document.get("Version") == _WITH_VARIABLES
        self._context = context

    def __str__(self) -> str:
        sid = self.raw.get("Sid")
        return f"the statement {sid} of {self.policy}" if sid else f"a statement of {self.policy}"

    @cached_property
    def resources(self) -> ResourcePatterns:
        return self._patterns("Resource")

    @cached_property
    def _excluded(self) -> ResourcePatterns:
        return self._patterns("NotResource")

    def _patterns(self, key: str) -> ResourcePatterns:
        return ResourcePatterns([ResourcePattern(text, self._context, self.variables) for text in texts(self.raw, key)])

    @cached_property
    def conditions(self) -> list[conditions.Part]:
        return conditions.evaluate(self.raw.get("Condition"), self._context, self.variables)

    @cached_property
    def condition(self) -> Truth:
        return every(part.truth for part in self.conditions)

    def covers(self, arn: str, is_pattern: bool = False) -> Truth:
        """Tell whether it is about connecting as this database user, under whatever conditions."""
        if "NotResource" in self.raw:
            resource = negated(self._excluded.cover(arn, is_pattern))
        elif "Resource" in self.raw:
            resource = self.resources.cover(arn, is_pattern)
        else:
            resource = unknown("a statement without a Resource")
        return every((self.action, resource))

    def applies(self, arn: str, is_pattern: bool = False) -> Truth:
        """Tell whether it takes effect on connecting as this database user."""
        if self.condition.value is False:
            return NO
        return every((self.covers(arn, is_pattern), self.condition))


@dataclass(frozen=True)
class Effect:
    """A statement, and whether it takes effect on a database user."""

    statement: Statement
    truth: Truth


@dataclass(frozen=True)
class Decision:
    """What the policies of a principal say of one database user.

    C(denying), C(allowing) and C(bounding) are the statements that have, or may have, an effect; C(barred) those that
    name the user and allow nothing because of their conditions.
    """

    denying: list[Effect]
    allowing: list[Effect]
    bounding: list[tuple[Policy, list[Effect]]]
    barred: list[Statement]
    unread: list[Policy]

    @property
    def denied(self) -> Truth:
        return some((*(effect.truth for effect in self.denying), *(_unread(policy) for policy in self.unread)))

    @property
    def allowed_by_identity(self) -> Truth:
        unread = (_unread(policy) for policy in self.unread if not policy.boundary)
        return some((*(effect.truth for effect in self.allowing), *unread))

    @property
    def allowed_by_boundary(self) -> Truth:
        read = (some(effect.truth for effect in effects) for _policy, effects in self.bounding)
        return every((*read, *(_unread(policy) for policy in self.unread if policy.boundary)))

    @property
    def allowed(self) -> Truth:
        return every((self.allowed_by_identity, self.allowed_by_boundary, negated(self.denied)))


def _unread(policy: Policy) -> Truth:
    return unknown(f"{policy}: {policy.reason}")


class Permissions:
    """The policies of one principal, read once for all database users."""

    def __init__(self, policies: list[Policy], context: RequestContext):
        self.policies = policies
        self.context = context
        self.unread = [policy for policy in policies if not isinstance(policy.document, dict)]
        self.statements = [
            Statement(policy, raw, action, context)
            for policy in policies
            if isinstance(policy.document, dict)
            for raw in statements(policy)
            for action in (about(raw, (ACTION,)),)
            if action.possible and raw.get("Effect") in ("Allow", "Deny")
        ]
        self.allowing = [
            statement for statement in self.statements if not (statement.is_deny or statement.policy.boundary)
        ]
        self._denying = [statement for statement in self.statements if statement.is_deny]
        self._bounding = [
            (policy, [each for each in self.statements if each.policy is policy and not each.is_deny])
            for policy in policies
            if policy.boundary and isinstance(policy.document, dict)
        ]

    def reach(self, arn: str, is_pattern: bool = False) -> bool:
        """Tell whether a statement that allows is, or may be, about this database user, under whatever conditions."""
        return any(statement.covers(arn, is_pattern).possible for statement in self.allowing)

    def decide(self, arn: str, is_pattern: bool = False) -> Decision:
        """Judge connecting as this database user, or as all those of a pattern."""
        allowing = _effects(self.allowing, arn, is_pattern)
        bounding = [(policy, _effects(candidates, arn, is_pattern)) for policy, candidates in self._bounding]
        barred = [
            statement
            for statement in self.allowing
            if statement.condition.value is False and statement.covers(arn, is_pattern).possible
        ]
        return Decision(_effects(self._denying, arn, is_pattern), allowing, bounding, barred, self.unread)


def _effects(candidates: list[Statement], arn: str, is_pattern: bool) -> list[Effect]:
    effects = (Effect(statement, statement.applies(arn, is_pattern)) for statement in candidates)
    return [effect for effect in effects if effect.truth.possible]
