# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The policies in docs/policies: with exactly these rights a playbook passes.

With one action less it fails, and says which one is missing. The whole site comes first, from nothing; then scenes,
each of which needs some actions: what is there before, and the part of the run that needs them. The tests build on each
other, in order.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Callable

import pytest
from driver import POLICIES, actions, policy

ROLE, POLICY, ACCOUNT = "rds-iam-lab", "rds-iam-connect", "123456789012"
OURS = "dbops.rds_iam"
TAGS = [{"Key": "ManagedBy", "Value": OURS}]
BOUNDARY = f"arn:aws:iam::{ACCOUNT}:policy/boundary"
DENIED = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation")


def document(**statement) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement}]})


def allowing(action: str) -> str:
    return document(Action=action, Resource="*")


def trusting(service: str) -> str:
    return document(Action="sts:AssumeRole", Principal={"Service": service})


def flag_of_the_cluster(lab, enabled):
    rds = lab.aws("rds")
    rds.modify_db_cluster(DBClusterIdentifier="ledger", EnableIAMDatabaseAuthentication=enabled, ApplyImmediately=True)
    found = "IAMDatabaseAuthenticationEnabled"
    lab.until(lambda: rds.describe_db_clusters(DBClusterIdentifier="ledger")["DBClusters"][0][found] == enabled)


def attached(lab, profile):
    lab.detach("client1")
    lab.attach("client1", profile)


def switched(lab, identifier, enabled, mark):
    """A database whose flag has this value, with this mark or without one."""
    if identifier == "ledger":
        flag_of_the_cluster(lab, enabled)
    else:
        lab.set_flag(identifier, enabled)
    lab.mark(lab.arn(identifier), mark)


def no_role(lab):
    lab.detach(*lab.clients)
    lab.delete_role(ROLE)


def role(lab, service="ec2.amazonaws.com"):
    """The role with its profile and its policy, attached to nothing."""
    no_role(lab)
    iam = lab.aws("iam")
    iam.create_role(RoleName=ROLE, AssumeRolePolicyDocument=trusting(service), Tags=TAGS)
    iam.create_instance_profile(InstanceProfileName=ROLE, Tags=TAGS)
    iam.add_role_to_instance_profile(InstanceProfileName=ROLE, RoleName=ROLE)
    iam.put_role_policy(RoleName=ROLE, PolicyName=POLICY, PolicyDocument=written(lab))


def written(lab, *others) -> str:
    """The inline policy as the site writes it, for one user of orders, and statements of somebody else."""
    resource = f"arn:aws:rds-db:{lab.info['region']}:{ACCOUNT}:dbuser:{lab.databases['orders']['resource_id']}/app"
    ours = {"Sid": "RdsIamConnect", "Effect": "Allow", "Action": "rds-db:connect", "Resource": [resource]}
    return json.dumps({"Version": "2012-10-17", "Statement": [ours, *others]})


def shared_policy(lab):
    role(lab)
    theirs = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}
    document = written(lab, theirs)
    lab.aws("iam").put_role_policy(RoleName=ROLE, PolicyName=POLICY, PolicyDocument=document)


def stopped_with_another(lab):
    attached(lab, "another")
    lab.aws("ec2").stop_instances(InstanceIds=[lab.clients["client1"]["instance_id"]])


@dataclass
class Scene:
    """A part of a playbook, what is there before it runs, and the actions without which it fails.

    C(besides) are actions that are taken away too: for what is done where something else has failed.
    """

    playbook: str
    arguments: tuple[str, ...]
    before: Callable
    actions: tuple[str, ...]
    besides: tuple[str, ...] = ()


