# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Accounts as the module makes, repairs and drops them, and as the servers themselves show them."""

from __future__ import annotations

import json
import ssl

import pymysql
import pytest
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.base import ConnectionOptions
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql import connection as mysql_connection
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql import session, user_reader

PLUGIN = "AWSAuthenticationPlugin"
IAM = f"IDENTIFIED WITH {PLUGIN} AS 'RDS'"
GOOD = (PLUGIN, "RDS", "SSL", False)
APP = {"name": "app", "privileges": {"app.*": ["SELECT", "UPDATE"]}}
APP_GRANTS = {"GRANT SELECT, UPDATE ON `app`.*"}
OLD = "the old password"


def connect(server, user, password):
    options = {"host": "127.0.0.1", "port": server.port, "user": user, "password": password, "charset": "utf8mb4"}
    return pymysql.connect(**options, ssl=ssl._create_unverified_context(), autocommit=True)


def lets_in(server, user, password):
    try:
        connect(server, user, password).close()
    except pymysql.err.OperationalError:
        return False
    return True


def test_statements_do_not_grow_with_the_number_of_accounts(server):
    users = [{"name": f"u{number}", "privileges": {"app.*": ["SELECT"]}} for number in range(1000)]

    def cost(given):
        before = server.questions()
        result = server.run(given)
        return server.questions() - before, result["sent"]

    made, sent = cost(users[:200])
    verbs = ["CREATE", "GRANT"] if server.is_mysql else ["CREATE", "GRANT", "GRANT"]  # a mark and the privileges
    assert [statement.split()[0] for statement in sent] == verbs * 2, "for a hundred each"
    assert made <= 30
    server.run(users)
    assert {server.account(f"u{number}") for number in (0, 99, 100, 999)} == {GOOD}
    assert server.grants("u999") == {"GRANT SELECT ON `app`.*"}
    one, sent = cost(users[:1])
    assert sent == []
    thousand, sent = cost(users)
    assert sent == []
    assert thousand <= one + 2
    dropped = server.run([{**user, "state": "absent"} for user in users])
    assert [statement.split()[0] for statement in dropped["sent"]] == ["DROP"] * 10
    assert dropped["iam_database_users_remaining"] == 0
    assert ("u999", "%") not in server.accounts()


def test_only_those_that_are_alike_are_made_together(server):
    server.run([{"name": "there"}])
    select, none = {"privileges": {"app.*": ["SELECT"]}}, {"privileges": {}}
    users = [
        *({"name": "a", **select}, {"name": "b", "host": "10.%", **select}, {"name": "d", **none}, {"name": "c"}),
        *({"name": "e", "require_ssl": False}, {"name": "f", "require_ssl": False}, {"name": "there", **select}),
        {"name": "g", "require_ssl": False, **select},
    ]
    server.settled(users)
    assert [server.account(name) for name in "acd"] == [GOOD] * 3
    assert {server.account(name)[2] for name in "efg"} == {"NONE"}
    granted = {name for name in [*"acdefg", "there"] if server.grants(name)}
    assert granted == {"a", "g", "there"}
    assert server.account("b", "10.%") == GOOD
    assert server.grants("b", "10.%") == server.grants("a") == {"GRANT SELECT ON `app`.*"}


def test_one_run_makes_repairs_and_drops(server):
    server.run([{"name": "old"}, {"name": "drifted"}, {"name": "same"}])
    server.sql("ALTER USER drifted@'%' REQUIRE NONE")
    users = [
        *({"name": "old", "state": "absent"}, {"name": "drifted"}, {"name": "same"}),
        *({"name": "new", "host": "10.0.0.%"}, {"name": "never", "state": "absent"}),
    ]
    result = server.settled(users)
    assert [user["changed"] for user in result["users"]] == [True, True, False, True, False]
    assert len(result["sent"]) == (3 if server.is_mysql else 4), "on MariaDB the mark has a statement of its own"
    assert result["sent"] == [sent for user in result["users"] for sent in user["statements"]]
    assert result["iam_database_users_remaining"] == 3
    assert (server.account("old"), server.account("new", "10.0.0.%")) == (None, GOOD)


