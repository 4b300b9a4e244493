# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read a role, its instance profile, its policies, and who uses them. Private to this collection."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Callable

from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.errors import aws_error, aws_reason, error_code
from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.managed_by import managed_by
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.role_state import (
    Carrier,
    Request,
    State,
    Usage,
    record_instance_profile,
    record_role,
)

try:
    from botocore.exceptions import BotoCoreError, ClientError
except ImportError:
    BotoCoreError = ClientError = None  # AnsibleAWSModule says so when it starts

_AT_ONCE = 8  # Regions that are asked at the same time
# An instance that is shutting down or terminated uses its profile no more.
_ALIVE = ["pending", "running", "stopping", "stopped"]


def read_role(client, name: str) -> dict | None:
    """Return the role with its tags; None where there is none of this name."""
    answer = _read(f"IAM role {name}", client.get_role, RoleName=name)
    return answer and record_role(answer["Role"], managed_by(answer["Role"].get("Tags")))


def read_instance_profile(client, name: str) -> dict | None:
    """Return the instance profile with its tags; None where there is none of this name."""
    answer = _read(f"instance profile {name}", client.get_instance_profile, InstanceProfileName=name)
    profile = answer and answer["InstanceProfile"]
    return profile and record_instance_profile(profile, managed_by(profile.get("Tags")))


def read_policy(client, role_name: str, policy_name: str) -> dict | None:
    """Return the document of an inline policy of a role; None where there is no such role or policy."""
    names = {"RoleName": role_name, "PolicyName": policy_name}
    answer = _read(f"inline policy {policy_name} of the IAM role {role_name}", client.get_role_policy, **names)
    return answer and answer["PolicyDocument"]


def read_state(client, request: Request) -> State:
    """Return what there is of the parts that are asked for, and the role, in at most three calls.

    A part that is not asked for is None.
    """
    role = read_role(client, request.role_name)
    wants_role, wants_policy = ("role" in request.parts, "policy" in request.parts and role)
    profile = read_instance_profile(client, request.instance_profile_name) if wants_role else None
    policy = read_policy(client, request.role_name, request.policy_name) if wants_policy else None
    return State(role, profile, policy)


def _read(thing: str, call: Callable, **names) -> dict | None:
    try:
        return call(**names)
    except (BotoCoreError, ClientError) as exc:
        if error_code(exc) == "NoSuchEntity":
            return None
        raise aws_error(f"read the {thing}", exc, "iam") from None


def read_other_policies(client, request: Request) -> dict[str, dict]:
    """Return the documents of the other inline policies of the role, by name: one call, and one more for each."""
    role = request.role_name
    names = [name for name in _inline_policies(client, role) if name != request.policy_name]
    documents = {name: read_policy(client, role, name) for name in names}
    return {name: document for name, document in documents.items() if document is not None}


def _inline_policies(client, role: str) -> list[str]:
    return _all(client, "list_role_policies", "PolicyNames", f"list the inline policies of the IAM role {role}", role)


def _all(client, operation: str, key: str, doing: str, role: str) -> list:
    try:
        pages = client.get_paginator(operation).paginate(RoleName=role)
        return [item for page in pages for item in page[key]]
    except (BotoCoreError, ClientError) as exc:
        if error_code(exc) == "NoSuchEntity":
            return []
        raise aws_error(doing, exc, "iam") from None


def read_usage(client, connect_ec2: Callable[[str | None], object], request: Request, state: State) -> Usage:
    """Return who else uses the role and its instance profile.

    C(connect_ec2) returns a client for a Region, for None in that of the module.
    """
    role = request.role_name
    profiles = {state.instance_profile["name"]: state.instance_profile["arn"]} if state.instance_profile else {}
    holding, inline, managed = {}, [], []
    if state.role:
        inline = _inline_policies(client, role)
        doing = f"list the managed policies of the IAM role {role}"
        attached = _all(client, "list_attached_role_policies", "AttachedPolicies", doing, role)
        managed = [policy["PolicyName"] for policy in attached]
        doing = f"list the instance profiles of the IAM role {role}"
        found = _all(client, "list_instance_profiles_for_role", "InstanceProfiles", doing, role)
        holding = {profile["InstanceProfileName"]: profile["Arn"] for profile in found}
    arns = sorted({**profiles, **holding}.values())
    carriers, unseen = _carriers(connect_ec2, arns) if arns else ([], {})
    return Usage(inline, managed, holding, carriers, unseen)


def _carriers(connect_ec2: Callable, arns: list[str]) -> tuple[list[Carrier], dict[str, str]]:
    """Return the instances with one of the profiles in all enabled Regions, and why some Regions could not be seen.

    IAM is global. API_DeleteInstanceProfile: "Make sure that you do not have any Amazon EC2 instances running with the
    instance profile you are about to delete", and IAM itself does not look.
    """
    names = _regions(connect_ec2(None))
    clients = {}
    unseen: dict[str, str] = {}
    for name in names:  # one after the other: to make clients is not safe in threads
        try:
            clients[name] = connect_ec2(name)
        except RdsIamError as exc:
            unseen[name] = str(exc).rstrip(".")
    carriers = []
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for name, answer in zip(clients, pool.map(lambda name: _carriers_in(clients[name], name, arns), clients)):
            if isinstance(answer, str):
                unseen[name] = answer
            else:
                carriers += answer
    return carriers, unseen


def _regions(client) -> list[str]:
    """Return the Regions that are enabled for the account."""
    enabled = ["opt-in-not-required", "opted-in"]
    try:
        answer = client.describe_regions(Filters=[{"Name": "opt-in-status", "Values": enabled}])
    except (BotoCoreError, ClientError) as exc:
        raise aws_error("list the Regions that are enabled for the account", exc, "ec2") from None
    return sorted(region["RegionName"] for region in answer["Regions"] if region.get("OptInStatus") in (None, *enabled))


def _carriers_in(client, region: str, arns: list[str]) -> list[Carrier] | str:
    """Return the instances in one Region, or the reason why they cannot be read."""
    filters = [
        {"Name": "iam-instance-profile.arn", "Values": arns},
        {"Name": "instance-state-name", "Values": _ALIVE},
    ]
    try:
        pages = client.get_paginator("describe_instances").paginate(Filters=filters)
        reservations = [reservation for page in pages for reservation in page["Reservations"]]
    except (BotoCoreError, ClientError) as exc:
        return aws_reason(exc, "ec2")
    instances = [instance for reservation in reservations for instance in reservation["Instances"]]
    return [
        Carrier(instance["InstanceId"], region, instance["IamInstanceProfile"]["Arn"])
        for instance in instances
        if (instance.get("IamInstanceProfile") or {}).get("Arn") in arns and instance["State"]["Name"] in _ALIVE
    ]
