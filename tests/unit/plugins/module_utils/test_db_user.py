# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.dbops.rds_iam.plugins.module_utils import _db_user as db_user
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError
from ansible_collections.dbops.rds_iam.plugins.module_utils._privileges import Dialect

PLACE = "orders.cabcdefghijk.eu-west-1.rds.amazonaws.com"
CREATE = "CREATE USER 'app'@'%' IDENTIFIED WITH AWSAuthenticationPlugin AS 'RDS' REQUIRE SSL"
ALTER = "ALTER USER 'app'@'%' IDENTIFIED WITH AWSAuthenticationPlugin AS 'RDS'"


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
        "GRANT SELECT (`a`), SELECT (`b`) ON `app`.`t` TO 'app'@'%' WITH GRANT OPTION",
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
        (account(auth_string="rds"), {}, [ALTER]),
        (account(plugin="mysql_native_password"), {"convert": True}, [ALTER]),
        (account(), {"state": "absent"}, ["DROP USER 'app'@'%'"]),
        (None, {"state": "absent"}, []),
    ],
)
def test_an_existing_account_is_repaired(existing, user, statements):
    assert db_user.plan(want(**user), existing) == statements


def test_privileges_are_exactly_the_given_ones():
    held = {("app", ""): frozenset({"SELECT", "DROP"}), ("old", ""): frozenset({"SELECT"})}
    existing = db_user.with_privileges(account(), held)
    assert db_user.plan(want(privileges={"app.*": ["SELECT", "INSERT"]}), existing) == [
        "REVOKE DROP ON `app`.* FROM 'app'@'%'",
        "GRANT INSERT ON `app`.* TO 'app'@'%'",
        "REVOKE SELECT ON `old`.* FROM 'app'@'%'",
    ]
    assert db_user.plan(want(), existing) == [], "without the option they are left as they are"


def dialect(*privileges, own=(), lower_case=False):
    return Dialect(frozenset(privileges), frozenset(own), lower_case)


def test_all_is_what_the_server_means_by_it():
    mysql = dialect("Select", "Insert", "Update", "Trigger", "Event", "Process")
    [item] = db_user.on_server([want(privileges={"a.*": ["ALL"], "a.t": ["all privileges"]})], mysql, PLACE)
    assert item.account.privileges["a", ""] == {"SELECT", "INSERT", "UPDATE", "TRIGGER", "EVENT"}
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


def test_a_name_that_looks_like_one_of_rds_is_anybody_s():
    assert want(name="rds_app").account.name == "rds_app"
    assert db_user.is_system("rds_superuser_role") and db_user.is_system("rdsrepladmin_priv_checks_user")


def test_an_account_is_given_once():
    with pytest.raises(RdsIamError, match="given twice"):
        db_user.wanted([{"name": "app"}, {"name": "app", "host": "%"}])


def test_unknown_privilege_is_refused():
    with pytest.raises(RdsIamError, match="no privilege SELEKT"):
        db_user.on_server([want(privileges={"app.*": ["SELEKT"]})], dialect("Select"), PLACE)


@pytest.mark.parametrize(
    ("user", "existing", "word"),
    [
        ({}, account(plugin="mysql_native_password"), "set convert"),
        ({"state": "absent"}, account(plugin="mysql_native_password"), "is not dropped"),
    ],
)
def test_an_account_with_a_password_is_left_alone(user, existing, word):
    with pytest.raises(RdsIamError, match=word):
        db_user.check_conflicts([want(**user)], {("app", "%"): existing}, "admin", PLACE)


def test_the_login_itself_is_not_touched():
    with pytest.raises(RdsIamError, match="not touched"):
        db_user.check_conflicts([want()], {}, "app", PLACE)


def test_neighbours_that_are_alike_share_statements():
    select = {"app.*": ["SELECT"]}
    items = db_user.wanted(
        [
            *({"name": "a", "privileges": select}, {"name": "b", "privileges": select}, {"name": "c"}),
            *({"name": "there"}, {"name": "there2"}, {"name": "d"}, {"name": "e", "require_ssl": False}),
            *({"name": "f", "state": "absent"}, {"name": "there3", "state": "absent"}),
        ]
    )
    current = {item.account.key: item.account for item in items if item.account.name.startswith("there")}
    groups = db_user.together(items, current)
    assert [[item.account.name for item in group] for group in groups] == [
        *(["a", "b"], ["c"], ["there"], ["there2"], ["d"], ["e"], ["f", "there3"]),
    ]
    assert db_user.plan_together(groups[0]) == [
        "CREATE USER 'a'@'%' IDENTIFIED WITH AWSAuthenticationPlugin AS 'RDS',"
        " 'b'@'%' IDENTIFIED WITH AWSAuthenticationPlugin AS 'RDS' REQUIRE SSL",
        "GRANT SELECT ON `app`.* TO 'a'@'%', 'b'@'%'",
    ]
    assert db_user.plan_together(groups[-1]) == ["DROP USER 'f'@'%', 'there3'@'%'"]
    for group in groups[1:3]:
        assert db_user.plan_together(group) == db_user.plan(group[0], None)
    many = db_user.wanted([{"name": f"u{number}"} for number in range(250)])
    assert [len(group) for group in db_user.together(many, {})] == [100, 100, 50]
