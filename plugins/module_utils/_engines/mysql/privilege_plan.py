# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plan statements that change the privileges of a database user, without a moment with less than before and after.

Pure, and private to this collection. All that is missing is granted before anything is revoked, so a failure leaves at
most too much. What a user may do in a database adds up from the level of all databases, from one level of databases,
and from the levels of tables. Four things about the servers make more of it than that:

- Of the levels of databases only the one counts whose pattern names the database most closely; a narrow one hides what
  a wide one gives. So these levels are granted last, from the narrow to the wide, and revoked first, the other way.
- C(REVOKE SELECT ON t) takes C(SELECT (column)) on C(t) with it. While columns are what stays of a table, the
  privilege is held for a moment on the database, where no other level gives it.
- MySQL cannot take away the grant option of one dynamic privilege. C(REVOKE GRANT OPTION) takes it away from all of
  them in the tables only, and what the server goes by follows with C(FLUSH PRIVILEGES).
- MySQL may then show a dynamic privilege twice, with and without the grant option, until it reads its tables again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Set
from dataclasses import dataclass
from typing import Union

from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.privileges import (
    GRANT_OPTION,
    Level,
    Privileges,
    base_name,
    grantable,
    is_dynamic,
    sql_level,
)

GLOBAL: Level = ("", "")
_WITH = f" WITH {GRANT_OPTION}"


@dataclass(frozen=True)
class Grant:
    """Privileges on one level that are given in one statement."""

    level: Level
    names: frozenset[str]

    def sql(self, grantees: str) -> str:
        names = sorted(name.removesuffix(_WITH) for name in self.names - {GRANT_OPTION}) or ["USAGE"]
        option = _WITH if any(name.endswith(GRANT_OPTION) for name in self.names) else ""
        return f"GRANT {', '.join(names)} ON {sql_level(self.level)} TO {grantees}{option}"


@dataclass(frozen=True)
class Revoke:
    """Privileges on one level that are taken away in one statement."""

    level: Level
    names: frozenset[str]

    def sql(self, grantees: str) -> str:
        names = sorted({name.removesuffix(_WITH) for name in self.names})
        return f"REVOKE {', '.join(names)} ON {sql_level(self.level)} FROM {grantees}"


@dataclass(frozen=True)
class Reload:
    """The server reads its tables of privileges again. It is about no user."""

    def sql(self, _grantees: str) -> str:
        return "FLUSH PRIVILEGES"


# Each has sql(grantees), whose text names one database user or several, as C('app'@'%', 'report'@'%').
Statement = Union[Grant, Revoke, Reload]


@dataclass(frozen=True)
class Capabilities:
    """The statements that a login may send on the way, and how its server reads names of databases.

    may_grant: returns for a level and a privilege whether the login can pass it on
    may_reload: it may send C(FLUSH PRIVILEGES)
    literal: C(_), C(%) and the backslash stand for themselves in names of databases, as with partial_revokes of MySQL
    """

    may_grant: Callable[[Level, str], bool] = lambda level, name: True
    may_reload: bool = True
    literal: bool = False


_UNLIMITED = Capabilities()


def plan_privileges(before: Privileges, after: Privileges, capabilities: Capabilities = _UNLIMITED) -> list[Statement]:
    """Return the statements that give a user exactly the second privileges in place of the first, in order."""
    changes = [_Change.of(level, before.get(level), after.get(level)) for level in before.keys() | after.keys()]
    interim_privileges = _interim_privileges(
        [change for change in changes if change.restored], before, after, capabilities
    )
    grants = {change.level: set(change.granted) for change in changes}
    revokes = {change.level: set(change.revoked) for change in changes}
    restored = {change.level: change.restored for change in changes}
    for level, names in interim_privileges.items():
        grants.setdefault(level, set()).update(names - before.get(level, frozenset()))
        revokes.setdefault(level, set()).update(names - after.get(level, frozenset()))
    statements: list[Statement] = []
    for level in sorted(grants, key=_grant_order):
        statements += _grants(level, grants[level])
    for level in sorted(revokes, key=lambda level: _revoke_order(level, interim_privileges)):
        if level == GLOBAL:
            statements += _revoke_global(revokes[level], after.get(GLOBAL, frozenset()), capabilities)
        elif revokes[level]:
            statements += [Revoke(level, frozenset(revokes[level])), *_grants(level, restored.get(level, frozenset()))]
    return statements


@dataclass(frozen=True)
class _Change:
    """The difference on one level; C(restored) are columns that go with the table's privilege and come back."""

    level: Level
    granted: frozenset[str]
    revoked: frozenset[str]
    restored: frozenset[str]

    @classmethod
    def of(cls, level: Level, before: frozenset[str] | None, after: frozenset[str] | None) -> _Change:
        before = before or frozenset()
        spellings = {name.lower(): name for name in before}  # columns have no case, but REVOKE wants the one of GRANT
        after = frozenset(spellings.get(name.lower(), name) for name in after or ())
        revoked = before - after
        restored = frozenset(name for name in after if "(" in name and base_name(name) in revoked)
        granted = after - before - restored
        for name in after & before:  # see "twice" above: what the tables have is known only after another GRANT
            if name.endswith(_WITH) and base_name(name) in before:
                granted |= {name}
        superseded_names = {name for name in before if grantable(name) in after}
        superseded_names |= {name for name in granted if grantable(name) in before}
        return cls(level, granted - superseded_names, revoked - superseded_names, restored)


