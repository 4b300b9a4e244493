# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Privileges as users write them, as servers name them, and as GRANT takes them. Pure, private to this collection."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError

GRANT_OPTION = "GRANT OPTION"
ALL = "ALL"

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
    "ALL PRIVILEGES": ALL,
    "CREATE TEMPORARY TABLE": "CREATE TEMPORARY TABLES",
    "DELETE VERSIONING ROWS": "DELETE HISTORY",
}

Level = "tuple[str, str]"  # (database, table), "" for all of them, since "*" is a name too
Privileges = "dict[tuple[str, str], frozenset[str]]"


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


def check_text(what: str, text: str) -> None:
    """Refuse what a server cuts off, replaces with a question mark, or cannot hold, and so takes for another name."""
    if text != text.strip() or not text.isprintable() or max(text) > "\uffff":
        raise RdsIamError(
            f"The {what} {text!r} has spaces at an end, invisible characters, or ones that take four bytes; a server"
            " would take it for another name."
        )


def _check_name(what: str, text: str) -> str:
    check_text(what, text)
    if len(text) > _NAME_LENGTH:
        raise RdsIamError(f"The {what} {text} has {len(text)} characters, and a server takes {_NAME_LENGTH}.")
    return text


def _unquote(text: str) -> str:
    return text[1:-1].replace("``", "`") if text.startswith("`") else text


def parse_level(text: str) -> Level:
    """Read the level of a privilege as GRANT writes it: C(*.*), C(app.*), C(app.orders), with backquotes or without."""
    part = r"(\*|`(?:[^`]|``)+`|[^`.*\s]+)"
    match = re.fullmatch(rf"{part}\.{part}", text.strip())
    if not match or (match[1] == "*" and match[2] != "*"):
        raise RdsIamError(
            f"{text!r} is not a level of privileges; write *.*, database.* or database.table,"
            " with backquotes around names that have dots in them."
        )
    parts = zip(("database", "table"), match.groups())
    return tuple("" if part == "*" else _check_name(what, _unquote(part)) for what, part in parts)


def parse_privilege(text: str) -> set[str]:
    """The one spelling of a privilege: upper case, single spaces; each column is a privilege of its own."""
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
    return {column_privilege(name, _check_name("column", _unquote(found))) for found in re.findall(column, match[2])}


def column_privilege(name: str, column: str) -> str:
    return f"{name} ({quote_name(column)})"


def grantable(name: str) -> str:
    """A dynamic privilege of MySQL that its holder may pass on; each has a grant option of its own."""
    return f"{name} WITH {GRANT_OPTION}"


def is_dynamic(privilege: str) -> bool:
    """Return whether MySQL calls it dynamic: it has underscores where the others, as READ_ONLY ADMIN, have spaces."""
    name = base_name(privilege)
    return "_" in name and " " not in name


def base_name(privilege: str) -> str:
    return privilege.split(" (", 1)[0].split(" WITH ", 1)[0]


def parse(given: dict) -> Privileges:
    """Check the privileges that a task gives, offline."""
    result = {}
    for text, names in given.items():
        level = parse_level(text)
        if not isinstance(names, list) or not names:
            raise RdsIamError(f"The privileges on {show_level(level)} must be a list with at least one entry.")
        parsed = set().union(*(parse_privilege(name) for name in names)) - {"USAGE"}
        if ALL in parsed and level == ("", ""):
            raise RdsIamError(
                "ALL on *.* cannot be granted on RDS, where the master user does not have it; list the privileges."
            )
        if not level[1] and any("(" in name for name in parsed):
            raise RdsIamError(f"Privileges on columns need a table, and {show_level(level)} is not one.")
        _add(result, level, parsed)
    return {level: names for level, names in result.items() if names}


def _add(result: dict, level: Level, names: set) -> None:
    if level in result:
        raise RdsIamError(f"The privileges on {show_level(level)} are given twice; give every level once.")
    result[level] = frozenset(names)


@dataclass(frozen=True)
class Dialect:
    """How a server names privileges and levels, and which privileges the login can pass on."""

    privileges: frozenset[str]
    may_grant: Callable[[tuple[str, str], str], bool]
    lower_case: bool
    _resolved: dict = field(default_factory=dict, compare=False, repr=False)

    @cached_property
    def _known(self) -> list[set[str]]:
        """Return the privileges that can be granted on all databases, on one, and on a table."""
        known = {_ALIASES.get(name.upper(), name.upper()) for name in self.privileges} - {"PROXY"}
        return [known, *(known & {*names, GRANT_OPTION} for names in (_DATABASE_PRIVILEGES, _TABLE_PRIVILEGES))]

    def resolve(self, given: Privileges) -> tuple[Privileges, list[str]]:
        """Return the same privileges as this server names them, and what is wrong with them, as clauses."""
        key = frozenset(given.items())  # many users have the same
        if key not in self._resolved:
            self._resolved[key] = self._resolve(given)
        return self._resolved[key]

    def _resolve(self, given: Privileges) -> tuple[Privileges, list[str]]:
        result, problems = {}, []
        for asked_level, asked in given.items():
            level = tuple(part.lower() for part in asked_level) if self.lower_case else asked_level
            names, known = self._names(level, set(asked))
            unknown = sorted({base_name(name) for name in names} - known)
            if unknown:
                listed = ", ".join(unknown)
                problems.append(f"has no privilege {listed} that can be granted on {show_level(level)}")
            elif level in result:
                problems.append(f"keeps names in lower case, so the privileges on {show_level(level)} are given twice")
            else:
                result[level] = frozenset(names)
        return result, problems

    def _names(self, level: Level, names: set[str]) -> tuple[set[str], set[str]]:
        """Return the names as the server has them on this level, and those that it has there."""
        known = self._known[sum(map(bool, level))]
        if ALL in names:
            left_out = {name for name in _MARIADB_PRIVILEGES if not self.may_grant(level, name)}
            names = names - {ALL} | known - {GRANT_OPTION} - left_out
        if "BINLOG MONITOR" in known and "REPLICATION CLIENT" in names:  # MariaDB's name for it since 10.5
            names = names - {"REPLICATION CLIENT"} | {"BINLOG MONITOR"}
        dynamic = {name for name in names if is_dynamic(name)}
        if dynamic and GRANT_OPTION in names:
            names = names - dynamic - ({GRANT_OPTION} if len(names) == len(dynamic) + 1 else set())
            names |= {grantable(name) for name in dynamic}
        return names, known
