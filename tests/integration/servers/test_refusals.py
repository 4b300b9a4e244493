# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""All that a server would refuse half-way is refused before the first statement, in check mode too, and at once."""

from __future__ import annotations

import pytest

LIMITED = "limited"
SECRET = "the password of the limited login"


def refused(server, users, **options):
    """Return the message of the module, in check mode and in earnest, where it sends nothing."""
    before = server.accounts()
    checked = server.run(users, fails=True, check=True, **options)
    result = server.run(users, fails=True, **options)
    assert checked["msg"] == result["msg"]
    assert (result["sent"], result["changed"], result["users"]) == ([], False, [])
    assert server.accounts() == before
    assert "\n" not in result["msg"] and server.name in result["msg"]
    return result["msg"]


@pytest.fixture
def limited(server):
    """A login that may create users, and has other privileges in any way but as the master user has them."""
    server.sql(
        f"CREATE USER {LIMITED}@'%' IDENTIFIED BY '{SECRET}'",
        "CREATE ROLE its_role",
        f"GRANT SELECT, PROCESS, CREATE USER ON *.* TO {LIMITED}@'%'",
        f"GRANT INSERT, UPDATE ON app.* TO {LIMITED}@'%' WITH GRANT OPTION",
        f"GRANT REFERENCES (id) ON app.orders TO {LIMITED}@'%'",
        "GRANT DELETE, EVENT ON `app\\_%`.* TO its_role WITH GRANT OPTION",
        f"GRANT its_role TO {LIMITED}@'%'",
        f"SET DEFAULT ROLE its_role {'TO' if server.is_mysql else 'FOR'} {LIMITED}@'%'",
        "CREATE DATABASE app_1",
    )
    yield {"login_user": LIMITED, "login_password": SECRET}
    server.sql("DROP DATABASE app_1")


@pytest.mark.parametrize(
    ("level", "name"),
    [("*.*", "FILE"), ("*.*", "SUPER"), ("*.*", "SHUTDOWN"), ("*.*", "CREATE TABLESPACE")],
)
def test_what_the_master_user_cannot_pass_on(server, level, name):
    msg = refused(server, [{"name": "first"}, {"name": "app", "privileges": {level: ["SELECT", name]}}])
    assert f"{server.master} cannot pass on {name} on {level}" in msg and "'app'@'%'" in msg


@pytest.mark.parametrize(
    ("shared_server", "name"),
    [
        ("mariadb", "BINLOG ADMIN"),
        ("mariadb", "READ_ONLY ADMIN"),
        ("mysql", "CONNECTION_ADMIN"),
        ("mysql", "SYSTEM_USER"),
    ],
    indirect=["shared_server"],
    scope="session",
)
def test_what_the_master_user_of_one_engine_cannot_pass_on(server, name):
    msg = refused(server, [{"name": "app", "privileges": {"*.*": [name]}}])
    assert f"{server.master} cannot pass on {name} on *.*" in msg


@pytest.mark.parametrize(
    ("level", "names"),
    [
        ("*.*", "SELECT"),
        ("*.*", "PROCESS"),
        ("other.*", "SELECT"),
        ("app_1.*", "INSERT"),
        ("app.*", "DELETE"),
        ("*.*", "GRANT OPTION"),
        ("app.orders", "REFERENCES"),
    ],
)
def test_what_a_limited_login_cannot_pass_on(server, limited, level, names):
    msg = refused(server, [{"name": "app", "privileges": {level: [names]}}], **limited)
    assert f"{LIMITED} cannot pass on {names} on {level}" in msg


@pytest.mark.parametrize(
    ("level", "names"),
    [
        ("app.*", "INSERT"),
        ("app.*", "SELECT"),  # the grant option is of the database, the privilege of all
        ("app.orders", "UPDATE"),
        ("app.orders", "UPDATE (item)"),
        ("app.orders", "REFERENCES (id)"),
        ("app.*", "GRANT OPTION"),
        ("`app\\_1`.*", "EVENT"),  # by a role, for databases of a pattern
        ("app_1.some", "CREATE"),
    ],
)
def test_what_a_limited_login_can_pass_on(server, limited, level, names):
    """Nothing is refused that the server takes."""
    if names == "CREATE":
        server.sql("GRANT CREATE ON app_1.some TO its_role")
    users = [{"name": "app", "privileges": {level: [names]}}]
    assert server.run(users, **limited)["changed"]
    assert not server.run(users, **limited)["changed"]