READS = ("iam:GetRole", "iam:GetInstanceProfile")
ONE_CLIENT, ONE_DATABASE = ("--limit", "client1"), ("--limit", "orders,localhost")
ATTACH = ("--tags", "step6", *ONE_CLIENT)
REPLACE = (*ATTACH, "-e", "role_attachment_replace=true")
# No server stands behind the cluster, so its step 3 is not run: that it has no account is said instead.
EMPTY = json.dumps({"db_users_result": {"iam_database_users_remaining": 0}})
NOBODY = json.dumps({"db_users_accounts": [], "iam_role_users": []})
SCENES = {
    "site: an instance": Scene(
        "site",
        ("--tags", "step1", *ONE_DATABASE),
        lambda lab: switched(lab, "orders", False, None),
        (
            *("rds:DescribeDBInstances", "rds:ModifyDBInstance", "rds:AddTagsToResource"),
            "rds:DescribeOrderableDBInstanceOptions",
        ),
    ),
    "site: a cluster": Scene(
        "site",
        ("--tags", "step1", "--limit", "ledger,localhost"),
        lambda lab: switched(lab, "ledger", False, None),
        ("rds:DescribeDBClusters", "rds:ModifyDBCluster", "rds:AddTagsToResource"),
    ),
    "site: a tag that is taken back": Scene(
        "site",
        ("--tags", "step1", *ONE_DATABASE),
        lambda lab: switched(lab, "orders", False, None),
        ("rds:RemoveTagsFromResource",),
        besides=("rds:ModifyDBInstance",),
    ),
    "site: a password that RDS keeps": Scene(
        "site",
        ("--tags", "step3", "--limit", "client1,billing"),
        lambda lab: None,
        ("secretsmanager:GetSecretValue",),
    ),
    "site: a new role": Scene(
        "site",
        ("--tags", "step4,step5", *ONE_CLIENT),
        no_role,
        (
            *("iam:GetRole", "iam:CreateRole", "iam:TagRole", "iam:GetInstanceProfile", "iam:CreateInstanceProfile"),
            *("iam:TagInstanceProfile", "iam:AddRoleToInstanceProfile", "iam:PassRole", "iam:PutRolePolicy"),
        ),
    ),
    "site: a policy that changes": Scene(
        "site", ("--tags", "step5", *ONE_CLIENT), role, ("iam:GetRolePolicy", "iam:ListRolePolicies")
    ),
    "site: a policy of which nothing is left": Scene(
        "site", ("--tags", "step5", *ONE_CLIENT, "-e", NOBODY), role, ("iam:DeleteRolePolicy",)
    ),
    "site: a role to repair": Scene(
        "site",
        ("--tags", "step4", *ONE_CLIENT, "-e", f"iam_role_permissions_boundary={BOUNDARY}"),
        lambda lab: role(lab, "lambda.amazonaws.com"),
        ("iam:UpdateAssumeRolePolicy", "iam:PutRolePermissionsBoundary"),
    ),
    "site: a host without a profile": Scene(
        "site",
        ATTACH,
        lambda lab: lab.detach("client1"),
        ("ec2:DescribeInstances", "ec2:AssociateIamInstanceProfile", "iam:PassRole"),
    ),
    "site: another profile": Scene(
        "site",
        REPLACE,
        lambda lab: attached(lab, "another"),
        ("ec2:DescribeIamInstanceProfileAssociations", "ec2:ReplaceIamInstanceProfileAssociation", "iam:PassRole"),
    ),
    "site: another profile on a stopped host": Scene(
        "site", REPLACE, stopped_with_another, ("ec2:DisassociateIamInstanceProfile",)
    ),
    "teardown: a profile": Scene(
        "teardown",
        ATTACH,
        lambda lab: attached(lab, ROLE),
        (
            *("ec2:DescribeInstances", "ec2:DescribeIamInstanceProfileAssociations"),
            "ec2:DisassociateIamInstanceProfile",
        ),
    ),
    "teardown: the role": Scene(
        "teardown",
        ("--tags", "step4,step5"),
        role,
        (
            *(*READS, "iam:GetRolePolicy", "ec2:DescribeRegions"),
            *("iam:ListRolePolicies", "iam:ListAttachedRolePolicies", "iam:ListInstanceProfilesForRole"),
            *("iam:DeleteRolePolicy", "iam:RemoveRoleFromInstanceProfile", "iam:DeleteInstanceProfile"),
            "iam:DeleteRole",
        ),
    ),
    "teardown: a policy with a statement of somebody else": Scene(
        "teardown", ("--tags", "step4,step5"), shared_policy, ("iam:PutRolePolicy",)
    ),
    "teardown: an instance": Scene(
        "teardown",
        ("--tags", "step1,step3", "--limit", "client1,orders"),
        lambda lab: switched(lab, "orders", True, OURS),
        ("rds:DescribeDBInstances", "rds:ModifyDBInstance", "rds:RemoveTagsFromResource"),
    ),
    "teardown: a cluster": Scene(
        "teardown",
        ("--tags", "step1", "--limit", "ledger,localhost", "-e", EMPTY),
        lambda lab: switched(lab, "ledger", True, OURS),
        ("rds:DescribeDBClusters", "rds:ModifyDBCluster", "rds:RemoveTagsFromResource"),
    ),
    "teardown: a password that RDS keeps": Scene(
        "teardown",
        ("--tags", "step3", "--limit", "client1,billing"),
        lambda lab: None,
        ("secretsmanager:GetSecretValue",),
    ),
}


