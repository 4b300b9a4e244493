# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""One IAM role for the databases of several runs: a run changes only what the role may do on the databases it saw."""

from __future__ import annotations

import json
from pathlib import Path

import boto3
import pytest

ROLE, POLICY = "shared", "rds-iam-connect"
ELSEWHERE = "us-east-1"
ENGINE = {"Engine": "mysql", "DBInstanceClass": "db.m5.large", "AllocatedStorage": 20}
LOGIN = {"MasterUsername": "admin", "MasterUserPassword": "Passw0rd-for-a-test"}


@pytest.fixture(autouse=True)
def nothing(lab):
    """There is no role before a test, and none after it."""
    lab.delete_role(ROLE)
    yield
    lab.delete_role(ROLE)


@pytest.fixture
def database(lab):
    """Makes DB instances, also in another Region; returns the start of the ARN of their users."""
    made = []

    def database(name, region=None):
        rds = boto3.client("rds", region_name=region or lab.info["region"])
        instance = rds.create_db_instance(DBInstanceIdentifier=name, **ENGINE, **LOGIN)["DBInstance"]
        made.append((rds, name))
        account = lab.info["account_id"]
        return f"arn:aws:rds-db:{region or lab.info['region']}:{account}:dbuser:{instance['DbiResourceId']}"

    yield database
    for rds, name in made:
        if name in {instance["DBInstanceIdentifier"] for instance in rds.describe_db_instances()["DBInstances"]}:
            rds.delete_db_instance(DBInstanceIdentifier=name, SkipFinalSnapshot=True)


@pytest.fixture
def site(lab, tmp_path):
    """Run step 5, and step 4, with an inventory of its own that has these users of these databases."""

    def site(users, *arguments, region=None, status=0):
        inventory = json.loads(Path(lab.info["inventory"]).read_text())
        hosts = {
            name: {"db_users_accounts": [{"name": user} for user in names], "iam_role_users": names}
            for name, names in users.items()
        }
        inventory["all"]["children"]["rds_databases"] = {"hosts": hosts}
        path = tmp_path / f"{'-'.join(users)}.json"
        path.write_text(json.dumps(inventory))
        options = ("-i", str(path), "--tags", "step4,step5", "-e", f"iam_role_name={ROLE}", *arguments)
        run = lab.playbook("site.yml", *options, **({"AWS_REGION": region} if region else {}))
        assert (run.status == 0) == (status == 0), run.output
        return run

    return site


@pytest.fixture
def allowed(lab):
    """Return the resources that the policy of the role allows."""

    def allowed():
        document = lab.aws("iam").get_role_policy(RoleName=ROLE, PolicyName=POLICY)["PolicyDocument"]
        [statement] = [one for one in document["Statement"] if one.get("Sid") == "RdsIamConnect"]
        return set(statement["Resource"])

    return allowed


def test_two_regions_with_one_role_name(site, database, allowed):
    here, there = database("ireland"), database("virginia", ELSEWHERE)
    site({"virginia": ["app", "report"]}, region=ELSEWHERE)
    site({"ireland": ["app"]})
    both = {f"{here}/app", f"{there}/app", f"{there}/report"}
    assert allowed() == both
    for run in (site({"ireland": ["app"]}), site({"virginia": ["app", "report"]}, region=ELSEWHERE)):
        assert set(run.changed.values()) == {0} and allowed() == both
    # A user goes in the one Region, a user comes in the other one.
    site({"virginia": ["app"]}, region=ELSEWHERE)
    assert allowed() == both - {f"{there}/report"}
    site({"ireland": ["app", "report"]})
    assert allowed() == {f"{here}/app", f"{here}/report", f"{there}/app"}


def test_two_inventories_in_one_region(site, database, allowed):
    first, second = database("first"), database("second")
    site({"first": ["app"]})
    run = site({"second": ["app"]})
    assert allowed() == {f"{first}/app", f"{second}/app"}
    assert f"also allows {first}/app, which are of no database of this run" in run.output
    assert "run once with iam_role_policy_purge=true" in run.output
    # It is named in a run that changes nothing, too.
    again = site({"second": ["app"]}, "--check")
    assert set(again.changed.values()) == {0} and f"also allows {first}/app" in again.output


def test_a_database_goes(site, database, allowed):
    first, second = database("first"), database("second")
    site({"first": ["app"], "second": ["app"]})
    assert allowed() == {f"{first}/app", f"{second}/app"}
    # Taken out of the inventory, it is named, and removed when told.
    assert f"also allows {second}/app" in site({"first": ["app"]}).output
    assert allowed() == {f"{first}/app", f"{second}/app"}
    announced = site({"first": ["app"]}, "-e", "iam_role_policy_purge=true", "--check")
    assert sum(announced.changed.values()) == 1 and allowed() == {f"{first}/app", f"{second}/app"}
    site({"first": ["app"]}, "-e", "iam_role_policy_purge=true")
    assert allowed() == {f"{first}/app"}