@pytest.mark.parametrize(
    "drift",
    [
        "ALTER USER app@'%' REQUIRE NONE",
        f"ALTER USER app@'%' IDENTIFIED WITH {PLUGIN} AS 'other'",
        "GRANT INSERT ON app.* TO app@'%'",
        "REVOKE UPDATE ON app.* FROM app@'%'",
        "GRANT SELECT ON *.* TO app@'%'",
        "GRANT SELECT ON app.orders TO app@'%'",
        "GRANT SELECT (id), UPDATE (id) ON app.orders TO app@'%'",
        "GRANT USAGE ON *.* TO app@'%' WITH GRANT OPTION",
        "GRANT USAGE ON app.* TO app@'%' WITH GRANT OPTION",
        "DROP USER app@'%'",
    ],
)
def test_drift_is_shown_and_repaired(server, drift):
    server.settled([APP])
    server.sql(drift)
    checked = server.run([APP], check=True)
    assert checked["changed"]
    assert checked["sent"] == []
    repaired = server.run([APP])
    assert repaired["diff"] == checked["diff"]
    shown = repaired["diff"]["after"]["'app'@'%'"]
    assert shown == {"plugin": PLUGIN, "as": "RDS", "require": "SSL", "privileges": {"app.*": ["SELECT", "UPDATE"]}}
    assert repaired["diff"]["before"].get("'app'@'%'") != shown
    assert server.account("app") == GOOD
    assert server.grants("app") == APP_GRANTS
    assert not server.run([APP])["changed"]


@pytest.mark.parametrize(
    "user", [APP, {"name": "there", "require_ssl": False}, {"name": "there", "state": "absent"}, {"name": "new"}]
)
def test_check_mode_says_what_a_run_does_and_sends_nothing(server, user):
    server.run([{"name": "there"}])
    accounts = server.accounts()
    checked = server.run([user], check=True)
    assert checked["sent"] == []
    assert server.accounts() == accounts
    done = server.run([user])
    assert done["sent"] == checked["users"][0]["statements"]
    differ = {"sent": 0, "invocation": 0, "user_rows": 0}
    assert {**checked, **differ} == {**done, **differ}


def test_require_ssl_goes_away_only_if_told(server):
    server.run([{"name": "app"}])
    server.run([APP])
    assert server.account("app") == GOOD
    server.settled([{"name": "app", "require_ssl": False}])
    assert server.account("app")[2] == "NONE"
    server.settled([{"name": "app"}])
    assert server.account("app") == GOOD
    assert server.grants("app") == APP_GRANTS, "left out, privileges stay too"


@pytest.mark.parametrize("stricter", ["X509", "SUBJECT '/CN=app'"])
@pytest.mark.parametrize("identified", [IAM, f"IDENTIFIED WITH {PLUGIN} AS 'other'", f"IDENTIFIED BY '{OLD}'"])
def test_a_stricter_requirement_stays(server, stricter, identified):
    server.sql(f"CREATE USER app@'%' {identified} REQUIRE {stricter}")
    result = server.settled([{**APP, "convert": True}])
    assert server.account("app") == (PLUGIN, "RDS", stricter.split()[0], False)
    assert result["diff"]["after"]["'app'@'%'"]["require"] == {"X509": "X509"}.get(stricter, "SPECIFIED")


def test_a_password_is_taken_away_only_if_told(server):
    server.sql(f"CREATE USER app@'%' IDENTIFIED BY '{OLD}'")
    refused = server.run([APP], fails=True)
    assert "set convert" in refused["msg"] and server.name in refused["msg"]
    assert refused["sent"] == []
    refused = server.run([{"name": "app", "state": "absent", "convert": True}], fails=True)
    assert "is not dropped" in refused["msg"]
    assert refused["sent"] == []
    assert lets_in(server, "app", OLD)
    [(hashed,)] = server.sql("SELECT authentication_string FROM mysql.user WHERE user = 'app'")
    result = server.settled([{**APP, "convert": True}])
    assert json.dumps(hashed)[1:-1] not in json.dumps(result)
    assert result["diff"]["before"]["'app'@'%'"]["as"] == "(not shown)"
    assert server.account("app") == GOOD
    assert not lets_in(server, "app", OLD)


def test_an_account_whose_password_has_run_out_is_converted(server):
    server.sql(f"CREATE USER app@'%' IDENTIFIED BY '{OLD}' PASSWORD EXPIRE")
    server.settled([{**APP, "convert": True}])
    [expired] = server.sql("SELECT password_expired FROM mysql.user WHERE user = 'app'")
    assert expired == ("N",)


