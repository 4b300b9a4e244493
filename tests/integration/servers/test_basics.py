# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the module makes of accounts, as the servers themselves show it."""

from __future__ import annotations

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

MASTER, PLUGIN = "admin", "AWSAuthenticationPlugin"
GOOD = (PLUGIN, "RDS", "SSL", False)
APP = {"name": "app", "privileges": {"app.*": ["SELECT", "UPDATE"]}}
APP_GRANTS = {"GRANT SELECT, UPDATE ON `app`.*"}
NASTY = "'\"`\\%_@;-/*# aé😀\n"


def quote(text):
    """Fit for Server.sql, which sets NO_BACKSLASH_ESCAPES."""
    return "'" + text.replace("'", "''") + "'"


def test_a_thousand_unchanged_cost_no_more_statements_than_one(server):
    users = [{"name": f"u{number}", "privileges": {"app.*": ["SELECT"]}} for number in range(1000)]
    server.run(users)

    def cost(given):
        before = server.questions()
        assert server.run(given)["sent"] == []
        return server.questions() - before

    assert cost(users) <= cost(users[:1]) + 2


@pytest.mark.parametrize(
    "drift",
    [
        "ALTER USER app@'%' REQUIRE NONE",
        "ALTER USER app@'%' ACCOUNT LOCK",
        f"ALTER USER app@'%' IDENTIFIED WITH {PLUGIN} AS 'other'",
        "GRANT INSERT ON app.* TO app@'%'",
        "REVOKE UPDATE ON app.* FROM app@'%'",
        "GRANT SELECT ON *.* TO app@'%'",
        "GRANT SELECT ON app.orders TO app@'%'",
        "GRANT SELECT (id), UPDATE (id) ON app.orders TO app@'%'",
        "GRANT USAGE ON app.* TO app@'%' WITH GRANT OPTION",
    ],
)
def test_drift_is_shown_and_repaired(server, drift):
    server.settled([APP])
    server.sql(drift)
    checked = server.run([APP], check=True)
    assert checked["changed"] and checked["sent"] == []
    repaired = server.run([APP])
    assert repaired["diff"] == checked["diff"]
    assert repaired["diff"]["before"] != repaired["diff"]["after"]
    assert server.account("app") == GOOD
    assert server.grants("app") == APP_GRANTS
    assert not server.run([APP])["changed"]


def test_require_ssl_does_not_go_away_by_omission(server):
    server.run([{"name": "app"}])
    server.run([APP])
    assert server.account("app") == GOOD
    server.sql("ALTER USER app@'%' REQUIRE X509")
    assert not server.run([APP])["changed"]
    assert server.account("app")[2] == "X509"


def test_a_password_is_taken_away_only_if_told(server):
    server.sql("CREATE USER app@'%' IDENTIFIED BY 'a password'")
    ways = "SELECT plugin, authentication_string FROM mysql.user WHERE user = 'app'"
    before = server.sql(ways)
    refused = server.run([APP], fails=True)
    assert "set convert" in refused["msg"] and refused["sent"] == []
    assert "not dropped" in server.run([{"name": "app", "state": "absent"}], fails=True)["msg"]
    assert server.sql(ways) == before
    server.settled([{**APP, "convert": True}])
    assert server.account("app") == GOOD


@pytest.mark.parametrize("name", [MASTER, "root", "rdsadmin", "mysql.sys", "mariadb.sys", "rds_superuser_role"])
@pytest.mark.parametrize("state", ["present", "absent"])
def test_accounts_of_others_are_not_touched(server, name, state):
    for host in ("%", "localhost"):
        wanted = [{"name": "new"}, {"name": name, "host": host, "state": state, "convert": True}]
        result = server.run(wanted, fails=True)
        assert result["sent"] == [] and "not touch" in result["msg"]


def test_a_failure_in_the_middle_says_how_far_it_came(server):
    users = [APP, {"name": "half", "privileges": {"app.missing": ["SELECT"]}}, {"name": "last"}]
    result = server.run(users, fails=True)
    assert [user["outcome"] for user in result["users"]] == ["done", "failed", "not tried"]
    assert "missing" in result["msg"] and "another run" in result["msg"]
    assert server.account("app") == GOOD and server.account("last") is None
    server.sql("CREATE TABLE app.missing (id INT)")
    try:
        server.settled(users)
    finally:
        server.sql("DROP TABLE app.missing")
    assert server.account("half") == server.account("last") == GOOD


def test_levels_and_the_grant_option(server):
    user = {
        "name": "app",
        "privileges": {
            "*.*": ["PROCESS"],
            "app.*": ["SELECT", "GRANT OPTION"],
            "app.orders": ["UPDATE (item, id)", "DELETE"],
        },
    }
    server.settled([user])
    # The servers order privileges and columns each in its own way.
    words = {frozenset(re.findall(r"[A-Z.*]+", grant.upper().replace("`", ""))) for grant in server.grants("app")}
    assert words == {
        frozenset(expected.split())
        for expected in (
            "GRANT PROCESS ON *.*",
            "GRANT SELECT ON APP.* WITH OPTION",
            "GRANT DELETE UPDATE ID ITEM ON APP.ORDERS",
        )
    }
    server.settled([{"name": "app", "privileges": {}}])
    assert server.grants("app") == set()


@pytest.mark.parametrize("mode", ["", "ANSI_QUOTES", "NO_BACKSLASH_ESCAPES", "ANSI_QUOTES,NO_BACKSLASH_ESCAPES"])
def test_names_made_to_break_quoting(server, mode):
    before = server.sql("SELECT @@GLOBAL.sql_mode")[0][0]
    accounts = server.accounts()

    @settings(max_examples=25, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(name=st.text(NASTY, min_size=1, max_size=12), host=st.sampled_from(["%", "10.0.0.%", "a'b", 'c"d', "e`f"]))
    def there_and_gone(name, host):
        try:
            check(name, host)
        finally:
            for left in server.accounts() - accounts:
                server.sql(f"DROP USER {quote(left[0])}@{quote(left[1])}")

    def check(name, host):
        try:
            result = server.run([{"name": name, "host": host, "privileges": {"app.*": ["SELECT"]}}])
        except AssertionError:
            assert server.run([{"name": name, "host": host}], fails=True)["sent"] == []
            assert server.accounts() == accounts
            return
        assert result["changed"]
        assert server.accounts() - accounts == {(name, host)}
        assert server.grants(name, host) == {"GRANT SELECT ON `app`.*"}
        server.settled([{"name": name, "host": host, "state": "absent"}])
        assert server.accounts() == accounts

    server.sql(f"SET GLOBAL sql_mode = '{mode}'")
    try:
        there_and_gone()
    finally:
        server.sql(f"SET GLOBAL sql_mode = '{before}'")
