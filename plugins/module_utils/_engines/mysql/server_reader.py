# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read what plans for database users have to look at besides the users. Private to this collection."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable

from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql import login_privileges
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.login_privileges import LoginPrivileges
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.privileges import quote, show_level
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.server import Traits
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.session import rows

# The privileges without which a login does not see all that names a database user as its DEFINER.
SEES_DEFINERS = ("SHOW VIEW", "TRIGGER", "EVENT", "EXECUTE")
# One of them lets a login drop a DEFINER on MySQL, which refuses that otherwise (error 4006, since 8.0.22).
DROPS_DEFINERS = ("ALLOW_NONEXISTENT_DEFINER", "SET_USER_ID")

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


def read_login(connection) -> LoginPrivileges:
    """Read what the user of this session holds, by its roles, too."""
    return login_privileges.parse([row[0] for row in rows(connection, login_privileges.STATEMENT)])


def read_tables(connection, levels: Iterable[tuple[str, str]]) -> dict[tuple[str, str], set[str]]:
    """Read which of these tables and views there are, each with its columns in lower case."""
    found: dict = {}
    levels = sorted(levels)
    for start in range(0, len(levels), _TABLES_AT_ONCE):
        parts = [_one_table(level) for level in levels[start : start + _TABLES_AT_ONCE]]
        for database, table, column in rows(connection, " UNION ALL ".join(parts)):
            columns = found.setdefault((database, table), set())
            columns |= {column.lower()} if column else set()
    return found


def _one_table(level: tuple[str, str]) -> str:
    # One name at a time: MariaDB opens every table of a server that is asked for several.
    where = f"WHERE table_schema = {quote(level[0])} AND table_name = {quote(level[1])}"
    return (
        f"SELECT table_schema, table_name, '' FROM information_schema.tables {where}"
        f" UNION ALL SELECT table_schema, table_name, column_name FROM information_schema.columns {where}"
    )


def read_databases(connection) -> set[str]:
    """Read the names of the databases."""
    return {row[0] for row in rows(connection, "SELECT schema_name FROM information_schema.schemata")}


def name_a_definer(dependents: Iterable[str]) -> bool:
    """Return whether there is a view, a trigger, a routine or an event among what read_dependents() says of a user."""
    return any(re.match(r"the (?!role )", one) for one in dependents)


def read_dependents(connection, keys: Iterable[tuple[str, str]], traits: Traits) -> dict[tuple[str, str], list[str]]:
    """Read what stops working when one of these database users is dropped, as words for a sentence."""
    found = defaultdict(list)
    by_definer = {f"{name}@{host}": (name, host) for name, host in keys}
    statement = _DEFINERS.format(", ".join(map(quote, by_definer)))
    for kind, database, name, definer in rows(connection, statement):
        user, _at, host = definer.rpartition("@")
        key = by_definer.get(f"{user}@{host.lower()}")
        if key:
            found[key].append(f"the {kind} {show_level((database, name))}")
    for name, host, *other in rows(connection, _PROXIES):
        found[name, host].append("PROXY of {}@{}".format(*map(quote, other)))
    if traits.mariadb:
        _add_roles_without_admin(rows(connection, _ADMINS_OF_MARIADB), found)
    else:
        for name, host, *other in rows(connection, _ROLES_OF_MYSQL):
            found[name, host].append("privileges of {}@{}, which has it as a role".format(*map(quote, other)))
    return {key: sorted(found[key]) for key in by_definer.values() if found[key]}


def _add_roles_without_admin(admins: list[tuple], found: dict) -> None:
    by_role = defaultdict(set)
    for role, name, host in admins:
        by_role[role].add((name, host))
    for role, users in by_role.items():
        if len(users) == 1:
            found[next(iter(users))].append(f"the role {role}, which nobody else can grant")
