# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Dropped users and what they leave: objects that name them as DEFINER, open sessions, and users that others made."""

from __future__ import annotations

import contextlib
import ssl

import pymysql
import pytest

PLUGIN = "AWSAuthenticationPlugin"
IAM = f"IDENTIFIED WITH {PLUGIN} AS 'RDS'"
PASSWORD = "the password of a user"
ABSENT = {"name": "app", "state": "absent"}
OBJECTS = {
    "view": "CREATE DEFINER=app@'%' VIEW app.object AS SELECT id FROM app.orders",
    "trigger": "CREATE DEFINER=app@'%' TRIGGER app.object BEFORE INSERT ON app.orders FOR EACH ROW SET NEW.amount = 1",
    "procedure": "CREATE DEFINER=app@'%' PROCEDURE app.object() SELECT 1",
    "function": "CREATE DEFINER=app@'%' FUNCTION app.object() RETURNS INT DETERMINISTIC RETURN 1",
    "event": "CREATE DEFINER=app@'%' EVENT app.object ON SCHEDULE EVERY 1 DAY DO SELECT 1",
}


def outcomes(result):
    return {user["name"]: (user["outcome"], user["changed"]) for user in result["users"]}


@pytest.mark.parametrize("kind", OBJECTS)
def test_a_definer_is_not_dropped_unless_told(server, kind):
    server.run([{"name": "app"}, {"name": "other"}])
    server.sql(OBJECTS[kind])
    try:
        users = [{"name": "other", "state": "absent"}, ABSENT]
        for check in (True, False):
            result = server.run(users, fails=True, check=check)
            assert f"the {kind} app.object" in result["msg"] and "force_drop" in result["msg"]
            assert result["sent"] == []
        result = server.run([{**ABSENT, "force_drop": True}])
        assert f"the {kind} app.object" in result["warned"]
        assert ("app", "%") not in server.accounts()
    finally:
        server.sql(f"DROP {kind.upper()} app.object")


@pytest.mark.parametrize("limit", ["sql_select_limit", "max_join_size"])
def test_limits_of_the_server_hide_no_definer(server, limit):
    """Limits for all sessions, below what is read."""
    users = [{"name": "app", "privileges": {"app.*": ["SELECT", "INSERT"]}}, {"name": "other"}]
    server.settled(users)
    [(before,)] = server.sql(f"SELECT @@GLOBAL.{limit}")
    views = [f"CREATE DEFINER={user['name']}@'%' VIEW app.of_{user['name']} AS SELECT 1 AS one" for user in users]
    server.sql(*views, f"SET GLOBAL {limit} = 1")
    try:
        assert not server.run(users)["changed"]
        for user in users:
            result = server.run([{**user, "state": "absent"}], fails=True)
            assert f"the view app.of_{user['name']}" in result["msg"]
    finally:
        server.sql(f"SET GLOBAL {limit} = {before}", "DROP VIEW app.of_app, app.of_other")


def test_the_definer_of_many_objects(server):
    server.run([{"name": "app", "host": "LOCALHOST"}, {"name": "App"}])
    server.sql(*(f"CREATE DEFINER=app@localhost VIEW app.v{number} AS SELECT 1 AS one" for number in range(12)))
    try:
        result = server.run([{**ABSENT, "host": "localhost"}], fails=True)
        assert "the view app.v0, the view app.v1" in result["msg"] and "and 7 more" in result["msg"]
        assert server.run([{"name": "App", "state": "absent"}])["changed"], "another user"
    finally:
        server.sql(*(f"DROP VIEW app.v{number}" for number in range(12)))


def test_a_user_that_others_act_as(server):
    server.run([{"name": "app"}])
    server.sql("CREATE USER other@'%' IDENTIFIED BY 'x'", "GRANT PROXY ON app@'%' TO other@'%'")
    assert "PROXY of 'other'@'%'" in server.run([ABSENT], fails=True)["msg"]
    server.settled([{**ABSENT, "force_drop": True}])


