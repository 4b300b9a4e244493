# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A lab full of things that others made: the site, then the teardown, and every one of them is as before."""

from __future__ import annotations

import contextlib
import json
import re

import boto3
import pymysql
import pytest
from driver import teardown_table
from foreign_packages import HOSTS, VENDOR

ELSEWHERE = "us-east-1"
ROLE, POLICY = "legacy-app", "rds-iam-connect"
MANAGED = "reads-of-the-shop"
LOGIN = {"MasterUsername": "admin", "MasterUserPassword": "Passw0rd-for-a-test"}
SIZE = {"DBInstanceClass": "db.m5.large", "AllocatedStorage": 20}


def document(*statements) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(action, resource="*", **more) -> dict:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def trust(service) -> str:
    return document({"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"})


def tags(**found) -> list[dict]:
    return [{"Key": key, "Value": value} for key, value in found.items()]


# What is there, as the API, the servers and the hosts tell it


def roles(lab) -> dict:
    iam, found = lab.aws("iam"), {}
    for name in (role["RoleName"] for role in iam.list_roles()["Roles"]):
        role = iam.get_role(RoleName=name)["Role"]
        inline = iam.list_role_policies(RoleName=name)["PolicyNames"]
        found[name] = {
            **{key: role.get(key) for key in ("RoleId", "Path", "AssumeRolePolicyDocument", "Description", "Tags")},
            "inline": {one: iam.get_role_policy(RoleName=name, PolicyName=one)["PolicyDocument"] for one in inline},
            "managed": iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"],
        }
    return found


def profiles(lab) -> dict:
    iam, found = lab.aws("iam"), {}
    for name in (
        instance_profile["InstanceProfileName"] for instance_profile in iam.list_instance_profiles()["InstanceProfiles"]
    ):
        profile = iam.get_instance_profile(InstanceProfileName=name)["InstanceProfile"]
        held = [role["RoleName"] for role in profile["Roles"]]
        found[name] = {"id": profile["InstanceProfileId"], "roles": held, "tags": profile.get("Tags")}
    return found


def instances(lab) -> dict:
    found = {}
    for region in (lab.info["region"], ELSEWHERE):
        for reservation in boto3.client("ec2", region_name=region).describe_instances()["Reservations"]:
            for one in reservation["Instances"]:
                if one["State"]["Name"] != "terminated":
                    found[one["InstanceId"]] = one.get("IamInstanceProfile", {}).get("Arn")
    return found


def databases(lab) -> dict:
    rds, found = lab.aws("rds"), {}
    for kind, described in (
        ("DBInstance", rds.describe_db_instances()["DBInstances"]),
        ("DBCluster", rds.describe_db_clusters()["DBClusters"]),
    ):
        for one in described:
            shown = ("IAMDatabaseAuthenticationEnabled", "PendingModifiedValues", "TagList", "AllocatedStorage")
            found[one[f"{kind}Identifier"]] = {key: one.get(key) for key in shown}
    return found


def accounts(lab) -> dict:
    """All accounts of the servers with their grants, and what they are the definers of."""
    found = {}
    for name in lab.databases:
        users = lab.sql(name, "SELECT * FROM mysql.user")
        grants = {}
        for user, host in lab.sql(name, "SELECT user, host FROM mysql.user"):
            with contextlib.suppress(Exception):  # roles and accounts of the server itself have none
                grants[user, host] = sorted(lab.sql(name, f"SHOW GRANTS FOR '{user}'@'{host}'"))
        definers = lab.sql(name, "SELECT table_schema, table_name, definer FROM information_schema.views")
        found[name] = (sorted(users, key=repr), grants, sorted(definers))
    return found


def everything(lab) -> dict:
    parts = (roles, profiles, instances, databases, accounts)
    return {part.__name__: part(lab) for part in parts}


# What others made


def as_root(lab, identifier: str, statement: str) -> None:
    """On the server itself: the master user of RDS may not name another definer."""
    socket = lab.state / "databases" / identifier / "mysqld.sock"
    with pymysql.connect(unix_socket=str(socket), user="root") as root, root.cursor() as cursor:
        cursor.execute(statement)


@pytest.fixture(scope="module")
def their_roles(lab):
    """Roles with policies of their own, each in an instance profile, and a profile without a role."""
    iam, names = lab.aws("iam"), {ROLE: "ec2.amazonaws.com", "batch": "lambda.amazonaws.com"}
    for name in (*names, "empty"):
        lab.delete_role(name)
    managed = iam.create_policy(PolicyName=MANAGED, PolicyDocument=document(allow("s3:Get*")))["Policy"]["Arn"]
    for name, service in names.items():
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust(service), Tags=tags(team="shop"))
        iam.put_role_policy(RoleName=name, PolicyName="theirs", PolicyDocument=document(allow("rds-db:connect")))
        iam.attach_role_policy(RoleName=name, PolicyArn=managed)
        iam.create_instance_profile(InstanceProfileName=name, Tags=tags(ManagedBy="terraform"))
        iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)
    iam.create_instance_profile(InstanceProfileName="empty")
    yield
    lab.detach(*lab.clients)
    iam.delete_instance_profile(InstanceProfileName="empty")
    for name in names:
        iam.detach_role_policy(RoleName=name, PolicyArn=managed)
        lab.delete_role(name)
    iam.delete_policy(PolicyArn=managed)


