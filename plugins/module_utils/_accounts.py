# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read the accounts of a server, in as many statements for a thousand as for one. Private to this collection."""

from __future__ import annotations

from collections import defaultdict

from ansible_collections.dbops.rds_iam.plugins.module_utils._db_user import (
    GRANT_OPTION,
    Account,
    column_privilege,
    quote,
)

_MYSQL_ACCOUNTS = "SELECT user, host, plugin, authentication_string, ssl_type, account_locked FROM mysql.user"
# mysql.user of MariaDB shows neither the lock nor a second way to log in.
_MARIADB_ACCOUNTS = """
    SELECT u.user, u.host,
           IF(JSON_EXISTS(p.priv, '$.auth_or'), 'several plugins', u.plugin), u.authentication_string, u.ssl_type,
           IF(JSON_VALUE(p.priv, '$.account_locked'), 'Y', 'N')
    FROM mysql.user u JOIN mysql.global_priv p ON p.user = u.user AND p.host = u.host
    WHERE u.is_role = 'N'"""

_PRIVILEGES = (
    "SELECT grantee, '*', '*', NULL, privilege_type, is_grantable FROM information_schema.user_privileges",
    "SELECT grantee, table_schema, '*', NULL, privilege_type, is_grantable FROM information_schema.schema_privileges",
    "SELECT grantee, table_schema, table_name, NULL, privilege_type, is_grantable"
    " FROM information_schema.table_privileges",
    "SELECT grantee, table_schema, table_name, column_name, privilege_type, is_grantable"
    " FROM information_schema.column_privileges",
)


def _rows(connection, statement: str) -> list[tuple]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return [tuple(_text(value) for value in row) for row in cursor.fetchall()]


def _text(value):
    return value.decode() if isinstance(value, bytes) else value


def server_privileges(connection) -> set[str]:
    return {row[0] for row in _rows(connection, "SHOW PRIVILEGES")}


def read_accounts(connection) -> dict[tuple[str, str], Account]:
    """All accounts that are not roles, without their privileges."""
    mariadb = "mariadb" in connection.get_server_info().lower()
    result = {}
    for user, host, plugin, auth_string, tls, locked in _rows(
        connection, _MARIADB_ACCOUNTS if mariadb else _MYSQL_ACCOUNTS
    ):
        result[user, host] = Account(user, host, plugin, auth_string, tls or "", locked == "Y", None)
    return result


def read_privileges(connection, accounts) -> dict[tuple[str, str], dict]:
    """What the accounts hold, by account and level."""
    grantees = {f"'{account.name}'@'{account.host}'": account.key for account in accounts}  # the server escapes nothing
    listed = ", ".join(quote(grantee) for grantee in grantees)
    held = defaultdict(lambda: defaultdict(set))
    columns = defaultdict(list)
    for statement in _PRIVILEGES:
        for grantee, database, table, column, name, grantable in _rows(
            connection, f"{statement} WHERE grantee IN ({listed})"
        ):
            if grantee not in grantees:  # the comparison there ignores case, account names do not
                continue
            level = held[grantees[grantee]][database, table]
            if column is not None:
                columns[grantees[grantee], (database, table), name].append(column)
            elif name != "USAGE":
                level.add(name)
            if grantable == "YES":
                level.add(GRANT_OPTION)
    for (key, level, name), names in columns.items():
        held[key][level].add(column_privilege(name, sorted(names)))
    return {key: {lvl: frozenset(names) for lvl, names in levels.items() if names} for key, levels in held.items()}
