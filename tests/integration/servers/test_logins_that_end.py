# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Users that could not log in any more: locked by a person, or expired by MariaDB as if a token were a password."""

from __future__ import annotations

import pytest

PLUGIN = "AWSAuthenticationPlugin"
IAM = f"IDENTIFIED WITH {PLUGIN} AS 'RDS'"
GOOD = (PLUGIN, "RDS", "SSL", False)
LOCKED = (PLUGIN, "RDS", "SSL", True)
APP = {"name": "app", "privileges": {"app.*": ["SELECT"]}}

only_mariadb = pytest.mark.parametrize("shared_server", ["mariadb"], indirect=True, scope="session")
only_mysql = pytest.mark.parametrize("shared_server", ["mysql"], indirect=True, scope="session")


@pytest.mark.parametrize("change", [{}, {"privileges": {"app.*": ["SELECT", "INSERT"]}}, {"require_ssl": False}])
def test_a_user_that_a_person_has_locked_stays_locked(server, change):
    server.run([APP])
    server.sql("ALTER USER app@'%' ACCOUNT LOCK")
    for check in (True, False):
        result = server.run([{**APP, **change}], check=check)
        assert "'app'@'%' of" in result["warned"] and "stay locked" in result["warned"]
        assert [row["locked"] for row in result["user_rows"]] == [True]
        assert result["changed"] == bool(change)
    assert server.account("app")[3]


def test_a_converted_user_stays_locked(server):
    server.sql("CREATE USER app@'%' IDENTIFIED BY 'x' ACCOUNT LOCK")
    assert "stay locked" in server.run([{**APP, "convert": True}])["warned"]
    assert server.account("app") == LOCKED


def test_the_lock_is_what_is_asked_for(server):
    assert server.settled([{**APP, "locked": True}])["diff"]["after"]["'app'@'%'"]["locked"]
    assert server.account("app") == LOCKED
    result = server.settled([{**APP, "locked": False}])
    assert result["diff"]["before"]["'app'@'%'"]["locked"] and "locked" not in result["diff"]["after"]["'app'@'%'"]
    assert server.account("app") == GOOD
    assert server.run([{**APP, "locked": False}])["warned"] == ""
    server.settled([{**APP, "locked": True}])
    assert server.account("app") == LOCKED


def test_users_that_are_made_together_are_locked_as_asked_for(server):
    server.settled(
        [{"name": "a", "locked": True}, {"name": "b", "locked": True}, {"name": "c"}, {"name": "d", "locked": False}]
    )
    assert [server.account(name)[3] for name in "abcd"] == [True, True, False, False]


def expiry(server, name="app"):
    """Return what the server says about the end of a user's password."""
    [(text,)] = server.sql(f"SHOW CREATE USER {name}@'%'")
    return text.partition("PASSWORD EXPIRE")[2]


def age(server, days):
    server.sql(
        "UPDATE mysql.global_priv SET priv = JSON_SET(priv, '$.password_last_changed', UNIX_TIMESTAMP() -"
        f" {days} * 86400) WHERE user = 'app'",
        "FLUSH PRIVILEGES",
    )


@only_mariadb
@pytest.mark.parametrize(
    "before",
    [
        None,
        f"{IAM} REQUIRE SSL",
        f"{IAM} REQUIRE SSL PASSWORD EXPIRE",
        f"{IAM} REQUIRE SSL PASSWORD EXPIRE INTERVAL 30 DAY",
        f"{IAM} REQUIRE X509 PASSWORD EXPIRE INTERVAL 30 DAY",
        "IDENTIFIED BY 'x' PASSWORD EXPIRE INTERVAL 30 DAY",
        "IDENTIFIED BY 'x' PASSWORD EXPIRE",
        "IDENTIFIED BY 'x'",
    ],
)
def test_a_user_of_mariadb_never_expires(server, before):
    if before:
        server.sql(f"CREATE USER app@'%' {before}")
    user = {**APP, "convert": True}
    checked, result = server.run([user], check=True), server.settled([user])
    assert checked["diff"] == result["diff"]
    assert expiry(server) == " NEVER"
    assert [row["expired"] for row in result["user_rows"]] == [False]
    if before:
        assert result["diff"]["before"]["'app'@'%'"]["expires"]
    assert "expires" not in result["diff"]["after"]["'app'@'%'"]
    if before and "X509" in before:
        assert server.account("app")[2] == "X509"


@only_mariadb
@pytest.mark.parametrize("drift", ["PASSWORD EXPIRE", "PASSWORD EXPIRE DEFAULT", "PASSWORD EXPIRE INTERVAL 1 DAY"])
def test_a_user_that_expires_again_is_repaired(server, drift):
    server.settled([APP])
    server.sql(f"ALTER USER app@'%' {drift}")
    age(server, 2) if drift != "PASSWORD EXPIRE" else None
    assert server.settled([APP])["changed"]
    assert expiry(server) == " NEVER"
    [(expired,)] = server.sql("SELECT password_expired FROM mysql.user WHERE user = 'app'")
    assert expired == "N"


@only_mysql
def test_a_user_of_mysql_has_no_expiry(server):
    server.sql("CREATE USER app@'%' IDENTIFIED BY 'x' PASSWORD EXPIRE INTERVAL 30 DAY")
    sent = server.settled([{**APP, "convert": True}])["sent"]
    assert not any("EXPIRE" in statement for statement in sent)
    assert [row["expired"] for row in server.run([APP])["user_rows"]] == [False]
