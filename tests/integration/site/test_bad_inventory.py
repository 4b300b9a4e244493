# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Inventories that the playbooks refuse, each in one sentence, before anything is changed."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from faults import FOR_EVER, Fault, Proxy

THEIRS = "theirs"
EC2, LAMBDA = "ec2.amazonaws.com", "lambda.amazonaws.com"


def refusal(lab, *arguments, **environment) -> str:
    """The sentences with which a run ends that calls nothing that changes."""
    with lab.calls() as calls:
        run = lab.playbook(*arguments, **environment)
    assert run.status != 0, run.output
    assert lab.changing(calls) == [], run.output
    assert sum(run.changed.values()) == 0, run.output
    assert "Traceback" not in run.output and "Error while" not in run.output, run.output
    sentences = [sentence for sentence in run.failures if sentence != "One or more items failed"]
    assert sentences and all(re.fullmatch(r".+[.]", sentence) for sentence in sentences), run.output
    return " ".join(sentences)


def with_variables(variables) -> tuple[str, str]:
    return "--extra-vars", json.dumps(variables)


@pytest.mark.parametrize("empty", ["rds_databases", "rds_clients"])
@pytest.mark.parametrize("playbook", ["site.yml", "doctor.yml", "teardown.yml"])
def test_a_group_without_hosts(lab, tmp_path, playbook, empty):
    inventory = json.loads(Path(lab.info["inventory"]).read_text())
    del inventory["all"]["children"][empty]
    (tmp_path / "inventory.json").write_text(json.dumps(inventory))
    said = refusal(lab, playbook, "-i", str(tmp_path / "inventory.json"))
    assert f"The group {empty} of the inventory is empty" in said


@pytest.mark.parametrize(
    ("tags", "variables", "words"),
    [
        ("step5", {"iam_role_users": ["stranger"]}, "iam_role_users has stranger, which is no account"),
        ("step5", {"db_users_accounts": [{"name": "a*"}]}, "The database user name a* has"),
        ("step9", {"db_users_accounts": []}, "There was no login to prove; set db_users_accounts"),
        ("step3", {"db_users_login_password": ""}, "set db_users_login_password in the host variables of orders"),
        ("step6", {"instance_id": ""}, "The EC2 instance of the host client1 is not known; set its instance_id"),
        ("step6", {"instance_id": "i-0123456789abcdef0"}, "does not exist in the Region of this run"),
    ],
)
def test_variables_that_cannot_be(lab, tags, variables, words):
    assert words in refusal(lab, "site.yml", "--tags", tags, *with_variables({"iam_role_users": [], **variables}))


def test_a_database_of_another_engine(lab):
    rds = lab.aws("rds")
    login = {"MasterUsername": "admin", "MasterUserPassword": "Passw0rd-for-a-test"}
    size = {"AllocatedStorage": 20, "DBInstanceClass": "db.m5.large"}
    rds.create_db_instance(DBInstanceIdentifier="ledger", Engine="oracle-ee", **size, **login)
    try:
        said = refusal(lab, "site.yml", *with_variables({"db_instance_identifier": "ledger"}))
    finally:
        rds.delete_db_instance(DBInstanceIdentifier="ledger", SkipFinalSnapshot=True)
    assert "The database orders runs oracle-ee, and these playbooks work with mysql, mariadb, aurora-mysql" in said


def test_a_database_that_is_being_created(lab):
    def young(answer: bytes) -> bytes:
        without = re.sub(rb"<Endpoint>.*?</Endpoint>", b"", answer, flags=re.S)
        return re.sub(rb"(<DBInstanceStatus>)\w+", rb"\1creating", without)

    with Proxy(lab.info["endpoint_url"]) as proxy, proxy.failing(Fault("DescribeDBInstances", young, FOR_EVER)):
        said = refusal(lab, "site.yml", AWS_ENDPOINT_URL=proxy.url)
    assert "orders has no endpoint yet, its status is creating; wait until it is available." in said


def test_an_instance_that_is_terminated(lab):
    ec2 = lab.aws("ec2")
    image = ec2.describe_images()["Images"][0]["ImageId"]
    [instance] = ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1)["Instances"]
    ec2.terminate_instances(InstanceIds=[instance["InstanceId"]])
    said = refusal(lab, "site.yml", "--tags", "step6", *with_variables({"instance_id": instance["InstanceId"]}))
    assert "is terminated or shutting down; take the host out of the group rds_clients" in said


@pytest.fixture
def theirs(lab):
    """Makes a role of somebody else, which a service may assume, with a profile of its name that holds it."""
    iam = lab.aws("iam")

    def theirs(service):
        allow = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
        trust = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
        iam.create_role(RoleName=THEIRS, AssumeRolePolicyDocument=trust)
        iam.create_instance_profile(InstanceProfileName=THEIRS)
        iam.add_role_to_instance_profile(InstanceProfileName=THEIRS, RoleName=THEIRS)

    yield theirs
    lab.detach("client1")
    lab.delete_role(THEIRS)


@pytest.mark.parametrize(
    ("tags", "service", "variables", "words"),
    [
        ("step4", LAMBDA, {"iam_role_name": THEIRS}, "its trust policy does not let ec2.amazonaws.com assume it"),
        ("step4", EC2, {"iam_role_instance_profile_name": THEIRS}, f"{THEIRS} already holds the role {THEIRS}"),
    ],
)
def test_a_role_of_somebody_else(lab, theirs, tags, service, variables, words):
    theirs(service)
    assert words in refusal(lab, "site.yml", "--tags", tags, *with_variables(variables))


def test_a_role_of_somebody_else_stays(lab, theirs):
    theirs(EC2)
    run = lab.good("teardown.yml", "--tags", "step4", *with_variables({"iam_role_name": THEIRS}))
    assert f"The role {THEIRS} stays, since it was not created by dbops.rds_iam." in run.output
    assert THEIRS in {role["RoleName"] for role in lab.aws("iam").list_roles()["Roles"]}


def test_an_instance_with_the_profile_of_somebody_else(lab, theirs):
    theirs(EC2)
    lab.attach("client1", THEIRS)
    said = refusal(lab, "site.yml", "--tags", "step6", "--limit", "client1,rds_databases")
    assert f"The instance profile {THEIRS} is attached to the EC2 instance" in said
    assert "set role_attachment_replace to true" in said


def test_policies_that_are_too_large_together(lab, theirs):
    theirs(EC2)
    statement = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": [f"arn:aws:s3:::{'x' * 10_140}/*"]}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    lab.aws("iam").put_role_policy(RoleName=THEIRS, PolicyName="large", PolicyDocument=document)
    said = refusal(lab, "site.yml", "--tags", "step5", *with_variables({"iam_role_name": THEIRS}))
    assert f"The inline policies of the IAM role {THEIRS} would have 1" in said and "10240" in said
