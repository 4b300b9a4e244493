# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a server would refuse half-way, found before the first statement. Pure, and private to this collection."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.privilege_plan import (
    Grant,
    Revoke,
    Statement,
    matches,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.privileges import show_level
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.server import Server
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError

_COLUMN = re.compile(r"\w+ \(`((?:[^`]|``)+)`\)", re.S)
_OF_USERS = re.compile(r"(?:CREATE|ALTER|DROP) USER ")
_LISTED = 5  # things that a sentence names


@dataclass(frozen=True)
class Problem:
    """One reason not to begin: a clause that names server and user, and what to do.

    C(conflict) says that a user or a role of others has the name of one that is asked for.
    """

    clause: str
    advice: str
    conflict: bool = False


class Refused(RdsIamError):
    """Nothing was changed. C(conflict) is that of one of the problems."""

    def __init__(self, problems: list[Problem], where: str):
        super().__init__(_sentence(problems, where))
        self.conflict = any(problem.conflict for problem in problems)


def _sentence(problems: list[Problem], where: str) -> str:
    if len(problems) == 1:
        changed = "" if problems[0].conflict else ", so nothing was changed"
        return f"{problems[0].clause}{changed}; {problems[0].advice}."
    clauses = "; ".join(problem.clause for problem in problems)
    advice = "; ".join(dict.fromkeys(problem.advice for problem in problems))
    return f"Nothing was changed on {where}, for {len(problems)} reasons: {clauses}; {advice}."


def listed(things: Iterable[str]) -> str:
    """Return the first few of the things, and how many more there are."""
    things = list(things)
    more = [f"{len(things) - _LISTED} more"] if len(things) > _LISTED else []
    shown = things[:_LISTED] + more
    return " and ".join(filter(None, [", ".join(shown[:-1]), shown[-1]])) if shown else ""


def tables_of(statements: Iterable[Statement]) -> set[tuple[str, str]]:
    """Return the tables that something is to be granted on."""
    return {statement.level for statement in statements if isinstance(statement, Grant) and statement.level[1]}


def find_problems_of_users(plans: dict[str, list[str]], server: Server) -> list[Problem]:
    """Return what stands against creating, altering and dropping users. C(plans) has the statements of each."""
    managed = [who for who, statements in plans.items() if any(_OF_USERS.match(sql) for sql in statements)]
    if not managed or server.login.may_manage_users():
        return []
    clause = f"{server.login_user} lacks CREATE USER on *.* of {server.host} (asked for {listed(managed)})"
    return [Problem(clause, f"log in as a user who has it, or grant it to {server.login_user}")]


def find_problems(who: str, statements: list[Statement], tables: dict, server: Server) -> list[Problem]:
    """Return what stands against the statements about the privileges of one user.

    C(tables) has the lower-case columns of each table of tables_of() that exists.
    """
    problems: list[Problem] = []
    for statement in statements:
        if isinstance(statement, (Grant, Revoke)):
            problems += _not_allowed(who, statement, server)
        if isinstance(statement, Grant) and statement.level[1]:
            problems += _not_there(who, statement, tables, server)
    return list(dict.fromkeys(problems))


def _not_allowed(who: str, statement: Grant | Revoke, server: Server) -> list[Problem]:
    level = statement.level
    names = sorted(name for name in statement.names if not server.login.may_grant(level, name))
    if not names:
        return []
    verb = "cannot pass on" if isinstance(statement, Grant) else "cannot take away"
    clause = f"{server.login_user} {verb} {listed(names)} on {show_level(level)} of {server.host}"
    advice = f"SHOW GRANTS, sent as {server.login_user}, lists what it can"
    return [Problem(f"{clause} (asked for {who})", advice)]


def _not_there(who: str, statement: Grant, tables: dict, server: Server) -> list[Problem]:
    level = statement.level
    columns = [found[1].replace("``", "`") for name in sorted(statement.names) if (found := _COLUMN.fullmatch(name))]
    advice = "correct the name, or create it first"
    if level not in tables:
        # As the server itself has it: who may create a table can be granted privileges on it before.
        if "CREATE" in statement.names and not columns:
            return []
        return [Problem(f"{server.host} has no table {show_level(level)} (asked for {who})", advice)]
    missing = [column for column in columns if column.lower() not in tables[level]]
    if not missing:
        return []
    clause = f"The table {show_level(level)} of {server.host} has no column {listed(missing)} (asked for {who})"
    return [Problem(clause, advice)]


def databases_not_there(statements: Iterable[Statement], databases: set[str], literal: bool) -> list[str]:
    """Return the databases that privileges are to be granted on, and that no database of the server matches."""
    granted = {one.level[0] for one in statements if isinstance(one, Grant) and one.level[0] and not one.level[1]}
    return sorted(name for name in granted if not any(matches(name, database, literal) for database in databases))
