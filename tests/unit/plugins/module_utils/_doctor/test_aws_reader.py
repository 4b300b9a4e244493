# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.dbops.rds_iam.plugins.module_utils._doctor.aws_reader import RoleReader
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.simulation import Simulation

ARN = "arn:aws:rds-db:eu-west-1:123456789012:dbuser:db-A/app"
ROLE = {
    "RoleName": "app",
    "Arn": "arn:aws:iam::123456789012:role/app",
    "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": []},
    "Tags": [{"Key": "Team", "Value": "orders"}],
}
ENTRIES = [
    ("aws:PrincipalArn", ROLE["Arn"], "string"),
    ("aws:PrincipalAccount", "123456789012", "string"),
    ("aws:PrincipalType", "AssumedRole", "string"),
    ("aws:PrincipalIsAWSService", "false", "boolean"),
    ("aws:PrincipalTag/Team", "orders", "string"),
    ("aws:RequestedRegion", "eu-west-1", "string"),
]
REQUEST = {
    "PolicySourceArn": ROLE["Arn"],
    "ActionNames": ["rds-db:connect"],
    "ResourceArns": [ARN],
    "ContextEntries": [
        {"ContextKeyName": name, "ContextKeyValues": [value], "ContextKeyType": kind} for name, value, kind in ENTRIES
    ],
}


def result(decision, **more):
    return {"EvalActionName": "rds-db:connect", "EvalResourceName": ARN, "EvalDecision": decision, **more}


def specific(decision, **more):
    return {"ResourceSpecificResults": [{"EvalResourceName": ARN, "EvalResourceDecision": decision, **more}]}


ORGANIZATION = {"OrganizationsDecisionDetail": {"AllowedByOrganizations": False}}
BOUNDARY = {"PermissionsBoundaryDecisionDetail": {"AllowedByPermissionsBoundary": False}}
ANSWERS = {
    "as recorded, with all on the top level": (
        result("explicitDeny", MissingContextValues=["aws:PrincipalOrgID"], **ORGANIZATION, **BOUNDARY),
        Simulation("explicitDeny", ("aws:PrincipalOrgID",), False, False),
    ),
    "missing keys of each resource": (
        result(
            "allowed",
            MissingContextValues=["s3:prefix", "ec2:Region"],
            **specific("allowed", MissingContextValues=["ec2:Region"]),
        ),
        Simulation("allowed", ("ec2:Region",)),
    ),
    "another decision on the resource": (
        result("allowed", **specific("implicitDeny", **BOUNDARY), **ORGANIZATION),
        Simulation("implicitDeny", (), False, False),
    ),
    "a key that is never sent is absent": (
        result("allowed", MissingContextValues=["aws:SourceIp", "aws:username"]),
        Simulation("allowed"),
    ),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_the_simulator_is_given_what_is_known_and_read_with_what_it_lacked(stubbed, name):
    answer, expected = ANSWERS[name]
    client = stubbed(
        "iam", ("simulate_principal_policy", REQUEST, {"EvaluationResults": [answer], "IsTruncated": False})
    )
    assert RoleReader(client).simulate(ROLE, [ARN]) == {ARN: expected}


def test_where_it_may_not_be_asked_nothing_is_said(stubbed):
    client = stubbed("iam", ("simulate_principal_policy", REQUEST, ("AccessDenied", "no")))
    assert RoleReader(client).simulate(ROLE, [ARN]) == {}
