# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which packages the module asks for, on hosts that differ in what they have. A table stands in for its commands."""

from __future__ import annotations

import json
import sys

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.testing import patch_module_args
from ansible_collections.dbops.rds_iam.plugins.module_utils._client import installation, libraries
from ansible_collections.dbops.rds_iam.plugins.modules import rds_iam_client

BOTH = {"botocore.session": ["/usr/lib/x.py", []], "pymysql": ["/usr/lib/pymysql/__init__.py", [1, 0, 2, "final"]]}
OLD = {**BOTH, "pymysql": ["/usr/lib/pymysql/__init__.py", [0, 9, 3, ""]]}
OPTIONS = {
    "client": "app1",
    "client_packages": ["mysql-client"],
    "library_packages": ["python3-pymysql", "python3-botocore"],
    "server_packages": [],
    "program_python": sys.executable,
}


class Host:
    """What is on the host, and the commands that it was given."""

    def __init__(self, place, monkeypatch):
        self.place, self.installed, self.commands = place, set(), []
        # What the libraries are for each Python, from now on and after packages or the virtual environment have come.
        self.libraries, self.after_packages, self.after_venv = BOTH, BOTH, BOTH
        self.plan = ""
        monkeypatch.setenv("PATH", str(place))
        monkeypatch.setattr(installation, "_SERVER_PATH", str(place))
        monkeypatch.setattr(AnsibleModule, "run_command", lambda module, command, **options: self.run(command))
        monkeypatch.setattr(libraries, "_VENV_PYTHON", str(place / "python-of-venv"))
        monkeypatch.setattr(libraries, "make_venv", self.make_venv)
        monkeypatch.setattr(libraries, "is_of_the_system", lambda: True)
        monkeypatch.setattr(libraries, "venv_packages", list)
        for name in ("apt-get", "dpkg-query"):
            self.have(name)

    def have(self, *names):
        for name in names:
            (self.place / name).write_text("#!/bin/sh\n")
            (self.place / name).chmod(0o755)

    def make_venv(self, run, client):
        self.libraries = self.after_venv
        self.have("python-of-venv")

    def run(self, command):
        self.commands.append(" ".join(command))
        if command[0] == "dpkg-query":
            return 0, "".join(f"installed {name}\n" for name in self.installed), ""
        if command[0] == "apt-get" and "install" in command:
            names = command[command.index("--") + 1 :]
            if "-s" in command:
                return 0, self.plan or "".join(f"Inst {name} (1 lab [all])\n" for name in names), ""
            self.installed |= set(names)
            self.libraries = self.after_packages
            self.have(*(program for package, program in PROGRAMS.items() if package in names))
        elif "-c" in command:
            return 0, json.dumps(self.libraries), ""
        return 0, "", ""


PROGRAMS = {"mysql-client": "mysql", "mysql-server": "mysqld"}


@pytest.fixture
def host(tmp_path, monkeypatch):
    return Host(tmp_path, monkeypatch)


@pytest.fixture
def run(capsys):
    def run(check=False, **options):
        settings = {"_ansible_check_mode": check, "_ansible_remote_tmp": "/tmp"}
        with patch_module_args({**OPTIONS, **options, **settings}), pytest.raises(SystemExit):
            rds_iam_client.main()
        return json.loads(capsys.readouterr().out)

    return run


@pytest.mark.parametrize("client", ["mysql", "mariadb"])
def test_nothing_is_asked_of_the_package_manager_where_all_is_there(host, run, client):
    host.have(client)
    result = run()
    assert not result["changed"] and result["client_program"] == str(host.place / client)
    assert (result["installed"], result["virtual_environment"], result["server"]) == ([], "", "none")
    assert len(host.commands) == 1, "one probe of the libraries"


@pytest.mark.parametrize("check", [True, False])
def test_what_is_missing_is_installed(host, run, check):
    host.libraries = {}
    result = run(check)
    assert result["changed"] and result["installed"] == ["mysql-client", "python3-botocore", "python3-pymysql"]
    assert "mysql-client" in result["diff"]["after"] and result["virtual_environment"] == ""
    assert bool(host.installed) == (not check)


def test_only_what_is_missing_is_installed(host, run):
    host.have("mariadb")
    host.libraries = {"botocore.session": BOTH["botocore.session"]}
    host.installed = {"python3-botocore"}
    assert run()["installed"] == ["python3-pymysql"]


@pytest.mark.parametrize("check", [True, False])
def test_a_python_that_packages_do_not_reach_gets_an_environment(host, run, monkeypatch, check):
    host.have("mariadb")
    host.libraries = {}
    monkeypatch.setattr(libraries, "is_of_the_system", lambda: False)
    result = run(check)
    assert result["changed"] and result["installed"] == [] and result["virtual_environment"] == "/opt/dbops-rds-iam"


def test_packages_that_do_not_bring_the_libraries_are_followed_by_an_environment(host, run):
    host.have("mariadb")
    host.libraries = host.after_packages = {}
    result = run()
    assert "python3-pymysql" in result["installed"] and result["virtual_environment"] == "/opt/dbops-rds-iam"


def test_libraries_that_stay_missing_are_an_error(host, run):
    host.have("mariadb")
    host.libraries = host.after_packages = host.after_venv = {}
    assert "cannot be imported, although they are installed" in run()["msg"]


def test_a_driver_that_is_too_old_and_comes_first_is_named(host, run):
    host.have("mariadb")
    host.libraries = OLD
    assert run()["msg"].startswith("PyMySQL 0.9.3 in /usr/lib/pymysql on app1 is too old, and comes before any other")
    assert len(host.commands) == 1


def test_the_python_of_rds_mysql_is_asked_too(host, run):
    host.have("mariadb", "python-of-rds-mysql")
    python = str(host.place / "python-of-rds-mysql")
    assert not run(program_python=python)["changed"]
    assert host.commands[-1].startswith(f"{python} -s -c ") and host.commands[-1].endswith("botocore.session")
    assert run(program_python="/nowhere/python3")["virtual_environment"], "whose Python it goes on with"
    assert not run(program_python="/nowhere/python3")["changed"]


def test_packages_that_bring_no_client_are_an_error(host, run):
    assert "although no-client is installed" in run(client_packages=["no-client"])["msg"]


@pytest.mark.parametrize("check", [True, False])
def test_a_host_for_which_no_packages_are_known(host, run, check):
    assert "There is no mysql or mariadb client on app1" in run(check, client_packages=[])["msg"]
    host.have("mysql")
    assert not run(check, client_packages=[])["changed"]


def test_another_package_manager_is_not_guessed(host, run):
    (host.place / "apt-get").unlink()
    assert "app1, which has neither apt nor dnf" in run()["msg"]
    host.have("mysql")
    assert not run()["changed"]


@pytest.mark.parametrize("check", [True, False])
def test_a_server_is_installed_where_there_is_none(host, run, check):
    host.have("mysql")
    result = run(check, server_packages=["mysql-server"])
    assert result["installed"] == ["mysql-server"] and result["server"] == ("none" if check else "packages")
    if not check:
        again = run(server_packages=["mysql-server"])
        assert not again["changed"] and again["server"] == "packages"


def test_a_server_of_others_is_left_alone(host, run):
    host.have("mysql", "mysqld")
    result = run(server_packages=["mysql-server"])
    assert not result["changed"] and result["server"] == "others"


def test_harm_is_refused(host, run):
    host.plan = "Remv mariadb-server [1:10]\nInst mysql-client (8 lab [all])\n"
    assert run()["msg"].startswith("Installing mysql-client on app1 would remove mariadb-server, which")
    assert host.installed == set()
