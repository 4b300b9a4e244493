# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The site from nothing to proven, what breaks it, and back to nothing. The tests build on each other, in order."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from pathlib import Path

import certificates
import pymysql
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from driver import ROOT, writes_a_bundle_of_another_region

ROLE = "rds-iam-lab"


def accounts_and_flags(lab):
    return {identifier: (lab.accounts(identifier), lab.flag(identifier)) for identifier in lab.databases}


@pytest.fixture(scope="module")
def before(lab):
    """Return the state of the API and of the servers before the first run."""
    iam = lab.aws("iam")
    return {
        "accounts and flags": accounts_and_flags(lab),
        "roles": {role["RoleName"] for role in iam.list_roles()["Roles"]},
        "profiles": {profile["InstanceProfileName"] for profile in iam.list_instance_profiles()["InstanceProfiles"]},
    }


def test_check_from_nothing_touches_nothing(lab, before):
    with lab.calls() as calls:
        run = lab.good("site.yml", "--check", "--diff")
    assert lab.changing(calls) == []
    assert accounts_and_flags(lab) == before["accounts and flags"]
    assert sum(run.changed.values()) > 0
    for announced in (
        "iam_auth_enabled",
        "AWSAuthenticationPlugin",
        "rds-db:connect",
        "RSA2048",
        "0 of 6 logins were tried: check",
    ):
        assert announced in run.output


def test_first_run_proves_every_login(lab, before):
    run = lab.good("site.yml", "--diff", ANSIBLE_CALLBACK_RESULT_FORMAT="yaml")
    lines = [line for line in run.output.splitlines() if "client1" in line or "client2" in line]
    for client in lab.clients:
        for identifier in lab.databases:
            assert any(all(part in line for part in (client, identifier, "app@%", "TLSv1.")) for line in lines)
    for identifier in lab.databases:
        denied = [line for line in lines if identifier in line and "report" in line and "denied" in line]
        assert len(denied) == 1, "one client is denied for all of its role"
        assert ("app", "%", "AWSAuthenticationPlugin", "RDS", "ANY") in lab.accounts(identifier)
    # The picture in README.md is that of this end; if it is not any more: make picture
    program = [sys.executable, ROOT / "tests/tools/picture.py"]
    drawn = subprocess.run(program, input=run.output, capture_output=True, text=True, check=True)
    assert drawn.stdout == (ROOT / "docs/demo.svg").read_text()


def test_second_run_changes_nothing(lab):
    with lab.calls() as calls:
        run = lab.good("site.yml")
    assert set(run.changed.values()) == {0}, run.output
    # One for each database, and one for the password of billing, which RDS keeps in Secrets Manager; and for all
    # clients one each for the role, the profile, the policy and the instances.
    assert len(calls) == len(lab.databases) + 1 + 4
    assert lab.changing(calls) == []
    run = lab.good("site.yml", "--check")
    assert set(run.changed.values()) == {0}, run.output


def test_a_second_run_sends_three_tasks_to_a_client(lab, tmp_path):
    results = tmp_path / "results"
    callbacks = str(Path(__file__).parent / "callbacks")
    lab.good("site.yml", RESULTS=str(results), ANSIBLE_CALLBACK_PLUGINS=callbacks, ANSIBLE_CALLBACKS_ENABLED="results")
    tasks = [json.loads(line) for line in results.read_text().splitlines()]
    # The second client, since the first one does what is done once for all, and sends the SQL.
    modules = [task["action"].rpartition(".")[2] for task in tasks if task["host"] == "client2"]
    assert [name for name in modules if name in ("raw", "find", "copy") or name.startswith("rds_")] == [
        "rds_iam_client_info",
        "rds_ca_bundle",
        "rds_iam_ping",
    ]


@pytest.mark.parametrize("damage", ["sed -i s/endpoint/Endpoint/ {}", "chmod 0644 {}", "rm {}"])
def test_a_damaged_program_is_repaired(lab, damage):
    path = lab.wrapper("client1")
    state = f"sha256sum {path}; stat -c %a {path}"
    intact = lab.ssh("client1", state).stdout
    assert lab.ssh("client1", lab.sudo + damage.format(path)).returncode == 0
    assert lab.ssh("client1", state).stdout != intact
    assert lab.good("site.yml", "--tags", "step7").changed["client1"] == 1
    assert lab.ssh("client1", state).stdout == intact


def test_the_endpoint_is_signed_and_verified_whatever_is_dialled(lab):
    orders, billing = (socket.gethostbyname(lab.databases[name]["endpoint"]) for name in ("orders", "billing"))
    login = {"endpoint": lab.databases["orders"]["endpoint"], "port": lab.databases["orders"]["port"], "user": "app"}

    def ping(address):
        options = {"ca_file": lab.bundle("client1"), "logins": [{**login, "connect_host": address}]}
        return lab.module("client1", "dbops.rds_iam.rds_iam_ping", options)

    assert ping(orders).status == 0
    assert f"(through {billing})" in ping(billing).output