@pytest.mark.parametrize("shared_server", ["mysql"], indirect=True, scope="session")
def test_a_user_that_others_have_as_a_role(server):
    server.run([{"name": "app", "privileges": {"app.*": ["SELECT"]}}])
    server.sql("CREATE USER other@'%' IDENTIFIED BY 'x'", "GRANT app@'%' TO other@'%'")
    assert "privileges of 'other'@'%'" in server.run([ABSENT], fails=True)["msg"]


@pytest.mark.parametrize("shared_server", ["mariadb"], indirect=True, scope="session")
def test_the_only_one_who_can_grant_a_role(server):
    server.run([{"name": "app"}])
    server.sql("CREATE ROLE reader WITH ADMIN app@'%'", "CREATE ROLE other", "GRANT other TO app@'%' WITH ADMIN OPTION")
    msg = server.run([ABSENT], fails=True)["msg"]
    assert "the role reader, which nobody else can grant" in msg and "the role other" not in msg
    server.sql("DROP ROLE reader")
    server.settled([ABSENT])


def test_a_login_that_may_not_see_definers(server):
    server.run([{"name": "app"}])
    server.sql(
        "CREATE USER limited@'%' IDENTIFIED BY 'sesame'",
        "GRANT SELECT, CREATE USER, SHOW VIEW, EVENT, TRIGGER ON *.* TO limited@'%'",
    )
    result = server.run([ABSENT], login_user="limited", login_password="sesame")
    assert "limited lacks EXECUTE on *.*" in result["warned"]
    assert "limited lacks PROCESS on" in result["warned"]


@contextlib.contextmanager
def session(server, name, database=None):
    """An open session of a user that logs in with a password."""
    options = {"host": "127.0.0.1", "port": server.port, "user": name, "password": PASSWORD, "database": database}
    connection = pymysql.connect(**options, ssl=ssl._create_unverified_context(), autocommit=True)
    try:
        yield connection
    finally:
        connection._force_close()


def is_open(connection):
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except pymysql.err.Error:
        return False
    return True


@pytest.fixture
def with_password(server):
    """Users that can log in here, and then become users for IAM logins, while their sessions go on."""
    server.sql(f"CREATE USER app@'%' IDENTIFIED BY '{PASSWORD}'", "GRANT SELECT, INSERT ON app.* TO app@'%'")
    return server


def convert(server):
    never = "" if server.is_mysql else "PASSWORD EXPIRE NEVER"
    server.sql(f"ALTER USER app@'%' {IAM} REQUIRE SSL {never}")


@pytest.mark.parametrize("kill", [False, True])
@pytest.mark.parametrize(
    "user",
    [
        ABSENT,
        {"name": "app", "privileges": {"app.*": ["SELECT"]}},
        {"name": "app", "locked": True},
    ],
)
def test_open_sessions_are_named_and_ended_when_told(with_password, user, kill):
    server = with_password
    with session(server, "app", "app") as first, session(server, "app") as second:
        convert(server)
        numbers = {first.thread_id(), second.thread_id()}
        checked = server.run([{**user, "kill_sessions": kill}], check=True)
        assert is_open(first)
        result = server.run([{**user, "kill_sessions": kill}])
        [told] = result["users"]
        assert {session["id"] for session in told["sessions"]} == numbers
        assert {session["client"] for session in told["sessions"]} == {"127.0.0.1"}
        assert {session["database"] for session in told["sessions"]} == {"app", ""}
        assert {session["ended"] for session in told["sessions"]} == {kill}
        assert [is_open(first), is_open(second)] == [not kill] * 2
        words = "2 sessions of 'app'@'%' on orders.cabcdefghijk.eu-west-1.rds.amazonaws.com are open, from 127.0.0.1"
        assert (words in result["warned"]) == (words in checked["warned"]) == (not kill)
        assert checked["users"][0]["sessions"] == told["sessions"]


