# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From the privileges that a database user has to those that it is to have, without a moment with less than both.

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
from collections.abc import Callable
from dataclasses import dataclass

from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.privileges import (
    GRANT_OPTION,
    Privileges,
    base_name,
    grantable,
    is_dynamic,
    sql_level,
)

GLOBAL = ("", "")
_WITH = f" WITH {GRANT_OPTION}"


@dataclass(frozen=True)
class Grant:
    """Privileges on one level that are given in one statement."""

    level: tuple[str, str]
    names: frozenset[str]

    def sql(self, who: str) -> str:
        listed = sorted(name.removesuffix(_WITH) for name in self.names - {GRANT_OPTION}) or ["USAGE"]
        option = _WITH if any(name.endswith(GRANT_OPTION) for name in self.names) else ""
        return f"GRANT {', '.join(listed)} ON {sql_level(self.level)} TO {who}{option}"


@dataclass(frozen=True)
class Revoke:
    """Privileges on one level that are taken away in one statement."""

    level: tuple[str, str]
    names: frozenset[str]

    def sql(self, who: str) -> str:
        listed = sorted({name.removesuffix(_WITH) for name in self.names})
        return f"REVOKE {', '.join(listed)} ON {sql_level(self.level)} FROM {who}"


@dataclass(frozen=True)
class Reload:
    """The server reads its tables of privileges again. It is about no user."""

    def sql(self, _who: str) -> str:
        return "FLUSH PRIVILEGES"


Statement = "Grant | Revoke | Reload"


@dataclass(frozen=True)
class Means:
    """What the login may do on the way, and how the server reads names of databases.

    C(may_grant) takes a level and a name. C(literal) says that C(_), C(%) and the backslash stand for themselves in
    names of databases, as with partial_revokes of MySQL.
    """

    may_grant: Callable[[tuple[str, str], str], bool] = lambda level, name: True
    may_reload: bool = True
    literal: bool = False


ANYTHING = Means()


def plan_privileges(before: Privileges, after: Privileges, means: Means = ANYTHING) -> list[Statement]:
    """Return the statements that give a user exactly the second privileges in place of the first, in order."""
    changes = [_Change.of(level, before.get(level), after.get(level)) for level in before.keys() | after.keys()]
    bridge = _bridge([change for change in changes if change.restored], before, after, means)
    grants = {change.level: set(change.granted) for change in changes}
    revokes = {change.level: set(change.revoked) for change in changes}
    restored = {change.level: set(change.restored) for change in changes}
    for level, names in bridge.items():
        grants.setdefault(level, set()).update(names - before.get(level, frozenset()))
        revokes.setdefault(level, set()).update(names - after.get(level, frozenset()))
    statements: list[Statement] = []
    for level in sorted(grants, key=_grant_order):
        statements += _grants(level, grants[level])
    for level in sorted(revokes, key=lambda level: _revoke_order(level, bridge)):
        if level == GLOBAL:
            statements += _revoke_global(revokes[level], after, means)
        elif revokes[level]:
            statements += [Revoke(level, frozenset(revokes[level])), *_grants(level, restored.get(level, set()))]
    return statements


@dataclass(frozen=True)
class _Change:
    """What is different on one level; C(restored) are columns that go with the table's privilege and come back."""

    level: tuple[str, str]
    granted: frozenset[str]
    revoked: frozenset[str]
    restored: frozenset[str]

    @classmethod
    def of(cls, level: tuple[str, str], before: frozenset | None, after: frozenset | None) -> _Change:
        have, want = before or frozenset(), after or frozenset()
        spelled = {name.lower(): name for name in have}  # columns have no case, but REVOKE wants the one of GRANT
        want = frozenset(spelled.get(name.lower(), name) for name in want)
        revoked = have - want
        restored = frozenset(name for name in want if "(" in name and base_name(name) in revoked)
        granted = want - have - restored
        for name in want & have:  # see "twice" above: what the tables have is known only after another GRANT
            if name.endswith(_WITH) and base_name(name) in have:
                granted |= {name}
        superseded = {name for name in have if grantable(name) in want}
        superseded |= {name for name in granted if grantable(name) in have}
        return cls(level, granted - superseded, revoked - superseded, restored)


