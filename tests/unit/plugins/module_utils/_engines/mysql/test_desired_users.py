# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The database users that a task asks for."""

from __future__ import annotations

import pytest
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql import desired_users
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.login_privileges import LoginPrivileges
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.privileges import Dialect
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError

PLACE = "orders.cabcdefghijk.eu-west-1.rds.amazonaws.com"
ALL_THERE_IS = LoginPrivileges(complete=False)


def want(**user):
    return desired_users.parse_users([{"name": "app", **user}])[0]


def dialect(*privileges):
    return Dialect(frozenset(privileges), ALL_THERE_IS.may_grant, lower_case=False)


def test_all_is_what_the_server_means_by_it():
    mysql = dialect("Select", "Insert", "Update", "Trigger", "Event", "Process")
    [item], problems = desired_users.resolve_privileges(
        [want(privileges={"a.*": ["ALL"], "a.t": ["all privileges"]})], mysql, PLACE
    )
    assert problems == []
    assert item.user.privileges["a", ""] == {"SELECT", "INSERT", "UPDATE", "TRIGGER", "EVENT"}
    assert item.user.privileges["a", "t"] == {"SELECT", "INSERT", "UPDATE", "TRIGGER"}


@pytest.mark.parametrize(
    ("user", "word"),
    [
        ({"name": "x" * 33}, "33 characters"),
        ({"name": "rdsadmin"}, "does not touch"),
        ({"name": "mysql.sys"}, "does not touch"),
        ({"privileges": {"app": ["SELECT"]}}, "not a level"),
        ({"privileges": {"*.t": ["SELECT"]}}, "not a level"),
        ({"privileges": {"app.*": "SELECT"}}, "must be a list"),
        ({"privileges": {"app.*": []}}, "must be a list"),
        ({"privileges": {"app.*": ["SELECT; DROP"]}}, "not a privilege"),
        ({"privileges": {"app.*": ["SELECT (a)"]}}, "need a table"),
        ({"privileges": {"app.t": ["DROP (a)"]}}, "cannot be granted on columns"),
        ({"privileges": {"*.*": ["ALL"]}}, "cannot be granted on RDS"),
    ],
)
def test_bad_input_is_refused_offline(user, word):
    with pytest.raises(RdsIamError, match=word):
        want(**user)


def test_a_name_that_looks_like_one_of_rds_is_anybody_s():
    assert want(name="rds_app").user.name == "rds_app"
    assert desired_users.is_system("rds_superuser_role") and desired_users.is_system("rdsrepladmin_priv_checks_user")


def test_an_account_is_given_once():
    with pytest.raises(RdsIamError, match="given twice"):
        desired_users.parse_users([{"name": "app"}, {"name": "app", "host": "%"}])


def test_unknown_privilege_is_refused():
    _items, [problem] = desired_users.resolve_privileges(
        [want(privileges={"app.*": ["SELEKT"]})], dialect("Select"), PLACE
    )
    assert problem.clause == f"{PLACE} has no privilege SELEKT that can be granted on app.* (asked for 'app'@'%')"
