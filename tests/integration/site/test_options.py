# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options that the playbooks in the lab have no use for: each has the effect that its documentation says."""

from __future__ import annotations

import hashlib
import json
import re
import socket
from pathlib import Path

import pytest
from driver import good
from faults import FOR_EVER, Fault, Proxy

NAME = "options"
PASSWORD = "not a password of the lab"


@pytest.fixture
def role(lab, tmp_path):
    """Run a role on a host with these variables, in an environment."""

    def run(host, name, environment=None, tasks_from="main", **variables):
        include = {"name": f"dbops.rds_iam.{name}", "tasks_from": tasks_from}
        play = {"hosts": host, "gather_facts": False, "tasks": [{"import_role": include, "vars": variables}]}
        (tmp_path / "play.json").write_text(json.dumps([play]))
        return lab.playbook(str(tmp_path / "play.json"), **environment or {})

    return run


def test_a_bundle_from_a_mirror(lab, role):
    path = f"/tmp/{NAME}.pem"
    checksum = "sha256:" + hashlib.sha256(Path(lab.info["ca_file"]).read_bytes()).hexdigest()
    variables = {"ca_bundle_url": f"{lab.info['truststore_url']}/global/global-bundle.pem", "ca_bundle_path": path}
    refused = role("client1", "ca_bundle", ca_bundle_checksum=f"sha256:{'0' * 64}", **variables)
    assert refused.status != 0 and "does not have the checksum" in refused.output
    assert good(role("client1", "ca_bundle", ca_bundle_checksum=checksum, **variables)) == 1
    assert lab.ssh("client1", f"tail -n +2 {path} | sha256sum").stdout.split()[0] == checksum.removeprefix("sha256:")
    lab.ssh("client1", f"rm {path}")


def test_the_python_of_rds_mysql(lab, role):
    path = f"/tmp/{NAME}"
    python = lab.ssh("client1", "readlink -f /usr/bin/python3").stdout.strip()
    assert good(role("client1", "connect", tasks_from="wrapper", connect_python=python, connect_wrapper_path=path)) == 1
    assert lab.ssh("client1", f"head -n 1 {path}").stdout.split()[0] == f"#!{python}"
    lab.ssh("client1", f"rm {path}")


def test_accounts_of_another_master(lab, role):
    """The password of the first one is in Secrets Manager, and nobody asks for it."""
    lab.sql("billing", f"CREATE USER boss IDENTIFIED BY '{PASSWORD}'")
    lab.sql("billing", "GRANT CREATE USER, SELECT ON *.* TO boss")
    before = lab.accounts("billing")
    [record] = lab.result("localhost", "rds_iam_auth_info", {"db_instance_identifier": "billing"})["databases"]
    variables = {
        "db_users_database": record,
        "db_users_delegate_to": "localhost",
        "db_users_ca_file": lab.info["ca_file"],
        "db_users_login_user": "boss",
        "db_users_login_password": PASSWORD,
    }
    accounts = [{"name": "loose", "require_ssl": False}, {"name": "gone"}]
    with lab.calls() as calls:
        assert good(role("billing", "db_users", db_users_accounts=accounts, **variables)) == 1
    assert record["master_user_secret_arn"] and calls == []
    loose = ("loose", "%", "AWSAuthenticationPlugin", "RDS", "")
    gone = ("gone", "%", "AWSAuthenticationPlugin", "RDS", "ANY")
    assert lab.accounts("billing") - before == {loose, gone}
    accounts[1]["state"] = "absent"
    assert good(role("billing", "db_users", db_users_accounts=accounts, **variables)) == 1
    assert lab.accounts("billing") - before == {loose}
    for name in ("boss", "loose"):
        lab.sql("billing", f"DROP USER {name}")


