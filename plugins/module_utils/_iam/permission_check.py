# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Check whether the policies of a principal let it connect. Pure, and private to this collection."""

from __future__ import annotations

from ansible_collections.dbops.rds_iam.plugins.module_utils._checks import FAILED, PASSED, UNKNOWN, Check
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.near_miss import Target, describe_near_miss
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.policy_document import CONNECT
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.policy_evaluation import (
    Decision,
    Effect,
    Permissions,
    Policy,
    Statement,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.request_context import NEVER_SENT, RequestContext
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.simulation import Simulation

_REMEDY = "let the role dbops.rds_iam.iam_role write the policy (dbops.rds_iam.site --tags step5)"


def check_policies(
    target: Target,
    principal: str,
    policies: list[Policy],
    simulation: Simulation | str | None = None,
    context: RequestContext | None = None,
) -> Check:
    """Return the check of the permission to connect as the target.

    C(principal) is its name in the sentences, as "the IAM role app". C(simulation) is the answer of IAM itself, or its
    decision alone, if it was asked. Without C(context) nothing is known of the principal but its policies. The status
    is V(passed) or V(failed) only where that is certain.
    """
    simulation = Simulation(simulation) if isinstance(simulation, str) else simulation
    return check_permissions(target, principal, Permissions(policies, context or RequestContext()), simulation)


def check_permissions(
    target: Target,
    principal: str,
    permissions: Permissions,
    simulation: Simulation | None = None,
    explains: bool = True,
) -> Check:
    """Return the check as C(check_policies) does, for policies that are parsed once for many targets.

    explains: False to leave the likeliest mistake of the policies out of the text, for a login that must be denied
    """
    decision = permissions.decide(target.arn, target.is_pattern)
    check = _check_documents(target, principal, permissions, decision, explains)
    return _add_simulation(target, principal, check, decision, simulation) if simulation else check


def _check_documents(
    target: Target, principal: str, permissions: Permissions, decision: Decision, explains: bool
) -> Check:
    """Return the check by the documents of the policies alone."""
    denying_statement = next((effect.statement for effect in decision.deny_effects if effect.truth.value), None)
    if denying_statement:
        remedy = f"take the database user out of that Deny of {denying_statement.policy}"
        reason = _explain_never_sent(denying_statement)
        return _failed(f"{denying_statement} denies {CONNECT} on {target.arn} to {principal}{reason}", remedy)
    if not decision.is_allowed_by_identity.possible:
        return _explain_missing_permission(target, principal, permissions, decision, explains)
    if not decision.is_allowed_by_boundary.possible:
        boundary = next(policy for policy, effects in decision.boundary_effects if not effects)
        return _failed(
            f"{boundary} of {principal} does not allow {CONNECT} on {target.arn}",
            f"add {CONNECT} to that boundary, or set iam_role_permissions_boundary to another",
        )
    if decision.is_allowed.value:
        statement = _surest_effect(decision.allow_effects).statement
        return Check("permission", PASSED, f"{statement} allows {CONNECT} on {target.arn}")
    return Check("permission", UNKNOWN, _explain_doubt(principal, decision))


def _surest_effect(effects: list[Effect]) -> Effect:
    return next((effect for effect in effects if effect.truth.value), effects[0])


def _explain_missing_permission(
    target: Target, principal: str, permissions: Permissions, decision: Decision, explains: bool
) -> Check:
    """Explain why no statement allows it: by a condition that is not met, or else by the likeliest statement."""
    fact = f"no policy of {principal} allows {CONNECT} on {target.arn}"
    if decision.unmet_statements:
        statement = decision.unmet_statements[0]
        unmet_keys = [part.key for part in statement.conditions if part.truth.value is False]
        unsent_keys = [key for key in unmet_keys if key.lower() in NEVER_SENT]
        reason = ", which RDS does not support for logins" if unsent_keys else f", which {principal} does not meet"
        keys = ", ".join(unsent_keys or unmet_keys)
        message = f"{statement} allows {CONNECT} only under a condition on {keys}{reason}"
        return _failed(message, f"take the condition out of that statement, or {_REMEDY}", fact)
    hint = describe_near_miss(target, permissions) if explains else ""
    return _failed(f"{fact}: {hint}" if hint else fact, _REMEDY, fact)


def _explain_never_sent(statement: Statement) -> str:
    keys = [part.key for part in statement.conditions if part.key.lower() in NEVER_SENT]
    return f", since RDS does not send {', '.join(keys)} with a login, and its condition holds then" if keys else ""


def _explain_doubt(principal: str, decision: Decision) -> str:
    """Explain why it cannot be known whether the policies allow it."""
    if decision.unreadable_policies:
        policies = decision.unreadable_policies
        policy = next((policy for policy in policies if not policy.boundary), policies[0])
        verb = "deny" if decision.is_allowed_by_identity.value or policy.boundary else "allow"
        return f"{policy} of {principal} may {verb} it: {policy.reason or 'its document is not understood'}"
    doubts = [(effect.statement, "may deny it") for effect in decision.deny_effects]
    if decision.is_allowed_by_identity.value is None:
        doubts += [(effect.statement, "may allow it") for effect in decision.allow_effects]
    if decision.is_allowed_by_boundary.value is None:
        effects = [effect for _policy, effects in decision.boundary_effects for effect in effects]
        doubts += [(effect.statement, "may allow it") for effect in effects]
    missing = dict.fromkeys((*decision.is_denied.missing, *decision.is_allowed.missing))
    statement, doubt = doubts[0]
    return f"{statement} {doubt}; it depends on what is not known here: {', '.join(missing)}"


def _failed(message: str, remedy: str, fact: str = "") -> Check:
    return Check("permission", FAILED, message, remedy, fact)


def _add_simulation(target: Target, principal: str, check: Check, decision: Decision, simulation: Simulation) -> Check:
    """Return the check by the documents, in C(check), and by the answer of the simulator of IAM.

    The simulator is IAM itself, so with all that a login brings it is right where the reading here is not; but it knows
    neither which keys RDS sends, nor the values of keys in policies of the organization.
    """
    if simulation.decision == "allowed":
        return _add_permission(target, principal, check, decision, simulation)
    answer = f"the simulator of IAM answers {simulation.decision} for {CONNECT} on {target.arn}"
    if check.status == FAILED:
        return check
    if simulation.missing_keys:
        return Check("permission", UNKNOWN, f"{answer}, without values for {', '.join(simulation.missing_keys)}")
    if simulation.allowed_by_organization is False:
        message = (
            f"{answer}, since policies of the organization do not allow it; it judges their conditions without context"
        )
        return Check("permission", UNKNOWN, f"{message}, so a login may be allowed all the same")
    if simulation.allowed_by_boundary is False:
        boundary = next((str(policy) for policy, _effects in decision.boundary_effects), "the permissions boundary")
        return _failed(f"{answer}, and names {boundary} of {principal}", f"add {CONNECT} to that boundary")
    return _failed(
        f"{answer} to {principal}, while {check.message}" if check.status == PASSED else f"{answer} to {principal}",
        "look at the statements in the console's policy simulator, and have the one that denies it changed"
        if simulation.decision == "explicitDeny"
        else _REMEDY,
    )


def _add_permission(target: Target, principal: str, check: Check, decision: Decision, simulation: Simulation) -> Check:
    """Return the check by the documents, and by a simulator that answers allowed."""
    answer = f"the simulator of IAM answers allowed for {CONNECT} on {target.arn}"
    if check.status == PASSED:
        return check
    if simulation.missing_keys or _rests_on_never_sent(decision):
        if check.status == UNKNOWN or decision.is_denied.value is True:
            return check
        missing_keys = ", ".join(simulation.missing_keys)
        addition = f", without values for {missing_keys}" if missing_keys else ""
        return Check("permission", UNKNOWN, f"{answer}{addition}, while {check.message}")
    if check.status == UNKNOWN:
        return Check("permission", PASSED, answer)
    return Check("permission", PASSED, f"{answer} to {principal}, while {check.fact or check.message}")


def _rests_on_never_sent(decision: Decision) -> bool:
    """Tell whether a statement is decided by a key that RDS does not send, which the simulator cannot know."""
    certain_statements = [effect.statement for effect in decision.deny_effects if effect.truth.value]
    return any(
        part.key.lower() in NEVER_SENT
        for statement in (*certain_statements, *decision.unmet_statements)
        for part in statement.conditions
    )
