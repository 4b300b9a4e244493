# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql import user_plan
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.login_privileges import LoginPrivileges
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.privileges import Dialect
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.server import Server, Traits
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError

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
    return user_plan.wanted([{"name": "app", **user}])[0]


def account(**changes):
    return user_plan.with_privileges(user_plan.Account("app", "%", **changes), {})


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
    existing = user_plan.with_privileges(account(), held)
    item = want(privileges={"app.*": ["SELECT", "INSERT"]})
    assert user_plan.plan(item, existing, MYSQL) == [
        "GRANT INSERT ON `app`.* TO 'app'@'%'",
        "REVOKE DROP ON `app`.* FROM 'app'@'%'",
        "REVOKE SELECT ON `old`.* FROM 'app'@'%'",
    ]
    assert user_plan.plan(want(), existing, MYSQL) == [], "without the option they are left as they are"


def test_what_is_given_comes_first_and_what_is_taken_last():
    held = {("app", ""): frozenset({"DROP"})}
    existing = user_plan.with_privileges(account(plugin="mysql_native_password", locked=True), held)
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
        (user_plan.with_privileges(account(), {("app", ""): frozenset({"SELECT"})}), {"privileges": {}}, True),
    ],
)
def test_what_open_sessions_would_go_on_with(existing, user, taken):
    assert user_plan.takes_away(want(**user), existing, MYSQL) == taken


@pytest.mark.parametrize(
    ("existing", "user", "words"),
    [
        (account(managed=True), {"state": "absent"}, ""),
        (None, {"state": "absent"}, ""),
        (account(), {}, ""),
        (account(), {"state": "absent"}, "does not bear the mark ManagedBy=dbops.rds_iam"),
        (account(managed=True, plugin="ed25519"), {"state": "absent"}, "logs in with ed25519"),
    ],
)
def test_who_is_kept(existing, user, words):
    reason = user_plan.why_kept(want(**user), existing)
    assert words in reason and bool(words) == bool(reason)


def dialect(*privileges):
    return Dialect(frozenset(privileges), ALL_THERE_IS.may_grant, lower_case=False)


def test_all_is_what_the_server_means_by_it():
    mysql = dialect("Select", "Insert", "Update", "Trigger", "Event", "Process")
    [item], problems = user_plan.on_server([want(privileges={"a.*": ["ALL"], "a.t": ["all privileges"]})], mysql, PLACE)
    assert problems == []
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
    assert user_plan.is_system("rds_superuser_role") and user_plan.is_system("rdsrepladmin_priv_checks_user")


def test_an_account_is_given_once():
    with pytest.raises(RdsIamError, match="given twice"):
        user_plan.wanted([{"name": "app"}, {"name": "app", "host": "%"}])


def test_unknown_privilege_is_refused():
    _items, [problem] = user_plan.on_server([want(privileges={"app.*": ["SELEKT"]})], dialect("Select"), PLACE)
    assert problem.clause == f"{PLACE} has no privilege SELEKT that can be granted on app.* (asked for 'app'@'%')"


@pytest.mark.parametrize(
    ("user", "existing", "word"),
    [
        ({}, account(plugin="mysql_native_password"), "set convert"),
        ({"state": "absent"}, account(plugin="mysql_native_password"), "is not dropped"),
    ],
)
def test_an_account_with_a_password_is_left_alone(user, existing, word):
    [problem] = user_plan.find_conflicts([want(**user)], {("app", "%"): existing}, MYSQL)
    assert problem.conflict and word in f"{problem.clause}; {problem.advice}"


def test_the_login_itself_is_not_touched():
    [problem] = user_plan.find_conflicts([want()], {}, Server(PLACE, "app"))
    assert "not touched" in problem.advice and not problem.conflict


def test_neighbours_that_are_alike_share_statements():
    select = {"app.*": ["SELECT"]}
    items = user_plan.wanted(
        [
            *({"name": "a", "privileges": select}, {"name": "b", "privileges": select}, {"name": "c"}),
            *({"name": "there"}, {"name": "there2"}, {"name": "d"}, {"name": "e", "require_ssl": False}),
            *({"name": "f", "state": "absent"}, {"name": "there3", "state": "absent"}),
        ]
    )
    current = {item.account.key: item.account for item in items if item.account.name.startswith("there")}
    groups = user_plan.together(items, current)
    assert [[item.account.name for item in group] for group in groups] == [
        *(["a", "b"], ["c"], ["there"], ["there2"], ["d"], ["e"], ["f", "there3"]),
    ]
    assert user_plan.plan_together(groups[0], MARIADB) == [
        "CREATE USER 'a'@'%' IDENTIFIED WITH AWSAuthenticationPlugin AS 'RDS',"
        " 'b'@'%' IDENTIFIED WITH AWSAuthenticationPlugin AS 'RDS' REQUIRE SSL PASSWORD EXPIRE NEVER",
        "GRANT REFERENCES ON `ManagedBy=dbops.rds_iam`.* TO 'a'@'%', 'b'@'%'",
        "GRANT SELECT ON `app`.* TO 'a'@'%', 'b'@'%'",
    ]
    assert user_plan.plan_together(groups[-1], MARIADB) == ["DROP USER 'f'@'%', 'there3'@'%'"]
    for group in groups[1:3]:
        assert user_plan.plan_together(group, MARIADB) == user_plan.plan(group[0], None, MARIADB)
    many = user_plan.wanted([{"name": f"u{number}"} for number in range(250)])
    assert [len(group) for group in user_plan.together(many, {})] == [100, 100, 50]
