# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read a role, its instance profile, its policies, and their users. Private to this collection.

Each function that reads raises RdsIamError where a call fails.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Callable

from ansible_collections.dbops.rds_iam.plugins.module_utils._aws import iam
from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.botocore_errors import AWS_ERRORS
from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.errors import aws_error, aws_reason
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.policy_document import PolicyDocument
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.role_state import (
    AttachedInstance,
    InstanceProfileRecord,
    Request,
    RoleRecord,
    State,
    Usage,
    instance_profile_record,
    role_record,
)

if TYPE_CHECKING:
    from botocore.client import BaseClient

_PARALLEL_REGIONS = 8  # Regions that are asked at the same time
# The states of an instance that uses its profile; it is not shutting down, and not terminated.
_LIVE_STATES = ["pending", "running", "stopping", "stopped"]


def read_role(client: BaseClient, name: str) -> RoleRecord | None:
    """Return the role with its tags; None where there is none of this name."""
    answer = _get(client, "get_role", f"IAM role {name}", RoleName=name)
    return role_record(answer["Role"]) if answer else None


def read_instance_profile(client: BaseClient, name: str) -> InstanceProfileRecord | None:
    """Return the instance profile with its tags; None where there is none of this name."""
    answer = _get(client, "get_instance_profile", f"instance profile {name}", InstanceProfileName=name)
    return instance_profile_record(answer["InstanceProfile"]) if answer else None


def read_policy(client: BaseClient, role_name: str, policy_name: str) -> PolicyDocument | None:
    """Return the document of an inline policy of a role; None where there is no such role or policy."""
    title = f"inline policy {policy_name} of the IAM role {role_name}"
    answer = _get(client, "get_role_policy", title, RoleName=role_name, PolicyName=policy_name)
    return answer["PolicyDocument"] if answer else None


def read_state(client: BaseClient, request: Request) -> State:
    """Return the role, and the parts that are asked for, in at most three calls.

    A part that is not asked for is None.
    """
    role = read_role(client, request.role_name)
    profile = read_instance_profile(client, request.instance_profile_name) if "role" in request.parts else None
    policy = read_policy(client, request.role_name, request.policy_name) if "policy" in request.parts and role else None
    return State(role, profile, policy)


def _get(client: BaseClient, operation: str, title: str, **arguments: str) -> dict[str, Any] | None:
    try:
        return iam.get(client, operation, f"read the {title}", **arguments)
    except iam.NoSuchEntityError:
        return None


def read_other_policies(client: BaseClient, request: Request) -> dict[str, PolicyDocument]:
    """Return the documents of the other inline policies of the role, by name: one call, and one more for each."""
    role = request.role_name
    names = [name for name in _list_inline_policies(client, role) if name != request.policy_name]
    documents = {name: read_policy(client, role, name) for name in names}
    return {name: document for name, document in documents.items() if document is not None}


def _list_inline_policies(client: BaseClient, role: str) -> list[str]:
    return _list_of_role(client, "list_role_policies", "PolicyNames", "inline policies", role)


def _list_of_role(client: BaseClient, operation: str, key: str, title: str, role: str) -> list[Any]:
    """Return what IAM lists of a role; nothing where there is no such role."""
    try:
        return iam.get_items(client, operation, key, f"list the {title} of the IAM role {role}", RoleName=role)
    except iam.NoSuchEntityError:
        return []


def read_usage(
    client: BaseClient, connect_ec2: Callable[[str | None], BaseClient], request: Request, state: State
) -> Usage:
    """Return the users of the role and its instance profile.

    C(connect_ec2) returns a client for a Region, for None in that of the module.
    """
    role, profile = request.role_name, state.instance_profile
    holding_profiles: dict[str, str] = {}
    inline_policies: list[str] = []
    managed_policies: list[str] = []
    if state.role:
        inline_policies = _list_inline_policies(client, role)
        policies = _list_of_role(client, "list_attached_role_policies", "AttachedPolicies", "managed policies", role)
        managed_policies = [policy["PolicyName"] for policy in policies]
        operation, key = "list_instance_profiles_for_role", "InstanceProfiles"
        raw_profiles = _list_of_role(client, operation, key, "instance profiles", role)
        holding_profiles = {raw["InstanceProfileName"]: raw["Arn"] for raw in raw_profiles}
    own_arns = [profile["arn"]] if profile and profile["arn"] else []
    arns = sorted({*own_arns, *holding_profiles.values()})
    instances, unreadable_regions = _read_instances(connect_ec2, arns) if arns else ([], {})
    return Usage(inline_policies, managed_policies, holding_profiles, instances, unreadable_regions)


def _read_instances(
    connect_ec2: Callable[[str | None], BaseClient], arns: list[str]
) -> tuple[list[AttachedInstance], dict[str, str]]:
    """Return the instances with these profiles in all enabled Regions, and the reason for each unreadable Region.

    IAM is global. API_DeleteInstanceProfile: "Make sure that you do not have any Amazon EC2 instances running with the
    instance profile you are about to delete", and IAM itself does not look.
    """
    clients, unreadable_regions = {}, {}
    for region in _list_regions(connect_ec2(None)):  # one after the other: to make clients is not safe in threads
        client = _connect(connect_ec2, region)
        if isinstance(client, str):
            unreadable_regions[region] = client
        else:
            clients[region] = client
    instances = []
    with ThreadPoolExecutor(_PARALLEL_REGIONS) as pool:
        answers = pool.map(lambda region: _read_region(clients[region], region, arns), clients)
        for region, answer in zip(clients, answers):
            if isinstance(answer, str):
                unreadable_regions[region] = answer
            else:
                instances += answer
    return instances, unreadable_regions


def _connect(connect_ec2: Callable[[str | None], BaseClient], region: str) -> BaseClient | str:
    """Return a client for a Region, or the reason why there is none."""
    try:
        return connect_ec2(region)
    except RdsIamError as exc:
        return str(exc).rstrip(".")


def _list_regions(client: BaseClient) -> list[str]:
    """Return the Regions that are enabled for the account."""
    states = ["opt-in-not-required", "opted-in"]
    try:
        answer = client.describe_regions(Filters=[{"Name": "opt-in-status", "Values": states}])
    except AWS_ERRORS as exc:
        raise aws_error("list the Regions that are enabled for the account", exc, "ec2") from None
    return sorted(region["RegionName"] for region in answer["Regions"] if region.get("OptInStatus") in (None, *states))


def _read_region(client: BaseClient, region: str, arns: list[str]) -> list[AttachedInstance] | str:
    """Return the instances in one Region, or the reason why they cannot be read."""
    filters = [
        {"Name": "iam-instance-profile.arn", "Values": arns},
        {"Name": "instance-state-name", "Values": _LIVE_STATES},
    ]
    try:
        pages = client.get_paginator("describe_instances").paginate(Filters=filters)
        reservations = [reservation for page in pages for reservation in page["Reservations"]]
    except AWS_ERRORS as exc:
        return aws_reason(exc, "ec2")
    instances = [instance for reservation in reservations for instance in reservation["Instances"]]
    return [
        AttachedInstance(instance["InstanceId"], region, instance["IamInstanceProfile"]["Arn"])
        for instance in instances
        if (instance.get("IamInstanceProfile") or {}).get("Arn") in arns and instance["State"]["Name"] in _LIVE_STATES
    ]
