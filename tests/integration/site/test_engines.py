# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""MariaDB, MySQL and an Aurora cluster in one site, and both clients. The tests build on each other, in order.

They need a lab of their own, see C(tests/tools/integration).
"""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path

import pytest

FLAG = "IAMDatabaseAuthenticationEnabled"
# What a server says first that has no TLS and asks for a password in clear text.
GREETING = (
    b"\x0a10.11.8-MariaDB\0"
    + struct.pack("<I", 1)
    + b"saltsalt\0"
    + struct.pack("<H", 0xF7FF)
    + b"\x21\x02\0"
    + struct.pack("<H", 0x000F)
    + b"\x15"
    + b"\0" * 10
    + b"saltsaltsalt\0mysql_clear_password\0"
)


@pytest.fixture(scope="module", autouse=True)
def engines(lab):
    if [database["engine"] for database in lab.info["databases"]] != ["mariadb", "mysql", "aurora-mysql"]:
        pytest.fail("These tests need a lab with --engine both --clusters 1; start them with: make integration")


@pytest.fixture(params=["client1", "client2"])
def client(lab, request):
    """The first one has MySQL's client, the second one has MariaDB's."""
    if lab.info["form"] != "namespaces":
        pytest.skip("In the plain form the clients share the machine's own program and names.")
    return request.param


def records(lab) -> dict[str, dict]:
    rds = lab.aws("rds")
    return {
        **{instance["DBInstanceIdentifier"]: instance for instance in rds.describe_db_instances()["DBInstances"]},
        **{cluster["DBClusterIdentifier"]: cluster for cluster in rds.describe_db_clusters()["DBClusters"]},
    }


def decisions(lab) -> list[dict]:
    return [json.loads(line) for line in (lab.state / "verifier.jsonl").read_text().splitlines()]


def test_the_lab_says_what_it_is(lab):
    described = records(lab)
    for database in lab.info["databases"]:
        assert described[database["identifier"]]["EngineVersion"] == database["engine_version"]
    for identifier in ("orders", "billing"):
        [(version,)] = lab.sql(identifier, "SELECT VERSION()")
        assert version.startswith(lab.databases[identifier]["engine_version"])
    sales = lab.databases["sales"]
    assert (sales["kind"], sales["resource_id"]) == ("cluster", described["sales"]["DbClusterResourceId"])
    assert sales["reader_endpoint"] == described["sales"]["ReaderEndpoint"]
    for member in sales["members"]:
        assert described[member["identifier"]]["Endpoint"]["Address"] == member["endpoint"]


def test_first_run_proves_every_login_and_a_second_changes_nothing(lab):
    first = lab.good("site.yml")
    logins = len(lab.databases) * (len(lab.clients) + 1)
    assert f"{logins} of {logins} logins were tried, and all are proven: " in first.output
    assert set(lab.good("site.yml").changed.values()) == {0}


def test_a_cluster_is_reached_by_all_its_endpoints(lab):
    sales = lab.databases["sales"]
    endpoints = [sales["endpoint"], sales["reader_endpoint"], *(member["endpoint"] for member in sales["members"])]
    before = len(decisions(lab))
    for user, expect in (("app", "allowed"), ("report", "denied")):
        logins = [{"endpoint": endpoint, "user": user, "expect": expect} for endpoint in endpoints]
        lab.result("client1", "rds_iam_ping", {"logins": logins, "ca_file": lab.bundle("client1")})
    assert [entry["endpoint"] for entry in decisions(lab)[before:]] == endpoints * 2


def test_rds_mysql_logs_in_with_either_client(lab, client):
    program = lab.ssh(client, "mysql --version").stdout
    assert ("MariaDB" in program) == (client == "client2")
    for database in lab.databases:
        process = lab.ssh(client, f"{lab.wrapper(client)} {database} -NBe 'select current_user(), version()'")
        assert process.returncode == 0, process.stderr
        assert process.stdout.startswith("app@%\t")
        assert ("MariaDB" in process.stdout) == (database == "orders")


@contextlib.contextmanager
def another_server(lab, client, address):
    """The name of orders leads to another address, as seen from this client."""
    endpoint = lab.databases["orders"]["endpoint"]
    edit = f"{lab.sudo}cp /etc/hosts /tmp/hosts && {lab.sudo}sed 's/.* {endpoint}$/{address} {endpoint}/' /tmp/hosts"
    assert lab.ssh(client, f"{edit} | {lab.sudo}tee /etc/hosts").returncode == 0
    yield
    assert lab.ssh(client, f"{lab.sudo}cp /tmp/hosts /etc/hosts").returncode == 0


@contextlib.contextmanager
def another_authority(lab, client):
    """The file with the CAs holds all those of the web, and none that signed the certificate of the server."""
    bundle = lab.bundle(client)
    edit = f"cp {bundle} /tmp/bundle && {lab.sudo}cp /etc/ssl/certs/ca-certificates.crt {bundle}"
    assert lab.ssh(client, edit).returncode == 0
    yield
    assert lab.ssh(client, f"{lab.sudo}cp /tmp/bundle {bundle}").returncode == 0


@pytest.mark.parametrize("deception", ["name", "authority"])
def test_rds_mysql_sends_no_token_to_a_server_that_is_not_verified(lab, client, deception):
    before = len(decisions(lab))
    [address] = lab.databases["billing"]["addresses"]  # a real server, whose certificate has another name
    deceived = another_authority(lab, client) if deception == "authority" else another_server(lab, client, address)
    login = f"{lab.wrapper(client)} orders -e 'select 1'"
    with deceived:
        process = lab.ssh(client, login)
    assert process.returncode != 0 and "SSL" in process.stderr, process
    assert len(decisions(lab)) == before, "a token has arrived"
    assert lab.ssh(client, login).returncode == 0


def test_rds_mysql_sends_no_token_without_tls(lab, client):
    received = []

    def serve(listener):
        with listener.accept()[0] as connection:
            connection.settimeout(10)
            connection.sendall(struct.pack("<I", len(GREETING)) + GREETING)
            while data := connection.recv(65536):
                received.append(data)

    host = lab.info["endpoint_url"].split("/")[2].split(":")[0]
    with socket.create_server((host, 3306)) as listener, another_server(lab, client, host):
        thread = threading.Thread(target=serve, args=(listener,), daemon=True)
        thread.start()
        process = lab.ssh(client, f"{lab.wrapper(client)} orders -e 'select 1'")
        thread.join(20)
    assert process.returncode != 0 and "SSL" in process.stderr, process
    assert not thread.is_alive() and received == []


def test_the_doctor_knows_the_cluster_and_both_clients(lab):
    """A policy names a member of the cluster, and logins are authorised on the cluster."""
    role = {"RoleName": "rds-iam-lab", "PolicyName": "rds-iam-connect"}
    iam, described, cluster = lab.aws("iam"), records(lab), lab.databases["sales"]["resource_id"]
    member = described[lab.databases["sales"]["members"][0]["identifier"]]["DbiResourceId"]
    document = json.dumps(iam.get_role_policy(**role)["PolicyDocument"])
    assert cluster in document
    iam.put_role_policy(**role, PolicyDocument=document.replace(cluster, member))
    run = lab.playbook("doctor.yml")
    assert run.status != 0 and "2 of 9 logins are not proven, for the reasons above" in run.output
    words = f"names {member}, which is a member of the cluster, and logins are authorised on the cluster {cluster}"
    assert run.output.count(words) == 2 * len(lab.clients)  # in the sentence and in the check
    assert run.output.count("(dbops.rds_iam.site --tags step5)") == len(lab.clients)
    if lab.info["form"] == "namespaces":
        assert "is MySQL 9" in run.output and "and takes --ssl-mode=VERIFY_IDENTITY --enable-cleartext" in run.output
        assert "is MariaDB 10" in run.output and "and takes --ssl --ssl-verify-server-cert" in run.output
    lab.good("site.yml", "--tags", "step5")
    lab.good("doctor.yml")


def test_what_drifts_is_repaired(lab):
    lab.aws("rds").modify_db_cluster(
        DBClusterIdentifier="sales", EnableIAMDatabaseAuthentication=False, ApplyImmediately=True
    )
    lab.until(lambda: not records(lab)["sales"][FLAG])
    lab.sql("billing", "ALTER USER app@'%' REQUIRE NONE")
    lab.sql("sales", "DROP USER app@'%'")
    repaired = lab.good("site.yml")
    assert {host for host, changed in repaired.changed.items() if changed} == {"billing", "sales"}
    assert repaired.changed["sales"] == 2
    for database in lab.databases:
        assert ("app", "%", "AWSAuthenticationPlugin", "RDS", "ANY") in lab.accounts(database)


def test_a_dynamic_inventory_has_the_cluster_as_one_host(lab, tmp_path):
    arn = records(lab)["sales"]["DBClusterArn"]
    lab.aws("rds").add_tags_to_resource(ResourceName=arn, Tags=[{"Key": "team", "Value": "shop"}])
    source = tmp_path / "databases.aws_rds.yml"
    source.write_text(
        "plugin: amazon.aws.aws_rds\n"
        "include_clusters: true\n"
        "groups:\n"
        "  rds_databases: not (db_instance_identifier | default('') and db_cluster_identifier | default(''))\n"
        "  shop: tags.team | default('') == 'shop'\n"
    )
    command = [Path(sys.executable).with_name("ansible-inventory"), "-i", source, "--list"]
    listed = json.loads(subprocess.run(command, text=True, capture_output=True, check=True).stdout)
    assert set(listed["rds_databases"]["hosts"]) == set(lab.databases)
    assert listed["shop"]["hosts"] == ["sales"]


def test_teardown_leaves_nothing(lab):
    lab.good("teardown.yml")
    assert not any(record[FLAG] for record in records(lab).values())
    for database in lab.databases:
        assert "AWSAuthenticationPlugin" not in {account[2] for account in lab.accounts(database)}
    iam = lab.aws("iam")
    assert not any(role["RoleName"].startswith("rds-iam") for role in iam.list_roles()["Roles"])
    assert iam.list_instance_profiles()["InstanceProfiles"] == []
    for name in lab.clients:
        assert lab.ssh(name, f"ls {lab.wrapper(name)} {lab.bundle(name)}").stdout == ""
