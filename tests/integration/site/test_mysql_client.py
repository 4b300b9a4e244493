# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role mysql_client on each family of hosts: where the libraries come from, and the variant with the server."""

from __future__ import annotations

import json

import pytest
from driver import good

FAMILIES = {"debian": "client1", "amazon": "client2"}
VENV = "/opt/dbops-rds-iam"
PACKAGES = f"{VENV}/lib/python3*/site-packages"
# Unlike a new server, which its package may have secured.
INSECURE = """
CREATE USER ''@'localhost';
CREATE USER 'root'@'%' IDENTIFIED BY 'root';
CREATE DATABASE IF NOT EXISTS test;
"""
LEFT = """
SELECT CONCAT(user, '@', host) FROM mysql.user WHERE user IN ('', 'root');
SELECT schema_name FROM information_schema.schemata WHERE schema_name = 'test';
"""


@pytest.fixture(scope="module", autouse=True)
def forms(lab):
    if lab.info["form"] == "plain":
        pytest.skip("In the plain form the clients share the machine, whose packages are left alone.")


@pytest.fixture
def role(lab, tmp_path):
    """Run the role on a client with these variables."""

    def run(client, *arguments, **variables):
        play = {"hosts": client, "become": True, "gather_facts": False, "roles": ["dbops.rds_iam.mysql_client"]}
        (tmp_path / "play.yml").write_text(json.dumps([{**play, "vars": variables}]))
        return lab.playbook(str(tmp_path / "play.yml"), *arguments)

    return run


def sentence(run):
    """What the role says when it fails."""
    assert run.status != 0, run.output
    message = run.failures[0]
    assert "\n" not in message and message.endswith(".")
    return message


def root(lab, client, command, **options):
    done = lab.ssh(client, f"sudo sh -c {lab.quote(command)}", **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("family", FAMILIES)
def test_installs_once(lab, role, family):
    client = FAMILIES[family]
    good(role(client))
    assert good(role(client)) == 0
    assert good(role(client, "--check")) == 0
    assert (lab.ssh(client, f"test -d {VENV}").returncode == 0) == (family == "amazon")


def test_modules_find_the_libraries_by_themselves(lab, role):
    """On a host whose own Python has neither of them; and what is secret stays so."""
    client, orders = FAMILIES["amazon"], lab.databases["orders"]
    good(role(client))
    own = lab.ssh(client, 'for name in botocore pymysql; do python3 -c "import $name" || echo missing; done').stdout
    assert own.split() == ["missing", "missing"]
    root(lab, client, "cat > /tmp/roots.pem && chmod 644 /tmp/roots.pem", input=open(lab.info["ca_file"]).read())
    login = {"login_host": orders["endpoint"], "login_user": "admin", "login_password": orders["master_password"]}
    arguments = {**login, "ca_file": "/tmp/roots.pem", "users": [{"name": "seen"}]}
    run = lab.module(client, "dbops.rds_iam.rds_iam_db_user", arguments, "-vvvv", "--check", "--diff")
    assert run.status == 0, run.output
    assert "AWSAuthenticationPlugin" in run.output
    assert orders["master_password"] not in run.output
    login = {"endpoint": orders["endpoint"], "user": "app"}
    assert "No AWS credentials were found" in lab.module(client, "dbops.rds_iam.rds_auth_token", login).output
    assert "seen" not in {account[0] for account in lab.accounts("orders")}


def test_a_damaged_environment_is_made_again(lab, role):
    client = FAMILIES["amazon"]
    good(role(client))
    for damage in (f"rm -r {PACKAGES}/botocore*", f"rm {VENV}/bin/python3", f"rm -r {VENV}/lib"):
        root(lab, client, damage)
        assert good(role(client, "--check")) > 0
        assert good(role(client)) > 0
        assert good(role(client)) == 0
        root(lab, client, f"{lab.as_nobody} {VENV}/bin/python3 -c 'import botocore.session, pymysql'")


def test_an_environment_where_the_user_wants_one(lab, role):
    """A host that has the packages, too."""
    client = FAMILIES["debian"]
    own = {"mysql_client_packages": ["default-mysql-client", "python3-venv"], "mysql_client_python_packages": []}
    assert good(role(client, **own)) > 0
    assert good(role(client, **own)) == 0
    root(lab, client, f"{VENV}/bin/python3 -c 'import botocore, pymysql' && rm -r {VENV}")


def test_no_index_is_said(lab, role):
    client = FAMILIES["amazon"]
    root(lab, client, f"rm -rf {VENV}; mv /etc/pip.conf /etc/pip.away")
    try:
        said = sentence(role(client))
    finally:
        root(lab, client, "mv /etc/pip.away /etc/pip.conf")
    assert "could not be installed" in said and "botocore" in said and "mysql_client_python_packages" in said
    assert good(role(client)) > 0


@pytest.mark.parametrize(
    ("release", "variables", "words"),
    [
        ("ID=beos", {}, ["beos", "mysql_client_packages", "mysql_client_python_packages"]),
        ("ID=amzn\nVERSION_ID=2", {}, ["Amazon Linux 2 on client2 has no Python", "move it to Amazon Linux 2023"]),
        (
            "ID=beos\nVERSION_ID=5",
            {"mysql_client_packages": ["bemysql"], "mysql_client_server": True},
            ["The server for beos 5 on client2 is not known", "mysql_client_server_packages"],
        ),
    ],
)
def test_a_distribution_that_will_not_do_is_said(lab, role, release, variables, words):
    client = FAMILIES["amazon"]
    root(lab, client, "mv /etc/os-release /etc/os-release.away; cat > /etc/os-release", input=f"{release}\n")
    try:
        said = sentence(role(client, **variables))
    finally:
        root(lab, client, "mv /etc/os-release.away /etc/os-release")
    assert all(word in said for word in words)


@pytest.mark.parametrize("family", FAMILIES)
def test_server(lab, role, family):
    client = FAMILIES[family]
    assert good(role(client, "--check", mysql_client_server=True)) > 0
    assert good(role(client, mysql_client_server=True)) > 0
    assert good(role(client, mysql_client_server=True)) == 0
    missing = role(client, mysql_client_server=True, mysql_client_server_packages=["no-such-server"])
    assert missing.status != 0 and "no-such-server" in missing.output
    missing = role(client, mysql_client_server=True, mysql_client_server_service="no-such-service")
    assert missing.status != 0 and "no-such-service" in missing.output
    secure = root(lab, client, "mariadb -N", input=LEFT)
    assert secure.split() == ["root@localhost"]
    root(lab, client, "mariadb", input=INSECURE)
    root(lab, client, "service mariadb stop")
    assert good(role(client, mysql_client_server=True)) > 0
    assert root(lab, client, "mariadb -N", input=LEFT) == secure
    assert root(lab, client, "ls /etc/rc2.d/S*mariadb"), "starts at boot"
    assert good(role(client, mysql_client_server=True)) == 0
    assert good(role(client, "--check", mysql_client_server=True)) == 0
    root(lab, client, "printf '[client]\nsocket=/nowhere\n' > /root/.my.cnf")
    said = sentence(role(client, mysql_client_server=True))
    root(lab, client, "rm /root/.my.cnf")
    assert said.startswith(f"The local server of {client} could not be checked as its root")
    root(lab, client, "service mariadb stop")