@pytest.fixture
def instance(lab):
    """A DB instance that nobody uses, with a change that waits for its maintenance window."""
    rds = lab.aws("rds")
    master = {"MasterUsername": "admin", "MasterUserPassword": PASSWORD}
    rds.create_db_instance(
        DBInstanceIdentifier=NAME, Engine="mysql", DBInstanceClass="db.m5.large", AllocatedStorage=20, **master
    )
    rds.modify_db_instance(DBInstanceIdentifier=NAME, AllocatedStorage=30)
    yield lambda: rds.describe_db_instances(DBInstanceIdentifier=NAME)["DBInstances"][0]
    rds.delete_db_instance(DBInstanceIdentifier=NAME, SkipFinalSnapshot=True)


def test_changes_that_wait(instance, role):
    refused = role("localhost", "iam_auth", iam_auth_db_instance_identifier=NAME)
    assert refused.status != 0 and "AllocatedStorage" in refused.output
    later = {"iam_auth_db_instance_identifier": NAME, "iam_auth_apply_immediately": False}
    assert good(role("localhost", "iam_auth", **later)) == 1
    assert not instance()["IAMDatabaseAuthenticationEnabled"]
    assert instance()["PendingModifiedValues"]["IAMDatabaseAuthenticationEnabled"]
    good(role("localhost", "iam_auth", iam_auth_db_instance_identifier=NAME, iam_auth_apply_pending=True))
    assert instance()["IAMDatabaseAuthenticationEnabled"]
    assert (instance()["AllocatedStorage"], instance()["PendingModifiedValues"]) == (30, {})


def test_names_path_and_boundary_of_a_role(lab, role):
    iam = lab.aws("iam")
    document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "rds-db:*", "Resource": "*"}]}
    boundary = iam.create_policy(PolicyName="boundary", PolicyDocument=json.dumps(document))["Policy"]["Arn"]
    [record] = lab.result("localhost", "rds_iam_auth_info", {"db_instance_identifier": "orders"})["databases"]
    variables = {
        "iam_role_name": NAME,
        "iam_role_path": "/databases/",
        "iam_role_permissions_boundary": boundary,
        "iam_role_instance_profile_name": f"{NAME}-profile",
        "iam_role_policy_name": f"{NAME}-policy",
        "iam_role_databases": [{**record, "users": ["app"]}],
    }
    assert good(role("localhost", "iam_role", **variables)) > 0
    made = iam.get_role(RoleName=NAME)["Role"]
    assert (made["Path"], made["PermissionsBoundary"]["PermissionsBoundaryArn"]) == ("/databases/", boundary)
    profile = iam.get_instance_profile(InstanceProfileName=f"{NAME}-profile")["InstanceProfile"]
    assert (profile["Path"], profile["Roles"][0]["RoleName"]) == ("/databases/", NAME)
    assert iam.list_role_policies(RoleName=NAME)["PolicyNames"] == [f"{NAME}-policy"]
    assert good(role("localhost", "iam_role", **variables)) == 0
    assert good(role("localhost", "iam_role", iam_role_state="absent", **variables)) > 0
    assert NAME not in {role["RoleName"] for role in iam.list_roles()["Roles"]}
    iam.delete_policy(PolicyArn=boundary)


@pytest.fixture
def cluster(lab):
    """A cluster that nobody uses."""
    rds = lab.aws("rds")
    master = {"MasterUsername": "admin", "MasterUserPassword": PASSWORD}
    rds.create_db_cluster(DBClusterIdentifier=NAME, Engine="aurora-mysql", **master)
    yield NAME
    rds.delete_db_cluster(DBClusterIdentifier=NAME, SkipFinalSnapshot=True)


def test_what_the_doctor_is_told(lab, cluster):
    login = {"client": "client1", "database": "cluster", "user": "app"}
    options = {
        "logins": [
            {**login, "error": "the run ended before it", "user_plan": {"msg": "the server said nothing"}},
            {**login, "user": "report", "expect": "denied", "login_result": {"verdict": "denied"}},
        ],
        "clients": [{"name": "client1", "host_facts": {"msg": "the host said nothing"}}],
        "databases": [{"name": "cluster", "db_cluster_identifier": cluster}],
        "fail": False,
    }
    told, denied = lab.result("localhost", "rds_iam_doctor", options)["logins"]
    assert denied["status"] == "passed"
    assert f"DB cluster {cluster}" in json.dumps(told["checks"])
    assert "the host said nothing" in json.dumps(told["checks"])
    assert "the server said nothing" in json.dumps(told["checks"])
    assert "the run ended before it" in json.dumps(told["checks"])


