# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.dbops.rds_iam.plugins.module_utils import _db_user as db_user
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError
from hypothesis import given
from hypothesis import strategies as st

PART = st.one_of(st.just("*"), st.text(min_size=1).filter(lambda text: text != "*"))
CREATE = "CREATE USER 'app'@'%' IDENTIFIED WITH AWSAuthenticationPlugin AS 'RDS' REQUIRE SSL"


def want(**user):
    return db_user.wanted([{"name": "app", **user}])[0]


def account(**changes):
    return db_user.with_privileges(db_user.Account("app", "%", **changes), {})


def test_new_account():
    on_table = ["select (b, a)", "grant option"]
    item = want(privileges={"app.*": ["select", "INSERT"], "*.*": ["process"], "app.t": on_table})
    assert db_user.plan(item, None) == [
        CREATE,
        "GRANT PROCESS ON *.* TO 'app'@'%'",
        "GRANT INSERT, SELECT ON `app`.* TO 'app'@'%'",
        "GRANT SELECT (`a`, `b`) ON `app`.`t` TO 'app'@'%' WITH GRANT OPTION",
    ]


@pytest.mark.parametrize(
    ("existing", "user", "statements"),
    [
        (account(), {}, []),
        (account(tls=""), {}, ["ALTER USER 'app'@'%' REQUIRE SSL"]),
        (account(tls="X509"), {}, []),
        (account(tls="SPECIFIED"), {"require_ssl": True}, []),
        (account(), {"require_ssl": False}, ["ALTER USER 'app'@'%' REQUIRE NONE"]),
        (account(locked=True), {}, ["ALTER USER 'app'@'%' ACCOUNT UNLOCK"]),
        (account(auth_string="rds"), {}, [CREATE.replace("CREATE", "ALTER")]),
        (account(plugin="mysql_native_password"), {"convert": True}, [CREATE.replace("CREATE", "ALTER")]),
        (account(), {"state": "absent"}, ["DROP USER 'app'@'%'"]),
        (None, {"state": "absent"}, []),
    ],
)
def test_an_existing_account_is_repaired(existing, user, statements):
    assert db_user.plan(want(**user), existing) == statements


def test_privileges_are_exactly_the_given_ones():
    held = {("app", "*"): frozenset({"SELECT", "DROP"}), ("old", "*"): frozenset({"SELECT"})}
    existing = db_user.with_privileges(account(), held)
    assert db_user.plan(want(privileges={"app.*": ["SELECT", "INSERT"]}), existing) == [
        "REVOKE DROP ON `app`.* FROM 'app'@'%'",
        "GRANT INSERT ON `app`.* TO 'app'@'%'",
        "REVOKE SELECT ON `old`.* FROM 'app'@'%'",
    ]
    assert db_user.plan(want(), existing) == [], "without the option they are left as they are"


def test_all_is_what_the_server_means_by_it():
    mysql = {"Select", "Insert", "Update", "Trigger", "Event", "Process"}
    [item] = db_user.on_server([want(privileges={"a.*": ["ALL"], "a.t": ["all privileges"]})], mysql)
    assert item.account.privileges["a", "*"] == {"SELECT", "INSERT", "UPDATE", "TRIGGER", "EVENT"}
    assert item.account.privileges["a", "t"] == {"SELECT", "INSERT", "UPDATE", "TRIGGER"}


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


def test_an_account_is_given_once():
    with pytest.raises(RdsIamError, match="given twice"):
        db_user.wanted([{"name": "app"}, {"name": "app", "host": "%"}])


def test_unknown_privilege_is_refused():
    with pytest.raises(RdsIamError, match="no privilege SELEKT"):
        db_user.on_server([want(privileges={"app.*": ["SELEKT"]})], {"Select"})


@pytest.mark.parametrize(
    ("user", "existing", "word"),
    [
        ({}, account(plugin="mysql_native_password"), "set convert"),
        ({"state": "absent"}, account(plugin="mysql_native_password"), "is not dropped"),
    ],
)
def test_an_account_with_a_password_is_left_alone(user, existing, word):
    with pytest.raises(RdsIamError, match=word):
        db_user.check_conflicts([want(**user)], {("app", "%"): existing}, "admin")


def test_the_login_itself_is_not_touched():
    with pytest.raises(RdsIamError, match="not touched"):
        db_user.check_conflicts([want()], {}, "app")


@given(PART, PART)
def test_any_name_survives_the_way_into_sql(database, table):
    if database == "*":
        table = "*"
    written = ".".join(part if part == "*" else db_user.quote_name(part) for part in (database, table))
    assert db_user.parse_level(written) == (database, table)