@pytest.fixture(scope="module")
def their_databases(lab):
    """A flag that is on, tags of others, and databases that are in no inventory."""
    rds = lab.aws("rds")
    lab.set_flag("orders", True)
    rds.add_tags_to_resource(ResourceName=lab.arn("orders"), Tags=tags(team="shop", managedby="nobody"))
    rds.add_tags_to_resource(ResourceName=lab.arn("billing"), Tags=tags(ManagedBy="terraform", team="money"))
    rds.create_db_instance(
        DBInstanceIdentifier="archive", Engine="mysql", EnableIAMDatabaseAuthentication=True, **SIZE, **LOGIN
    )
    rds.create_db_cluster(DBClusterIdentifier="graph", Engine="neptune", Tags=tags(ManagedBy="cdk"), **LOGIN)
    yield
    rds.delete_db_cluster(DBClusterIdentifier="graph", SkipFinalSnapshot=True)
    rds.delete_db_instance(DBInstanceIdentifier="archive", SkipFinalSnapshot=True)
    for name in lab.databases:
        lab.set_flag(name, False)
        keys = ["ManagedBy", "team", "managedby"]
        rds.remove_tags_from_resource(ResourceName=lab.arn(name), TagKeys=keys)


@pytest.fixture(scope="module")
def their_users(lab):
    """A database user with a password, privileges, and a view of which it is the definer."""
    for name in lab.databases:
        lab.sql(name, "CREATE DATABASE theirs")
        lab.sql(name, "CREATE TABLE theirs.things (name VARCHAR(20))")
        lab.sql(name, "CREATE USER legacy@'%' IDENTIFIED BY 'Passw0rd-of-theirs' REQUIRE SSL")
        lab.sql(name, "GRANT SELECT, INSERT ON theirs.* TO legacy@'%'")
        as_root(lab, name, "CREATE DEFINER = legacy@'%' VIEW theirs.seen AS SELECT name FROM theirs.things")
    yield
    for name in lab.databases:
        lab.sql(name, "DROP USER legacy@'%'")
        lab.sql(name, "DROP DATABASE theirs")


@pytest.fixture(scope="module")
def their_packages(lab):
    """On hosts without the packages of step 2, a database server of another vendor, and what nothing else needs."""
    hosts = [kind(lab, name) for kind, name in HOSTS.values()] if lab.info["form"] != "plain" else []
    for host in hosts:
        host.restore()
        conflicts = {"Conflicts": "virtual-mysql-server", "Provides": "virtual-mysql-server"}
        host.have("vendor-server", program="sbin/mysqld", **conflicts if host.family == "debian" else {})
        host.have("vendor-library")
    yield {host.name: host for host in hosts}
    for host in hosts:
        host.remove(VENDOR)


@pytest.fixture(scope="module")
def theirs(their_roles, their_databases, their_users, their_packages):
    """All that others made."""


@pytest.fixture
def instance(lab):
    """Starts instances that are in no inventory, with an instance profile."""
    made = []

    def instance(profile, region):
        ec2 = boto3.client("ec2", region_name=region)
        image = ec2.describe_images()["Images"][0]["ImageId"]
        options = {"ImageId": image, "MinCount": 1, "MaxCount": 1, "IamInstanceProfile": {"Name": profile}}
        made.append((ec2, ec2.run_instances(**options)["Instances"][0]["InstanceId"]))
        return made[-1][1]

    yield instance
    for ec2, instance_id in made:
        ec2.terminate_instances(InstanceIds=[instance_id])


@pytest.fixture
def clean(lab, theirs):
    """After a test nothing is left of the site."""
    yield
    lab.playbook("teardown.yml")
    lab.playbook("teardown.yml", "-e", f"iam_role_name={ROLE}")
    lab.detach(*lab.clients)


def without_flag(found: dict, name: str) -> dict:
    found = {**found, "databases": {**found["databases"]}}
    found["databases"][name] = {**found["databases"][name], "IAMDatabaseAuthenticationEnabled": None}
    return found


def check_packages(before: dict) -> None:
    """Compare state and version of all packages that were on the hosts before; those of step 2 may have come."""
    for host, packages in before.items():
        after = host.packages()
        assert {name: after.get(name) for name in packages} == packages


