# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find what a server would refuse half-way, before anything is sent. Pure, and private to this collection."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.privilege_plan import (
    Grant,
    Revoke,
    Statement,
    matches,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.privileges import (
    Level,
    show_level,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.server import Server
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError

_COLUMN = re.compile(r"\w+ \(`((?:[^`]|``)+)`\)", re.S)
_USER_STATEMENT = re.compile(r"(?:CREATE|ALTER|DROP) USER ")
_LISTED = 5  # names in a sentence


@dataclass(frozen=True)
class Problem:
    """One reason not to begin.

    clause: names the server and the user
    advice: how to remove the reason
    conflict: a user or a role of others has the name of one that is asked for
    """

    clause: str
    advice: str
    conflict: bool = False


class PlanRefusedError(RdsIamError):
    """Nothing was changed. C(conflict) is that of one of the problems."""

    def __init__(self, problems: list[Problem], database: str) -> None:
        super().__init__(_sentence(problems, database))
        self.conflict = any(problem.conflict for problem in problems)


def _sentence(problems: list[Problem], database: str) -> str:
    if len(problems) == 1:
        consequence = "" if problems[0].conflict else ", so nothing was changed"
        return f"{problems[0].clause}{consequence}; {problems[0].advice}."
    clauses = "; ".join(problem.clause for problem in problems)
    advice = "; ".join(dict.fromkeys(problem.advice for problem in problems))
    return f"Nothing was changed on {database}, for {len(problems)} reasons: {clauses}; {advice}."


def summarize(names: Iterable[str]) -> str:
    """Return the first few of the names, and how many more there are, as a part of a sentence."""
    names = list(names)
    if len(names) > _LISTED:
        names[_LISTED:] = [f"{len(names) - _LISTED} more"]
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def tables_of(statements: Iterable[Statement]) -> set[Level]:
    """Return the tables that something is to be granted on."""
    return {statement.level for statement in statements if isinstance(statement, Grant) and statement.level[1]}


def find_user_problems(plans: Mapping[str, list[str]], server: Server) -> list[Problem]:
    """Return what stands against creating, altering and dropping users.

    plans: the statements for each user, by the user as SQL has it
    """
    users = [user for user, statements in plans.items() if any(map(_USER_STATEMENT.match, statements))]
    if not users or server.login.may_manage_users():
        return []
    clause = f"{server.login_user} lacks CREATE USER on *.* of {server.host} (asked for {summarize(users)})"
    return [Problem(clause, f"log in as a user who has it, or grant it to {server.login_user}")]


def find_privilege_problems(
    user: str, statements: list[Statement], tables: Mapping[Level, set[str]], server: Server
) -> list[Problem]:
    """Return what stands against the statements about the privileges of one user.

    user: the user as SQL has it
    tables: the lower-case columns of each table of tables_of() that exists
    """
    problems: list[Problem] = []
    for statement in statements:
        if isinstance(statement, (Grant, Revoke)):
            problems += _missing_grant_options(user, statement, server)
        if isinstance(statement, Grant) and statement.level[1]:
            problems += _table_problems(user, statement, tables, server)
    return list(dict.fromkeys(problems))


def _missing_grant_options(user: str, statement: Grant | Revoke, server: Server) -> list[Problem]:
    level = statement.level
    names = sorted(name for name in statement.names if not server.login.may_grant(level, name))
    if not names:
        return []
    verb = "cannot pass on" if isinstance(statement, Grant) else "cannot take away"
    clause = f"{server.login_user} {verb} {summarize(names)} on {show_level(level)} of {server.host}"
    advice = f"SHOW GRANTS, sent as {server.login_user}, lists what it can"
    return [Problem(f"{clause} (asked for {user})", advice)]


def _table_problems(user: str, statement: Grant, tables: Mapping[Level, set[str]], server: Server) -> list[Problem]:
    """Return the problem of a table that does not exist, or lacks columns."""
    level = statement.level
    columns = [match[1].replace("``", "`") for name in sorted(statement.names) if (match := _COLUMN.fullmatch(name))]
    advice = "correct the name, or create it first"
    if level not in tables:
        # As the server itself has it: who may create a table can be granted privileges on it before.
        if "CREATE" in statement.names and not columns:
            return []
        return [Problem(f"{server.host} has no table {show_level(level)} (asked for {user})", advice)]
    missing_columns = [column for column in columns if column.lower() not in tables[level]]
    if not missing_columns:
        return []
    clause = f"The table {show_level(level)} of {server.host} has no column {summarize(missing_columns)}"
    return [Problem(f"{clause} (asked for {user})", advice)]


def missing_databases(statements: Iterable[Statement], databases: set[str], literal: bool) -> list[str]:
    """Return the databases that privileges are to be granted on, and that no database of the server matches.

    literal: as in matches() of privilege_plan
    """
    levels = {statement.level for statement in statements if isinstance(statement, Grant)}
    names = {database for database, table in levels if database and not table}
    return sorted(name for name in names if not any(matches(name, database, literal) for database in databases))
