# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The doctor over many hosts and databases: no false alarm, and what it costs in AWS calls."""

from __future__ import annotations

import re

import pytest
from driver import counted

POLICY = "rds-iam-connect"


@pytest.fixture
def caller(fleet):
    """The keys of a user who has these statements as policy, as environment."""
    with fleet.with_rights("caller") as caller:
        yield caller


def test_a_healthy_fleet_costs_the_reading_of_its_databases_and_needs_no_other_right(fleet, proven, caller):
    """And that of the one master password that RDS manages, since a denial rests on the users of the database."""
    secrets = {"secretsmanager:GetSecretValue": 1}
    rights = ["rds:DescribeDBInstances", *secrets]
    keys = caller({"Effect": "Allow", "Action": rights, "Resource": "*"})
    with fleet.calls() as calls:
        run = fleet.good("doctor.yml", **keys)
    assert f"{fleet.logins()} of {fleet.logins()} logins were tried, and all are proven: " in run.output
    assert counted(calls) == {"rds:DescribeDBInstances": len(fleet.databases), **secrets}
    assert {call["outcome"] for call in calls} == {"ok"}


def test_denials_whose_users_may_not_be_read_are_not_proven(fleet, proven, caller):
    keys = caller({"Effect": "Allow", "Action": "rds:DescribeDBInstances", "Resource": "*"})
    run = fleet.playbook("doctor.yml", **keys)
    assert run.status != 0 and f"1 of {fleet.logins()} logins is not proven" in run.output
    assert "whether billing has this database user is not known: " in run.output
    assert "secretsmanager:GetSecretValue" in run.output
    with fleet.calls() as calls:
        run = fleet.good("doctor.yml", "-e", "connect_proof_denied=false", **keys)
    assert counted(calls) == {"rds:DescribeDBInstances": len(fleet.databases)}


def test_a_database_that_may_not_be_read_is_unknown(fleet, proven, caller):
    deny = {"Effect": "Deny", "Action": "rds:Describe*", "Resource": "arn:aws:rds:*:*:db:orders"}
    run = fleet.playbook("doctor.yml", **caller(deny, {"Effect": "Allow", "Action": "*", "Resource": "*"}))
    logins = len(fleet.clients) + 1
    assert run.status != 0 and f"{logins} of {fleet.logins()} logins are not proven" in run.output
    assert run.output.count("on orders from ") == logins
    assert run.output.count("no check failed, and not all could be made (database: ") == logins
    assert "rds:DescribeDBInstances" in run.output and not re.search(r'"  \w+ +failed  ', run.output)


def test_calls_do_not_grow_with_clients(fleet, proven):
    """All logins fail for the same cause."""
    fleet.aws("iam").delete_role_policy(RoleName=fleet.role, PolicyName=POLICY)
    made = []
    for clients in (1, len(fleet.clients)):
        limit = ",".join([*list(fleet.clients)[:clients], *fleet.databases])
        with fleet.calls() as calls:
            run = fleet.playbook("doctor.yml", "--limit", limit)
        assert f"{clients * len(fleet.databases)} of {fleet.logins()} logins are not proven" in run.output
        made.append(counted(calls))
    assert made[0] == made[1]
    assert made[0]["ec2:DescribeInstances"] == made[0]["iam:GetRole"] == 1
    fleet.good("site.yml", "--tags", "step5")
    assert "all are proven" in fleet.good("doctor.yml").output
