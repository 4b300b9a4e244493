# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is to be removed of a role, its instance profile and its policy, and why the rest stays. Pure, and private.

Only what this collection made is removed, and only where nobody else uses it.
"""

from __future__ import annotations

from dataclasses import replace

from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.managed_by import COLLECTION
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam import connect_policy
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.ec2_trust import other_principals
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.role_plan import POLICY, PROFILE, ROLE, Plan
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.role_state import Carrier, Request, State, Usage

_LISTED = 10  # the most instances and Regions that a reason lists
_OTHER_DATABASES = "it only allows users of databases that are not of this run"
_OTHER_STATEMENTS = "the statements that others added to it stay"
_NOT_OURS = f"it was not created by {COLLECTION}"


def plan_absent(request: Request, state: State, usage: Usage) -> Plan:
    """Return the plan to remove the parts that are asked for, with the reason for each that stays."""
    plan = Plan(after=state)
    if "policy" in request.parts:
        _plan_policy(plan, request, state, usage)
    if "role" in request.parts:
        role_stays = _why_role_stays(request, state, usage)
        _plan_profile(plan, request, state, usage, role_stays)
        _plan_role(plan, request, state, role_stays)
    return plan


def needs_usage(request: Request, state: State) -> bool:
    """Return whether there is anything that might be removed, so that it matters who else uses it."""
    removable = [state.role, state.instance_profile] if "role" in request.parts else []
    policy = state.policy if "policy" in request.parts else None
    return any(thing and thing["managed_by"] == COLLECTION for thing in removable) or bool(
        policy and connect_policy.our_statement(policy)
    )


def _plan_policy(plan: Plan, request: Request, state: State, usage: Usage) -> None:
    name = request.policy_name
    if state.policy is None:
        plan.add(POLICY, name, "missing")
        return
    outside = [carrier for carrier in usage.carriers if carrier.instance_id not in request.instance_ids]
    why = _unseen(usage) or _carried(outside, "EC2 instances outside this run use it") or _assumed_by_others(state)
    if connect_policy.our_statement(state.policy) is None:
        why = f"it was not written by {COLLECTION}, or was changed since"
    if why:
        plan.add(POLICY, name, "stays", why)
        plan.notes.append(f"The inline policy {name} of the role {request.role_name} stays, since {why}.")
        return
    left = connect_policy.without_ours(state.policy, _databases_that_go(request, state, usage))
    others = connect_policy.our_statement(left)["Resource"] if left and connect_policy.our_statement(left) else []
    if others:
        plan.notes.append(f"The inline policy {name} goes on allowing {_listed(others)}, of no database of this run.")
    if left == state.policy:
        plan.add(POLICY, name, "stays", _OTHER_DATABASES)
        return
    plan.calls.append("put_policy" if left else "delete_policy")
    theirs = "the users of databases that are not of this run stay" if others else _OTHER_STATEMENTS
    plan.add(POLICY, name, "removed", theirs if left else None)
    plan.after = replace(plan.after, policy=left)


def _databases_that_go(request: Request, state: State, usage: Usage) -> list[dict]:
    """Return the databases whose resources are all that goes of the policy; none where the whole statement goes.

    Who still has the role after this run may need it for the databases of another one, in another Region or inventory.
    """
    still_used = bool(_attached(request, usage)) or (state.role is not None and state.role["managed_by"] != COLLECTION)
    return request.databases if still_used and not request.policy_purge else []


def _why_role_stays(request: Request, state: State, usage: Usage) -> str | None:
    if state.role is None:
        return None
    if state.role["managed_by"] != COLLECTION:
        return _NOT_OURS
    own_policy = {request.policy_name} if _is_all_ours(request, state) else set()
    policies = [name for name in usage.inline_policies if name not in own_policy]
    profiles = [name for name in usage.instance_profiles if not _is_own_profile(name, request, state)]
    carriers = [str(carrier) for carrier in _attached(request, usage)]
    others = policies + usage.managed_policies + profiles + carriers
    return f"it is also used by {_listed(others)}" if others else _unseen(usage) or _assumed_by_others(state)


def _is_all_ours(request: Request, state: State) -> bool:
    """Return whether the inline policy goes as a whole, or stays for a reason for which the role stays too."""
    ours = state.policy is not None and connect_policy.our_statement(state.policy)
    return "policy" in request.parts and bool(ours) and connect_policy.without_ours(state.policy) is None


def _is_own_profile(name: str, request: Request, state: State) -> bool:
    profile = state.instance_profile
    return name == request.instance_profile_name and profile is not None and profile["managed_by"] == COLLECTION


def _plan_profile(plan: Plan, request: Request, state: State, usage: Usage, role_stays: str | None) -> None:
    profile, name = state.instance_profile, request.instance_profile_name
    if profile is None:
        plan.add(PROFILE, name, "missing")
        return
    why = _why_profile_stays(request, state, usage, role_stays)
    if why:
        plan.add(PROFILE, name, "stays", why)
        plan.notes.append(f"The instance profile {name} stays, since {why}.")
        return
    if profile["role_name"]:
        plan.calls.append("remove_role_from_instance_profile")
    plan.calls.append("delete_instance_profile")
    plan.add(PROFILE, name, "removed")
    plan.after = replace(plan.after, instance_profile=None)


def _why_profile_stays(request: Request, state: State, usage: Usage, role_stays: str | None) -> str | None:
    profile, role = state.instance_profile, state.role
    if profile["managed_by"] != COLLECTION:
        return _NOT_OURS
    if profile["role_name"] not in ("", request.role_name):
        return f"the role {profile['role_name']} is in it by now"
    carriers = [carrier for carrier in _attached(request, usage) if carrier.profile_arn == profile["arn"]]
    if carriers:
        return _carried(carriers, "it is attached to EC2 instances")
    if role_stays and profile["role_name"] and role["managed_by"] == COLLECTION:
        return f"the role {request.role_name} in it stays"
    return _unseen(usage)


def _plan_role(plan: Plan, request: Request, state: State, role_stays: str | None) -> None:
    name = request.role_name
    if state.role is None:
        plan.add(ROLE, name, "missing")
    elif role_stays:
        plan.add(ROLE, name, "stays", role_stays)
        plan.notes.append(f"The role {name} stays, since {role_stays}.")
    else:
        plan.calls.append("delete_role")
        plan.add(ROLE, name, "removed")
        plan.after = replace(plan.after, role=None)


def _assumed_by_others(state: State) -> str | None:
    """Return why a role of this collection stays that somebody else uses without an EC2 instance.

    A role of somebody else loses the inline policy all the same: its other principals had no use of it before.
    """
    role = state.role
    others = other_principals(role["trust_policy"]) if role and role["managed_by"] == COLLECTION else []
    return f"the trust policy of the role also lets {_listed(others)} assume it" if others else None


def _attached(request: Request, usage: Usage) -> list[Carrier]:
    """Return the instances that carry the role, without those from which this run has taken it."""
    return [carrier for carrier in usage.carriers if carrier.instance_id not in request.detached_ids]


def _carried(carriers: list[Carrier], how: str) -> str | None:
    return f"{how}: {_listed([str(carrier) for carrier in carriers])}" if carriers else None


def _unseen(usage: Usage) -> str | None:
    """Return why nothing is removed where the instances of some Regions could not be read."""
    if not usage.unseen:
        return None
    reasons = list(dict.fromkeys(usage.unseen.values()))
    regions = "the Region" if len(usage.unseen) == 1 else "the Regions"
    return (
        f"an EC2 instance in {regions} {_listed(sorted(usage.unseen), 40)}, which could not be seen, may use it"
        f" ({_listed(reasons, 3)})"
    )


def _listed(names: list[str], most: int = _LISTED) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