def test_a_map_of_some_databases(lab, cluster):
    orders = lab.databases["orders"]
    login = {
        "login_host": orders["endpoint"],
        "login_port": orders["port"],
        "login_user": orders["master_username"],
        "login_password": orders["master_password"],
        "ca_file": lab.info["ca_file"],
        "connect_host": socket.gethostbyname(orders["endpoint"]),
        "connect_timeout": 3,
    }
    users = lab.result("localhost", "rds_iam_db_user_info", login)["users"]
    astray = {**login, "login_host": lab.databases["billing"]["endpoint"]}
    refused = lab.module("localhost", "dbops.rds_iam.rds_iam_db_user_info", astray)
    assert refused.status != 0 and f"(through {login['connect_host']})" in refused.output
    refused = lab.module("localhost", "dbops.rds_iam.rds_iam_db_user_info", {**login, "connect_timeout": 0})
    assert refused.status != 0 and "connect_timeout is 0; give a number of seconds from 1 to 3600." in refused.output
    options = {
        "databases": [
            {"name": "ours", "db_instance_identifier": "orders", "users": users},
            {"name": "theirs", "db_cluster_identifier": cluster, "not_collected_reason": "the vault was locked"},
        ],
        "inventory_only": True,
    }
    found = lab.result("localhost", "rds_iam_access_map", options)["map"]
    ours, theirs = found["databases"]
    assert (ours["name"], ours["identifier"], ours["kind"]) == ("ours", "orders", "instance")
    assert {user["name"] for user in ours["users"]} == {user["name"] for user in users} >= {"admin"}
    assert (theirs["name"], theirs["identifier"], theirs["kind"]) == ("theirs", cluster, "cluster")
    assert theirs["users"] is None and found["not_collected"] == ["The accounts of theirs: the vault was locked."]


def test_teardown_where_no_bundle_can_be_fetched(lab):
    """The one in place has to do, and nothing of the other is left."""
    lab.good("site.yml")
    lab.sql("orders", "CREATE USER guest@'%' IDENTIFIED WITH AWSAuthenticationPlugin AS 'RDS' REQUIRE SSL")
    files = "ls -A /tmp"
    before = lab.ssh("client1", files).stdout
    run = lab.good("teardown.yml", "--tags", "step3,step1", "-e", "ca_bundle_url=https://localhost:1/bundle.pem")
    assert "https://localhost:1/bundle.pem could not be fetched" in run.output
    assert [account[0] for account in lab.accounts("orders") if account[2] == "AWSAuthenticationPlugin"] == ["guest"]
    assert (
        "IAM database authentication of orders is left as it is" in run.output
        and "IAM database users remaining: 1" in run.output
    )
    assert lab.ssh("client1", files).stdout == before
    lab.sql("orders", "DROP USER guest@'%'")
    lab.good("teardown.yml")


def test_a_change_is_sent_once(lab, role):
    """RDS shows it as pending and the database as available for a while, before it begins with it."""

    def waiting(answer: bytes) -> bytes:
        return re.sub(rb"(<DBInstanceStatus>)modifying", rb"\1available", answer)

    lab.set_flag("orders", False)
    with Proxy(lab.info["endpoint_url"]) as proxy, proxy.failing(Fault(".*DBInstances?", waiting, FOR_EVER)) as calls:
        run = role("orders", "iam_auth", {"AWS_ENDPOINT_URL": proxy.url})
    assert good(run) == 1 and lab.flag("orders")
    assert calls.count("ModifyDBInstance") == 1
    lab.good("teardown.yml")
