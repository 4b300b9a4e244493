# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plan to create or repair a role, its instance profile and its policy. Pure, and private to this collection.

A role or an instance profile that somebody else made stays as it is, and so does an inline policy that this collection
did not write. An objection to a part is a refusal, and then nothing is done for any part.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.managed_by import COLLECTION, TAG
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam import connect_policy
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.ec2_trust import TRUST_POLICY, ec2_may_assume
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.policy_document import PolicyDocument
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.role_state import (
    InstanceProfileRecord,
    Request,
    RoleRecord,
    State,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._text import list_items

ROLE, PROFILE, POLICY = "role", "instance_profile", "policy"


@dataclass(frozen=True)
class Outcome:
    """The outcome for one thing, and the reason for it.

    C(kind) is role, instance_profile or policy; C(outcome) is created, changed, unchanged, removed, stays or missing.
    """

    kind: str
    name: str
    outcome: str
    reason: str | None = None

    def to_dict(self) -> dict[str, str | None]:
        """Return the outcome as the module returns it."""
        return {"kind": self.kind, "name": self.name, "outcome": self.outcome, "reason": self.reason}


@dataclass
class Plan:
    """The calls to make, in order, by the names that role_writer has for them, and the state that they lead to."""

    after: State
    calls: list[str] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    refusals: dict[str, str] = field(default_factory=dict)  # sentence by part

    @property
    def changed_parts(self) -> list[str]:
        changed_kinds = {
            outcome.kind for outcome in self.outcomes if outcome.outcome in ("created", "changed", "removed")
        }
        parts = {"role": {ROLE, PROFILE}, "policy": {POLICY}}
        return [part for part, kinds in parts.items() if changed_kinds & kinds]

    def add(self, kind: str, name: str, outcome: str, reason: str | None = None) -> None:
        self.outcomes.append(Outcome(kind, name, outcome, reason))


def plan_present(request: Request, state: State, other_policies: dict[str, PolicyDocument] | None = None) -> Plan:
    """Return the plan to have the parts that are asked for.

    C(other_policies) are the documents of the other inline policies of the role by name. They are needed where the
    policy changes, see C(needs_other_policies), to refuse what IAM would not take.
    """
    plan = Plan(after=state)
    for part in ("role", "policy"):
        if part in request.parts:
            _plan_part(plan, part, request, state, other_policies or {})
    return plan


def _plan_part(
    plan: Plan, part: str, request: Request, state: State, other_policies: dict[str, PolicyDocument]
) -> None:
    try:
        if part == "role":
            _plan_role(plan, request, state)
            _plan_profile(plan, request, state)
        else:
            _plan_policy(plan, request, state, other_policies)
    except RdsIamError as exc:
        plan.refusals[part] = str(exc)


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
        after = _repair_role(request, role)
        if after["trust_policy"] != role["trust_policy"]:
            plan.calls.append("set_trust_policy")
        if after["permissions_boundary"] != role["permissions_boundary"]:
            plan.calls.append("set_permissions_boundary")
        plan.add(ROLE, name, "unchanged" if after == role else "changed")
        plan.after = replace(plan.after, role=after)


def _new_role(request: Request) -> RoleRecord:
    return {
        "name": request.role_name,
        "arn": None,
        "path": request.path,
        "trust_policy": TRUST_POLICY,
        "permissions_boundary": request.permissions_boundary,
        "tags": {TAG: COLLECTION},
        "managed_by": COLLECTION,
    }


def _repair_role(request: Request, role: RoleRecord) -> RoleRecord:
    """Return a role of this collection with the boundary of the request, and a trust policy that lets EC2 assume it."""
    is_shut = ec2_may_assume(role["trust_policy"]) is False
    return {
        **role,
        "trust_policy": TRUST_POLICY if is_shut else role["trust_policy"],
        "permissions_boundary": request.permissions_boundary or role["permissions_boundary"],
    }


def _check_trust(role: RoleRecord) -> None:
    if ec2_may_assume(role["trust_policy"]) is False:
        raise RdsIamError(
            f"EC2 instances cannot use the IAM role {role['name']}: it exists, was not created by dbops.rds_iam, and"
            " its trust policy does not let ec2.amazonaws.com assume it; add that to the trust policy, or set"
            " iam_role_name to another name."
        )


def _plan_profile(plan: Plan, request: Request, state: State) -> None:
    profile, name = state.instance_profile, request.instance_profile_name
    role_in_profile = profile["role_name"] if profile else ""
    if profile is not None and role_in_profile == request.role_name:
        plan.add(PROFILE, name, "unchanged")
        return
    if role_in_profile:
        raise RdsIamError(
            f"The instance profile {name} already holds the role {role_in_profile}, and a profile holds only one; set"
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
    after: InstanceProfileRecord = {**(profile or _new_profile(request)), "role_name": request.role_name}
    plan.after = replace(plan.after, instance_profile=after)


def _new_profile(request: Request) -> InstanceProfileRecord:
    return {
        "name": request.instance_profile_name,
        "arn": None,
        "path": request.path,
        "role_name": "",
        "tags": {TAG: COLLECTION},
        "managed_by": COLLECTION,
    }


def _plan_policy(plan: Plan, request: Request, state: State, other_policies: dict[str, PolicyDocument]) -> None:
    name, document = request.policy_name, state.policy
    if document is not None and connect_policy.find_managed_statement(document) is None:
        raise RdsIamError(
            f"The inline policy {name} of the IAM role {request.role_name} was not written by dbops.rds_iam, or was"
            f" changed since: it has no statement {connect_policy.SID} as dbops.rds_iam writes it; set"
            " iam_role_policy_name to another name, or delete this policy."
        )
    policy = connect_policy.merge_policy(document, request.databases, request.policy_purge)
    if policy.other_resources:
        plan.notes.append(_describe_other_resources(request, policy.other_resources))
    if policy.document == document:
        plan.add(POLICY, name, "unchanged" if document else "missing")
        return
    plan.calls.append("put_policy" if policy.document else "delete_policy")
    plan.add(POLICY, name, "created" if document is None else "changed" if policy.document else "removed")
    plan.after = replace(plan.after, policy=policy.document)
    if policy.document:
        _check_sizes(request, policy.document, other_policies)


def _describe_other_resources(request: Request, arns: list[str]) -> str:
    return (
        f"The inline policy {request.policy_name} of the IAM role {request.role_name} also allows"
        f" {list_items(arns)}, which are of no database of this run but of another account, Region or"
        " inventory, of one that could not be read, or of one that is gone. They stay; if no run needs them any more,"
        " run once with iam_role_policy_purge=true, which removes them all."
    )


def _check_sizes(request: Request, document: PolicyDocument, other_policies: dict[str, PolicyDocument]) -> None:
    """Refuse a policy that IAM would not take beside the other inline policies of the role."""
    connect_policy.check_size(document)
    other_characters = sum(connect_policy.size(policy) for policy in other_policies.values())
    total = connect_policy.size(document) + other_characters
    if total > connect_policy.INLINE_LIMIT:
        raise RdsIamError(
            f"The inline policies of the IAM role {request.role_name} would have {total} characters without white"
            f" space, {other_characters} of them in the policies of others, and IAM takes {connect_policy.INLINE_LIMIT}"
            " for all of them together; make managed policies of the others, or split the hosts over several roles."
        )