def test_sessions_that_a_user_left_behind_are_ended_later(with_password):
    server = with_password
    with session(server, "app", "app") as left:
        convert(server)
        assert server.run([ABSENT])["users"][0]["sessions"]
        assert is_open(left)
        again = server.run([ABSENT])
        assert not again["changed"] and "One session of 'app'@'%'" in again["warned"]
        ended = server.run([{**ABSENT, "kill_sessions": True}])
        assert ended["changed"] and not is_open(left)
    last = server.run([{**ABSENT, "kill_sessions": True}])
    assert not last["changed"] and last["users"][0]["sessions"] == []


OTHERS = [("app", "'127.0.0.%'"), ("grows", "'%'")]


def test_sessions_of_others_go_on(with_password):
    """One of the same name with another host part, and one whose privileges only grow."""
    server = with_password
    server.sql(
        f"CREATE USER app@'127.0.0.%' IDENTIFIED BY '{PASSWORD}'", f"CREATE USER grows@'%' IDENTIFIED BY '{PASSWORD}'"
    )
    with session(server, "app") as narrow, session(server, "grows") as grows:
        convert(server)
        never = "" if server.is_mysql else "PASSWORD EXPIRE NEVER"
        server.sql(f"ALTER USER grows@'%' {IAM} REQUIRE SSL {never}")
        users = [
            {**ABSENT, "kill_sessions": True},
            {"name": "grows", "privileges": {"app.*": ["SELECT"]}, "kill_sessions": True},
        ]
        result = server.run(users)
        assert [user["sessions"] for user in result["users"]] == [[], []]
        assert is_open(narrow) and is_open(grows)


def test_a_login_that_may_end_no_sessions(with_password):
    server = with_password
    server.sql(
        "CREATE USER limited@'%' IDENTIFIED BY 'sesame'",
        "GRANT SELECT, CREATE USER, PROCESS ON *.* TO limited@'%'",
    )
    login = {"login_user": "limited", "login_password": "sesame"}
    with session(server, "app"):
        convert(server)
        result = server.run([{**ABSENT, "kill_sessions": True}], fails=True, **login)
    assert "1 sessions on" in result["msg"] and "could not be ended" in result["msg"]
    assert outcomes(result) == {"app": ("done", True)} and result["changed"]


# Users that this collection created, and others.


def test_only_what_the_module_created_is_dropped_when_told_so(server):
    server.sql(
        f"CREATE USER earlier@'%' {IAM} REQUIRE SSL",
        f"CREATE USER converted@'%' IDENTIFIED BY '{PASSWORD}'",
        f"CREATE USER password@'%' IDENTIFIED BY '{PASSWORD}'",
    )
    names = ["earlier", "converted", "created", "changed"]
    made = server.run([{"name": name, "convert": True, "privileges": {"app.*": ["SELECT"]}} for name in names])
    assert {row["name"]: row["managed"] for row in made["user_rows"]} == {
        **dict.fromkeys(names, True),
        "earlier": False,
        "converted": False,
    }
    plugin = "WITH caching_sha2_password " if server.is_mysql else ""
    server.sql(f"ALTER USER changed@'%' IDENTIFIED {plugin}BY '{PASSWORD}'")
    users = [{"name": name, "state": "absent"} for name in [*names, "password", "never"]]
    checked = server.run(users, only_managed=True, check=True)
    assert checked["sent"] == []
    result = server.run(users, only_managed=True)
    assert [statement for statement in result["sent"] if statement.startswith("DROP")] == ["DROP USER 'created'@'%'"]
    assert [user["outcome"] for user in result["users"]] == ["kept", "kept", "done", "kept", "kept", "done"]
    assert checked["users"] == result["users"]
    reasons = {user["name"]: user["reason"] for user in result["users"]}
    assert "does not bear the mark ManagedBy=dbops.rds_iam" in reasons["earlier"]
    assert reasons["earlier"] == reasons["converted"] == reasons["password"]
    assert "logs in with" in reasons["changed"]
    assert reasons["created"] == reasons["never"] == ""
    assert result["iam_database_users_remaining"] == 2
    assert not server.run(users, only_managed=True)["changed"]


