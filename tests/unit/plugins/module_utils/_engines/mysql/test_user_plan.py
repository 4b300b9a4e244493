# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql import (
    database_user,
    desired_users,
    user_plan,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.login_privileges import LoginPrivileges
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.server import Server, Traits

PLACE = "orders.cabcdefghijk.eu-west-1.rds.amazonaws.com"
CREATE = "CREATE USER 'app'@'%' IDENTIFIED WITH AWSAuthenticationPlugin AS 'RDS' REQUIRE SSL"
ATTRIBUTE = """ ATTRIBUTE '{"ManagedBy": "dbops.rds_iam"}'"""
MARK = "GRANT REFERENCES ON `ManagedBy=dbops.rds_iam`.* TO 'app'@'%'"
ALL_THERE_IS = LoginPrivileges(complete=False)
MYSQL = Server(PLACE, "admin", Traits(attributes=True), ALL_THERE_IS)
MARIADB = Server(PLACE, "admin", Traits(mariadb=True), ALL_THERE_IS)
OLD_MYSQL = Server(PLACE, "admin", Traits(), ALL_THERE_IS)
ALTER = "ALTER USER 'app'@'%' IDENTIFIED WITH AWSAuthenticationPlugin AS 'RDS'"


def want(**user):
    return desired_users.parse_users([{"name": "app", **user}])[0]


def account(**changes):
    return database_user.DatabaseUser("app", "%", **changes)


def test_new_account():
    on_table = ["select (b, a)", "grant option"]
    item = want(privileges={"app.*": ["select", "INSERT"], "*.*": ["process"], "app.t": on_table})
    assert user_plan.plan(item, None, MYSQL) == [
        CREATE + ATTRIBUTE,
        "GRANT PROCESS ON *.* TO 'app'@'%'",
        "GRANT SELECT (`a`), SELECT (`b`) ON `app`.`t` TO 'app'@'%' WITH GRANT OPTION",
        "GRANT INSERT, SELECT ON `app`.* TO 'app'@'%'",
    ]


@pytest.mark.parametrize(
    ("server", "statements"),
    [
        (MYSQL, [CREATE + " ACCOUNT LOCK" + ATTRIBUTE]),
        (MARIADB, [CREATE + " PASSWORD EXPIRE NEVER ACCOUNT LOCK", MARK]),
        (OLD_MYSQL, [CREATE + " ACCOUNT LOCK", MARK]),
        (Server(PLACE, "limited", Traits(mariadb=True)), [CREATE + " PASSWORD EXPIRE NEVER ACCOUNT LOCK"]),
    ],
)
def test_new_account_on_each_server(server, statements):
    assert user_plan.plan(want(locked=True), None, server) == statements


@pytest.mark.parametrize(
    ("existing", "user", "statements"),
    [
        (account(), {}, []),
        (account(tls=""), {}, ["ALTER USER 'app'@'%' REQUIRE SSL"]),
        (account(tls="X509"), {}, []),
        (account(tls="SPECIFIED"), {"require_ssl": True}, []),
        (account(), {"require_ssl": False}, ["ALTER USER 'app'@'%' REQUIRE NONE"]),
        (account(locked=True), {}, []),
        (account(locked=True), {"locked": True}, []),
        (account(locked=True), {"locked": False}, ["ALTER USER 'app'@'%' ACCOUNT UNLOCK"]),
        (account(), {"locked": True}, ["ALTER USER 'app'@'%' ACCOUNT LOCK"]),
        (account(expires=True), {}, ["ALTER USER 'app'@'%' PASSWORD EXPIRE NEVER"]),
        (account(expires=True, expired=True), {}, [ALTER + " PASSWORD EXPIRE NEVER"]),
        (account(factors=3), {"convert": True}, [ALTER, "ALTER USER 'app'@'%' DROP 2 FACTOR DROP 3 FACTOR"]),
        (account(auth_string="rds"), {}, [ALTER]),
        (account(plugin="mysql_native_password"), {"convert": True}, [ALTER]),
        (account(), {"state": "absent"}, ["DROP USER 'app'@'%'"]),
        (None, {"state": "absent"}, []),
    ],
)
def test_an_existing_account_is_repaired(existing, user, statements):
    assert user_plan.plan(want(**user), existing, MARIADB) == statements


