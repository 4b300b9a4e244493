# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read all IAM roles and users of an account with their policies, and the EC2 instances. Private to this collection."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ansible_collections.dbops.rds_iam.plugins.module_utils._access_map.model import Credentials, Instance, Principal
from ansible_collections.dbops.rds_iam.plugins.module_utils._aws import iam
from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.botocore_errors import AWS_ERRORS
from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.ec2 import profile_name
from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.errors import aws_error
from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.tags import tag_values
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.policy_document import PolicyDocument
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.policy_evaluation import Policy
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.request_context import login_context
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.trust import role_context, trustees

if TYPE_CHECKING:
    from botocore.client import BaseClient

_LISTS = ("UserDetailList", "GroupDetailList", "RoleDetailList", "Policies")
_NO_DOCUMENT = "IAM did not return its document"

_ManagedPolicies = dict[str, Any]  # the documents by ARN


def read_principals(client: BaseClient) -> list[Principal]:
    """Return all roles and users; IAM answers with a hundred at a time, their policies included.

    Raises RdsIamError where the call fails.
    """
    task = "read the roles, users and policies of the account"
    pages = iam.get_pages(client, "get_account_authorization_details", task)
    details = {name: [raw for page in pages for raw in page.get(name, [])] for name in _LISTS}
    managed_policies = {raw["Arn"]: _default_version(raw) for raw in details["Policies"]}
    groups = {raw["GroupName"]: raw for raw in details["GroupDetailList"]}
    roles = [_role(raw, managed_policies) for raw in details["RoleDetailList"]]
    return roles + [_user(raw, groups, managed_policies) for raw in details["UserDetailList"]]


def _default_version(raw: dict[str, Any]) -> PolicyDocument | None:
    versions = raw.get("PolicyVersionList") or []
    return next((version.get("Document") for version in versions if version.get("IsDefaultVersion")), None)


def _role(raw: dict[str, Any], managed_policies: _ManagedPolicies) -> Principal:
    document = raw.get("AssumeRolePolicyDocument")
    return Principal(
        "role",
        raw["RoleName"],
        raw["Arn"],
        _policies(raw, "RolePolicyList", managed_policies) + _boundary(raw, managed_policies),
        trustees(document) if isinstance(document, dict) else None,
        [profile["InstanceProfileName"] for profile in raw.get("InstanceProfileList") or []],
        context=role_context(raw),
    )


def _user(raw: dict[str, Any], groups: dict[str, dict[str, Any]], managed_policies: _ManagedPolicies) -> Principal:
    policies = _policies(raw, "UserPolicyList", managed_policies)
    for name in raw.get("GroupList") or []:
        if name in groups:
            policies += _policies(groups[name], "GroupPolicyList", managed_policies, f" of the group {name}")
        else:
            policies.append(Policy(f"of the group {name}", None, reason="IAM did not return the group"))
    policies += _boundary(raw, managed_policies)
    tags = None if raw.get("Tags") is None else tag_values(raw["Tags"])
    context = login_context("user", raw["UserName"], raw["Arn"], raw.get("UserId"), tags)
    return Principal("user", raw["UserName"], raw["Arn"], policies, context=context)


def _policies(
    raw: dict[str, Any], inline_list: str, managed_policies: _ManagedPolicies, name_suffix: str = ""
) -> list[Policy]:
    inline_policies = [
        _policy(policy["PolicyName"] + name_suffix, policy.get("PolicyDocument"))
        for policy in raw.get(inline_list) or []
    ]
    arns = [policy["PolicyArn"] for policy in raw.get("AttachedManagedPolicies") or []]
    return inline_policies + [_policy(_policy_name(arn) + name_suffix, managed_policies.get(arn)) for arn in arns]


def _boundary(raw: dict[str, Any], managed_policies: _ManagedPolicies) -> list[Policy]:
    arn = (raw.get("PermissionsBoundary") or {}).get("PermissionsBoundaryArn")
    return [_policy(_policy_name(arn), managed_policies.get(arn), boundary=True)] if arn else []


def _policy_name(arn: str) -> str:
    return arn.rsplit("/", 1)[-1]


def _policy(name: str, document: object, boundary: bool = False) -> Policy:
    if isinstance(document, dict):
        return Policy(name, document, boundary)
    return Policy(name, None, boundary, "its document is not understood" if document else _NO_DOCUMENT)


def read_credentials(client: BaseClient, principals: list[Principal]) -> list[Principal]:
    """Return the principals, with the credentials of the IAM users that some statement lets connect.

    Raises nothing: credentials say why they could not be read.
    """
    return [
        replace(principal, credentials=_read_credentials_of(client, principal.name))
        if principal.kind == "user" and principal.connect_statements
        else principal
        for principal in principals
    ]


def _read_credentials_of(client: BaseClient, user: str) -> Credentials:
    """Return the active access keys of a user, and only without any of them whether it has a console password."""
    active_keys = None
    try:
        task = f"list the access keys of the IAM user {user}"
        keys = iam.get_items(client, "list_access_keys", "AccessKeyMetadata", task, UserName=user)
        active_keys = sum(key["Status"] == "Active" for key in keys)
        has_password = None if active_keys else _has_password(client, user)
    except RdsIamError as exc:
        return Credentials(active_keys, None, str(exc).rstrip("."))
    return Credentials(active_keys, has_password, "")


def _has_password(client: BaseClient, user: str) -> bool:
    try:
        task = f"ask whether the IAM user {user} has a console password"
        iam.get(client, "get_login_profile", task, UserName=user)
    except iam.NoSuchEntityError:
        return False
    return True


def read_instances(client: BaseClient) -> list[Instance]:
    """Return the EC2 instances of the region that are not terminated and have an instance profile.

    Raises RdsIamError where the call fails.
    """
    try:
        pages = client.get_paginator("describe_instances").paginate(PaginationConfig={"PageSize": 1000})
        reservations = [reservation for page in pages for reservation in page["Reservations"]]
    except AWS_ERRORS as exc:
        raise aws_error("read the EC2 instances", exc, "ec2") from None
    return [
        _instance(raw)
        for reservation in reservations
        for raw in reservation["Instances"]
        if raw.get("IamInstanceProfile") and raw["State"]["Name"] not in ("shutting-down", "terminated")
    ]


def _instance(raw: dict[str, Any]) -> Instance:
    name = tag_values(raw.get("Tags")).get("Name") or raw["InstanceId"]
    profile = profile_name(raw["IamInstanceProfile"]["Arn"]) or ""
    return Instance(raw["InstanceId"], name, raw["State"]["Name"], profile)
