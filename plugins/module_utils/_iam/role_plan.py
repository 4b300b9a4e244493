# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is to be done to create or repair a role, its instance profile and its policy. Pure, and private.

A role or an instance profile that somebody else made stays as it is, and so does an inline policy that this collection
did not write. What speaks against a part is a refusal, and then nothing is done for any part.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.managed_by import COLLECTION, TAG
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam import connect_policy
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.ec2_trust import TRUST_POLICY, ec2_may_assume
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.role_state import Request, State

ROLE, PROFILE, POLICY = "role", "instance_profile", "policy"
_LISTED = 10  # the most resources that a note lists


@dataclass(frozen=True)
class Outcome:
    """What becomes of one thing: created, changed, unchanged, removed, stays or missing; C(why) explains it."""

    kind: str
    name: str
    outcome: str
    why: str | None = None


@dataclass
class Plan:
    """The calls to make, in order, by the names that role_writer has for them, and what they lead to."""

    after: State
    calls: list[str] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    refusals: dict[str, str] = field(default_factory=dict)  # sentence by part

    @property
    def changed_parts(self) -> list[str]:
        changed = {outcome.kind for outcome in self.outcomes if outcome.outcome in ("created", "changed", "removed")}
        parts = {"role": {ROLE, PROFILE}, "policy": {POLICY}}
        return [part for part, kinds in parts.items() if changed & kinds]

    def add(self, kind: str, name: str, outcome: str, why: str | None = None) -> None:
        self.outcomes.append(Outcome(kind, name, outcome, why))


def plan_present(request: Request, state: State, other_policies: dict[str, dict] | None = None) -> Plan:
    """Return the plan to have the parts that are asked for.

    C(other_policies) are the documents of the other inline policies of the role by name. They are needed where the
    policy changes, see C(needs_other_policies), to refuse what IAM would not take.
    """
    plan = Plan(after=state)
    planners = {"role": (_plan_role, _plan_profile), "policy": (_plan_policy,)}
    for part in ("role", "policy"):
        try:
            for planner in planners[part] if part in request.parts else ():
                planner(plan, request, state)
            if part == "policy" and "put_policy" in plan.calls:
                _check_sizes(request, plan.after.policy, other_policies or {})
        except RdsIamError as exc:
            plan.refusals[part] = str(exc)
    return plan


def needs_other_policies(plan: Plan, state: State) -> bool:
    return "put_policy" in plan.calls and state.role is not None


def _plan_role(plan: Plan, request: Request, state: State) -> None:
    role, name = state.role, request.role_name
    if role is None:
        plan.calls.append("create_role")
        plan.add(ROLE, name, "created")
        plan.after = replace(plan.after, role=_new_role(request))
    elif role["managed_by"] != COLLECTION:
        _check_trust(role)
        plan.add(ROLE, name, "unchanged", f"it was not created by {COLLECTION}")
    else:
        after = {**role, **_repairs(request, role)}
        if after["trust_policy"] != role["trust_policy"]:
            plan.calls.append("set_trust_policy")
        if after["permissions_boundary"] != role["permissions_boundary"]:
            plan.calls.append("set_permissions_boundary")
        plan.add(ROLE, name, "unchanged" if after == role else "changed")
        plan.after = replace(plan.after, role=after)


def _new_role(request: Request) -> dict:
    return {
        "name": request.role_name,
        "arn": None,
        "path": request.path,
        "trust_policy": TRUST_POLICY,
        "permissions_boundary": request.permissions_boundary,
        "tags": {TAG: COLLECTION},
        "managed_by": COLLECTION,
    }


def _repairs(request: Request, role: dict) -> dict:
    """Return what is to be set on a role of this collection: a trust policy that shuts EC2 out, and the boundary."""
    repairs = {}
    if ec2_may_assume(role["trust_policy"]) is False:
        repairs["trust_policy"] = TRUST_POLICY
    if request.permissions_boundary:
        repairs["permissions_boundary"] = request.permissions_boundary
    return repairs


def _check_trust(role: dict) -> None:
    if ec2_may_assume(role["trust_policy"]) is False:
        raise RdsIamError(
            f"EC2 instances cannot use the IAM role {role['name']}: it exists, was not created by dbops.rds_iam, and"
            " its trust policy does not let ec2.amazonaws.com assume it; add that to the trust policy, or set"
            " iam_role_name to another name."
        )


def _plan_profile(plan: Plan, request: Request, state: State) -> None:
    profile, name = state.instance_profile, request.instance_profile_name
    holds = profile["role_name"] if profile else ""
    if profile is not None and holds == request.role_name:
        plan.add(PROFILE, name, "unchanged")
        return
    if holds:
        raise RdsIamError(
            f"The instance profile {name} already holds the role {holds}, and a profile holds only one; set"
            " iam_role_instance_profile_name to another name, or iam_role_name to that role."
        )
    if profile is None:
        plan.calls.append("create_instance_profile")
    elif profile["managed_by"] != COLLECTION:
        raise RdsIamError(
            f"The instance profile {name} exists, was not created by dbops.rds_iam, and holds no role; add the role"
            f" {request.role_name} to it, or set iam_role_instance_profile_name to another name."
        )
    plan.calls.append("add_role_to_instance_profile")
    plan.add(PROFILE, name, "changed" if profile else "created")
    made = {"name": name, "arn": None, "path": request.path, "tags": {TAG: COLLECTION}, "managed_by": COLLECTION}
    plan.after = replace(plan.after, instance_profile={**(profile or made), "role_name": request.role_name})


def _plan_policy(plan: Plan, request: Request, state: State) -> None:
    name, there = request.policy_name, state.policy
    if there is not None and connect_policy.our_statement(there) is None:
        raise RdsIamError(
            f"The inline policy {name} of the IAM role {request.role_name} was not written by dbops.rds_iam, or was"
            f" changed since: it has no statement {connect_policy.SID} as dbops.rds_iam writes it; set"
            " iam_role_policy_name to another name, or delete this policy."
        )
    merged = connect_policy.merge(there, request.databases, request.policy_purge)
    if merged.unaccounted:
        plan.notes.append(_unaccounted(request, merged.unaccounted))
    if merged.document == there:
        plan.add(POLICY, name, "unchanged" if there else "missing")
        return
    plan.calls.append("put_policy" if merged.document else "delete_policy")
    plan.add(POLICY, name, "created" if there is None else "changed" if merged.document else "removed")
    plan.after = replace(plan.after, policy=merged.document)


def _unaccounted(request: Request, arns: list[str]) -> str:
    more = f" and {len(arns) - _LISTED} more" if len(arns) > _LISTED else ""
    return (
        f"The inline policy {request.policy_name} of the IAM role {request.role_name} also allows"
        f" {', '.join(arns[:_LISTED])}{more}, which are of no database of this run but of another account, Region or"
        " inventory, of one that could not be read, or of one that is gone. They stay; if no run needs them any more,"
        " run once with iam_role_policy_purge=true, which removes them all."
    )


def _check_sizes(request: Request, document: dict, other_policies: dict[str, dict]) -> None:
    """Refuse a policy that IAM would not take beside the other inline policies of the role."""
    connect_policy.check_size(document)
    others = sum(connect_policy.size(other) for other in other_policies.values())
    total = connect_policy.size(document) + others
    if total > connect_policy.INLINE_LIMIT:
        raise RdsIamError(
            f"The inline policies of the IAM role {request.role_name} would have {total} characters without white"
            f" space, {others} of them in the policies of others, and IAM takes {connect_policy.INLINE_LIMIT} for all"
            " of them together; make managed policies of the others, or split the hosts over several roles."
        )