def test_second_ways_to_log_in_are_seen_and_taken_away(server):
    if server.is_mysql:
        server.sql(
            f"CREATE USER app@'%' {IAM}",
            "CREATE USER factors@'%' IDENTIFIED WITH caching_sha2_password BY 'x' AND " + IAM,
            f"CREATE USER later@'%' {IAM} AND {IAM}",
            f"CREATE USER two@'%' IDENTIFIED BY '{OLD}'",
            "ALTER USER two@'%' IDENTIFIED BY 'a newer one' RETAIN CURRENT PASSWORD",
        )
        names = ["factors", "later", "two"]
    else:
        old = f"mysql_native_password USING PASSWORD('{OLD}')"
        server.sql(
            f"CREATE USER first@'%' IDENTIFIED VIA {old} OR {PLUGIN} USING 'RDS'",
            f"CREATE USER second@'%' IDENTIFIED VIA {PLUGIN} USING 'RDS' OR {old}",
            f"CREATE USER third@'%' IDENTIFIED VIA unix_socket OR {PLUGIN} USING 'RDS'",
        )
        assert lets_in(server, "first", OLD)
        names = ["first", "second", "third"]
    for name in names:
        refused = server.run([{"name": name}], fails=True)
        assert "set convert" in refused["msg"]
        assert refused["sent"] == []
        server.settled([{"name": name, "convert": True}])
        assert server.account(name) == GOOD
        [(text,)] = server.sql(f"SHOW CREATE USER {name}@'%'")
        assert text.count("IDENTIFIED") == 1 and " OR " not in text
        assert not lets_in(server, name, OLD)
    if server.is_mysql:
        assert server.sql("SELECT user FROM mysql.user WHERE user_attributes LIKE '%password%'") == []


def test_accounts_with_iam_among_their_ways_are_left(server):
    """The flag may not be switched off under them."""
    other = f"IDENTIFIED BY '{OLD}'"
    server.sql(f"CREATE USER pure@'%' {IAM}", f"CREATE USER none@'%' {other}")
    if server.is_mysql:
        first = "IDENTIFIED WITH caching_sha2_password BY 'x'"
        server.sql(f"CREATE USER one@'%' {IAM} AND {IAM}", f"CREATE USER two@'%' {first} AND {IAM}")
    else:
        via, old = f"{PLUGIN} USING 'RDS'", f"mysql_native_password USING PASSWORD('{OLD}')"
        server.sql(f"CREATE USER one@'%' IDENTIFIED VIA {via} OR {old}")
        server.sql(f"CREATE USER two@'%' IDENTIFIED VIA unix_socket OR {via.lower()}")
        server.sql(f"CREATE USER other@'%' IDENTIFIED VIA unix_socket OR {old}")
    assert server.run([{"name": "pure", "state": "absent"}])["iam_database_users_remaining"] == 2
    assert server.run([{"name": "one", "convert": True}])["iam_database_users_remaining"] == 2


def test_the_name_of_a_plugin_has_no_case(server):
    never = "" if server.is_mysql else "PASSWORD EXPIRE NEVER"
    server.sql(f"CREATE USER app@'%' {IAM.lower().replace('rds', 'RDS')} REQUIRE SSL {never}")
    assert not server.run([{"name": "app"}])["changed"]


@pytest.mark.parametrize(
    "name",
    [
        *("admin", "root", "rdsadmin", "mysql.sys", "mysql.session", "mysql.infoschema", "mariadb.sys", "PUBLIC"),
        *("rds_superuser_role", "rdsrepladmin", "rdsrepladmin_priv_checks_user", "rdsproxyadmin", "rdstopmgr"),
        *("Root", "RDSADMIN", "Mysql.Sys"),
    ],
)
def test_accounts_of_others_are_not_touched(server, name):
    for host in ("%", "localhost", "10.0.0.1"):
        for state in ("present", "absent"):
            users = [{"name": "new"}, {"name": name, "host": host, "state": state, "convert": True}]
            result = server.run(users, fails=True)
            assert result["sent"] == []
            assert name in result["msg"] and "not touch" in result["msg"]