def test_logins_with_a_profile(lab, tmp_path):
    """With the profile of the operator, who may do everything, also log in."""
    admin, orders = lab.info["admin"], lab.databases["orders"]
    keys = {"aws_access_key_id": admin["access_key_id"], "aws_secret_access_key": admin["secret_access_key"]}
    (tmp_path / "credentials").write_text("\n".join(["[operator]", *(f"{key} = {keys[key]}" for key in keys)]))
    environment = {"AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials")}
    environment |= {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}

    def ping(login, **options):
        login = {"endpoint": orders["endpoint"], "port": orders["port"], "user": "app", **login}
        options = {"logins": [login], "ca_file": lab.info["ca_file"], **options}
        return lab.module("localhost", "dbops.rds_iam.rds_iam_ping", options, **environment)

    done = ping({"region": lab.info["region"]}, profile="operator")
    assert done.status == 0, done.output
    assert "us-east-1" in ping({"region": "us-east-1"}, profile="operator").output
    assert "nobody" in ping({}, profile="nobody").output
    with socket.create_server(("127.0.0.1", 0)) as silent:
        login = {"connect_host": "127.0.0.1", "port": silent.getsockname()[1]}
        slow = ping(login, profile="operator", connect_timeout=1)
    assert slow.status != 0 and "timed out" in slow.output


@pytest.fixture
def tls(lab):
    """A function that has orders show a certificate of another authority; and what was there, at the end."""
    place = lab.state / "databases" / "orders"
    files = [place / "server.pem", place / "server.key", lab.state / "truststore/global/global-bundle.pem"]
    before = [file.read_bytes() for file in files]

    def reload():
        with pymysql.connect(unix_socket=str(place / "mysqld.sock"), user="root") as root, root.cursor() as cursor:
            cursor.execute("FLUSH SSL")

    def show(authority):
        for file, text in zip(files, authority.sign(lab.databases["orders"]["endpoint"])):
            file.write_bytes(text)
        reload()

    yield show, files[-1]
    for file, text in zip(files, before):
        file.write_bytes(text)
    reload()
    lab.good("site.yml", "--tags", "step8,step9")


def test_server_certificates_move_to_other_authorities(lab, tls):
    """To one that only a newer bundle has, and then to another one of the bundle in place."""
    show, bundle = tls
    newer, newest = (
        certificates.make_authority(f"Amazon RDS eu-west-1 Root CA {name}", rsa.generate_private_key(65537, 2048))
        for name in ("RSA2048 G2", "RSA2048 G3")
    )
    command = f"{lab.wrapper('client1')} orders -e 'select current_user()'"

    show(newer)
    refused = lab.playbook("site.yml", "--tags", "step8,step9")
    assert refused.status != 0 and "is not accepted" in refused.output
    assert lab.ssh("client1", command).returncode != 0

    bundle.write_bytes(bundle.read_bytes() + newer.pem + newest.pem)
    assert sum(lab.good("site.yml", "--tags", "step8,step9").changed.values()) == len(lab.clients)
    assert "app@%" in lab.ssh("client1", command).stdout

    show(newest)
    assert set(lab.good("site.yml", "--tags", "step8,step9").changed.values()) == {0}
    assert "app@%" in lab.ssh("client1", command).stdout


def test_a_database_with_a_ca_file_of_its_own(lab, tmp_path):
    """As an RDS Proxy has, whose certificate is of other authorities: here the right file is the one of its own."""
    system = "/etc/ssl/certs/ca-certificates.crt"
    orders = {key: lab.databases["orders"][key] for key in ("endpoint", "port")} | {"region": "eu-west-1"}
    databases = [
        {**orders, "name": "proxy", "users": ["app"], "ca_file": lab.bundle("client1")},
        {**orders, "name": "orders", "users": ["app"]},
    ]
    wrapper = "/tmp/rds-mysql-of-a-proxy"
    play = tmp_path / "play.json"

    def prove(databases, *arguments):
        variables = {"connect_databases": databases, "connect_ca_file": system, "connect_wrapper_path": wrapper}
        role = {"role": "dbops.rds_iam.connect", **variables}
        play.write_text(json.dumps([{"hosts": "client1", "gather_facts": False, "roles": [role]}]))
        return lab.playbook(str(play), *arguments)

    assert prove(databases[:1]).status == 0
    assert "0 of 2 logins from client1 were tried: check mode" in prove(databases, "--check").output
    both = prove(databases)
    assert both.status != 0 and f"is not accepted with {system}" in both.output
    assert "1 of 2 logins is not proven: app to orders" in both.output
    assert "app@%" in lab.ssh("client1", f"{wrapper} proxy -e 'select current_user()'").stdout
    assert lab.ssh("client1", f"{wrapper} orders -e 'select current_user()'").returncode != 0
    lab.ssh("client1", f"rm {wrapper}")