def _interim_privileges(
    table_changes: list[_Change], before: Privileges, after: Privileges, capabilities: Capabilities
) -> Privileges:
    """Return what the user holds on databases in between, so that it never lacks the columns that stay."""
    interim_privileges: dict[Level, frozenset[str]] = {}
    for change in table_changes:
        database = change.level[0]
        level = (database if capabilities.literal else re.sub(r"([\\_%])", r"\\\1", database), "")
        # When the table's turn comes, its database has what it is to have, and all databases still have both.
        closest_privileges = _closest_privileges(database, after, capabilities.literal)
        kept_names = _global_names(before, after).union(
            frozenset.intersection(*closest_privileges) if closest_privileges else ()
        )
        names = frozenset(base_name(name) for name in change.restored) - kept_names
        if not names:
            continue
        # With those of the levels that it hides.
        names = names.union(*closest_privileges, *_closest_privileges(database, before, capabilities.literal))
        if all(capabilities.may_grant(level, name) for name in names):
            interim_privileges[level] = interim_privileges.get(level, frozenset()) | names
    return interim_privileges


def _global_names(*states: Privileges) -> frozenset[str]:
    return frozenset().union(*(state.get(GLOBAL, ()) for state in states))


def _closest_privileges(database: str, state: Privileges, literal: bool) -> list[frozenset[str]]:
    """Return what the level of databases gives that names this one most closely, or each of several that are as close.

    Which of those counts nobody knows but the server.
    """
    patterns = {level[0]: names for level, names in state.items() if level[0] and not level[1]}
    matching_patterns = {pattern: names for pattern, names in patterns.items() if matches(pattern, database, literal)}
    closest_wildcard = max(map(_first_wildcard, matching_patterns), default=None)
    return [names for pattern, names in matching_patterns.items() if _first_wildcard(pattern) == closest_wildcard]


def matches(pattern: str, database: str, literal: bool = False) -> bool:
    """Return whether the name of a database in a GRANT on databases stands for this database.

    literal: the pattern has no wildcards, as with partial_revokes of MySQL
    """
    if literal:
        return pattern == database
    expression = ""
    for escaped, char in re.findall(r"\\(.)|(.)", pattern, re.S):
        expression += {"%": ".*", "_": "."}.get(char, re.escape(escaped or char))
    return re.fullmatch(expression, database, re.S) is not None


def _first_wildcard(pattern: str) -> float:
    """Return the index of the first wildcard, or infinity; the later it is, the closer the pattern."""
    tail = re.sub(r"\A(?:[^\\%_]|\\.)*", "", pattern, flags=re.S)
    return len(pattern) - len(tail) if tail else float("inf")


def _grant_order(level: Level) -> tuple[bool, bool, float, Level]:
    """Sort all databases before tables, and these before databases, in the order in which a server looks for one."""
    database, table = level
    of_databases = bool(database and not table)
    return (of_databases, bool(database), -_first_wildcard(database) if of_databases else 0, level)


def _revoke_order(level: Level, interim_privileges: Collection[Level]) -> tuple[bool, bool, bool, float, Level]:
    """Sort databases before tables, what was held in between after these, and all databases last."""
    database, table = level
    wildcard = _first_wildcard(database) if database and not table else 0
    return (not database, level in interim_privileges, bool(table), wildcard, level)


def _grants(level: Level, names: Iterable[str]) -> list[Grant]:
    """Return one statement for static privileges, and one each for dynamic ones with and without the grant option."""
    names = frozenset(names)
    dynamic = frozenset(filter(is_dynamic, names))
    options = frozenset(name for name in dynamic if name.endswith(_WITH))
    return [Grant(level, group) for group in (names - dynamic, dynamic - options, options) if group]


def _revoke_global(names: Set[str], names_after: Set[str], capabilities: Capabilities) -> list[Statement]:
    """Return what takes away privileges on all databases, where the user keeps others."""
    dynamic = {name for name in names if is_dynamic(name)}
    options = {name for name in dynamic if name.endswith(_WITH) and base_name(name) in names_after}
    static = names - dynamic | ({GRANT_OPTION} if options and capabilities.may_reload else set())
    statements: list[Statement] = [Revoke(GLOBAL, frozenset({name})) for name in sorted(dynamic - options)]
    statements += [Revoke(GLOBAL, frozenset(static))] if static else []
    if GRANT_OPTION in static:  # it goes from the dynamic privileges that keep it, too
        statements += _grants(GLOBAL, (name for name in names_after if name.endswith(GRANT_OPTION)))
    if options and capabilities.may_reload:
        return [*statements, Reload()]
    for name in sorted(map(base_name, options)):
        statements += [Revoke(GLOBAL, frozenset({name})), Grant(GLOBAL, frozenset({name}))]
    return statements
