# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read all IAM roles and users of an account with their policies, and the EC2 instances. Private to this collection."""

from __future__ import annotations

from ansible_collections.dbops.rds_iam.plugins.module_utils._access import Host, Principal
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import aws_error
from ansible_collections.dbops.rds_iam.plugins.module_utils._permission import Policy, trusted

try:
    from botocore.exceptions import BotoCoreError, ClientError
except ImportError:
    BotoCoreError = ClientError = None  # AnsibleAWSModule says so when it starts

_LISTS = ("UserDetailList", "GroupDetailList", "RoleDetailList", "Policies")


def read_principals(client) -> list[Principal]:
    """All roles and users; IAM answers with a hundred at a time, their policies included."""
    found = {name: [] for name in _LISTS}
    try:
        for page in client.get_paginator("get_account_authorization_details").paginate():
            for name in _LISTS:
                found[name] += page.get(name, [])
    except (ClientError, BotoCoreError) as exc:
        raise aws_error("read the roles, users and policies of the account", exc, "iam") from None
    managed = {one["Arn"]: _default_version(one) for one in found["Policies"]}
    groups = {one["GroupName"]: one for one in found["GroupDetailList"]}
    roles = [_role(raw, managed) for raw in found["RoleDetailList"]]
    return roles + [_user(raw, groups, managed) for raw in found["UserDetailList"]]


def _default_version(raw: dict) -> dict | None:
    versions = raw.get("PolicyVersionList") or []
    return next((one.get("Document") for one in versions if one.get("IsDefaultVersion")), None)


def _role(raw: dict, managed: dict) -> Principal:
    policies = _policies(raw, "RolePolicyList", managed) + _boundary(raw, managed)
    profiles = [one["InstanceProfileName"] for one in raw.get("InstanceProfileList") or []]
    trusts = trusted(raw.get("AssumeRolePolicyDocument") or {})
    return Principal("role", raw["RoleName"], raw["Arn"], policies, trusts, profiles)


def _user(raw: dict, groups: dict, managed: dict) -> Principal:
    policies = _policies(raw, "UserPolicyList", managed)
    for name in raw.get("GroupList") or []:
        policies += _policies(groups.get(name, {}), "GroupPolicyList", managed, f" of the group {name}")
    return Principal("user", raw["UserName"], raw["Arn"], policies + _boundary(raw, managed))


def _policies(raw: dict, inline: str, managed: dict, where: str = "") -> list[Policy]:
    own = [Policy(one["PolicyName"] + where, one["PolicyDocument"]) for one in raw.get(inline) or []]
    attached = raw.get("AttachedManagedPolicies") or []
    return own + [_managed(one["PolicyArn"], managed, where=where) for one in attached]


def _boundary(raw: dict, managed: dict) -> list[Policy]:
    arn = (raw.get("PermissionsBoundary") or {}).get("PermissionsBoundaryArn")
    return [_managed(arn, managed, boundary=True)] if arn else []


def _managed(arn: str, managed: dict, boundary: bool = False, where: str = "") -> Policy:
    reason = "" if managed.get(arn) else "IAM did not return its document"
    return Policy(arn.rsplit("/", 1)[-1] + where, managed.get(arn), boundary, reason)


def read_hosts(client) -> list[Host]:
    """The EC2 instances of the region that are there and have an instance profile."""
    found = []
    try:
        for page in client.get_paginator("describe_instances").paginate(PaginationConfig={"PageSize": 1000}):
            for reservation in page["Reservations"]:
                found += [_host(raw) for raw in reservation["Instances"] if raw.get("IamInstanceProfile")]
    except (ClientError, BotoCoreError) as exc:
        raise aws_error("read the EC2 instances", exc, "ec2") from None
    return [host for host in found if host.state not in ("shutting-down", "terminated")]


def _host(raw: dict) -> Host:
    tags = {tag["Key"]: tag["Value"] for tag in raw.get("Tags") or []}
    profile = raw["IamInstanceProfile"]["Arn"].rsplit("/", 1)[-1]
    return Host(raw["InstanceId"], tags.get("Name") or raw["InstanceId"], raw["State"]["Name"], profile)
