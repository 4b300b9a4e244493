# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Check whether its policies let a principal connect, in a sentence. Pure, and private to this collection."""

from __future__ import annotations

from ansible_collections.dbops.rds_iam.plugins.module_utils._checks import BROKEN, OK, UNKNOWN, Check
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.near_miss import Target, near_miss
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.policy_evaluation import (
    ACTION,
    Decision,
    Effect,
    Permissions,
    Policy,
    Statement,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.request_context import NEVER_SENT, RequestContext
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.simulation import Simulation

_REPAIR = "let the role dbops.rds_iam.iam_role write the policy (dbops.rds_iam.site --tags step5)"


def check_policies(
    target: Target,
    who: str,
    policies: list[Policy],
    simulated: Simulation | str | None = None,
    context: RequestContext | None = None,
) -> Check:
    """Return the check of the permission. C(simulated) is what IAM itself says, if it was asked.

    Without C(context) nothing is known of the principal but its policies. The state is V(ok) or V(broken) only where
    that is certain.
    """
    simulated = Simulation(simulated) if isinstance(simulated, str) else simulated
    return check_permissions(target, who, Permissions(policies, context or RequestContext()), simulated)


def check_permissions(target: Target, who: str, permissions: Permissions, simulated: Simulation | None = None) -> Check:
    """Return what C(judge) does, for policies that are read once for many targets."""
    decision = permissions.decide(target.arn, target.is_pattern)
    own = _by_documents(target, who, permissions, decision)
    return _with_simulation(target, who, own, decision, simulated) if simulated else own


def _by_documents(target: Target, who: str, permissions: Permissions, decision: Decision) -> Check:
    """The check by the documents of the policies alone."""
    denying = next((one.statement for one in decision.denying if one.truth.value), None)
    if denying:
        repair = f"take the database user out of that Deny of {denying.policy}"
        return _broken(f"{denying} denies {ACTION} on {target.arn} to {who}{_because_never_sent(denying)}", repair)
    if not decision.allowed_by_identity.possible:
        return _not_allowed(target, who, permissions, decision)
    if not decision.allowed_by_boundary.possible:
        boundary = next(policy for policy, effects in decision.bounding if not effects)
        return _broken(
            f"{boundary} of {who} does not allow {ACTION} on {target.arn}",
            f"add {ACTION} to that boundary, or set iam_role_permissions_boundary to another",
        )
    if decision.allowed.value:
        return Check("permission", OK, f"{_surest(decision.allowing).statement} allows {ACTION} on {target.arn}")
    return Check("permission", UNKNOWN, _doubt(who, decision))


def _surest(effects: list[Effect]) -> Effect:
    return next((one for one in effects if one.truth.value), effects[0])


def _not_allowed(target: Target, who: str, permissions: Permissions, decision: Decision) -> Check:
    """No statement allows it: a condition that is not met keeps it off, or the likeliest statement is named."""
    fact = f"no policy of {who} allows {ACTION} on {target.arn}"
    if decision.barred:
        statement = decision.barred[0]
        unmet = [part.key for part in statement.conditions if part.truth.value is False]
        unsent = [key for key in unmet if key.lower() in NEVER_SENT]
        why = ", which RDS does not support for logins" if unsent else f", which {who} does not meet"
        text = f"{statement} allows {ACTION} only under a condition on {', '.join(unsent or unmet)}{why}"
        return _broken(text, f"take the condition out of that statement, or {_REPAIR}", fact)
    hint = near_miss(target, permissions)
    return _broken(f"{fact}: {hint}" if hint else fact, _REPAIR, fact)


def _because_never_sent(statement: Statement) -> str:
    keys = [part.key for part in statement.conditions if part.key.lower() in NEVER_SENT]
    return f", since RDS does not send {', '.join(keys)} with a login, and its condition holds then" if keys else ""


def _doubt(who: str, decision: Decision) -> str:
    """Why it cannot be known whether the policies allow it."""
    if decision.unread:
        policy = next((one for one in decision.unread if not one.boundary), decision.unread[0])
        may = "deny" if decision.allowed_by_identity.value or policy.boundary else "allow"
        return f"{policy} of {who} may {may} it: {policy.reason or 'its document is not understood'}"
    doubts = [(one.statement, "may deny it") for one in decision.denying]
    if decision.allowed_by_identity.value is None:
        doubts += [(one.statement, "may allow it") for one in decision.allowing]
    if decision.allowed_by_boundary.value is None:
        doubts += [(one.statement, "may allow it") for _policy, effects in decision.bounding for one in effects]
    missing = dict.fromkeys((*decision.denied.missing, *decision.allowed.missing))
    statement, what = doubts[0]
    return f"{statement} {what}; it depends on what is not known here: {', '.join(missing)}"


def _broken(text: str, repair: str, fact: str = "") -> Check:
    return Check("permission", BROKEN, text, repair, fact)


def _with_simulation(target: Target, who: str, own: Check, decision: Decision, simulated: Simulation) -> Check:
    """The check by the documents, and by what the simulator of IAM says.

    The simulator is IAM itself, so with all that a login brings it is right where the reading here is not; but it knows
    neither which keys RDS sends, nor the values of keys in policies of the organization.
    """
    if simulated.decision == "allowed":
        return _simulated_allowed(target, who, own, decision, simulated)
    says = f"the simulator of IAM answers {simulated.decision} for {ACTION} on {target.arn}"
    if own.state == BROKEN:
        return own
    if simulated.missing:
        return Check("permission", UNKNOWN, f"{says}, without values for {', '.join(simulated.missing)}")
    if simulated.allowed_by_organization is False:
        text = f"{says}, since policies of the organization do not allow it; it judges their conditions without context"
        return Check("permission", UNKNOWN, f"{text}, so a login may be allowed all the same")
    if simulated.allowed_by_boundary is False:
        boundary = next((str(policy) for policy, _effects in decision.bounding), "the permissions boundary")
        return _broken(f"{says}, and names {boundary} of {who}", f"add {ACTION} to that boundary")
    return _broken(
        f"{says} to {who}, while {own.text}" if own.state == OK else f"{says} to {who}",
        "look at the statements in the console's policy simulator, and have the one that denies it changed"
        if simulated.decision == "explicitDeny"
        else _REPAIR,
    )


def _simulated_allowed(target: Target, who: str, own: Check, decision: Decision, simulated: Simulation) -> Check:
    says = f"the simulator of IAM answers allowed for {ACTION} on {target.arn}"
    if own.state == OK:
        return own
    if simulated.missing or _rests_on_never_sent(decision):
        if own.state == UNKNOWN or _denies_for_sure(decision):
            return own
        without = f", without values for {', '.join(simulated.missing)}" if simulated.missing else ""
        return Check("permission", UNKNOWN, f"{says}{without}, while {own.text}")
    if own.state == UNKNOWN:
        return Check("permission", OK, says)
    return Check("permission", OK, f"{says} to {who}, while {own.fact or own.text}")


def _denies_for_sure(decision: Decision) -> bool:
    return decision.denied.value is True


def _rests_on_never_sent(decision: Decision) -> bool:
    """Whether a statement is decided by a key that RDS does not send, which the simulator cannot know."""
    decided = [*(one.statement for one in decision.denying if one.truth.value), *decision.barred]
    return any(part.key.lower() in NEVER_SENT for statement in decided for part in statement.conditions)
