# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names made to break quoting go as they are into the server's own tables, or are refused before anything is sent."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

MARK_DATABASE = "ManagedBy=dbops.rds_iam"
NASTY = "'\"`\\%_@;-/#.,() aÀé中$"
PATTERNS = "*?"  # of IAM policies
NAMES = st.text(NASTY + PATTERNS, min_size=1, max_size=12).filter(lambda name: name == name.strip())
USERS = NAMES.filter(lambda name: not set(name) & set(PATTERNS))
HOSTS = ["%", "localhost", "LocalHost", "10.0.0.%", "10.0.0.0/255.255.255.0", "db-_1.example.com", "::1", "2001:db8::%"]
SETTINGS = settings(
    max_examples=20, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)


def quoted(name):
    return "`" + name.replace("`", "``") + "`"


@pytest.fixture(params=["", "ANSI_QUOTES", "NO_BACKSLASH_ESCAPES", "ANSI_QUOTES,NO_BACKSLASH_ESCAPES"])
def any_mode(request, server):
    """A server on which new sessions begin with another way to quote."""
    [(before,)] = server.sql("SELECT @@GLOBAL.sql_mode")
    server.sql(f"SET GLOBAL sql_mode = '{request.param}'")
    yield server
    server.sql(f"SET GLOBAL sql_mode = '{before}'")


def test_names_of_accounts(any_mode):
    server, others = any_mode, any_mode.accounts()

    @SETTINGS
    @given(name=USERS, host=st.sampled_from(HOSTS))
    @example(name="a\\", host="%")
    @example(name="a'@'%", host="localhost")
    @example(name="%", host="%")
    def there_and_gone(name, host):
        server.settled([{"name": name, "host": host, "privileges": {"app.*": ["SELECT"]}}])
        assert server.accounts() - others == {(name, host.lower())}
        granted = server.sql("SELECT user, host, db, select_priv, insert_priv FROM mysql.db WHERE db = 'app'")
        assert granted == [(name, host.lower(), "app", "Y", "N")]
        server.settled([{"name": name, "host": host, "state": "absent"}])
        assert server.accounts() == others

    there_and_gone()


@pytest.mark.parametrize("name", [" a", "a ", "a\n", "a\tb", "a\x00b", "a\u200b", "a\u3000", "a😀"])
def test_names_that_a_server_would_change(server, name):
    for user in (
        {"name": name},
        *({"name": "app", "privileges": {level: ["SELECT"]}} for level in (f"`{name}`.*", f"app.`{name}`")),
        {"name": "app", "privileges": {"app.orders": [f"SELECT (`{name}`)"]}},
    ):
        result = server.run([user], fails=True)
        assert "would take it for another name" in result["msg"]
        assert result["sent"] == []


@pytest.mark.parametrize("host", ["a'b", 'a"b', "a`b", "a\\", "a@b", "a b", "a\n", "é", "%' OR '1", "a" * 256])
def test_hosts_that_are_none(server, host):
    result = server.run([{"name": "app", "host": host}], fails=True)
    assert "not the host part of an account" in result["msg"]
    assert result["sent"] == []


def test_names_of_databases_tables_and_columns(any_mode):
    server = any_mode
    databases = set(server.sql("SHOW DATABASES"))

    @SETTINGS
    @given(database=NAMES, table=NAMES, column=NAMES)
    @example(database="*", table="*", column="*")
    @example(database="a%_\\", table="a%_\\", column="a\\")
    @example(database="a.b", table="c`.*", column="a, b")
    def granted(database, table, column):
        level = f"{quoted(database)}.{quoted(table)}"
        wanted = {f"{quoted(database)}.*": ["INSERT"], level: ["DELETE", f"SELECT ({quoted(column)})"]}
        server.sql(f"CREATE DATABASE {quoted(database)}", f"CREATE TABLE {level} ({quoted(column)} INT)")
        try:
            server.settled([{"name": "app", "privileges": wanted}])
            levels = server.sql(f"SELECT db FROM mysql.db WHERE user = 'app' AND db <> '{MARK_DATABASE}'")
            assert levels == [(database,)]
            shown = server.sql("SELECT db, table_name, table_priv, column_priv FROM mysql.tables_priv")
            assert [tuple(map(str, row)) for row in shown if row[0] == database] == [
                (database, table, "Delete", "Select")
            ]
            shown = server.sql("SELECT db, table_name, column_name FROM mysql.columns_priv WHERE user = 'app'")
            assert shown == [(database, table, column)]
            server.settled([{"name": "app", "privileges": {}}])
            assert server.grants("app") == set()
        finally:
            server.sql(f"DROP DATABASE {quoted(database)}")

    granted()
    assert set(server.sql("SHOW DATABASES")) == databases


@pytest.mark.parametrize(("length", "fits"), [(64, True), (65, False)])
def test_longest_names(server, length, fits):
    name = "x" * length
    user = {"name": "y" * 32, "privileges": {f"{name}.*": ["SELECT"]}}
    if fits:
        server.settled([user])
        assert server.grants("y" * 32) == {f"GRANT SELECT ON `{name}`.*"}
    else:
        result = server.run([user], fails=True)
        assert "65 characters" in result["msg"]
        assert result["sent"] == []
    assert "33 characters" in server.run([{"name": "y" * 33}], fails=True)["msg"]


def test_wildcards_are_those_of_grant(server):
    """In the name of a database where the level is a database, and nowhere else."""
    privileges = {"app\\_1.*": ["SELECT"], "app_1.*": ["INSERT"], "app%.*": ["UPDATE"], "app.or_ers": ["CREATE"]}
    server.settled([{"name": "app", "privileges": privileges}])
    rows = f"FROM mysql.db WHERE user = 'app' AND db <> '{MARK_DATABASE}'"
    shown = server.sql(f"SELECT db, select_priv, insert_priv, update_priv {rows}")
    assert set(shown) == {("app\\_1", "Y", "N", "N"), ("app_1", "N", "Y", "N"), ("app%", "N", "N", "Y")}
    assert server.sql("SELECT table_name FROM mysql.tables_priv WHERE user = 'app'") == [("or_ers",)]
