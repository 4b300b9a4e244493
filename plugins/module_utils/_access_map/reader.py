# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read all IAM roles and users of an account with their policies, and the EC2 instances. Private to this collection."""

from __future__ import annotations

from dataclasses import replace

from ansible_collections.dbops.rds_iam.plugins.module_utils._access_map.model import Credentials, Host, Principal
from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.errors import aws_error, error_code
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.policy_evaluation import Policy
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.request_context import login_context
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.trust import role_context, trustees

try:
    from botocore.exceptions import BotoCoreError, ClientError
except ImportError:
    BotoCoreError = ClientError = None  # AnsibleAWSModule says so when it starts

_LISTS = ("UserDetailList", "GroupDetailList", "RoleDetailList", "Policies")
_NO_DOCUMENT = "IAM did not return its document"


def read_principals(client) -> list[Principal]:
    """Return all roles and users; IAM answers with a hundred at a time, their policies included."""
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
    trust = raw.get("AssumeRolePolicyDocument")
    trusting = trustees(trust) if isinstance(trust, dict) else None
    return Principal("role", raw["RoleName"], raw["Arn"], policies, trusting, profiles, context=role_context(raw))


def _user(raw: dict, groups: dict, managed: dict) -> Principal:
    policies = _policies(raw, "UserPolicyList", managed)
    for name in raw.get("GroupList") or []:
        if name in groups:
            policies += _policies(groups[name], "GroupPolicyList", managed, f" of the group {name}")
        else:
            policies.append(Policy(f"of the group {name}", None, reason="IAM did not return the group"))
    tags = None if raw.get("Tags") is None else _tags(raw["Tags"])
    context = login_context("user", raw["UserName"], raw["Arn"], raw.get("UserId"), tags)
    return Principal("user", raw["UserName"], raw["Arn"], policies + _boundary(raw, managed), context=context)


def _tags(tags: list[dict]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in tags}


def _policies(raw: dict, inline: str, managed: dict, where: str = "") -> list[Policy]:
    own = [_policy(one["PolicyName"] + where, one.get("PolicyDocument")) for one in raw.get(inline) or []]
    attached = raw.get("AttachedManagedPolicies") or []
    return own + [_managed(one["PolicyArn"], managed, where=where) for one in attached]


def _boundary(raw: dict, managed: dict) -> list[Policy]:
    arn = (raw.get("PermissionsBoundary") or {}).get("PermissionsBoundaryArn")
    return [_managed(arn, managed, boundary=True)] if arn else []


def _managed(arn: str, managed: dict, boundary: bool = False, where: str = "") -> Policy:
    return _policy(arn.rsplit("/", 1)[-1] + where, managed.get(arn), boundary)


def _policy(name: str, document: object, boundary: bool = False) -> Policy:
    if isinstance(document, dict):
        return Policy(name, document, boundary)
    return Policy(name, None, boundary, "its document is not understood" if document else _NO_DOCUMENT)


def read_credentials(client, principals: list[Principal]) -> list[Principal]:
    """Return the principals, and with what the IAM users that some statement lets connect can sign."""
    return [
        replace(one, credentials=_credentials(client, one.name)) if one.kind == "user" and one.connecting else one
        for one in principals
    ]


def _credentials(client, user: str) -> Credentials:
    """The active access keys of a user, and only without any of them whether it has a console password."""
    keys = None
    try:
        doing = f"list the access keys of the IAM user {user}"
        pages = _asked(doing, lambda: list(client.get_paginator("list_access_keys").paginate(UserName=user)))
        keys = sum(key["Status"] == "Active" for page in pages for key in page["AccessKeyMetadata"])
        if keys:
            return Credentials(keys, None, "")
        doing = f"ask whether the IAM user {user} has a console password"
        return Credentials(keys, _asked(doing, lambda: _has_password(client, user)), "")
    except RdsIamError as exc:
        return Credentials(keys, None, str(exc).rstrip("."))


def _asked(doing: str, ask):
    try:
        return ask()
    except (ClientError, BotoCoreError) as exc:
        raise aws_error(doing, exc, "iam") from None


def _has_password(client, user: str) -> bool:
    try:
        client.get_login_profile(UserName=user)
    except ClientError as exc:
        if error_code(exc) == "NoSuchEntity":
            return False
        raise
    return True


def read_hosts(client) -> list[Host]:
    """Return the EC2 instances of the region that are there and have an instance profile."""
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
