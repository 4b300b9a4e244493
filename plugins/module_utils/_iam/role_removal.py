# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plan to remove a role, its instance profile and its policy, with the reason for each that stays. Pure, and private.

Only what this collection created is removed, and only where nobody else uses it.
"""

from __future__ import annotations

from dataclasses import replace

from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.managed_by import COLLECTION
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam import connect_policy
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.ec2_trust import other_principals
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.policy_document import PolicyDocument
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.role_plan import POLICY, PROFILE, ROLE, Plan
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.role_state import (
    AttachedInstance,
    InstanceProfileRecord,
    Request,
    RoleRecord,
    State,
    Usage,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._text import list_items

_MAX_REGIONS, _MAX_REASONS = 40, 3  # the most that a sentence lists
_OTHER_DATABASES = "it only allows users of databases that are not of this run"
_OTHER_USERS = "the users of databases that are not of this run stay"
_OTHER_STATEMENTS = "the statements that others added to it stay"
_NOT_CREATED = f"it was not created by {COLLECTION}"
_NOT_WRITTEN = f"it was not written by {COLLECTION}, or was changed since"


def plan_absent(request: Request, state: State, usage: Usage) -> Plan:
    """Return the plan to remove the parts that are asked for, with the reason for each that stays."""
    plan = Plan(after=state)
    if "policy" in request.parts:
        _plan_policy(plan, request, state, usage)
    if "role" in request.parts:
        role_reason = _explain_staying_role(state.role, request, state, usage) if state.role else None
        _plan_profile(plan, request, state, usage, role_reason)
        _plan_role(plan, request, state, role_reason)
    return plan


def needs_usage(request: Request, state: State) -> bool:
    """Tell whether there is anything that might be removed, so that it matters who else uses it."""
    records = [state.role, state.instance_profile] if "role" in request.parts else []
    policy = state.policy if "policy" in request.parts else None
    return any(_is_managed(record) for record in records) or _has_managed_statement(policy)


def _is_managed(record: RoleRecord | InstanceProfileRecord | None) -> bool:
    return record is not None and record["managed_by"] == COLLECTION


def _has_managed_statement(document: PolicyDocument | None) -> bool:
    return bool(document and connect_policy.find_managed_statement(document))


def _plan_policy(plan: Plan, request: Request, state: State, usage: Usage) -> None:
    name, document = request.policy_name, state.policy
    if document is None:
        plan.add(POLICY, name, "missing")
        return
    reason = _explain_staying_policy(document, request, state, usage)
    if reason:
        plan.add(POLICY, name, "stays", reason)
        plan.notes.append(f"The inline policy {name} of the role {request.role_name} stays, since {reason}.")
        return
    after = connect_policy.remove_resources(document, _databases_to_remove(request, state, usage))
    resources = connect_policy.managed_resources(after)
    if resources:
        plan.notes.append(
            f"The inline policy {name} goes on allowing {list_items(resources)}, of no database of this run."
        )
    if after == document:
        plan.add(POLICY, name, "stays", _OTHER_DATABASES)
        return
    plan.calls.append("put_policy" if after else "delete_policy")
    partial_reason = _OTHER_USERS if resources else _OTHER_STATEMENTS
    plan.add(POLICY, name, "removed", partial_reason if after else None)
    plan.after = replace(plan.after, policy=after)


def _explain_staying_policy(document: PolicyDocument, request: Request, state: State, usage: Usage) -> str | None:
    if not _has_managed_statement(document):
        return _NOT_WRITTEN
    outside_instances = [instance for instance in usage.instances if instance.instance_id not in request.instance_ids]
    return (
        _explain_unreadable_regions(usage)
        or _explain_instances(outside_instances, "EC2 instances outside this run use it")
        or _explain_other_principals(state)
    )


def _databases_to_remove(request: Request, state: State, usage: Usage) -> list[connect_policy.DatabaseOption]:
    """Return the databases whose resources are all that goes of the policy; none where the whole statement goes.

    Who still has the role after this run may need it for the databases of another one, in another Region or inventory.
    """
    is_of_others = state.role is not None and not _is_managed(state.role)
    is_used = bool(_attached_instances(request, usage)) or is_of_others
    return request.databases if is_used and not request.policy_purge else []


def _explain_staying_role(role: RoleRecord, request: Request, state: State, usage: Usage) -> str | None:
    if not _is_managed(role):
        return _NOT_CREATED
    own_policies = {request.policy_name} if _is_whole_policy_managed(request, state) else set()
    policies = [name for name in usage.inline_policies if name not in own_policies]
    profiles = [name for name in usage.instance_profiles if not _is_own_profile(name, request, state)]
    instances = [str(instance) for instance in _attached_instances(request, usage)]
    users = policies + usage.managed_policies + profiles + instances
    if users:
        return f"it is also used by {list_items(users)}"
    return _explain_unreadable_regions(usage) or _explain_other_principals(state)


def _is_whole_policy_managed(request: Request, state: State) -> bool:
    """Tell whether the inline policy goes as a whole, or stays for a reason for which the role stays too."""
    if "policy" not in request.parts or state.policy is None or not _has_managed_statement(state.policy):
        return False
    return connect_policy.remove_resources(state.policy) is None


def _is_own_profile(name: str, request: Request, state: State) -> bool:
    return name == request.instance_profile_name and _is_managed(state.instance_profile)


def _plan_profile(plan: Plan, request: Request, state: State, usage: Usage, role_reason: str | None) -> None:
    profile, name = state.instance_profile, request.instance_profile_name
    if profile is None:
        plan.add(PROFILE, name, "missing")
        return
    reason = _explain_staying_profile(profile, request, usage)
    if not reason and role_reason and profile["role_name"] and _is_managed(state.role):
        reason = f"the role {request.role_name} in it stays"
    reason = reason or _explain_unreadable_regions(usage)
    if reason:
        plan.add(PROFILE, name, "stays", reason)
        plan.notes.append(f"The instance profile {name} stays, since {reason}.")
        return
    if profile["role_name"]:
        plan.calls.append("remove_role_from_instance_profile")
    plan.calls.append("delete_instance_profile")
    plan.add(PROFILE, name, "removed")
    plan.after = replace(plan.after, instance_profile=None)


def _explain_staying_profile(profile: InstanceProfileRecord, request: Request, usage: Usage) -> str | None:
    """Return why the profile stays, whatever becomes of the role in it."""
    if not _is_managed(profile):
        return _NOT_CREATED
    if profile["role_name"] not in ("", request.role_name):
        return f"the role {profile['role_name']} is in it by now"
    instances = _attached_instances(request, usage)
    profile_instances = [instance for instance in instances if instance.profile_arn == profile["arn"]]
    return _explain_instances(profile_instances, "it is attached to EC2 instances")


def _plan_role(plan: Plan, request: Request, state: State, reason: str | None) -> None:
    name = request.role_name
    if state.role is None:
        plan.add(ROLE, name, "missing")
    elif reason:
        plan.add(ROLE, name, "stays", reason)
        plan.notes.append(f"The role {name} stays, since {reason}.")
    else:
        plan.calls.append("delete_role")
        plan.add(ROLE, name, "removed")
        plan.after = replace(plan.after, role=None)


def _explain_other_principals(state: State) -> str | None:
    """Return why a role of this collection stays that somebody else uses without an EC2 instance.

    A role of somebody else loses the inline policy all the same: its other principals had no use of it before.
    """
    role = state.role
    names = other_principals(role["trust_policy"]) if role and _is_managed(role) else []
    return f"the trust policy of the role also lets {list_items(names)} assume it" if names else None


def _attached_instances(request: Request, usage: Usage) -> list[AttachedInstance]:
    """Return the instances that have the role, without those from which this run has taken it."""
    return [instance for instance in usage.instances if instance.instance_id not in request.detached_ids]


def _explain_instances(instances: list[AttachedInstance], text: str) -> str | None:
    return f"{text}: {list_items([str(instance) for instance in instances])}" if instances else None


def _explain_unreadable_regions(usage: Usage) -> str | None:
    """Return why nothing is removed where the instances of some Regions could not be read."""
    regions = sorted(usage.unreadable_regions)
    if not regions:
        return None
    reasons = list(dict.fromkeys(usage.unreadable_regions.values()))
    noun = "the Region" if len(regions) == 1 else "the Regions"
    return (
        f"an EC2 instance in {noun} {list_items(regions, limit=_MAX_REGIONS)}, which could not be seen, may use it"
        f" ({list_items(reasons, limit=_MAX_REASONS)})"
    )