@pytest.mark.parametrize(
    "change", [{"name": "new"}, {"name": "app", "state": "absent"}, {"name": "app", "locked": True}]
)
def test_a_login_that_may_not_manage_users(server, limited, change):
    server.run([{"name": "app"}, {"name": "live"}])
    server.sql(f"REVOKE CREATE USER ON *.* FROM {LIMITED}@'%'", f"GRANT SELECT ON mysql.* TO {LIMITED}@'%'")
    live = {"name": "live", "privileges": {"app.*": ["INSERT"]}}
    msg = refused(server, [live, change], **limited)
    assert f"{LIMITED} lacks CREATE USER on *.*" in msg and f"'{change['name']}'@'%'" in msg and "'live'" not in msg
    assert server.run([live], **limited)["changed"]


@pytest.mark.parametrize("shared_server", ["mysql"], indirect=True, scope="session")
def test_a_login_that_may_not_drop_a_definer(server, limited):
    server.run([{"name": "app"}, {"name": "live"}])
    for name in ("SHOW VIEW", "TRIGGER", "EVENT", "EXECUTE"):  # without which it does not see who is a DEFINER
        server.sql(f"GRANT {name} ON *.* TO {LIMITED}@'%'")
    server.sql(f"GRANT SELECT ON mysql.* TO {LIMITED}@'%'")
    live = {"name": "live", "privileges": {"app.*": ["INSERT"]}}
    dropped = {"name": "app", "state": "absent", "force_drop": True}
    server.sql("CREATE DEFINER=app@'%' VIEW app.object AS SELECT id FROM app.orders")
    try:
        msg = refused(server, [live, dropped], **limited)
        assert f"{LIMITED} lacks ALLOW_NONEXISTENT_DEFINER" in msg and "the view app.object" in msg
        server.sql(f"GRANT ALLOW_NONEXISTENT_DEFINER ON *.* TO {LIMITED}@'%'")
        assert server.run([live, dropped], **limited)["changed"]
    finally:
        server.sql("DROP VIEW app.object")


@pytest.mark.parametrize("shared_server", ["mysql"], indirect=True, scope="session")
def test_dynamic_privileges_have_a_grant_option_each(server, limited):
    server.sql(
        f"GRANT ROLE_ADMIN ON *.* TO {LIMITED}@'%'", f"GRANT XA_RECOVER_ADMIN ON *.* TO {LIMITED}@'%' WITH GRANT OPTION"
    )
    msg = refused(server, [{"name": "app", "privileges": {"*.*": ["ROLE_ADMIN", "XA_RECOVER_ADMIN"]}}], **limited)
    assert f"{LIMITED} cannot pass on ROLE_ADMIN on *.*" in msg
    assert server.run([{"name": "app", "privileges": {"*.*": ["XA_RECOVER_ADMIN"]}}], **limited)["changed"]


def test_what_the_login_cannot_take_away(server):
    server.run([{"name": "app", "privileges": {"app.*": ["SELECT"]}}])
    server.sql("GRANT FILE ON *.* TO app@'%'")
    msg = refused(server, [{"name": "app", "privileges": {"app.*": ["INSERT"]}}])
    assert f"{server.master} cannot take away FILE on *.*" in msg
    assert server.grants("app") == {"GRANT FILE ON *.*", "GRANT SELECT ON `app`.*"}


@pytest.mark.parametrize(
    ("privileges", "words"),
    [
        ({"app.itmes": ["SELECT"]}, "has no table app.itmes"),
        ({"nowhere.orders": ["SELECT"]}, "has no table nowhere.orders"),
        ({"app.itmes": ["CREATE", "SELECT (id)"]}, "has no table app.itmes"),
        ({"app.orders": ["SELECT (id, itme)"]}, "The table app.orders of {} has no column itme"),
    ],
)
def test_tables_and_columns_that_are_not_there(server, privileges, words):
    msg = refused(server, [{"name": "app", "privileges": {"app.*": ["INSERT"], **privileges}}])
    assert words.format(server.name) in msg and "'app'@'%'" in msg


def test_a_live_user_keeps_all_where_a_table_is_mistyped(server):
    server.run([{"name": "live", "privileges": {"app.*": ["SELECT", "INSERT"]}}])
    narrowed = {"app.orders": ["SELECT", "INSERT"], "app.ordres": ["SELECT"]}
    refused(server, [{"name": "live", "privileges": narrowed}])
    assert server.grants("live") == {"GRANT SELECT, INSERT ON `app`.*"}


