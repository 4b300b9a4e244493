# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from datetime import datetime, timezone
from urllib.parse import quote

import pytest
from ansible_collections.dbops.rds_iam.plugins.module_utils._access_map.model import Credentials, Principal
from ansible_collections.dbops.rds_iam.plugins.module_utils._access_map.reader import read_credentials, read_principals
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.policy_evaluation import Policy

THEN = datetime(2026, 1, 1, tzinfo=timezone.utc)
ALLOW = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "rds-db:connect", "Resource": "*"}}
OTHER = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}}


def user(name, document=None):
    policies = [Policy("connect", document or ALLOW)]
    return Principal("user", name, f"arn:aws:iam::123456789012:user/{name}", policies)


def keys(name, *states):
    metadata = [{"UserName": name, "AccessKeyId": "AKIAEXAMPLEEXAMPLE00", "Status": one} for one in states]
    return ("list_access_keys", {"UserName": name}, {"AccessKeyMetadata": metadata, "IsTruncated": False})


def password(name, there=True):
    answer = {"LoginProfile": {"UserName": name, "CreateDate": THEN}} if there else ("NoSuchEntity", "cannot be found")
    return ("get_login_profile", {"UserName": name}, answer)


CASES = {
    "one of two is active": ([keys("jane", "Active", "Inactive")], Credentials(1, None, "")),
    "none is": ([keys("jane", "Inactive"), password("jane")], Credentials(0, True, "")),
    "none at all": ([keys("jane"), password("jane", there=False)], Credentials(0, False, "")),
}


@pytest.mark.parametrize("name", CASES)
def test_with_what_users_sign(stubbed, name):
    calls, expected = CASES[name]
    [read] = read_credentials(stubbed("iam", *calls), [user("jane")])
    assert read.credentials == expected


@pytest.mark.parametrize("denied", ["list_access_keys", "get_login_profile"])
def test_what_may_not_be_read_is_not_claimed(stubbed, denied):
    calls = [keys("jane"), password("jane")]
    names = [name for name, _given, _answer in calls]
    allowed = calls[: names.index(denied)]
    refusal = (
        denied,
        {"UserName": "jane"},
        ("AccessDenied", "User x is not authorized to perform: iam:It on resource: y"),
    )
    [read] = read_credentials(stubbed("iam", *allowed, refusal), [user("jane")])
    assert read.credentials.console_password is None and "not allowed iam:It" in read.credentials.unread_reason


def test_only_users_that_a_statement_lets_connect_are_asked_about(stubbed):
    role = Principal("role", "app", "arn:aws:iam::123456789012:role/app", [Policy("connect", ALLOW)])
    others = [user("other", OTHER), role]
    assert read_credentials(stubbed("iam"), others) == others


def test_policies_without_a_document_stay(stubbed):
    """Whatever IAM leaves out is a policy that was not read, and none that is not there."""
    trust = {"Version": "2012-10-17", "Statement": []}
    named = {"Path": "/", "CreateDate": THEN}
    managed = "arn:aws:iam::aws:policy/AdministratorAccess"
    answer = {
        "RoleDetailList": [
            {
                **named,
                "RoleName": "app",
                "RoleId": "AROAEXAMPLEEXAMPLE000",
                "Arn": "arn:aws:iam::123456789012:role/app",
                "AssumeRolePolicyDocument": quote(json.dumps(trust)),
                "RolePolicyList": [{"PolicyName": "inline"}],
                "AttachedManagedPolicies": [{"PolicyName": "AdministratorAccess", "PolicyArn": managed}],
                "PermissionsBoundary": {"PermissionsBoundaryArn": "arn:aws:iam::123456789012:policy/limit"},
            }
        ],
        "UserDetailList": [
            {
                **named,
                "UserName": "jane",
                "UserId": "AIDAEXAMPLEEXAMPLE000",
                "Arn": "arn:aws:iam::123456789012:user/jane",
                "GroupList": ["readers"],
            }
        ],
        "GroupDetailList": [],
        "Policies": [],
        "IsTruncated": False,
    }
    client = stubbed("iam", ("get_account_authorization_details", {}, answer))
    role, jane = read_principals(client)
    assert [policy.reason for policy in role.policies] == ["IAM did not return its document"] * 3
    assert [policy.boundary for policy in role.policies] == [False, False, True]
    assert [policy.reason for policy in jane.policies] == ["IAM did not return the group"]
    assert role.connect_statements == jane.connect_statements == []
