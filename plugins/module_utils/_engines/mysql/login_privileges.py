# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find the privileges that a login can pass on, of its own and by its roles. Pure, and private to this collection.

C(SHOW GRANTS) without a user is the only statement that has all of it on MySQL and on MariaDB: the privileges of the
roles that are in effect are among those of the user, or in lines of their own. A server adds up what its levels give,
so the grant option may come from another level than the privilege.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.privilege_plan import GLOBAL, matches
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.privileges import (
    ALL_PRIVILEGES,
    GRANT_OPTION,
    Level,
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
_GRANTEE = rf"(?:{_NAME}|'(?:[^']|'')*')"  # MySQL 5.7 has quotes
_LINE = re.compile(
    rf"(?P<verb>GRANT|REVOKE) (?P<names>(?:{_NAME}|[^`])+?) ON (?P<level>(?:\*|{_NAME})\.(?:\*|{_NAME}))"
    rf" (?:TO|FROM) (?:PUBLIC\b|{_GRANTEE}(?:@{_GRANTEE})?)(?P<options>.*)",
    re.S,
)
_ROLES = rf"{_NAME}(?:@{_NAME})?(?:,{_NAME}(?:@{_NAME})?)*"
_WITHOUT_LEVEL = re.compile(rf"GRANT (?:PROXY ON |{_ROLES} TO |.* ON [A-Z ]+ `)", re.S)
_PRIVILEGE = re.compile(rf"((?:{_NAME}|\((?:{_NAME}|[^)`])*\)|[^`,(])+),?")


@dataclass(frozen=True)
class LoginPrivileges:
    """The privileges of a login.

    privileges: by level, named as in C(GRANT)
    restrictions: the privileges that partial revokes of MySQL take from it, by database
    complete: every line of the server was understood; otherwise nothing is ruled out
    """

    privileges: Privileges = field(default_factory=dict)
    restrictions: Mapping[str, frozenset[str]] = field(default_factory=dict)
    complete: bool = True

    def holds(self, name: str) -> bool:
        """Return whether the login has a global privilege, whether it can pass it on or not."""
        names = self.privileges.get(GLOBAL, frozenset())
        return not self.complete or bool(names & {ALL_PRIVILEGES, name, grantable(name)})

    def lacks(self, database: str, name: str) -> bool:
        """Return whether a partial revoke takes this privilege from the login in this database."""
        return name in self.restrictions.get(database, frozenset())

    def may_manage_users(self) -> bool:
        """Return whether the login can create, alter or drop users; who may write to their tables can, too."""
        write_privileges = {"INSERT", "UPDATE", "DELETE", ALL_PRIVILEGES}
        return self.holds("CREATE USER") or bool(self._names_on(("mysql", "")) & write_privileges)

    def may_grant(self, level: Level, name: str) -> bool:
        """Return whether the login can pass a privilege on, or take it away, on this level."""
        if not self.complete:
            return True
        names = self._names_on(level)
        if is_dynamic(name):
            return bool(names & {grantable(base_name(name)), ALL_PRIVILEGES})
        if GRANT_OPTION not in names:
            return False
        return bool(names & {name.lower(), base_name(name), name, ALL_PRIVILEGES})

    def _names_on(self, level: Level) -> set[str]:
        database, table = level
        names = set(self.privileges.get(GLOBAL, ()))
        if database:
            names -= self.restrictions.get(database, frozenset())
        # The level of a database is a pattern: one that the login has covers it if it covers all that it can match.
        covered_database = database if table else re.sub(r"\\(.)", r"\1", database)
        for (pattern, of_table), level_names in self.privileges.items():
            if of_table and (pattern, of_table) == level:
                names |= level_names | {name.lower() for name in level_names}  # columns have no case
            elif pattern and not of_table and (pattern == database or matches(pattern, covered_database)):
                names |= level_names
        return names


def parse(lines: list[str]) -> LoginPrivileges:
    """Read the lines that C(SHOW GRANTS) prints."""
    privileges: dict[Level, frozenset[str]] = {}
    restrictions: dict[str, frozenset[str]] = {}
    complete = True
    for line in lines:
        match = _LINE.match(line)
        try:
            names, level = (_names(match), parse_level(match["level"])) if match else (frozenset(), GLOBAL)
        except RdsIamError:
            match = None
        if match is None:
            complete = complete and (not line.startswith(("GRANT", "REVOKE")) or bool(_WITHOUT_LEVEL.match(line)))
        elif match["verb"] == "REVOKE":
            restrictions[level[0]] = restrictions.get(level[0], frozenset()) | names
        else:
            privileges[level] = privileges.get(level, frozenset()) | names
    return LoginPrivileges(privileges, restrictions, complete)


def _names(line: re.Match[str]) -> frozenset[str]:
    """Return what one line gives; GRANT OPTION is of its own for each dynamic privilege."""
    names = frozenset().union(*(parse_privilege(name) for name in _PRIVILEGE.findall(line["names"])))
    if " GRANT OPTION" not in line["options"]:
        return names - {"USAGE"}
    dynamic = frozenset(filter(is_dynamic, names))
    static = names - dynamic
    options = {grantable(name) for name in dynamic} | ({GRANT_OPTION} if static else set())
    return static - {"USAGE"} | options
