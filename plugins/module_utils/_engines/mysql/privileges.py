# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Parse privileges as users write them, and name them as servers and GRANT do. Pure, private to this collection."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field
from functools import cached_property

from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError

GRANT_OPTION = "GRANT OPTION"
ALL_PRIVILEGES = "ALL"

_NAME_LENGTH = 64  # of a database, a table or a column

# What ALL stands for below the global level, those that exist on MariaDB only included.
_TABLE_PRIVILEGES = {
    "SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "REFERENCES", "INDEX", "ALTER", "CREATE VIEW",
    "SHOW VIEW", "TRIGGER", "DELETE HISTORY",
}  # fmt: skip
_DATABASE_PRIVILEGES = _TABLE_PRIVILEGES | {
    "CREATE TEMPORARY TABLES", "LOCK TABLES", "EXECUTE", "CREATE ROUTINE", "ALTER ROUTINE", "EVENT",
    "SHOW CREATE ROUTINE",
}  # fmt: skip
_MARIADB_PRIVILEGES = {"DELETE HISTORY", "SHOW CREATE ROUTINE"}
_COLUMN_PRIVILEGES = {"SELECT", "INSERT", "UPDATE", "REFERENCES"}

# Names that a server takes in GRANT but shows under another name.
_ALIASES = {
    "ALL PRIVILEGES": ALL_PRIVILEGES,
    "CREATE TEMPORARY TABLE": "CREATE TEMPORARY TABLES",
    "DELETE VERSIONING ROWS": "DELETE HISTORY",
}

Level = tuple[str, str]  # (database, table), "" for all of them, since "*" is a name too
Privileges = Mapping[Level, frozenset[str]]  # the names of privileges, as parse_privilege() returns them, by level