def flag_off(lab):
    lab.set_flag("orders", False)


def policy_removed(lab):
    lab.aws("iam").delete_role_policy(RoleName=ROLE, PolicyName="rds-iam-connect")


def profile_detached(lab):
    lab.detach("client1")


def account_without_plugin(lab):
    lab.sql("orders", "ALTER USER app@'%' IDENTIFIED BY 'Passw0rd-of-old' REQUIRE SSL")


def account_dropped(lab):
    lab.sql("orders", "DROP USER app@'%'")


def account_without_ssl(lab):
    lab.sql("orders", "ALTER USER app@'%' REQUIRE NONE")


def bundle_deleted(lab):
    assert lab.ssh("client1", f"{lab.sudo}rm {lab.bundle('client1')}").returncode == 0


def bundle_of_another_authority(lab):
    command = writes_a_bundle_of_another_region().format(bundle=lab.bundle("client1"))
    assert lab.ssh("client1", f"{lab.sudo}sh -c {lab.quote(command)}").returncode == 0


@pytest.mark.parametrize(
    ("breaks", "reason"),
    [
        (flag_off, "is off; to repair it, let the role dbops.rds_iam.iam_auth"),
        (policy_removed, "no policy of the IAM role"),
        (profile_detached, "no instance profile is attached"),
        (account_dropped, "orders has no account 'app'@'%'"),
        (bundle_deleted, "does not exist on this host"),
        (bundle_of_another_authority, "unable to get local issuer certificate"),
    ],
)
def test_what_breaks_is_seen_and_repaired(lab, breaks, reason):
    breaks(lab)
    seen = lab.playbook("site.yml", "--tags", "step9")
    assert seen.status != 0, seen.output
    assert re.search(rf"logins (is|are) not proven: .*client1 to orders as app[,:].*{re.escape(reason)}", seen.output)
    repaired = lab.good("site.yml")
    assert sum(repaired.changed.values()) > 0


def test_account_without_ssl_is_repaired(lab):
    """A login over TLS goes on working without REQUIRE SSL, so the proof cannot see it: the accounts task does."""
    account_without_ssl(lab)
    assert ("app", "%", "AWSAuthenticationPlugin", "RDS", "") in lab.accounts("orders")
    lab.good("site.yml")
    assert ("app", "%", "AWSAuthenticationPlugin", "RDS", "ANY") in lab.accounts("orders")


def test_account_with_a_password_is_reported_and_converted_when_told(lab):
    account_without_plugin(lab)
    assert lab.playbook("site.yml", "--tags", "step9").status != 0
    run = lab.playbook("site.yml")
    assert run.status != 0
    assert "set convert" in run.output
    accounts = [{"name": "app", "convert": True, "privileges": {"app.*": ["SELECT"]}}, {"name": "report"}]
    lab.good("site.yml", "--extra-vars", json.dumps({"db_users_accounts": accounts}))
    assert ("app", "%", "AWSAuthenticationPlugin", "RDS", "ANY") in lab.accounts("orders")
    lab.good("site.yml")
    assert set(lab.good("site.yml").changed.values()) == {0}


def test_teardown_leaves_what_was_there_before(lab, before):
    iam, there = lab.aws("iam"), accounts_and_flags(lab)
    with lab.calls() as calls:
        run = lab.good("teardown.yml", "--check", "--diff")
    assert sum(run.changed.values()) > 0
    assert lab.changing(calls) == []
    assert accounts_and_flags(lab) == there
    lab.sql("orders", "CREATE USER foreigner@'%' IDENTIFIED BY 'Passw0rd-of-theirs'")
    statement = {"Effect": "Allow", "Action": "s3:ListAllMyBuckets", "Resource": "*"}
    foreign = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_role_policy(RoleName=ROLE, PolicyName="foreign", PolicyDocument=foreign)
    run = lab.good("teardown.yml")
    assert f"The role {ROLE} stays, since it is also used by foreign." in run.output
    assert iam.list_role_policies(RoleName=ROLE)["PolicyNames"] == ["foreign"]
    assert "foreigner" in {account[0] for account in lab.accounts("orders")}
    iam.delete_role_policy(RoleName=ROLE, PolicyName="foreign")
    lab.sql("orders", "DROP USER foreigner@'%'")

    lab.good("teardown.yml")
    assert {role["RoleName"] for role in iam.list_roles()["Roles"]} == before["roles"]
    profiles = {profile["InstanceProfileName"] for profile in iam.list_instance_profiles()["InstanceProfiles"]}
    assert profiles == before["profiles"]
    assert accounts_and_flags(lab) == before["accounts and flags"]
    associations = lab.aws("ec2").describe_iam_instance_profile_associations()["IamInstanceProfileAssociations"]
    assert [found for found in associations if found["State"] == "associated"] == []
    assert set(lab.good("teardown.yml").changed.values()) == {0}
