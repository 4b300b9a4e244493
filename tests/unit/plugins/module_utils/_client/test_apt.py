# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What apt-get 2.6 prints."""

from __future__ import annotations

import pytest
from ansible_collections.dbops.rds_iam.plugins.module_utils._client import apt

REMOVAL = """\
Reading package lists...
Building dependency tree...
Reading state information...
The following additional packages will be installed:
  libdbi-perl mariadb-client mariadb-client-core mariadb-common mysql-common
Suggested packages:
  libclone-perl libmldbm-perl libnet-daemon-perl libsql-statement-perl
The following packages will be REMOVED:
  mysql-client-8.0 mysql-client-core-8.0* mysql-server-8.0
  mysql-server-core-8.0
The following NEW packages will be installed:
  libdbi-perl mariadb-client mariadb-client-core mariadb-common
0 upgraded, 4 newly installed, 4 to remove and 0 not upgraded.
Remv mysql-server-8.0 [8.0.36]
Inst libdbi-perl (1.643-4+deb12u3 lab [amd64])
Inst mariadb-client:amd64 (1:10.11.19-0+deb12u1 lab [amd64])
Conf libdbi-perl (1.643-4+deb12u3 lab [amd64])
"""
GONE = ["mysql-client-8.0", "mysql-client-core-8.0", "mysql-server-8.0", "mysql-server-core-8.0"]
UNMET = """\
Some packages could not be installed. This may mean that you have
requested an impossible situation or if you are using the unstable
distribution that some required packages have not yet been created
or been moved out of Incoming.
The following information may help to resolve the situation:

The following packages have unmet dependencies:
 mariadb-client : Conflicts: virtual-mysql-client
                  Recommends: libdbd-mariadb-perl but it is not installable or
                              libdbd-mysql-perl but it is not installable
 mysql-community-server : Conflicts: virtual-mysql-client
"""
HELD_BROKEN = "E: Error, pkgProblemResolver::Resolve generated breaks, this may be caused by held packages.\n"
CHANGES = """\
The following held packages will be changed:
  mysql-common
The following NEW packages will be installed:
  python3-pymysql
The following packages will be upgraded:
  libc6 mariadb-server-core-10.6 mysql-common
The following packages will be DOWNGRADED:
  libmariadb3
Inst libc6 [2.36-9] (2.36-9+deb12u1 lab [amd64])
Inst python3-pymysql (1.0.2-2 lab [all])
Conf python3-pymysql (1.0.2-2 lab [all])
Conf libc6 (2.36-9+deb12u1 lab [amd64])
Conf mysql-server (8.0 lab [amd64])
"""


def test_what_is_removed_is_harm():
    plan = apt.parse(REMOVAL, "", False)
    assert plan.harm == {"remove": GONE} and plan.error == ""
    assert {"libdbi-perl", "mariadb-client-core"} <= set(plan.new)
    assert apt.parse(REMOVAL, "E: Packages need to be removed but remove is disabled.\n", True) == plan


def test_other_changes_are_told_apart():
    plan = apt.parse(CHANGES, "E: Held packages were changed and -y was used without --allow-change.\n", True)
    assert plan.new == ["python3-pymysql"]
    assert plan.harm == {
        "downgrade": ["libmariadb3"],
        "change what is on hold,": ["mysql-common"],
        "finish (dpkg --configure -a) what is half installed,": ["mysql-server"],
        "upgrade the database server": ["mariadb-server-core-10.6"],
    }


def test_what_does_not_go_together_is_named():
    plan = apt.parse(UNMET, HELD_BROKEN, True)
    assert plan.new == [] and plan.harm == {}
    assert plan.error == (
        "mariadb-client : Conflicts: virtual-mysql-client; mysql-community-server : Conflicts: virtual-mysql-client;"
        " Error, pkgProblemResolver::Resolve generated breaks, this may be caused by held packages"
    )


@pytest.mark.parametrize(
    ("output", "errors", "words"),
    [
        ("", "E: Unable to locate package nosuch\n", "Unable to locate package nosuch"),
        (
            "",
            "W: a warning\nE: Failed to fetch http://reader:s3cret@mirror/x.deb  404\n",
            "fetch http://mirror/x.deb 404",
        ),
        (
            "",
            "Errors were encountered while processing:\n vendor-broken\nE: Sub-process\n",
            "dpkg fails with vendor-broken",
        ),
        ("", "apt-get: not a line of an error\n", "apt-get: not a line of an error"),
        ("", "", "apt-get failed"),
    ],
)
def test_why_it_failed(output, errors, words):
    said = apt.explain_failure(output, errors)
    assert words in said and "s3cret" not in said and "\n" not in said


class Run:
    """Answers commands from a table, by a word in them, and remembers them."""

    def __init__(self, **answers):
        self.answers, self.commands = answers, []

    def __call__(self, command, environment):
        assert environment["LC_ALL"] == "C"
        self.commands.append(" ".join(command))
        word = next(word for word in self.answers if word in command or word in " ".join(command))
        answer = self.answers[word]
        return answer.pop(0) if isinstance(answer, list) else answer


def test_only_what_is_not_installed_is_missing():
    shown = "installed python3-pymysql\nconfig-files mysql-client\ninstalled libmariadb3:amd64\nhalf-configured x\n"
    manager = apt.Apt(Run(**{"dpkg-query": (1, shown, "dpkg-query: no packages found matching y\n")}), False)
    names = ["python3-pymysql", "mysql-client", "libmariadb3", "x", "y"]
    assert manager.find_missing(names) == ["mysql-client", "x", "y"]
    assert manager.find_missing([]) == []


@pytest.mark.parametrize("check_mode", [True, False])
def test_the_lists_are_read_anew_once(monkeypatch, check_mode):
    monkeypatch.setattr(apt, "_lists_are_fresh", lambda: True)
    failed, done = (100, "", "E: Unable to locate package x\n"), (0, CHANGES, "")
    run = Run(
        update=[(100, "", "E: Could not get lock /var/lib/apt/lists/lock\n"), (0, "", "")], install=[failed, done]
    )
    monkeypatch.setattr(apt.time, "sleep", lambda seconds: None)
    manager = apt.Apt(run, check_mode)
    assert manager.plan(["x"]).new == ["python3-pymysql"]
    kinds = ["update" if command.endswith(" update") else "-s" for command in run.commands]
    assert kinds == ["-s", "update", "update", "-s"]
    assert all(("-c /" in command) == check_mode for command in run.commands[1:])
    assert all("APT::Get::AutomaticRemove=false" in command for command in run.commands)


def test_old_lists_are_read_anew_first(monkeypatch):
    monkeypatch.setattr(apt, "_lists_are_fresh", lambda: False)
    run = Run(update=(0, "", ""), install=(100, "", "E: no\n"))
    assert apt.Apt(run, False).plan(["x"]).error == "no"
    assert [command.endswith(" update") for command in run.commands] == [True, False]


def test_removal_is_forbidden_in_earnest_too():
    run = Run(install=(0, "", ""))
    assert apt.Apt(run, False).install(["x", "-y"]) == ""
    [command] = run.commands
    assert "--no-remove" in command and command.endswith(" install -- x -y")