def quote(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def quote_name(text: str) -> str:
    return "`" + text.replace("`", "``") + "`"


def show_level(level: Level) -> str:
    return ".".join(part if re.fullmatch(r"[\w%$\\-]+", part) else _sql_part(part) for part in level)


def sql_level(level: Level) -> str:
    return ".".join(_sql_part(part) for part in level)


def _sql_part(part: str) -> str:
    return quote_name(part) if part else "*"


def check_text(kind: str, text: str) -> None:
    """Refuse what a server cuts off, replaces with a question mark, or cannot hold, and so takes for another name.

    kind: the kind of name, for the message of RdsIamError
    """
    if text != text.strip() or not text.isprintable() or max(text) > "\uffff":
        raise RdsIamError(
            f"The {kind} {text!r} has spaces at an end, invisible characters, or ones that take four bytes; a server"
            " would take it for another name."
        )


def _check_name(kind: str, text: str) -> str:
    check_text(kind, text)
    if len(text) > _NAME_LENGTH:
        raise RdsIamError(f"The {kind} {text} has {len(text)} characters, and a server takes {_NAME_LENGTH}.")
    return text


def _unquote(text: str) -> str:
    return text[1:-1].replace("``", "`") if text.startswith("`") else text


def parse_level(text: str) -> Level:
    """Read the level of a privilege as GRANT writes it: C(*.*), C(app.*), C(app.orders), with backquotes or without.

    Raises RdsIamError for what is no level, or has a name that a server would not take as it is.
    """
    part = r"(\*|`(?:[^`]|``)+`|[^`.*\s]+)"
    match = re.fullmatch(rf"{part}\.{part}", text.strip())
    if not match or (match[1] == "*" and match[2] != "*"):
        raise RdsIamError(
            f"{text!r} is not a level of privileges; write *.*, database.* or database.table,"
            " with backquotes around names that have dots in them."
        )
    return _level_part("database", match[1]), _level_part("table", match[2])


def _level_part(kind: str, text: str) -> str:
    return "" if text == "*" else _check_name(kind, _unquote(text))


def parse_privilege(text: str) -> set[str]:
    """Return a privilege in its one spelling: upper case, single spaces; each column is a privilege of its own.

    Raises RdsIamError for what is no privilege.
    """
    column = r"\s*(`(?:[^`]|``)+`|[^`,()\s]+)\s*"
    match = re.fullmatch(rf"\s*([A-Za-z0-9_ ]+?)\s*(?:\(({column}(?:,{column})*)\))?\s*", str(text))
    if not match:
        raise RdsIamError(
            f"{text!r} is not a privilege; write SELECT, or SELECT (column, column), with backquotes around names that"
            " have spaces, commas or parentheses in them."
        )
    name = " ".join(match[1].upper().split())
    name = _ALIASES.get(name, name)
    if not match[2]:
        return {name}
    if name not in _COLUMN_PRIVILEGES:
        raise RdsIamError(f"{name} cannot be granted on columns; only {', '.join(sorted(_COLUMN_PRIVILEGES))} can.")
    columns = (_check_name("column", _unquote(text)) for text in re.findall(column, match[2]))
    return {column_privilege(name, text) for text in columns}


def column_privilege(name: str, column: str) -> str:
    return f"{name} ({quote_name(column)})"


def grantable(name: str) -> str:
    """Name a dynamic privilege of MySQL that its holder may pass on; each has a grant option of its own."""
    return f"{name} WITH {GRANT_OPTION}"


def is_dynamic(privilege: str) -> bool:
    """Return whether MySQL calls it dynamic: it has underscores where the others, as READ_ONLY ADMIN, have spaces."""
    name = base_name(privilege)
    return "_" in name and " " not in name


def base_name(privilege: str) -> str:
    return privilege.split(" (", 1)[0].split(" WITH ", 1)[0]


def parse_privileges(option: Mapping[str, object]) -> Privileges:
    """Check the privileges that a task gives, offline.

    option: lists of privileges by level, both as GRANT writes them

    Raises RdsIamError for what no server on RDS can grant.
    """
    privileges: dict[Level, frozenset[str]] = {}
    for text, names in option.items():
        level = parse_level(text)
        if not isinstance(names, list) or not names:
            raise RdsIamError(f"The privileges on {show_level(level)} must be a list with at least one entry.")
        level_names = frozenset().union(*(parse_privilege(name) for name in names)) - {"USAGE"}
        if ALL_PRIVILEGES in level_names and level == ("", ""):
            raise RdsIamError(
                "ALL on *.* cannot be granted on RDS, where the master user does not have it; list the privileges."
            )
        if not level[1] and any("(" in name for name in level_names):
            raise RdsIamError(f"Privileges on columns need a table, and {show_level(level)} is not one.")
        if level in privileges:
            raise RdsIamError(f"The privileges on {show_level(level)} are given twice; give every level once.")
        privileges[level] = level_names
    return {level: names for level, names in privileges.items() if names}


@dataclass(frozen=True)
class Dialect:
    """The names that a server has for privileges and levels.

    privileges: the names that C(SHOW PRIVILEGES) lists
    may_grant: returns for a level and a privilege whether the login can pass it on
    lower_case: it keeps the names of databases and tables in lower case
    """

    privileges: frozenset[str]
    may_grant: Callable[[Level, str], bool]
    lower_case: bool
    _resolved: dict[frozenset[tuple[Level, frozenset[str]]], tuple[Privileges, list[str]]] = field(
        default_factory=dict, compare=False, repr=False
    )

    @cached_property
    def _grantable_names(self) -> list[Set[str]]:
        """Return the privileges that can be granted on all databases, on one, and on a table."""
        names = {_ALIASES.get(name.upper(), name.upper()) for name in self.privileges} - {"PROXY"}
        return [names, *(names & {*group, GRANT_OPTION} for group in (_DATABASE_PRIVILEGES, _TABLE_PRIVILEGES))]

    def resolve(self, privileges: Privileges) -> tuple[Privileges, list[str]]:
        """Return the same privileges as this server names them, and the clauses that say which it does not have."""
        key = frozenset(privileges.items())  # many users have the same
        if key not in self._resolved:
            self._resolved[key] = self._resolve(privileges)
        return self._resolved[key]

    def _resolve(self, privileges: Privileges) -> tuple[Privileges, list[str]]:
        resolved_privileges: dict[Level, frozenset[str]] = {}
        problems = []
        for (database, table), requested_names in privileges.items():
            level = (database.lower(), table.lower()) if self.lower_case else (database, table)
            grantable_names = self._grantable_names[sum(map(bool, level))]
            names = self._names(level, requested_names, grantable_names)
            unknown_names = sorted({base_name(name) for name in names} - grantable_names)
            if unknown_names:
                names_text = ", ".join(unknown_names)
                problems.append(f"has no privilege {names_text} that can be granted on {show_level(level)}")
            elif level in resolved_privileges:
                problems.append(f"keeps names in lower case, so the privileges on {show_level(level)} are given twice")
            else:
                resolved_privileges[level] = frozenset(names)
        return resolved_privileges, problems

    def _names(self, level: Level, names: Set[str], grantable_names: Set[str]) -> Set[str]:
        """Return the names as the server has them on a level, of which it has these."""
        if ALL_PRIVILEGES in names:
            excluded_names = {name for name in _MARIADB_PRIVILEGES if not self.may_grant(level, name)}
            names = names - {ALL_PRIVILEGES} | grantable_names - {GRANT_OPTION} - excluded_names
        # MariaDB's name for it since 10.5.
        if "BINLOG MONITOR" in grantable_names and "REPLICATION CLIENT" in names:
            names = names - {"REPLICATION CLIENT"} | {"BINLOG MONITOR"}
        dynamic = {name for name in names if is_dynamic(name)}
        if dynamic and GRANT_OPTION in names:
            names = names - dynamic - ({GRANT_OPTION} if len(names) == len(dynamic) + 1 else set())
            names |= {grantable(name) for name in dynamic}
        return names
