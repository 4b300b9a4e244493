# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which privileges the user of this login can pass on, of its own and by its roles. Pure, private to this collection.

C(SHOW GRANTS) without a user is the only statement that has all of it on MySQL and on MariaDB: the privileges of the
roles that are in effect are among those of the user, or in lines of their own. A server adds up what its levels give,
so the grant option may come from another level than the privilege.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.privilege_plan import GLOBAL, matches
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.privileges import (
    ALL,
    GRANT_OPTION,
    Privileges,
    base_name,
    grantable,
    is_dynamic,
    parse_level,
    parse_privilege,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError

STATEMENT = "SHOW GRANTS"
_NAME = r"`(?:[^`]|``)*`"
_WHO = rf"(?:{_NAME}|'(?:[^']|'')*')"  # MySQL 5.7 has quotes
_LINE = re.compile(
    rf"(?P<verb>GRANT|REVOKE) (?P<names>(?:{_NAME}|[^`])+?) ON (?P<level>(?:\*|{_NAME})\.(?:\*|{_NAME}))"
    rf" (?:TO|FROM) (?:PUBLIC\b|{_WHO}(?:@{_WHO})?)(?P<rest>.*)",
    re.S,
)
_ROLES = rf"{_NAME}(?:@{_NAME})?(?:,{_NAME}(?:@{_NAME})?)*"
_OF_NO_TABLE = re.compile(rf"GRANT (?:PROXY ON |{_ROLES} TO |.* ON [A-Z ]+ `)", re.S)
_SEPARATE = re.compile(rf"((?:{_NAME}|\((?:{_NAME}|[^)`])*\)|[^`,(])+),?")


@dataclass(frozen=True)
class LoginPrivileges:
    """What a login holds by level, named as in C(GRANT), and what partial revokes of MySQL take from it by database.

    C(complete) says that every line of the server was understood; otherwise nothing is ruled out.
    """

    held: Privileges = field(default_factory=dict)
    restrictions: dict[str, frozenset[str]] = field(default_factory=dict)
    complete: bool = True

    def holds(self, name: str) -> bool:
        """Return whether the login has a global privilege, whether it can pass it on or not."""
        names = self.held.get(GLOBAL, frozenset())
        return not self.complete or bool(names & {ALL, name, grantable(name)})

    def lacks(self, database: str, name: str) -> bool:
        """Return whether a partial revoke takes this privilege from the login in this database."""
        return name in self.restrictions.get(database, frozenset())

    def may_manage_users(self) -> bool:
        """Return whether the login can create, alter or drop users; who may write to their tables can, too."""
        return self.holds("CREATE USER") or bool(self._names_on(("mysql", "")) & {"INSERT", "UPDATE", "DELETE", ALL})

    def may_grant(self, level: tuple[str, str], name: str) -> bool:
        """Return whether the login can pass a privilege on, or take it away, on this level."""
        if not self.complete:
            return True
        names = self._names_on(level)
        if is_dynamic(name):
            return bool(names & {grantable(base_name(name)), ALL})
        if GRANT_OPTION not in names:
            return False
        return bool(names & {name.lower(), base_name(name), name, ALL})

    def _names_on(self, level: tuple[str, str]) -> set[str]:
        database, table = level
        names = set(self.held.get(GLOBAL, ()))
        if database:
            names -= self.restrictions.get(database, frozenset())
        # The level of a database is a pattern: one that the login has covers it if it covers all that it can match.
        covered = database if table else re.sub(r"\\(.)", r"\1", database)
        for (pattern, of_table), held in self.held.items():
            if of_table and (pattern, of_table) == level:
                names |= held | {name.lower() for name in held}  # columns have no case
            elif pattern and not of_table and (pattern == database or matches(pattern, covered)):
                names |= held
        return names


def parse(lines: list[str]) -> LoginPrivileges:
    """Read the lines that C(SHOW GRANTS) prints."""
    held: dict = {}
    restrictions: dict = {}
    complete = True
    for line in lines:
        match = _LINE.match(line)
        try:
            names, level = (_names(match), parse_level(match["level"])) if match else (set(), GLOBAL)
        except RdsIamError:
            match, names, level = None, set(), GLOBAL
        if match is None:
            complete = complete and (not line.startswith(("GRANT", "REVOKE")) or bool(_OF_NO_TABLE.match(line)))
            continue
        if match["verb"] == "REVOKE":
            restrictions[level[0]] = restrictions.get(level[0], frozenset()) | names
        else:
            held[level] = held.get(level, frozenset()) | names
    return LoginPrivileges(held, restrictions, complete)


def _names(line: re.Match) -> set[str]:
    """Return what one line gives; GRANT OPTION is of its own for each dynamic privilege."""
    names = set().union(*(parse_privilege(name) for name in _SEPARATE.findall(line["names"])))
    if " GRANT OPTION" not in line["rest"]:
        return names - {"USAGE"}
    dynamic = {name for name in names if is_dynamic(name)}
    options = {grantable(name) for name in dynamic}
    return names - dynamic - {"USAGE"} | options | ({GRANT_OPTION} if names - dynamic else set())
