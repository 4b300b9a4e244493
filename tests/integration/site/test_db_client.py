# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role db_client on each family of hosts: where the libraries come from, and the variant with the server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from driver import good
from foreign_packages import HOSTS

FAMILIES = {"debian": "client1", "amazon": "client2"}
VENV = "/opt/dbops-rds-iam"
PACKAGES = f"{VENV}/lib/python3*/site-packages"
# Unlike a new server, which its package may have secured.
INSECURE = """
CREATE USER ''@'localhost';
CREATE DATABASE IF NOT EXISTS test;
"""
IN_USE = """
CREATE TABLE test.precious (id INT);
CREATE USER 'root'@'10.%' IDENTIFIED BY 'root';
"""
LEFT = """
SELECT CONCAT(user, '@', host) FROM mysql.user WHERE user IN ('', 'root') ORDER BY 1;
SELECT CONCAT(table_schema, '.', table_name) FROM information_schema.tables WHERE table_schema = 'test';
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
        play = {"hosts": client, "become": True, "gather_facts": False, "roles": ["dbops.rds_iam.db_client"]}
        (tmp_path / "play.yml").write_text(json.dumps([{**play, "vars": variables}]))
        return lab.playbook(str(tmp_path / "play.yml"), *arguments)

    return run


def sentence(run):
    """Return the message of the role that fails."""
    assert run.status != 0, run.output
    message = run.failures[0]
    assert "\n" not in message and message.endswith(".")
    return message


def root(lab, client, command, **options):
    process = lab.ssh(client, f"sudo sh -c {lab.quote(command)}", **options)
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout


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
    root(lab, client, "cat > /tmp/roots.pem && chmod 644 /tmp/roots.pem", input=Path(lab.info["ca_file"]).read_text())
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


REMOVE_LIBRARIES = f"dpkg --purge --force-depends python3-pymysql python3-botocore 2> /dev/null; rm -rf {VENV}"


def test_an_environment_where_the_user_wants_no_packages(lab, role):
    """The packages that it needs of Debian's own Python are installed too."""
    client = FAMILIES["debian"]
    good(role(client))
    own = {"db_client_python_packages": []}
    assert good(role(client, **own)) == 0, "the libraries are there"
    root(lab, client, f"{REMOVE_LIBRARIES}; dpkg --purge --force-depends python3-venv python3.11-venv 2> /dev/null")
    try:
        assert good(role(client, "--check", **own)) > 0
        assert lab.ssh(client, f"ls {VENV}").returncode != 0
        assert good(role(client, **own)) > 0
        assert good(role(client, **own)) == 0
        root(lab, client, f"{VENV}/bin/python3 -c 'import botocore, pymysql'")
    finally:
        root(lab, client, f"rm -rf {VENV}")
        good(role(client))


def test_a_python_that_the_packages_do_not_reach(lab, role):
    """One of a virtual environment, as applications have it: it gets the libraries, and so does rds-mysql."""
    client, orders = FAMILIES["debian"], lab.databases["orders"]
    good(role(client))
    root(lab, client, "apt-get install -qy python3-venv && python3 -m venv /opt/app")
    python = {"ansible_python_interpreter": "/opt/app/bin/python3"}
    login = {"endpoint": orders["endpoint"], "user": "app", "ca_file": "/nowhere.pem"}
    variables = ("-e", json.dumps(python))
    try:
        before = lab.module(client, "dbops.rds_iam.rds_iam_ping", {"logins": [login]}, *variables).output
        assert "PyMySQL is not installed for /opt/app/bin/python3" in before
        assert good(role(client, "--check", **python)) > 0
        assert good(role(client, **python)) > 0
        assert good(role(client, **python)) == 0
        after = lab.module(client, "dbops.rds_iam.rds_iam_ping", {"logins": [login]}, *variables).output
        assert "not installed" not in after and "/nowhere.pem does not exist" in after
        # The Python of the host has not lost its own, and where it has none, rds-mysql takes those of the other one.
        assert good(role(client)) == 0
        root(lab, client, REMOVE_LIBRARIES.partition(";")[0])
        assert good(role(client, **python)) == 0
    finally:
        root(lab, client, "rm -rf /opt/app /opt/dbops-rds-iam")
        good(role(client))


def test_an_environment_of_another_version_of_python_is_made_again(lab, role):
    """As after a new Python has come with an upgrade, or is found first from now on."""
    client = FAMILIES["amazon"]
    good(role(client))
    root(lab, client, f"mv {VENV}/lib/python3.* {VENV}/lib/python3.9")
    assert good(role(client)) > 0
    assert good(role(client)) == 0
    root(lab, client, f"python3 -c 'import sys; sys.path[:0] = sys.argv[1:]; import botocore, pymysql' {PACKAGES}")


