# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read the database users of a server, in as many statements for a thousand as for one. Private to this collection."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.connection import Connection
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.database_user import (
    PLUGIN,
    DatabaseUser,
    UserKey,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.ownership import (
    MARK_DATABASE,
    MARK_KEY,
    MARK_VALUE,
    is_mark,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.privileges import (
    GRANT_OPTION,
    Dialect,
    Level,
    Privileges,
    column_privilege,
    grantable,
    is_dynamic,
    quote,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.server import Server, Traits
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.session import rows

# Authentication strings of other plugins are the hashes of passwords, and stay where they are.
_AUTH_STRING = f"IF(LOWER(u.plugin) = '{PLUGIN.lower()}', u.authentication_string, '')"


def _has_iam(column: str, key: str) -> str:
    """Return the SQL for whether the list of ways to log in in a JSON column has IAM in it; case does not count."""
    return f"JSON_SEARCH(LOWER({column}), 'one', '{PLUGIN.lower()}', NULL, '$.{key}[*].plugin') IS NOT NULL"


# The grant that marks the users that this collection created, where a server has no attributes of users.
_MARKED = (
    f"EXISTS (SELECT 1 FROM mysql.db d WHERE d.user = u.user AND d.host = u.host AND LOWER(d.db) = '{MARK_DATABASE}')"
)

# MySQL keeps roles as accounts that nobody can log in to. MySQL 5.7 has no user_attributes.
# It does not let the password of an account for IAM logins expire (error 3671), and asks for none.
_MYSQL_LIFETIME = "IFNULL(u.password_lifetime, @@default_password_lifetime)"
_MYSQL_USERS = f"""
    SELECT u.user, u.host, u.plugin, {_AUTH_STRING}, u.ssl_type, u.account_locked = 'Y',
           1 /*!80027 + IFNULL(JSON_LENGTH(u.user_attributes, '$.multi_factor_authentication'), 0) */,
           u.account_locked = 'Y' AND u.password_expired = 'Y' AND u.authentication_string = '',
           CONCAT('' /*!80016 , IFNULL(JSON_EXTRACT(u.user_attributes, '$.Restrictions'), '') */),
           0 /*!80027 + IFNULL({_has_iam("u.user_attributes", "multi_factor_authentication")}, 0) */,
           0,
           u.password_expired = 'Y' OR (
               LOWER(u.plugin) <> '{PLUGIN.lower()}' AND {_MYSQL_LIFETIME} > 0
               AND IFNULL(u.password_last_changed < NOW() - INTERVAL {_MYSQL_LIFETIME} DAY, 0)),
           {_MARKED} /*!80021 OR IFNULL(
               JSON_UNQUOTE(JSON_EXTRACT(u.user_attributes, '$.metadata.{MARK_KEY}')) = '{MARK_VALUE}', 0) */
    FROM mysql.user u"""
# mysql.user of MariaDB shows neither the lock, nor a second way to log in, nor how long a password is good. An expired
# one has password_last_changed 0; password_lifetime is 0 for one that never expires, and -1 or missing for the default.
_MARIADB_LIFETIME = "IFNULL(JSON_VALUE(p.priv, '$.password_lifetime'), -1)"
_MARIADB_DAYS = f"IF({_MARIADB_LIFETIME} < 0, @@default_password_lifetime, {_MARIADB_LIFETIME})"
_MARIADB_AGE = "(UNIX_TIMESTAMP() - IFNULL(JSON_VALUE(p.priv, '$.password_last_changed'), UNIX_TIMESTAMP())) / 86400"
_MARIADB_USERS = f"""
    SELECT u.user, u.host, IF(JSON_LENGTH(p.priv, '$.auth_or') > 1, 'several plugins', u.plugin), {_AUTH_STRING},
           u.ssl_type, IFNULL(JSON_VALUE(p.priv, '$.account_locked'), 0), 1, u.is_role = 'Y', '',
           JSON_LENGTH(p.priv, '$.auth_or') > 1
           AND (LOWER(u.plugin) = '{PLUGIN.lower()}' OR {_has_iam("p.priv", "auth_or")}),
           u.password_expired = 'Y' OR {_MARIADB_LIFETIME} <> 0,
           u.password_expired = 'Y' OR ({_MARIADB_DAYS} > 0 AND {_MARIADB_AGE} >= {_MARIADB_DAYS}),
           {_MARKED}
    FROM mysql.user u JOIN mysql.global_priv p ON p.user = u.user AND p.host = u.host"""

_PRIVILEGES = (
    "SELECT grantee, '', '', NULL, privilege_type, is_grantable FROM information_schema.user_privileges",
    "SELECT grantee, table_schema, '', NULL, privilege_type, is_grantable FROM information_schema.schema_privileges",
    "SELECT grantee, table_schema, table_name, NULL, privilege_type, is_grantable"
    " FROM information_schema.table_privileges",
    "SELECT grantee, table_schema, table_name, column_name, privilege_type, is_grantable"
    " FROM information_schema.column_privileges",
)


def read_dialect(connection: Connection, server: Server) -> Dialect:
    """Read how the server names privileges."""
    names = frozenset(row[0] for row in rows(connection, "SHOW PRIVILEGES"))
    return Dialect(names, server.login.may_grant, server.traits.lower_case)


def read_users(
    connection: Connection, traits: Traits, with_privileges: Iterable[UserKey] = ()
) -> dict[UserKey, DatabaseUser]:
    """Read all database users.

    with_privileges: the users whose privileges are read, too, where they exist
    """
    users = _read_users(connection, traits)
    keys = [key for key in with_privileges if key in users]
    privileges = _read_privileges(connection, keys) if keys else {}
    return {**users, **{key: replace(users[key], privileges=privileges.get(key, {})) for key in keys}}


def _read_users(connection: Connection, traits: Traits) -> dict[UserKey, DatabaseUser]:
    users = {}
    for row in rows(connection, _MARIADB_USERS if traits.mariadb else _MYSQL_USERS):
        name, host, plugin, auth_string, tls, locked, factors, is_role, restrictions, *flags = row
        has_iam_alternative, expires, expired, managed = map(bool, flags)
        users[name, host] = DatabaseUser(
            name,
            host,
            plugin,
            auth_string,
            tls or "",
            locked=bool(int(locked)),
            factors=factors,
            is_role=bool(is_role),
            restrictions=_parse_restrictions(restrictions),
            has_iam_alternative=has_iam_alternative,
            expires=expires,
            expired=expired,
            managed=managed,
            privileges=None,
        )
    return users


def _parse_restrictions(text: str) -> frozenset[tuple[str, str]]:
    """Read partial revokes as MySQL keeps them: a list of databases, each with its privileges."""
    restrictions = json.loads(text) if text else []
    return frozenset((entry["Database"], name) for entry in restrictions for name in entry["Privileges"])


def _read_privileges(connection: Connection, keys: Iterable[UserKey]) -> dict[UserKey, Privileges]:
    """Read the privileges of these database users, without the mark. A user that has none may be missing."""
    grantees = {f"'{name}'@'{host}'": (name, host) for name, host in keys}  # the server escapes nothing
    listed = ", ".join(quote(grantee) for grantee in grantees)
    privileges: dict[UserKey, dict[Level, set[str]]] = defaultdict(lambda: defaultdict(set))
    for statement in _PRIVILEGES:
        for row in rows(connection, f"{statement} WHERE grantee IN ({listed})"):
            grantee, database, table, column, name, grant_option = row
            # The comparison there ignores case, names of users do not.
            if grantee not in grantees or is_mark(database):
                continue
            names = privileges[grantees[grantee]][database, table]
            if is_dynamic(name):
                names.add(grantable(name) if grant_option == "YES" else name)
                continue
            if name != "USAGE":
                names.add(name if column is None else column_privilege(name, column))
            if grant_option == "YES":
                names.add(GRANT_OPTION)
    return {
        key: {level: frozenset(names) for level, names in levels.items() if names} for key, levels in privileges.items()
    }
