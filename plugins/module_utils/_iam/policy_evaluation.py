# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Evaluate the policies of a principal for rds-db:connect, as far as they can be. Pure, private to this collection.

The order is that of https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html: a Deny
anywhere denies; else one of the identity policies must allow, and the permissions boundary, if there is one, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from ansible_collections.dbops.rds_iam.plugins.module_utils._iam import conditions
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.pattern_index import PatternIndex
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.policy_document import (
    CONNECT,
    PolicyDocument,
    StatementElement,
    has_variables,
    statements,
    texts,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.request_context import RequestContext
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.resources import (
    ResourcePattern,
    ResourcePatterns,
    matches_action,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.truth import (
    NO,
    Truth,
    all_of,
    any_of,
    negate,
    unknown,
)


@dataclass(frozen=True)
class Policy:
    """A policy of the principal. Where it could not be read C(document) is None, and C(reason) says why."""

    name: str
    document: PolicyDocument | None
    boundary: bool = False
    reason: str = ""

    def __str__(self) -> str:
        return f"the permissions boundary {self.name}" if self.boundary else f"the policy {self.name}"


def has_action(statement: StatementElement, action: str) -> Truth:
    """Tell whether a statement is about an action, in lower case, by its C(Action) or C(NotAction)."""
    if "NotAction" in statement:
        return negate(any_of(matches_action(text, action) for text in texts(statement, "NotAction")))
    return any_of(matches_action(text, action) for text in texts(statement, "Action"))


def describe(policy: Policy, statement: StatementElement) -> str:
    """Return a statement as sentences name it."""
    sid = statement.get("Sid")
    return f"the statement {sid} of {policy}" if sid else f"a statement of {policy}"


class Statement:
    """A statement that is, or may be, about rds-db:connect."""

    def __init__(self, policy: Policy, raw: StatementElement, action: Truth, context: RequestContext) -> None:
        self.policy, self.raw, self.action = policy, raw, action
        self.is_deny = raw.get("Effect") == "Deny"
        self.has_variables = has_variables(policy.document or {})
        self._context = context

    def __str__(self) -> str:
        return describe(self.policy, self.raw)

    @cached_property
    def resources(self) -> ResourcePatterns:
        return self._patterns("Resource")

    @cached_property
    def _excluded_resources(self) -> ResourcePatterns:
        return self._patterns("NotResource")

    def _patterns(self, key: str) -> ResourcePatterns:
        variables = self.has_variables
        return ResourcePatterns([ResourcePattern(text, self._context, variables) for text in texts(self.raw, key)])

    @cached_property
    def conditions(self) -> list[conditions.Part]:
        return conditions.evaluate(self.raw.get("Condition"), self._context, self.has_variables)

    @cached_property
    def condition(self) -> Truth:
        return all_of(part.truth for part in self.conditions)

    def covers(self, arn: str, is_pattern: bool = False) -> Truth:
        """Tell whether it is about connecting as this database user, under whatever conditions."""
        if "NotResource" in self.raw:
            resource = negate(self._excluded_resources.cover(arn, is_pattern))
        elif "Resource" in self.raw:
            resource = self.resources.cover(arn, is_pattern)
        else:
            resource = unknown("a statement without a Resource")
        return all_of((self.action, resource))

    def applies(self, arn: str, is_pattern: bool = False) -> Truth:
        """Tell whether it takes effect on connecting as this database user."""
        if self.condition.value is False:
            return NO
        return all_of((self.covers(arn, is_pattern), self.condition))


@dataclass(frozen=True)
class Effect:
    """A statement, and whether it takes effect on a database user."""

    statement: Statement
    truth: Truth


@dataclass(frozen=True)
class Decision:
    """The decision of the policies of a principal on one database user.

    The effects are those of the statements that do, or may, apply to it: C(deny_effects) of all policies,
    C(allow_effects) of identity policies, C(boundary_effects) of each boundary. C(unmet_statements) name the user, and
    allow nothing because of their conditions.
    """

    deny_effects: list[Effect]
    allow_effects: list[Effect]
    boundary_effects: list[tuple[Policy, list[Effect]]]
    unmet_statements: list[Statement]
    unreadable_policies: list[Policy]

    @property
    def is_denied(self) -> Truth:
        return any_of((*(effect.truth for effect in self.deny_effects), *self._doubts(self.unreadable_policies)))

    @property
    def is_allowed_by_identity(self) -> Truth:
        doubts = self._doubts([policy for policy in self.unreadable_policies if not policy.boundary])
        return any_of((*(effect.truth for effect in self.allow_effects), *doubts))

    @property
    def is_allowed_by_boundary(self) -> Truth:
        truths = (any_of(effect.truth for effect in effects) for _policy, effects in self.boundary_effects)
        doubts = self._doubts([policy for policy in self.unreadable_policies if policy.boundary])
        return all_of((*truths, *doubts))

    @property
    def is_allowed(self) -> Truth:
        return all_of((self.is_allowed_by_identity, self.is_allowed_by_boundary, negate(self.is_denied)))

    @staticmethod
    def _doubts(policies: list[Policy]) -> list[Truth]:
        return [unknown(f"{policy}: {policy.reason}") for policy in policies]


class Permissions:
    """The policies of one principal, parsed once for all database users."""

    def __init__(self, policies: list[Policy], context: RequestContext) -> None:
        self.policies = policies
        self.context = context
        self.unreadable_policies = [policy for policy in policies if not isinstance(policy.document, dict)]
        self.statements = [
            Statement(policy, raw, action, context)
            for policy in policies
            for raw in statements(policy.document)
            for action in (has_action(raw, CONNECT),)
            if action.possible and raw.get("Effect") in ("Allow", "Deny")
        ]
        self.allow_statements = [
            statement for statement in self.statements if not (statement.is_deny or statement.policy.boundary)
        ]
        self._deny_statements = [statement for statement in self.statements if statement.is_deny]
        self._boundaries = [
            (
                policy,
                [statement for statement in self.statements if statement.policy is policy and not statement.is_deny],
            )
            for policy in policies
            if policy.boundary and isinstance(policy.document, dict)
        ]

    @cached_property
    def allowed_resources(self) -> list[tuple[Statement, ResourcePattern]]:
        """Return the patterns of resources of the statements that allow, each with its statement."""
        return [(statement, pattern) for statement in self.allow_statements for pattern in statement.resources.patterns]

    @cached_property
    def pattern_index(self) -> PatternIndex:
        """Return an index of the patterns in C(allowed_resources)."""
        return PatternIndex([pattern for _statement, pattern in self.allowed_resources])

    @cached_property
    def rds_api_statement(self) -> str:
        """Return the first statement that allows to call RDS, which is not to connect; empty if none does."""
        names = (
            describe(policy, statement)
            for policy in self.policies
            if not policy.boundary
            for statement in statements(policy.document)
            if statement.get("Effect") == "Allow"
            and any(action.lower().startswith("rds:") for action in texts(statement, "Action"))
        )
        return next(names, "")

    def reach(self, arn: str, is_pattern: bool = False) -> bool:
        """Tell whether a statement that allows is, or may be, about this database user, under whatever conditions."""
        return any(statement.covers(arn, is_pattern).possible for statement in self.allow_statements)

    def decide(self, arn: str, is_pattern: bool = False) -> Decision:
        """Judge connecting as the database user of this ARN, or with C(is_pattern) as all those of a pattern."""
        unmet_statements = [
            statement
            for statement in self.allow_statements
            if statement.condition.value is False and statement.covers(arn, is_pattern).possible
        ]
        return Decision(
            _effects(self._deny_statements, arn, is_pattern),
            _effects(self.allow_statements, arn, is_pattern),
            [(policy, _effects(candidates, arn, is_pattern)) for policy, candidates in self._boundaries],
            unmet_statements,
            self.unreadable_policies,
        )


def _effects(candidates: list[Statement], arn: str, is_pattern: bool) -> list[Effect]:
    effects = (Effect(statement, statement.applies(arn, is_pattern)) for statement in candidates)
    return [effect for effect in effects if effect.truth.possible]
