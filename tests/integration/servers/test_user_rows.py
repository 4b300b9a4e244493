# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rows of mysql.user that a login may match, as the module returns them."""

from __future__ import annotations

import pytest

PLUGIN = "AWSAuthenticationPlugin"
IAM = f"IDENTIFIED WITH {PLUGIN} AS 'RDS'"
OTHER = {"mariadb": "mysql_native_password", "mysql": "caching_sha2_password"}


def row(name, host, **changes):
    usual = {"plugin": PLUGIN, "iam": True, "locked": False, "expired": False, "require": "NONE", "managed": False}
    return {"name": name, "host": host, **usual, **changes}


def test_rows_with_a_name_that_was_given_and_the_anonymous_one(server):
    password = {"plugin": OTHER[server.engine], "iam": False}
    server.sql(
        f"CREATE USER app@'%' {IAM} REQUIRE SSL",
        f"CREATE USER gone@'%' {IAM} REQUIRE X509",
        "CREATE USER app@'10.0.0.%' IDENTIFIED BY 'x' ACCOUNT LOCK",
        "CREATE USER other@'%' IDENTIFIED BY 'x'",
        "CREATE USER ''@'10.0.0.1' IDENTIFIED BY 'x' REQUIRE SUBJECT '/CN=app'",
    )
    before = [
        row("", "10.0.0.1", require="SPECIFIED", **password),
        row("app", "%", require="SSL"),
        row("app", "10.0.0.%", locked=True, **password),
        row("gone", "%", require="X509"),
    ]
    users = [{"name": "app"}, {"name": "gone", "state": "absent"}, {"name": "new"}]
    assert server.run(users, check=True)["user_rows"] == before
    after = server.run(users)["user_rows"]
    assert [found for found in after if found["name"] != "new"] == before[:-1]
    [new] = [found for found in after if found["name"] == "new"]
    assert {key: new[key] for key in ("host", "iam", "require")} == {"host": "%", "iam": True, "require": "SSL"}
    assert [user["name"] for user in server.run(users)["users"]] == ["app", "gone", "new"], "absent ones stay"


@pytest.mark.parametrize("shared_server", ["mariadb"], indirect=True, scope="session")
def test_rows_that_mariadb_takes_for_expired(server):
    server.sql(
        *(f"CREATE USER {name}@'%' {IAM}" for name in ("old", "young", "never", "now", "own")),
        "ALTER USER never@'%' PASSWORD EXPIRE NEVER",
        "ALTER USER now@'%' PASSWORD EXPIRE",
        "ALTER USER own@'%' PASSWORD EXPIRE INTERVAL 5 DAY",
        "UPDATE mysql.global_priv SET priv = JSON_SET(priv, '$.password_last_changed', UNIX_TIMESTAMP() - 6 * 86400)"
        " WHERE user IN ('old', 'never', 'own')",
        "FLUSH PRIVILEGES",
        "SET GLOBAL default_password_lifetime = 6",
    )
    try:
        users = [{"name": name, "require_ssl": False} for name in ("old", "young", "never", "now", "own")]
        rows = server.run(users, check=True)["user_rows"]
    finally:
        server.sql("SET GLOBAL default_password_lifetime = DEFAULT")
    assert {found["name"] for found in rows if found["expired"]} == {"old", "now", "own"}


@pytest.mark.parametrize("shared_server", ["mysql"], indirect=True, scope="session")
def test_rows_that_mysql_takes_for_expired(server):
    server.sql(
        "CREATE USER old@'%' IDENTIFIED BY 'x' PASSWORD EXPIRE INTERVAL 5 DAY",
        "CREATE USER now@'%' IDENTIFIED BY 'x' PASSWORD EXPIRE",
        "CREATE USER young@'%' IDENTIFIED BY 'x' PASSWORD EXPIRE INTERVAL 5 DAY",
        f"CREATE USER iam@'%' {IAM} REQUIRE SSL",
        "UPDATE mysql.user SET password_last_changed = NOW() - INTERVAL 6 DAY WHERE user IN ('old', 'iam')",
        "FLUSH PRIVILEGES",
        "SET GLOBAL default_password_lifetime = 1",
    )
    try:
        users = [{"name": name, "convert": True} for name in ("old", "young", "now", "iam")]
        rows = server.run(users, check=True)["user_rows"]
    finally:
        server.sql("SET GLOBAL default_password_lifetime = DEFAULT")
    assert {found["name"] for found in rows if found["expired"]} == {"old", "now"}