def test_every_action_has_a_scene():
    assert {path.stem for path in POLICIES.glob("*.json")} == {"site", "teardown", "doctor", "report"}
    for playbook in ("site", "teardown"):
        scenes = [scene.actions for scene in SCENES.values() if scene.playbook == playbook]
        assert sorted({action for found in scenes for action in found}) == actions(playbook)


@pytest.fixture
def operator(with_rights):
    """The environment of a user who has the rights of a playbook, or all of them but some."""
    return lambda playbook, *without: with_rights(*policy(playbook, *without)["Statement"])


def good(lab, operator, playbook, *arguments):
    """It passes, and nothing that it asks for on its way is denied."""
    environment = operator(playbook)
    with lab.calls() as calls:
        run = lab.good(f"{playbook}.yml", *arguments, **environment)
    assert {call["caller"] for call in calls} == {f"arn:aws:iam::{ACCOUNT}:user/limited"}
    assert [call["action"] for call in calls if call["outcome"] in DENIED] == []
    return run


@pytest.fixture(scope="module")
def inventory(lab, tmp_path_factory):
    """The inventory of the lab and one more cluster, a boundary, and another instance profile."""
    iam, rds = lab.aws("iam"), lab.aws("rds")
    rds.create_db_cluster(
        DBClusterIdentifier="ledger",
        Engine="aurora-mysql",
        MasterUsername="admin",
        MasterUserPassword="not used here",
    )
    iam.create_policy(PolicyName="boundary", PolicyDocument=allowing("*"))
    iam.create_role(RoleName="another", AssumeRolePolicyDocument=trusting("ec2.amazonaws.com"))
    iam.create_instance_profile(InstanceProfileName="another")
    iam.add_role_to_instance_profile(InstanceProfileName="another", RoleName="another")
    path = tmp_path_factory.mktemp("rights") / "more.json"
    ledger = {"db_cluster_identifier": "ledger", "iam_role_users": ["app"]}
    path.write_text(json.dumps({"rds_databases": {"hosts": {"ledger": ledger}}}))
    yield ("-i", lab.info["inventory"], "-i", str(path))
    no_role(lab)
    lab.aws("ec2").start_instances(InstanceIds=[lab.clients["client1"]["instance_id"]])
    iam.remove_role_from_instance_profile(InstanceProfileName="another", RoleName="another")
    iam.delete_instance_profile(InstanceProfileName="another")
    iam.delete_role(RoleName="another")
    iam.delete_policy(PolicyArn=BOUNDARY)
    rds.delete_db_cluster(DBClusterIdentifier="ledger", SkipFinalSnapshot=True)
    lab.good("teardown.yml")


def test_there_and_back_with_exactly_these_rights(lab, operator, tmp_path):
    for _run in range(2):
        site = good(lab, operator, "site")
    assert set(site.changed.values()) == {0}, site.output
    good(lab, operator, "doctor")
    good(lab, operator, "report", "-e", f"rds_iam_report_directory={tmp_path}")
    assert "not allowed" not in (tmp_path / "access-map.json").read_text()
    good(lab, operator, "teardown")
    good(lab, operator, "site")


