# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.dbops.rds_iam.plugins.module_utils._client import packages
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError

SERVERS = [
    *("mysql-server-8.0", "mysql-community-server-core", "MariaDB-server", "mariadb105-server", "mysql8.4-server"),
    *("percona-server-server", "Percona-XtraDB-Cluster-server-57", "mariadb-server-core-10.6"),
]
WANTED = {"client": ["mysql-client"], "libraries": ["python3-pymysql"]}
GOOD = packages.Plan(["mysql-client", "mysql-common"])


class Manager:
    """Has these plans, one after the other, and these outcomes of its installations."""

    def __init__(self, *plans, errors=(), is_refreshed=False):
        self.plans, self.errors, self.is_refreshed = list(plans), list(errors), is_refreshed
        self.done = []

    def find_missing(self, names):
        return [name for name in names if name != "python3-pymysql"]

    def plan(self, names):
        self.done.append(f"plan {' '.join(names)}")
        return self.plans.pop(0)

    def install(self, names):
        self.done.append(f"install {' '.join(names)}")
        return self.errors.pop(0) if self.errors else ""

    def refresh(self):
        self.done.append("refresh")
        self.is_refreshed = True


def refused(manager, check_mode=False):
    with pytest.raises(RdsIamError) as caught:
        packages.install(manager, WANTED, "app1", check_mode)
    return str(caught.value)


@pytest.mark.parametrize("check_mode", [True, False])
def test_what_is_missing_is_installed(check_mode):
    manager = Manager(GOOD)
    assert packages.install(manager, WANTED, "app1", check_mode) == ["mysql-client", "mysql-common"]
    assert manager.done == ["plan mysql-client", *([] if check_mode else ["install mysql-client"])]


def test_nothing_is_planned_where_nothing_is_missing():
    manager = Manager()
    assert packages.install(manager, {"libraries": ["python3-pymysql"]}, "app1", False) == []
    assert manager.done == []


@pytest.mark.parametrize("check_mode", [True, False])
def test_harm_is_refused_before_anything_is_done(check_mode):
    manager = Manager(packages.Plan(["mysql-client"], {"remove": ["a", "b"], "downgrade": ["c"]}))
    assert refused(manager, check_mode) == (
        "Installing mysql-client on app1 would remove a, b and downgrade c, which dbops.rds_iam does not do, so nothing"
        " was installed; install the mysql or mariadb client that goes with the packages on this host, which is then"
        " used as it is, or set db_client_packages to one that does."
    )
    assert manager.done == ["plan mysql-client"]


def test_a_failure_is_tried_again_with_new_lists():
    manager = Manager(GOOD, GOOD, errors=["404"])
    assert packages.install(manager, WANTED, "app1", False) == GOOD.new
    once = ["plan mysql-client", "install mysql-client"]
    assert manager.done == [*once, "refresh", *once]


def test_harm_that_new_lists_bring_is_refused():
    manager = Manager(GOOD, packages.Plan(["mysql-client"], {"remove": ["a"]}), errors=["404"])
    assert "would remove a" in refused(manager)
    assert manager.done[-1] == "plan mysql-client"


def test_a_failure_after_the_package_is_there_stays_one():
    manager = Manager(GOOD, packages.Plan(), errors=["dpkg fails with x", "dpkg fails with x"])
    assert "mysql-client could not be installed on app1: dpkg fails with x; " in refused(manager)


@pytest.mark.parametrize("name", SERVERS)
def test_database_servers_are_known(name):
    others = ["mysql-common", "libmysqlclient21", "mariadb-client", "libc6"]
    names = {"upgrade": [name, *others], "install": ["mysql-server"]}
    assert packages.find_harm(names) == {"upgrade the database server": [name]}
