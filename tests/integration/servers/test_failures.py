# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs that end half-way say how far they came, and another run does the rest."""

from __future__ import annotations

import threading
import time

import pymysql
import pytest
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql import server_reader, user_writer

GOOD = ("AWSAuthenticationPlugin", "RDS", "SSL", False)


def told(result):
    return [(user["name"], user["outcome"], user["changed"]) for user in result["users"]]


@pytest.fixture
def goes_meanwhile(server, monkeypatch):
    """A table that somebody drops after the module has looked for it."""
    server.sql("CREATE TABLE app.missing (id INT)")
    read_tables = server_reader.read_tables

    def too_early(*arguments):
        found = read_tables(*arguments)
        server.sql("DROP TABLE app.missing")
        monkeypatch.setattr(server_reader, "read_tables", read_tables)
        return found

    monkeypatch.setattr(server_reader, "read_tables", too_early)
    yield
    server.sql("DROP TABLE IF EXISTS app.missing")


def test_a_refused_statement(server, goes_meanwhile):
    server.run([{"name": "same"}])
    half = {"name": "half", "privileges": {"app.missing": ["SELECT"]}}
    users = [{"name": "first"}, half, {"name": "last"}, {"name": "same"}]
    result = server.run(users, fails=True)
    assert told(result) == [
        ("first", "done", True),
        ("half", "failed", True),
        ("last", "not_tried", False),
        ("same", "done", False),
    ]
    for part in (server.name, "GRANT SELECT ON `app`.`missing` TO 'half'@'%'", "doesn't exist", "another run does"):
        assert part in result["msg"]
    assert result["changed"]
    assert not {"diff", "iam_database_users_remaining", "user_rows"} & result.keys(), "nobody knows"
    assert (server.account("first"), server.account("last")) == (GOOD, None)
    server.sql("CREATE TABLE app.missing (id INT)")
    assert [user["changed"] for user in server.settled(users)["users"]] == [False, True, True, False]
    assert server.account("half") == server.account("last") == GOOD


def test_a_server_that_takes_no_changes(server):
    server.sql("SET GLOBAL read_only = ON")
    try:
        result = server.run([{"name": "first"}, {"name": "last"}], fails=True)
    finally:
        server.sql("SET GLOBAL read_only = OFF")
    assert told(result) == [("first", "failed", False), ("last", "not_tried", False)]
    assert not result["changed"]
    assert "read-only" in result["msg"]


COLUMN = {"privileges": {"app.orders": ["SELECT (id)"]}}


@pytest.mark.parametrize(
    ("users", "outcomes"),
    [
        (
            [{"name": "first"}, {"name": "half", **COLUMN}, {"name": "last"}],
            [("first", "done", True), ("half", "failed", True), ("last", "not_tried", False)],
        ),
        (  # the middle ones share their statements, and nobody knows which of them there are
            [{"name": "first"}, {"name": "half", **COLUMN}, {"name": "half2", **COLUMN}, {"name": "last"}],
            [
                *(("first", "done", True), ("half", "failed", True), ("half2", "failed", True)),
                ("last", "not_tried", False),
            ],
        ),
    ],
)
def test_a_connection_that_is_lost(server, users, outcomes):
    """GRANT on a column waits for the table, which somebody else has locked, until its connection is ended."""
    socket_file = str(server.place / "mysqld.sock")
    problems = []

    def end_it():
        deadline = time.monotonic() + 30
        waiting = "SELECT id FROM information_schema.processlist WHERE user = 'admin' AND info LIKE 'GRANT%'"
        while not (found := server.sql(waiting)):
            if time.monotonic() > deadline:
                problems.append("no GRANT waits")
                return
            time.sleep(0.02)
        server.sql(f"KILL {found[0][0]}")

    with pymysql.connect(unix_socket=socket_file, user="root") as root, root.cursor() as cursor:
        cursor.execute("LOCK TABLES app.orders WRITE")
        helper = threading.Thread(target=end_it)
        helper.start()
        result = server.run(users, fails=True)
        helper.join()
    assert problems == []
    assert told(result) == outcomes
    assert server.name in result["msg"] and "Lost connection" in result["msg"]
    server.settled(users)
    assert server.account("half") == server.account("last") == GOOD