def test_a_role_that_was_there_before(lab, clean, their_packages):
    """Its profile is attached to all hosts before the site uses it."""
    for client in lab.clients:
        lab.attach(client, ROLE)
    before, installed = everything(lab), {host: host.packages() for host in their_packages.values()}
    users = json.dumps({"iam_role_name": ROLE, "iam_role_users": ["app", "report"]})
    site = lab.good("site.yml", "-e", users)
    assert "and all are proven" in site.output
    assert set(lab.good("site.yml", "-e", users).changed.values()) == {0}
    check_packages(installed)
    teardown = lab.good("teardown.yml", "-e", users)

    after = everything(lab)
    # The database that somebody else manages is the exception: its flag may not be switched off.
    assert after["databases"]["billing"]["IAMDatabaseAuthenticationEnabled"]
    assert re.search(r"IAM database authentication +billing +stays .* has the tag ManagedBy=terraform", teardown.output)
    assert without_flag(after, "billing") == without_flag(before, "billing")
    check_packages(installed)
    with lab.calls() as calls:
        again = lab.good("teardown.yml", "-e", users)
    assert set(again.changed.values()) == {0} and lab.changing(calls) == []


def test_instances_that_use_what_the_site_made(lab, clean, instance):
    """In this Region and in another one, started by others since the site has run."""
    lab.set_flag("billing", False)
    before = everything(lab)
    lab.good("site.yml")
    [role] = set(roles(lab)) - set(before["roles"])
    outside = [instance(role, lab.info["region"]), instance(role, ELSEWHERE)]
    made = roles(lab)[role], profiles(lab)[role]
    assert role in made[1]["roles"] and POLICY in made[0]["inline"]
    teardown = lab.good("teardown.yml")
    for instance_id, region in zip(outside, (lab.info["region"], ELSEWHERE)):
        assert lab.profile_of(instance_id, region) == role
        assert f"{instance_id} ({region})" in teardown.output
    assert (roles(lab)[role], profiles(lab)[role]) == made

    after = everything(lab)
    del after["roles"][role], after["profiles"][role]
    after["instances"] = {name: arn for name, arn in after["instances"].items() if name not in outside}
    assert without_flag(after, "billing") == without_flag(before, "billing")


@contextlib.contextmanager
def session(lab, client, identifier):
    """An open session of an application, which logged in with a token."""
    command = f"{lab.wrapper(client)} {identifier} -e 'SELECT SLEEP(600)' > /dev/null 2>&1 &"
    assert lab.ssh(client, f"nohup sh -c {lab.quote(command)}").returncode == 0

    def open_sessions():
        return lab.sql(identifier, "SELECT id FROM information_schema.processlist WHERE user = 'app'")

    lab.until(open_sessions)
    try:
        yield open_sessions
    finally:
        for (number,) in open_sessions():
            as_root(lab, identifier, f"KILL {number}")  # the master user of RDS takes a procedure


def test_a_database_user_that_others_rely_on(lab, clean):
    """Somebody made it the definer of a view, and an application has a session open."""
    lab.good("site.yml")
    as_root(lab, "orders", "CREATE DEFINER = app@'%' VIEW theirs.relies AS SELECT 1 AS one")
    try:
        with session(lab, "client1", "orders") as open_sessions:
            before = open_sessions()
            checked, teardown = lab.playbook("teardown.yml", "--check"), lab.playbook("teardown.yml")
            assert ("app", "%", "AWSAuthenticationPlugin", "RDS", "ANY") in lab.accounts("orders")
            outcome, why = teardown_table(teardown)["database users of orders", "app@%"]
            assert outcome == "stays" and "relies" in why
            assert teardown_table(checked)["database users of orders", "app@%"] == ("would stay", why)
            assert lab.sql("orders", "SELECT one FROM theirs.relies") == [(1,)]
            assert open_sessions() == before and lab.flag("orders")
    finally:
        lab.sql("orders", "DROP VIEW theirs.relies")


def test_a_database_user_that_was_there_before(lab, clean):
    """With the name, and the way to log in, of one that the site would make."""
    lab.sql("orders", "CREATE USER report@'%' IDENTIFIED WITH AWSAuthenticationPlugin AS 'RDS' REQUIRE SSL")
    try:
        lab.good("site.yml")
        users = "database users of orders"
        outcome, why = teardown_table(lab.good("teardown.yml", "--check"))[users, "report@%"]
        assert outcome == "would stay" and "does not bear the mark ManagedBy=dbops.rds_iam" in why
        rows = teardown_table(lab.good("teardown.yml"))
        assert rows[users, "report@%"] == ("stays", why) and rows[users, "app@%"] == ("removed", "")
        assert ("report", "%", "AWSAuthenticationPlugin", "RDS", "ANY") in lab.accounts("orders")
    finally:
        lab.sql("orders", "DROP USER IF EXISTS report@'%'")