@pytest.mark.parametrize("name", SCENES)
def test_one_action_less(lab, operator, inventory, name):
    scene = SCENES[name]
    for action in scene.actions:
        scene.before(lab)
        less = operator(scene.playbook, action, *scene.besides)
        run = lab.playbook(f"{scene.playbook}.yml", *inventory, *scene.arguments, **less)
        assert run.status != 0, f"{action}\n{run.output}"
        assert action in run.output, f"{action}\n{run.output}"
        assert "Traceback" not in run.output, run.output
    if scene.besides:
        return
    scene.before(lab)
    good(lab, operator, scene.playbook, *inventory, *scene.arguments)


# Without the first two the doctor finds less, and says nothing of it. The databases here export no log, and the master
# password is read by the playbook.
NOT_HERE = {
    *("rds:DescribeOrderableDBInstanceOptions", "iam:SimulatePrincipalPolicy"),
    *("logs:FilterLogEvents", "secretsmanager:GetSecretValue"),
}


@pytest.fixture(scope="module")
def broken(lab, inventory):
    """Break the site in such a way that the doctor reads all that it can.

    The flag is off, and in place of the inline policy there are a managed one, which allows the login, and an inline
    one about something else.
    """
    no_role(lab)
    lab.good("site.yml")
    lab.set_flag("orders", False)
    iam = lab.aws("iam")
    iam.delete_role_policy(RoleName=ROLE, PolicyName=POLICY)
    iam.put_role_policy(RoleName=ROLE, PolicyName="other", PolicyDocument=allowing("s3:GetObject"))
    managed = iam.create_policy(PolicyName="managed", PolicyDocument=allowing("rds-db:connect"))["Policy"]["Arn"]
    iam.attach_role_policy(RoleName=ROLE, PolicyArn=managed)
    yield
    iam.delete_role_policy(RoleName=ROLE, PolicyName="other")
    iam.detach_role_policy(RoleName=ROLE, PolicyArn=managed)
    iam.delete_policy(PolicyArn=managed)


def test_the_doctor_with_exactly_these_rights(lab, operator, broken):
    environment = operator("doctor")
    with lab.calls() as calls:
        run = lab.playbook("doctor.yml", **environment)
    assert run.status != 0
    assert "IAM database authentication of the DB instance orders is off; to repair it" in run.output
    assert [call for call in calls if call["outcome"] in DENIED] == []
    assert "not allowed" not in run.output


def test_the_doctor_and_the_access_map_without_the_master_password(lab, operator, broken, tmp_path):
    action = "secretsmanager:GetSecretValue"
    run = lab.playbook("doctor.yml", **operator("doctor", action))
    assert action in run.output and "Traceback" not in run.output
    less = operator("report", action)
    run = lab.playbook("report.yml", "-e", f"rds_iam_report_directory={tmp_path}", **less)
    assert action in run.output and "Traceback" not in run.output
    # The database is one that it could not see, and the map is drawn all the same.
    assert (tmp_path / "access-map.json").exists()


@pytest.mark.parametrize("action", sorted({*actions("doctor")} - NOT_HERE))
def test_the_doctor_with_one_action_less(lab, operator, broken, action):
    """It says of a check that it is unknown, with the action; and nothing fails but what has to."""
    databases = [
        {"name": "orders", "db_instance_identifier": "orders"},
        {"name": "ledger", "db_cluster_identifier": "ledger"},
    ]
    arguments = {
        "clients": [{"name": "client1", "instance_id": lab.clients["client1"]["instance_id"]}],
        "databases": databases,
        "logins": [{"client": "client1", "database": database["name"], "user": "app"} for database in databases],
        "fail": False,
    }
    less = operator("doctor", action, "iam:SimulatePrincipalPolicy")
    run = lab.module("localhost", "dbops.rds_iam.rds_iam_doctor", arguments, **less)
    assert run.status == 0, run.output
    checks = [check for login in json.loads(run.output.split("=>", 1)[1])["logins"] for check in login["checks"]]
    assert [check for check in checks if check["status"] == "unknown" and action in check["message"]], checks
    assert {check["name"] for check in checks if check["status"] == "failed"} <= {"iam_auth"}