def test_privileges_are_exactly_the_given_ones():
    held = {("app", ""): frozenset({"SELECT", "DROP"}), ("old", ""): frozenset({"SELECT"})}
    existing = account(privileges=held)
    item = want(privileges={"app.*": ["SELECT", "INSERT"]})
    assert user_plan.plan(item, existing, MYSQL) == [
        "GRANT INSERT ON `app`.* TO 'app'@'%'",
        "REVOKE DROP ON `app`.* FROM 'app'@'%'",
        "REVOKE SELECT ON `old`.* FROM 'app'@'%'",
    ]
    assert user_plan.plan(want(), existing, MYSQL) == [], "without the option they are left as they are"


def test_what_is_given_comes_first_and_what_is_taken_last():
    held = {("app", ""): frozenset({"DROP"})}
    existing = account(plugin="mysql_native_password", locked=True, privileges=held)
    item = want(privileges={"app.*": ["SELECT"]}, convert=True, locked=False)
    assert user_plan.plan(item, existing, MYSQL) == [
        "GRANT SELECT ON `app`.* TO 'app'@'%'",
        ALTER,
        "REVOKE DROP ON `app`.* FROM 'app'@'%'",
        "ALTER USER 'app'@'%' ACCOUNT UNLOCK",
    ]


def test_one_that_this_run_has_made_gets_its_mark():
    assert user_plan.plan(want(), account(), MARIADB, created=True) == [MARK]
    assert user_plan.plan(want(), account(managed=True), MARIADB, created=True) == []
    assert user_plan.plan(want(), account(), MARIADB) == []


@pytest.mark.parametrize(
    ("existing", "user", "taken"),
    [
        (None, {}, False),
        (None, {"state": "absent"}, True),
        (account(), {"state": "absent"}, True),
        (account(), {}, False),
        (account(), {"locked": True}, True),
        (account(locked=True), {"locked": True}, False),
        (account(plugin="mysql_native_password"), {"convert": True}, True),
        (account(), {"privileges": {"app.*": ["SELECT"]}}, False),
        (account(privileges={("app", ""): frozenset({"SELECT"})}), {"privileges": {}}, True),
    ],
)
def test_what_open_sessions_would_go_on_with(existing, user, taken):
    assert user_plan.takes_away(want(**user), existing, MYSQL) == taken


def test_neighbours_that_are_alike_share_statements():
    select = {"app.*": ["SELECT"]}
    items = desired_users.parse_users(
        [
            *({"name": "a", "privileges": select}, {"name": "b", "privileges": select}, {"name": "c"}),
            *({"name": "there"}, {"name": "there2"}, {"name": "d"}, {"name": "e", "require_ssl": False}),
            *({"name": "f", "state": "absent"}, {"name": "there3", "state": "absent"}),
        ]
    )
    current = {item.user.key: item.user for item in items if item.user.name.startswith("there")}
    groups = user_plan.batch(items, current)
    assert [[item.user.name for item in group] for group in groups] == [
        *(["a", "b"], ["c"], ["there"], ["there2"], ["d"], ["e"], ["f", "there3"]),
    ]
    assert user_plan.plan_batch(groups[0], MARIADB) == [
        "CREATE USER 'a'@'%' IDENTIFIED WITH AWSAuthenticationPlugin AS 'RDS',"
        " 'b'@'%' IDENTIFIED WITH AWSAuthenticationPlugin AS 'RDS' REQUIRE SSL PASSWORD EXPIRE NEVER",
        "GRANT REFERENCES ON `ManagedBy=dbops.rds_iam`.* TO 'a'@'%', 'b'@'%'",
        "GRANT SELECT ON `app`.* TO 'a'@'%', 'b'@'%'",
    ]
    assert user_plan.plan_batch(groups[-1], MARIADB) == ["DROP USER 'f'@'%', 'there3'@'%'"]
    for group in groups[1:3]:
        assert user_plan.plan_batch(group, MARIADB) == user_plan.plan(group[0], None, MARIADB)
    many = desired_users.parse_users([{"name": f"u{number}"} for number in range(250)])
    assert [len(group) for group in user_plan.batch(many, {})] == [100, 100, 50]