def test_a_refused_statement_of_several_accounts(server, goes_meanwhile):
    half = {"privileges": {"app.*": ["SELECT"], "app.missing": ["SELECT"]}}
    users = [{"name": "first"}, {"name": "a", **half}, {"name": "b", **half}, {"name": "last"}]
    result = server.run(users, fails=True)
    assert told(result) == [
        ("first", "done", True),
        ("a", "failed", True),
        ("b", "not_tried", True),
        ("last", "not_tried", False),
    ]
    assert "GRANT SELECT ON `app`.`missing` TO 'a'@'%'" in result["msg"]
    assert server.account("last") is None
    server.sql("CREATE TABLE app.missing (id INT)")
    server.settled(users)
    assert {row["name"]: row["managed"] for row in server.run(users)["user_rows"]} == dict.fromkeys(
        ("first", "a", "b", "last"), True
    )
    assert server.grants("b") == server.grants("a")


@pytest.mark.parametrize("password", [False, True])
def test_one_of_several_that_somebody_else_makes_meanwhile(server, monkeypatch, password):
    """MariaDB makes the others all the same, MySQL none of them."""
    how = "IDENTIFIED BY 'a password'" if password else "IDENTIFIED WITH AWSAuthenticationPlugin AS 'RDS'"
    together = user_writer._send_batch

    def too_late(*arguments):
        server.sql(f"CREATE USER b@'%' {how}")
        return together(*arguments)

    monkeypatch.setattr(user_writer, "_send_batch", too_late)
    users = [{"name": name, "privileges": {"app.*": ["SELECT"]}} for name in "abc"]
    if password:
        result = server.run(users, fails=True)
        some = not server.is_mysql
        assert told(result) == [("a", "done", True), ("b", "failed", False), ("c", "not_tried", some)]
        assert "CREATE USER" in result["msg"] and "'b'@'%'" in result["msg"]
        [(plugin,)] = server.sql("SELECT plugin FROM mysql.user WHERE user = 'b'")
        assert plugin in ("mysql_native_password", "caching_sha2_password")
    else:
        assert told(server.settled(users)) == [("a", "done", True), ("b", "done", True), ("c", "done", True)]
        assert server.account("b") == server.account("c") == GOOD


def test_a_server_that_does_not_do_what_it_was_told(server):
    """Columns granted in two spellings: REVOKE takes one away and says that it took both."""
    server.run([{"name": "first"}, {"name": "app"}])
    server.sql("GRANT SELECT (ID) ON app.orders TO app@'%'", "GRANT SELECT (id) ON app.orders TO app@'%'")
    users = [{"name": "first", "host": "10.0.0.1"}, {"name": "app", "privileges": {}}]
    result = server.run(users, fails=True)
    assert "reading 'app'@'%' back shows" in result["msg"] and server.name in result["msg"]
    assert told(result) == [("first", "done", True), ("app", "failed", True)]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"login_user": "nobody"}, "refused the login of nobody"),
        ({"login_host": "other.cabcdefghijk.eu-west-1.rds.amazonaws.com"}, "is not accepted"),
        ({"connect_timeout": 0}, "connect_timeout is 0; give a number of seconds from 1 to 3600."),
        ({"connect_timeout": 31536001}, "connect_timeout is 31536001"),
    ],
)
def test_a_login_that_does_not_work(server, options, words):
    result = server.run([{"name": "app"}], fails=True, **options)
    assert words in result["msg"]
    assert (result["changed"], result["sent"]) == (False, [])


def test_a_login_that_may_not_read_accounts(server):
    server.sql("CREATE USER weak@'%' IDENTIFIED BY 'sesame'")
    result = server.run([{"name": "app"}], fails=True, login_user="weak", login_password="sesame")
    assert f"The accounts of {server.name} could not be read as weak" in result["msg"]
    assert (result["changed"], result["sent"]) == (False, [])


def test_a_host_that_is_not_ready_yet(server, tmp_path):
    """In check mode nothing that earlier tasks install is there."""
    missing = str(tmp_path / "ca.pem")
    result = server.run([{"name": "app"}], fails=True, ca_file=missing)
    assert missing in result["msg"]
    assert result["sent"] == []
    checked = server.run([{"name": "app"}], check=True, ca_file=missing)
    [done] = server.run([{"name": "app"}])["users"]
    assert checked["users"] == [{**done, "statements": []}], "which ones depends on the server"
    assert missing in checked["warned"]
