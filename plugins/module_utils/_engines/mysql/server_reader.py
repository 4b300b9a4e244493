# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read the things besides users that plans for database users depend on. Private to this collection."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable

from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql import login_privileges
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.connection import Connection
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.login_privileges import LoginPrivileges
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.privileges import quote, show_level
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.server import Traits
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.session import rows

# The privileges without which a login does not see everything that names a database user as its DEFINER.
SEES_DEFINERS = ("SHOW VIEW", "TRIGGER", "EVENT", "EXECUTE")
# One of them lets a login drop a DEFINER on MySQL, which refuses that otherwise (error 4006, since 8.0.22).
DROPS_DEFINERS = ("ALLOW_NONEXISTENT_DEFINER", "SET_USER_ID")

UserKey = tuple[str, str]  # name and host of a database user
Table = tuple[str, str]  # the names of a database and of a table or view in it

_TABLES_AT_ONCE = 50
# Each with a condition of its own: MySQL 8 and 9 push one on the union down as text that this sql_mode cannot read.
_DEFINERS = """
    SELECT 'view', table_schema, table_name, definer FROM information_schema.views WHERE definer IN ({0})
    UNION ALL SELECT 'trigger', trigger_schema, trigger_name, definer FROM information_schema.triggers
    WHERE definer IN ({0})
    UNION ALL SELECT LOWER(routine_type), routine_schema, routine_name, definer FROM information_schema.routines
    WHERE definer IN ({0})
    UNION ALL SELECT 'event', event_schema, event_name, definer FROM information_schema.events WHERE definer IN ({0})"""
_PROXIES = "SELECT proxied_user, proxied_host, user, host FROM mysql.proxies_priv WHERE proxied_user <> ''"
# In MySQL a user can be granted to others as if it were a role. MySQL 5.7 has no roles.
_ROLES_OF_MYSQL = (
    "SELECT '', '', '', '' FROM DUAL WHERE FALSE"
    " /*!80000 UNION ALL SELECT from_user, from_host, to_user, to_host FROM mysql.role_edges */"
)
_ADMINS_OF_MARIADB = "SELECT role, user, host FROM mysql.roles_mapping WHERE admin_option = 'Y'"


def read_login(connection: Connection) -> LoginPrivileges:
    """Read the privileges of the user of this session, and those of its roles."""
    return login_privileges.parse([row[0] for row in rows(connection, login_privileges.STATEMENT)])


def read_tables(connection: Connection, tables: Iterable[Table]) -> dict[Table, set[str]]:
    """Read the columns, in lower case, of those of these tables and views that exist."""
    columns_of: dict[Table, set[str]] = {}
    sorted_tables = sorted(tables)
    for start in range(0, len(sorted_tables), _TABLES_AT_ONCE):
        parts = [_select_table(*table) for table in sorted_tables[start : start + _TABLES_AT_ONCE]]
        for database, table, column in rows(connection, " UNION ALL ".join(parts)):
            columns = columns_of.setdefault((database, table), set())
            columns |= {column.lower()} if column else set()
    return columns_of


def _select_table(database: str, table: str) -> str:
    # A name for each statement: MariaDB opens every table of a server that is asked for several.
    condition = f"WHERE table_schema = {quote(database)} AND table_name = {quote(table)}"
    return (
        f"SELECT table_schema, table_name, '' FROM information_schema.tables {condition}"
        f" UNION ALL SELECT table_schema, table_name, column_name FROM information_schema.columns {condition}"
    )


def read_databases(connection: Connection) -> set[str]:
    """Read the names of the databases."""
    return {row[0] for row in rows(connection, "SELECT schema_name FROM information_schema.schemata")}


def name_a_definer(dependents: Iterable[str]) -> bool:
    """Return whether a view, a trigger, a routine or an event is among the dependents of a user."""
    return any(re.match(r"the (?!role )", dependent) for dependent in dependents)


def read_dependents(connection: Connection, keys: Iterable[UserKey], traits: Traits) -> dict[UserKey, list[str]]:
    """Read the things that stop working when one of these database users is dropped, as words for a sentence."""
    dependents: dict[UserKey, list[str]] = defaultdict(list)
    by_definer = {f"{name}@{host}": (name, host) for name, host in keys}
    statement = _DEFINERS.format(", ".join(map(quote, by_definer)))
    for kind, database, name, definer in rows(connection, statement):
        user, _at, host = definer.rpartition("@")
        key = by_definer.get(f"{user}@{host.lower()}")
        if key:
            dependents[key].append(f"the {kind} {show_level((database, name))}")
    for name, host, *grantee in rows(connection, _PROXIES):
        dependents[name, host].append("PROXY of {}@{}".format(*map(quote, grantee)))
    if traits.mariadb:
        _add_roles_without_admin(rows(connection, _ADMINS_OF_MARIADB), dependents)
    else:
        for name, host, *grantee in rows(connection, _ROLES_OF_MYSQL):
            dependents[name, host].append("privileges of {}@{}, which has it as a role".format(*map(quote, grantee)))
    return {key: sorted(dependents[key]) for key in by_definer.values() if dependents[key]}


def _add_roles_without_admin(admins: list[tuple[str, str, str]], dependents: dict[UserKey, list[str]]) -> None:
    by_role = defaultdict(set)
    for role, name, host in admins:
        by_role[role].add((name, host))
    for role, users in by_role.items():
        if len(users) == 1:
            dependents[next(iter(users))].append(f"the role {role}, which nobody else can grant")