def test_a_table_that_its_creator_may_be_given_before(server):
    server.settled([{"name": "app", "privileges": {"app.later": ["CREATE", "SELECT"]}}])
    assert server.grants("app") == {"GRANT SELECT, CREATE ON `app`.`later`"}


def test_a_database_that_is_not_there_is_named(server):
    users = [{"name": "app", "privileges": {"shpo.*": ["SELECT"], "ap_.*": ["SELECT"], "app.*": ["INSERT"]}}]
    checked, done = server.run(users, check=True), server.run(users)
    assert "has no database for the privileges on shpo.*;" in done["warned"]
    assert checked["warned"] == done["warned"]
    assert server.run(users)["warned"] == "", "it has the privileges now"


def test_all_reasons_at_once_by_user(server):
    server.sql("CREATE USER taken@'%' IDENTIFIED BY 'x'", "CREATE USER gone@'%' IDENTIFIED BY 'x'")
    msg = refused(
        server,
        [
            {"name": "taken"},
            {"name": "gone", "state": "absent"},
            {"name": "app", "privileges": {"*.*": ["FILE"], "app.itmes": ["SELECT"], "app.*": ["SELEKT"]}},
            {"name": "other", "privileges": {"app.itmes": ["SELECT"]}},
        ],
    )
    for words in (
        "Nothing was changed",
        "'taken'@'%' of",
        "set convert",
        "'gone'@'%' of",
        "is not dropped",
        "cannot pass on FILE",
        "has no table app.itmes (asked for 'app'@'%')",
        "has no table app.itmes (asked for 'other'@'%')",
        "has no privilege SELEKT that can be granted on app.* (asked for 'app'@'%')",
    ):
        assert words in msg


@pytest.mark.parametrize("shared_server", ["mysql"], indirect=True, scope="session")
def test_a_user_that_only_a_system_user_may_change(server):
    server.run([{"name": "app"}])
    server.sql("GRANT SYSTEM_USER ON *.* TO app@'%'")
    for user in ({"name": "app", "require_ssl": False}, {"name": "app", "state": "absent"}):
        assert "has SYSTEM_USER" in refused(server, [user])


@pytest.mark.parametrize("shared_server", ["mariadb"], indirect=True, scope="session")
def test_a_privilege_of_mariadb_that_looks_like_one_of_mysql(server):
    server.sql(f"GRANT READ_ONLY ADMIN ON *.* TO {server.master}@'%' WITH GRANT OPTION")
    try:
        server.settled([{"name": "app", "privileges": {"*.*": ["READ_ONLY ADMIN", "GRANT OPTION"]}}])
        assert server.grants("app") == {"GRANT READ_ONLY ADMIN ON *.* WITH GRANT OPTION"}
        server.settled([{"name": "app", "privileges": {}}])
        assert server.grants("app") == set()
    finally:
        server.sql(f"REVOKE READ_ONLY ADMIN ON *.* FROM {server.master}@'%'")


@pytest.mark.parametrize("shared_server", ["mysql"], indirect=True, scope="session")
def test_restrictions_that_a_user_has_from_the_login(server):
    """With partial_revokes who grants passes its own restrictions on, and the next run finds them."""
    lists = [{"*.*": ["SELECT", "INSERT"], "app\\_x.*": ["SELECT"], "a_b.*": ["SELECT"]}, {"*.*": ["SELECT"]}]
    server.sql(
        "SET GLOBAL partial_revokes = ON",
        f"CREATE USER {LIMITED}@'%' IDENTIFIED BY '{SECRET}'",
        f"GRANT SELECT, INSERT, UPDATE, CREATE USER ON *.* TO {LIMITED}@'%' WITH GRANT OPTION",
        f"REVOKE INSERT, UPDATE ON mysql.* FROM {LIMITED}@'%'",
    )
    login = {"login_user": LIMITED, "login_password": SECRET}
    try:
        for privileges in lists:
            users = [{"name": "app", "privileges": privileges}]
            assert server.run(users, **login)["changed"]
            assert not server.run(users, **login)["changed"]
        msg = refused(server, [{"name": "app", "privileges": {"mysql.*": ["INSERT"]}}], **login)
        assert f"{LIMITED} cannot pass on INSERT on mysql.*" in msg
        server.run([{"name": "app", "privileges": lists[0]}], **login)
        server.sql("REVOKE SELECT ON app.* FROM app@'%'")
        assert "partial revokes" in refused(server, [{"name": "app", "privileges": lists[0]}], **login)
    finally:
        server.sql(f"DROP USER IF EXISTS app@'%', {LIMITED}@'%'", "SET GLOBAL partial_revokes = OFF")
