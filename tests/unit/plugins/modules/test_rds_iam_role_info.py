# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import copy
import datetime
import json
from types import SimpleNamespace

import pytest
from ansible_collections.dbops.rds_iam.plugins.modules import rds_iam_role_info

ACCOUNT = "arn:aws:iam::123456789012"
TRUST = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole"}]}
BOUNDARY = f"{ACCOUNT}:policy/boundary"
DAY = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
ROLE = {
    "RoleName": "app",
    "RoleId": "A" * 16,
    "Arn": f"{ACCOUNT}:role/team/app",
    "Path": "/team/",
    "CreateDate": DAY,
    "AssumeRolePolicyDocument": json.dumps(TRUST),
}
PROFILE = {
    "InstanceProfileName": "profile",
    "InstanceProfileId": "B" * 16,
    "Arn": f"{ACCOUNT}:instance-profile/profile",
    "Path": "/",
    "CreateDate": DAY,
    "Roles": [ROLE],
}
NOT_FOUND = "NoSuchEntity", "It cannot be found."
DENIED = "AccessDenied", f"User: {ACCOUNT}:user/u is not authorized to perform: iam:GetRolePolicy on resource: role app"


def calls(role=NOT_FOUND, profile=NOT_FOUND, policy=NOT_FOUND):
    return (
        ("get_role", {"RoleName": "app"}, role),
        ("get_instance_profile", {"InstanceProfileName": "profile"}, profile),
        ("get_role_policy", {"RoleName": "app", "PolicyName": "policy"}, policy),
    )


def answers(role=None, profile=None):
    policy = {"RoleName": "app", "PolicyName": "policy", "PolicyDocument": json.dumps(TRUST)}
    # botocore decodes the documents in place.
    good = {"Role": role or ROLE}, {"InstanceProfile": profile or PROFILE}, policy
    return calls(*(copy.deepcopy(one) for one in good))


def run(run_module, client, **options):
    names = {"role_name": "app", "instance_profile_name": "profile", "policy_name": "policy"}
    return run_module(rds_iam_role_info, client, **names, **options)


def test_all_of_it(run_module, stubbed):
    role = {**ROLE, "Tags": [{"Key": "a", "Value": "b"}]}
    role["PermissionsBoundary"] = {"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": BOUNDARY}
    assert run(run_module, stubbed("iam", *answers(role))) == {
        "changed": False,
        "role": {
            "name": "app",
            "arn": f"{ACCOUNT}:role/team/app",
            "path": "/team/",
            "trust_policy": TRUST,
            "permissions_boundary": BOUNDARY,
            "tags": {"a": "b"},
            "managed_by": None,
        },
        "instance_profile": {
            "name": "profile",
            "arn": f"{ACCOUNT}:instance-profile/profile",
            "path": "/",
            "role_name": "app",
            "tags": {},
            "managed_by": None,
        },
        "policy": {"name": "policy", "document": TRUST},
        "instances": [],
    }


def test_who_manages_it(run_module, stubbed):
    marked = {"Tags": [{"Key": "ManagedBy", "Value": "dbops.rds_iam"}]}
    result = run(run_module, stubbed("iam", *answers({**ROLE, **marked}, {**PROFILE, **marked})))
    assert result["role"]["managed_by"] == result["instance_profile"]["managed_by"] == "dbops.rds_iam"


def test_bare(run_module, stubbed):
    result = run(run_module, stubbed("iam", *answers(profile={**PROFILE, "Roles": []})))
    assert (result["role"]["tags"], result["role"]["permissions_boundary"]) == ({}, "")
    assert result["instance_profile"]["role_name"] == ""


def test_what_does_not_exist_is_null(run_module, stubbed):
    result = run(run_module, stubbed("iam", *calls()))
    assert (result["role"], result["instance_profile"], result["policy"]) == (None, None, None)


def test_a_right_that_is_missing_is_named(run_module, stubbed):
    result = run(run_module, stubbed("iam", *calls(policy=DENIED)))
    assert result["msg"] == (
        "Failed to read the inline policy policy of the IAM role app: arn:aws:iam::123456789012:user/u is not allowed"
        " iam:GetRolePolicy on role; allow this action in the caller's IAM policy."
    )


@pytest.fixture
def run_for(run_module, stubbed):
    """A run for these instances, with one client for both services."""

    def run_for(ids, *reads):
        iam, ec2 = stubbed("iam", *answers()), stubbed("ec2", *reads)
        both = SimpleNamespace(
            get_role=iam.get_role,
            get_instance_profile=iam.get_instance_profile,
            get_role_policy=iam.get_role_policy,
            get_paginator=ec2.get_paginator,
        )
        return run(run_module, both, instance_ids=ids)

    return run_for


def test_instances_are_read_in_bulk(run_for):
    ids = [f"i-{number}" for number in range(201)]

    def read(part):
        found = [{"InstanceId": one, "State": {"Name": "running"}} for one in part]
        found[0]["IamInstanceProfile"] = {"Arn": f"{ACCOUNT}:instance-profile/team/profile"}
        expected = {"Filters": [{"Name": "instance-id", "Values": list(part)}]}
        return "describe_instances", expected, {"Reservations": [{"Instances": found}]}

    result = run_for([*ids, "i-0"], read(ids[:200]), read(ids[200:]))
    with_profile = [one for one in result["instances"] if one["instance_profile_name"] == "profile"]
    assert [one["instance_id"] for one in with_profile] == ["i-0", "i-200"]
    assert result["instances"][1] == {"instance_id": "i-1", "state": "running", "instance_profile_name": None}


def test_without_instances_ec2_is_not_asked(run_for):
    assert run_for([])["instances"] == []