def test_a_database_that_cannot_be_read(lab, site, database, allowed):
    first, second = database("first"), database("second")
    site({"first": ["app"], "second": ["app"]})
    lab.aws("rds").delete_db_instance(DBInstanceIdentifier="second", SkipFinalSnapshot=True)
    run = site({"first": ["app", "report"], "second": ["app"]}, status=2)
    assert "There is no DB instance second" in run.output
    assert allowed() == {f"{first}/app", f"{first}/report", f"{second}/app"}
    with lab.calls() as calls:
        refused = site({"first": ["app"], "second": ["app"]}, "-e", "iam_role_policy_purge=true", status=2)
    assert "iam_role_policy_purge takes all database users out" in refused.output
    assert "and second could not be read" in refused.output and lab.changing(calls) == []


def test_limit_leaves_a_database_out(site, database, allowed):
    first, second = database("first"), database("second")
    users = {"first": ["app"], "second": ["app"]}
    site(users)
    site({"first": ["app", "report"], "second": ["app"]}, "--limit", "first,localhost")
    assert allowed() == {f"{first}/app", f"{first}/report", f"{second}/app"}


def test_all_users_go(lab, site, database):
    database("first")
    site({"first": ["app"]})
    site({"first": []})
    assert lab.aws("iam").list_role_policies(RoleName=ROLE)["PolicyNames"] == []
    assert set(site({"first": []}).changed.values()) == {0}


def test_a_statement_of_somebody_else_stays_as_it_is(lab, site, database, allowed):
    first, iam = database("first"), lab.aws("iam")
    site({"first": ["app"]})
    names = {"RoleName": ROLE, "PolicyName": POLICY}
    document = iam.get_role_policy(**names)["PolicyDocument"]
    theirs = [
        {"Sid": "Theirs", "Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::x/*"},
        {"Effect": "Deny", "Action": "rds-db:connect", "Resource": f"{first}/admin"},
    ]
    document["Statement"] = [theirs[0], *document["Statement"], theirs[1]]
    iam.put_role_policy(**names, PolicyDocument=json.dumps(document))
    assert set(site({"first": ["app"]}).changed.values()) == {0}
    for users, arguments in ((["app", "report"], ()), (["app"], ("-e", "iam_role_policy_purge=true"))):
        site({"first": users}, *arguments)
        assert allowed() == {f"{first}/{user}" for user in users}
        found = iam.get_role_policy(**names)["PolicyDocument"]["Statement"]
        assert [found[0], found[2]] == theirs and len(found) == 3


@pytest.mark.parametrize(
    "statement",
    [
        {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"},
        {
            "Sid": "RdsIamConnect",
            "Effect": "Allow",
            "Action": "rds-db:connect",
            "Resource": "arn:aws:rds-db:eu-west-1:123456789012:dbuser:db-X/app",
            "Condition": {"StringEquals": {"aws:PrincipalTag/team": "shop"}},
        },
    ],
    ids=["another policy", "narrowed"],
)
def test_a_policy_of_somebody_else_is_refused_before_anything_is_changed(lab, site, database, statement):
    database("first")
    iam = lab.aws("iam")
    trust = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    documents = [json.dumps({"Version": "2012-10-17", "Statement": [one]}) for one in (trust, statement)]
    iam.create_role(RoleName=ROLE, AssumeRolePolicyDocument=documents[0])
    iam.put_role_policy(RoleName=ROLE, PolicyName=POLICY, PolicyDocument=documents[1])
    for arguments in ((), ("--check",), ("-e", "iam_role_policy_purge=true")):
        with lab.calls() as calls:
            run = site({"first": ["app"]}, *arguments, status=2)
        assert lab.changing(calls) == []
        [sentence] = set(run.failures)
        assert sentence.startswith(
            f"The inline policy {POLICY} of the IAM role {ROLE} was not written by dbops.rds_iam"
        )
        assert sentence.endswith("set iam_role_policy_name to another name, or delete this policy.")
    found = iam.get_role_policy(RoleName=ROLE, PolicyName=POLICY)["PolicyDocument"]["Statement"]
    assert found == [statement]
    site({"first": ["app"]}, "-e", "iam_role_policy_name=another")
    assert set(iam.list_role_policies(RoleName=ROLE)["PolicyNames"]) == {POLICY, "another"}


def test_policies_whose_sizes_fit_without_white_space(lab, site, database):
    """The whole is longer than IAM takes only if white space is counted."""
    arn, iam = database("first"), lab.aws("iam")
    site({"first": ["app"]})
    names = {"RoleName": ROLE, "PolicyName": "theirs"}
    theirs = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": []}]}
    theirs["Statement"][0]["Resource"] = [f"arn:aws:s3:::{number:040}/*" for number in range(165)]
    iam.put_role_policy(**names, PolicyDocument=json.dumps(theirs, separators=(",", ":")))
    own = iam.get_role_policy(RoleName=ROLE, PolicyName=POLICY)["PolicyDocument"]
    spare = 10_240 - sum(len(json.dumps(one, separators=(",", ":"))) for one in (own, theirs))
    assert 100 < spare < len(arn) * 20
    more = spare // (len(arn) + len('/u000,""'))
    users = ["app", *(f"u{number:03}" for number in range(more))]
    site({"first": users})
    assert len(json.dumps(theirs)) + len(json.dumps(own)) + more * (len(arn) + 9) > 10_240
    over = [*users, *(f"v{number:03}" for number in range(2))]
    assert "IAM takes 10240 for all of them together" in site({"first": over}, status=2).output