def _bridge(tables: list[_Change], before: Privileges, after: Privileges, means: Means) -> Privileges:
    """Return what the user holds on databases in between, so that it never lacks the columns that stay."""
    result = {}
    for change in tables:
        database = change.level[0]
        level = (database if means.literal else re.sub(r"([\\_%])", r"\\\1", database), "")
        # When the table's turn comes, its database has what it is to have, and all databases still have both.
        closest = _closest(database, after, means)
        there = _union(GLOBAL, [before, after]).union(frozenset.intersection(*closest) if closest else ())
        names = {base_name(name) for name in change.restored} - there
        if not names:
            continue
        names = names.union(*closest, *_closest(database, before, means))  # which it hides
        if all(means.may_grant(level, name) for name in names):
            result[level] = result.get(level, set()) | names
    return result


def _union(level: tuple[str, str], states: list[Privileges]) -> set[str]:
    return set().union(*(state.get(level, ()) for state in states))


def _closest(database: str, state: Privileges, means: Means) -> list[frozenset[str]]:
    """Return what the level of databases gives that names this one most closely, or each of several that are as close.

    Which of those counts nobody knows but the server.
    """
    levels = [level for level in state if level[0] and not level[1] and matches(level[0], database, means.literal)]
    closest = max((_first_wildcard(level[0]) for level in levels), default=None)
    return [state[level] for level in levels if _first_wildcard(level[0]) == closest]


def matches(pattern: str, database: str, literal: bool = False) -> bool:
    """Return whether the name of a database in a GRANT on databases stands for this database."""
    if literal:
        return pattern == database
    expression = ""
    for escaped, char in re.findall(r"\\(.)|(.)", pattern, re.S):
        expression += {"%": ".*", "_": "."}.get(char, re.escape(escaped or char))
    return re.fullmatch(expression, database, re.S) is not None


def _first_wildcard(pattern: str) -> float:
    found = re.search(r"(?:[^\\%_]|\\.)*", pattern, re.S)
    return found.end() if found.end() < len(pattern) else float("inf")


def _grant_order(level: tuple[str, str]) -> tuple:
    """Sort all databases before tables, and these before databases, in the order in which a server looks for one."""
    database, table = level
    of_databases = bool(database and not table)
    # The later the first wildcard of a pattern, the closer.
    return (of_databases, bool(database), -_first_wildcard(database) if of_databases else 0, level)


def _revoke_order(level: tuple[str, str], bridge: Privileges) -> tuple:
    """Sort databases before tables, what was held in between after these, and all databases last."""
    database, table = level
    of_databases = bool(database and not table)
    wildcard = _first_wildcard(database) if of_databases else 0
    return (not database, level in bridge, bool(table), wildcard, level)


def _grants(level: tuple[str, str], names: set[str]) -> list[Grant]:
    """Return one statement for static privileges, and one each for dynamic ones with and without the grant option."""
    dynamic = {name for name in names if is_dynamic(name)}
    options = {name for name in dynamic if name.endswith(_WITH)}
    parts = (names - dynamic, dynamic - options, options)
    return [Grant(level, frozenset(part)) for part in parts if part]


def _revoke_global(names: set[str], after: Privileges, means: Means) -> list[Statement]:
    """Return what takes away privileges on all databases."""
    level, want = GLOBAL, after.get(GLOBAL, frozenset())
    dynamic = {name for name in names if is_dynamic(name)}
    options = {name for name in dynamic if name.endswith(_WITH) and base_name(name) in want}
    static = names - dynamic | ({GRANT_OPTION} if options and means.may_reload else set())
    statements = [Revoke(level, frozenset({name})) for name in sorted(dynamic - options)]
    statements += [Revoke(level, frozenset(static))] if static else []
    if GRANT_OPTION in static:  # it goes from the dynamic privileges that keep it, too
        statements += _grants(level, {name for name in want if name.endswith(GRANT_OPTION)})
    if options and means.may_reload:
        return [*statements, Reload()]
    for name in sorted(map(base_name, options)):
        statements += [Revoke(level, frozenset({name})), Grant(level, frozenset({name}))]
    return statements