def test_no_index_is_said(lab, role):
    client = FAMILIES["amazon"]
    good(role(client))
    root(lab, client, f"rm -r {PACKAGES}/pymysql; mv /etc/pip.conf /etc/pip.away")
    try:
        said = sentence(role(client))
        root(lab, client, f"{VENV}/bin/python3 -c 'import botocore'")
        assert root(lab, client, "ls /opt").split() == ["dbops-rds-iam"]
    finally:
        root(lab, client, "mv /etc/pip.away /etc/pip.conf")
    assert "could not be installed" in said and "botocore" in said and "db_client_python_packages" in said
    assert good(role(client)) > 0


def test_a_dry_run_installs_nothing_where_pip_finds_it_on_the_disk(lab, role):
    client = FAMILIES["amazon"]
    good(role(client))
    root(lab, client, "python3 -m venv /root/v && /root/v/bin/pip -q download -d /root/wheels botocore PyMySQL")
    root(lab, client, f"rm -rf {PACKAGES}/pymysql* {PACKAGES}/PyMySQL*; cp /etc/pip.conf /etc/pip.away")
    root(lab, client, "printf '[global]\\nno-index = true\\nfind-links = /root/wheels\\n' > /etc/pip.conf")
    try:
        before = root(lab, client, f"find {VENV} | sort")
        assert good(role(client, "--check")) > 0
        assert root(lab, client, f"find {VENV} | sort") == before
        assert good(role(client)) > 0
    finally:
        root(lab, client, "mv /etc/pip.away /etc/pip.conf; rm -r /root/wheels /root/v")


@pytest.mark.parametrize(
    ("release", "variables", "words"),
    [
        ("ID=amzn\nVERSION_ID=2", {}, ["Amazon Linux 2 on client2 has no Python", "move it to Amazon Linux 2023"]),
        (
            "ID=beos\nVERSION_ID=5",
            {"db_client_packages": ["bemysql"], "db_client_server": True},
            ["The server for beos 5 on client2 is not known", "db_client_server_packages"],
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


def test_a_client_for_which_no_packages_are_known_is_said(lab, role):
    client = FAMILIES["amazon"]
    good(role(client))
    root(lab, client, "mv /etc/os-release /etc/os-release.away; echo ID=beos > /etc/os-release")
    assert good(role(client)) == 0, "nothing is missing"
    root(lab, client, "mkdir /root/away; mv /usr/bin/mariadb /usr/bin/mysql /root/away")
    try:
        said = sentence(role(client))
    finally:
        root(lab, client, "mv /root/away/* /usr/bin; rmdir /root/away; mv /etc/os-release.away /etc/os-release")
    assert said.startswith("There is no mysql or mariadb client on client2, and dbops.rds_iam.db_client does not know")
    assert "set db_client_packages" in said and "db_client_python_packages" in said


@pytest.mark.parametrize("family", FAMILIES)
def test_server(lab, role, family):
    kind, client = HOSTS[family]
    kind(lab, client).restore()
    missing = role(client, db_client_server=True, db_client_server_packages=["no-such-server"])
    assert missing.status != 0 and "no-such-server" in missing.output
    assert good(role(client, "--check", db_client_server=True)) > 0
    assert good(role(client, db_client_server=True)) > 0
    assert good(role(client, db_client_server=True)) == 0
    missing = role(client, db_client_server=True, db_client_server_service="no-such-service")
    assert missing.status != 0 and "no-such-service" in missing.output
    secure = root(lab, client, "mariadb -N", input=LEFT)
    assert secure.split() == ["root@localhost"]
    root(lab, client, "mariadb", input=INSECURE)
    root(lab, client, "service mariadb stop")
    assert good(role(client, db_client_server=True)) > 0
    assert root(lab, client, "mariadb -N", input=LEFT) == secure
    assert root(lab, client, "ls /etc/rc2.d/S*mariadb"), "starts at boot"
    assert good(role(client, db_client_server=True)) == 0
    assert good(role(client, "--check", db_client_server=True)) == 0
    root(lab, client, "mariadb", input=INSECURE + IN_USE)
    before = root(lab, client, "mariadb -N", input=LEFT)
    assert "test.precious" in before and "root@10.%" in before
    for arguments in ([], ["--check"]):
        run = role(client, *arguments, db_client_server=True)
        assert good(run) == 0
        stays = ["the account ''@'localhost'", "the account 'root'@'10.%'", "the database test, which holds 1 tables"]
        assert f"would remove {', '.join(stays)}" in run.output
    assert root(lab, client, "mariadb -N", input=LEFT) == before
    root(lab, client, "mariadb", input="DROP DATABASE test; DROP USER ''@localhost, root@'10.%'")
    root(lab, client, "printf '[client]\nsocket=/nowhere\n' > /root/.my.cnf")
    said = sentence(role(client, db_client_server=True))
    root(lab, client, "rm /root/.my.cnf")
    assert said.startswith(f"The local server of {client} could not be checked as its root")
    root(lab, client, "service mariadb stop")
    good(role(client))