def test_an_order_to_drop_is_one_without_the_option(server):
    server.sql(f"CREATE USER earlier@'%' {IAM} REQUIRE SSL")
    server.settled([{"name": "earlier", "state": "absent"}])
    assert ("earlier", "%") not in server.accounts()


def test_a_definer_that_the_module_created_is_kept(server):
    server.run([{"name": "app"}, {"name": "other"}])
    server.sql(OBJECTS["view"])
    try:
        users = [ABSENT, {"name": "other", "state": "absent"}]
        result = server.run(users, only_managed=True)
        assert outcomes(result) == {"app": ("kept", False), "other": ("done", True)}
        assert "the view app.object" in result["users"][0]["reason"]
    finally:
        server.sql("DROP VIEW app.object")
    server.settled([ABSENT])


@pytest.mark.parametrize("shared_server", ["mysql"], indirect=True, scope="session")
def test_the_mark_leaves_other_attributes(server):
    server.run([{"name": "app"}])
    server.sql("""ALTER USER app@'%' ATTRIBUTE '{"team": "shop"}'""")
    server.settled([{"name": "app", "require_ssl": False, "privileges": {"app.*": ["SELECT"]}}])
    [(found,)] = server.sql("SELECT attribute FROM information_schema.user_attributes WHERE user = 'app'")
    assert (found) == '{"team": "shop", "ManagedBy": "dbops.rds_iam"}'


@pytest.mark.parametrize("shared_server", ["mariadb"], indirect=True, scope="session")
def test_the_mark_of_mariadb_is_no_privilege(server):
    """It is not shown, not managed, lets the user see nothing, and goes with the user."""
    result = server.settled([{"name": "app", "privileges": {"app.*": ["SELECT"]}}])
    assert list(result["diff"]["after"]["'app'@'%'"]["privileges"]) == ["app.*"]
    mark = "`ManagedBy=dbops.rds_iam`"
    assert f"GRANT REFERENCES ON {mark}.* TO `app`@`%`" in {row[0] for row in server.sql("SHOW GRANTS FOR app@'%'")}
    server.settled([{"name": "app", "privileges": {}}])
    assert [row["managed"] for row in server.run([{"name": "app"}])["user_rows"]] == [True]
    assert server.sql("SELECT schema_name FROM information_schema.schemata WHERE schema_name LIKE 'Managed%'") == []
    refused = server.run([{"name": "app", "privileges": {f"{mark}.*": ["SELECT"]}}], fails=True)
    assert "the mark of this collection" in refused["msg"]
    server.run([ABSENT])
    assert server.sql("SELECT user FROM mysql.db WHERE user = 'app'") == []


@pytest.mark.parametrize("shared_server", ["mariadb"], indirect=True, scope="session")
def test_a_login_that_cannot_mark(server):
    server.sql(
        "CREATE USER limited@'%' IDENTIFIED BY 'sesame'",
        "GRANT SELECT, CREATE USER ON *.* TO limited@'%'",
    )
    login = {"login_user": "limited", "login_password": "sesame"}
    result = server.run([{"name": "app"}], **login)
    assert "cannot be marked" in result["warned"]
    assert [row["managed"] for row in result["user_rows"]] == [False]
    assert server.run([{"name": "app"}], **login)["warned"] == ""
    assert outcomes(server.run([ABSENT], only_managed=True)) == {"app": ("kept", False)}


def test_the_mark_where_names_are_kept_in_lower_case(lower_case_server):
    lower_case_server.settled([{"name": "app", "privileges": {"app.*": ["SELECT"]}}])
    lower_case_server.settled([{"name": "app", "privileges": {}}])
    assert outcomes(lower_case_server.run([ABSENT], only_managed=True)) == {"app": ("done", True)}
