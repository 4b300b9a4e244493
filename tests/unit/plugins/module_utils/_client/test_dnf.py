# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What dnf 4.14 prints with --assumeno, and a table in the form of dnf 5, which no host of the lab has."""

from __future__ import annotations

import pytest
from ansible_collections.dbops.rds_iam.plugins.module_utils._client import dnf

LINE = "=" * 80
REPLACES = f"""\
Last metadata expiration check: 0:00:01 ago on Sat Nov 28 21:30:09 2026.
Dependencies resolved.
{LINE}
 Package            Architecture   Version            Repository           Size
{LINE}
Installing:
 mariadb105         x86_64         10.11.19-1         amazonlinux          18 M
 obsoleting         noarch         2-1                t                   5.5 k
     replacing  vendor-client.noarch 1-1
Upgrading:
 a-package-with-a-very-long-name-that-does-not-fit-into-its-column
                    noarch         2-1                t                   5.4 k
 mysql-community-server
                    x86_64         8.0.37-1           mysql                50 M
Downgrading:
 lib                noarch         1-1                t                   5.4 k
Installing dependencies:
 mariadb105-common  noarch         10.11.19-1         amazonlinux         1.0 k
Removing dependent packages:
 postfix-mysql      x86_64         3.7-1              @System             1.0 k

Transaction Summary
{LINE}
Install    3 Packages
Upgrade    1 Package
"""
DNF5 = """\
Package             Arch   Version      Repository      Size
Installing:
 obsoleting         noarch 2-1          t            5.5 KiB
   replacing vendor-client noarch 1-1 @System        1.0 KiB
Upgrading:
 lib                noarch 2-1          t            5.4 KiB
   replacing lib    noarch 1-1          @System      5.4 KiB

Transaction Summary:
 Installing:         1 package
 Upgrading:          1 package
"""
PROTECTED = """\
Error:
 Problem: The operation would result in removing the following protected packages: vendor-client, vendor-server
(try to add '--skip-broken' to skip uninstallable packages)
"""
CONFLICT = """\
Error:
 Problem: problem with installed package vendor-client-1-1.noarch
  - package vendor-client-1-1.noarch conflicts with mariadb105 provided by mariadb105-10.11.19-1.x86_64
  - conflicting requests
(try to add '--allowerasing' to command line to replace conflicting packages or '--skip-broken' to skip uninstallable)
"""


def test_what_is_harm():
    plan = dnf.parse(REPLACES, "Operation aborted.\n", True)
    assert plan.new == ["mariadb105", "mariadb105-common", "obsoleting"] and plan.error == ""
    assert plan.harm == {
        "remove": ["postfix-mysql", "vendor-client"],
        "downgrade": ["lib"],
        "upgrade the database server": ["mysql-community-server"],
    }


def test_a_package_that_replaces_itself_is_no_harm():
    plan = dnf.parse(DNF5, "Operation aborted by the user.\n", True)
    assert (plan.new, plan.harm, plan.error) == (["obsoleting"], {"remove": ["vendor-client"]}, "")


def test_protected_packages_are_named():
    plan = dnf.parse("", PROTECTED, True)
    assert plan.harm == {"remove": ["vendor-client", "vendor-server"]} and plan.error == ""


@pytest.mark.parametrize(
    ("output", "errors", "words"),
    [
        ("", CONFLICT, "vendor-client-1-1.noarch conflicts with mariadb105 provided by mariadb105-10.11.19-1.x86_64"),
        ("No match for argument: x\n", "Error: Unable to find a match: x\n", "Unable to find a match: x"),
        ("", "Error: Cannot download repomd.xml: https://u:s3cret@mirror/repodata\n", "https://mirror/repodata"),
        ("nothing of an error\n", "", "nothing of an error"),
    ],
)
def test_why_it_failed(output, errors, words):
    plan = dnf.parse(output, errors, True)
    assert plan.harm == {} and words in plan.error
    assert "allowerasing" not in plan.error and "s3cret" not in plan.error and "\n" not in plan.error


def test_nothing_to_do():
    assert dnf.parse("Nothing to do.\nComplete!\n", "", False) == dnf.packages.Plan()


def test_all_that_is_installed_is_protected_and_metadata_are_read_anew_once():
    commands = []

    def run(command, environment):
        assert environment["LC_ALL"] == "C"
        commands.append(command)
        if command[0] == "rpm":
            return 0, "bash,vendor-client,bash,", ""
        return 1, "", "Error: Unable to find a match: x\n"

    manager = dnf.Dnf(run)
    assert manager.plan(["x"]).error == "Unable to find a match: x"
    manager.install(["x"])
    installs = [command for command in commands if command[0] == "dnf"]
    assert ["--refresh" in command for command in installs] == [False, True, True]
    assert ["--assumeno" in command for command in installs] == [True, True, False]
    protected = "--setopt=protected_packages=bash,vendor-client,bash"
    assert all(protected in command and command[-3:] == ["install", "--", "x"] for command in installs)
    assert not any("allowerasing" in word or "skip-broken" in word for command in installs for word in command)


def test_what_something_provides_is_not_missing():
    manager = dnf.Dnf(lambda command, environment: (0 if command[-1] == "mysql" else 1, "", ""))
    assert manager.find_missing(["mysql", "mysql-server"]) == ["mysql-server"]