@pytest.mark.parametrize("host", ["%", "localhost"])
@pytest.mark.parametrize("state", ["present", "absent"])
def test_roles_are_not_touched(server, host, state):
    server.sql("CREATE ROLE app", "GRANT SELECT ON app.* TO app")
    users = [{"name": "new"}, {"name": "app", "host": host, "state": state, "convert": True}]
    if (not server.is_mysql or host != "%") and state == "absent":  # there is no such account, and nothing to do
        server.settled(users)
        assert ("app", "%" if server.is_mysql else "") in server.accounts()
        return
    result = server.run(users, fails=True)
    assert result["sent"] == []
    assert f"{server.name} has a role with the name" in result["msg"]


def test_what_else_an_account_has_stays(server):
    """Limits, roles, the default role, and privileges on routines: whatever happens to the rest of the account."""
    server.sql(
        "CREATE ROLE reader",
        "GRANT SELECT, DELETE ON app.* TO reader",
        "DROP PROCEDURE IF EXISTS app.p",
        "CREATE PROCEDURE app.p() SELECT 1",
        f"CREATE USER app@'%' IDENTIFIED BY '{OLD}' WITH MAX_USER_CONNECTIONS 7",
        "GRANT reader TO app@'%'",
        "SET DEFAULT ROLE reader TO app@'%'" if server.is_mysql else "SET DEFAULT ROLE reader FOR app@'%'",
        "GRANT EXECUTE ON PROCEDURE app.p TO app@'%'",
        "GRANT INSERT ON app.* TO app@'%'",
    )
    result = server.settled([{**APP, "convert": True}])
    assert result["diff"]["before"]["'app'@'%'"]["privileges"] == {"app.*": ["INSERT"]}, "not those of the role"
    assert APP_GRANTS | {"GRANT EXECUTE ON PROCEDURE `app`.`p`"} < server.grants("app")
    shown = " ".join(row[0] for row in server.sql("SHOW CREATE USER app@'%'", "SHOW GRANTS FOR app@'%'"))
    assert "`reader`" in shown
    [(user,)] = server.sql("SHOW CREATE USER app@'%'")
    assert "MAX_USER_CONNECTIONS 7" in user
    assert "DEFAULT ROLE `reader`" in (user if server.is_mysql else shown)
    server.sql("DROP PROCEDURE app.p")


def test_accounts_that_differ_in_case_or_host_are_different(server):
    users = [
        {"name": "app", "privileges": {"app.*": ["SELECT"]}},
        {"name": "App", "privileges": {"app.*": ["INSERT"]}},
        {"name": "app", "host": "LOCALHOST", "privileges": {"app.*": ["UPDATE"]}},
    ]
    server.settled(users)
    assert server.grants("app") == {"GRANT SELECT ON `app`.*"}
    assert server.grants("App") == {"GRANT INSERT ON `app`.*"}
    assert server.grants("app", "localhost") == {"GRANT UPDATE ON `app`.*"}
    assert not server.run(users[:1])["changed"], "the others are not its own"
    twice = server.run([{"name": "app", "host": "H"}, {"name": "app", "host": "h"}], fails=True)
    assert "given twice" in twice["msg"]


@pytest.mark.parametrize("host", [str.lower, str.upper])
def test_the_name_is_verified_on_whatever_address_is_dialled(server, address, host):
    result = server.run([{"name": "app"}], connect_host=address, login_host=host(server.name))
    assert result["changed"]
    other = server.run([{"name": "app"}], connect_host=address, login_host="other.example.com", fails=True)
    assert f"(through {address})" in other["msg"] and "Hostname mismatch" in other["msg"]


@pytest.fixture
def connection(server):
    options = ConnectionOptions(
        server.name, server.port, ca_file=str(server.ca_file), connect_host="127.0.0.1", timeout=10
    )
    with mysql_connection.connect(options, server.master, server.password) as connection:
        yield connection


def test_a_grant_makes_no_account(server, connection):
    """Somebody may drop an account between CREATE USER and GRANT."""
    session.prepare(connection, server.name)
    with pytest.raises(pymysql.err.Error):
        session.send(connection, "GRANT SELECT ON app.* TO 'nobody'@'%'")
    assert ("nobody", "%") not in server.accounts()


def test_hashes_of_passwords_are_not_read(server, connection):
    server.sql(f"CREATE USER app@'%' IDENTIFIED BY '{OLD}'", f"CREATE USER iam@'%' {IAM}")
    traits = session.prepare(connection, server.name)
    read = {key: user.auth_string for key, user in user_reader.read_users(connection, traits).items()}
    assert {key for key, text in read.items() if text} == {("iam", "%")}
