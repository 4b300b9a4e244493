# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Check the database users that a task asks for, offline. Pure, and private to this collection."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.database_user import DatabaseUser
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.ownership import MARK, is_mark
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.preflight_checks import Problem
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.privileges import (
    Dialect,
    check_text,
    parse_privileges,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.user_names import check_user_name
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError

_SYSTEM_USERS = {"root", "public", "rds_superuser_role"}
_SYSTEM_PREFIXES = ("mysql.", "mariadb.", "rdsadmin", "rdsrepladmin", "rdsproxyadmin", "rdstopmgr")
_HOST = re.compile(r"[a-z0-9_.:/%-]{1,255}")


@dataclass(frozen=True)
class DesiredUser:
    """The state that a task asks for one database user, as the options of rds_iam_db_user describe it.

    user: its privileges are None where they are not managed
    locked: None where the lock is not managed
    """

    user: DatabaseUser
    present: bool = True
    convert: bool = False
    locked: bool | None = None
    force_drop: bool = False
    kill_sessions: bool = False


def parse_users(options: list[dict[str, Any]]) -> list[DesiredUser]:
    """Check the option users of a task, offline, and return what it asks for each.

    Raises RdsIamError for a user that cannot be, that belongs to the server, or that is given twice.
    """
    desired_users = [_parse_user(option) for option in options]
    keys = set()
    for desired_user in desired_users:
        if desired_user.user.key in keys:
            raise RdsIamError(f"The account {desired_user.user} is given twice; give every account once.")
        keys.add(desired_user.user.key)
    return desired_users


def is_system(name: str) -> bool:
    """Return whether a database user belongs to the server or to RDS."""
    return name.lower() in _SYSTEM_USERS or name.lower().startswith(_SYSTEM_PREFIXES)


def _parse_user(option: dict[str, Any]) -> DesiredUser:
    name, host = option["name"], (option.get("host") or "%").lower()  # servers keep hosts in lower case
    check_user_name(name)
    check_text("database user name", name)
    if not _HOST.fullmatch(host):
        raise RdsIamError(
            f"{host!r} is not the host part of an account (asked for {name}); write a name, an address or a network,"
            " with % for any part."
        )
    if is_system(name):
        raise RdsIamError(f"The account {name} belongs to the server or to RDS; this module does not touch it.")
    privileges = option.get("privileges")
    if privileges is not None:
        privileges = parse_privileges(privileges)
        if any(is_mark(level[0]) for level in privileges):
            raise RdsIamError(f"Privileges on the database {MARK} are the mark of this collection (asked for {name}).")
    tls = "" if option.get("require_ssl") is False else "ANY"
    return DesiredUser(
        DatabaseUser(name, host, tls=tls, privileges=privileges),
        present=option.get("state") != "absent",
        convert=bool(option.get("convert")),
        locked=option.get("locked"),
        force_drop=bool(option.get("force_drop")),
        kill_sessions=bool(option.get("kill_sessions")),
    )


def resolve_privileges(
    desired_users: list[DesiredUser], dialect: Dialect, database: str
) -> tuple[list[DesiredUser], list[Problem]]:
    """Return the same users with privileges as this server names them, and a problem for each that it does not have.

    database: the name of the database in messages
    """
    resolved_users, problems = [], []
    for desired_user in desired_users:
        if desired_user.user.privileges is None:
            resolved_users.append(desired_user)
            continue
        privileges, clauses = dialect.resolve(desired_user.user.privileges)
        resolved_users.append(replace(desired_user, user=replace(desired_user.user, privileges=privileges)))
        problems += [
            Problem(f"{database} {clause} (asked for {desired_user.user})", "SHOW PRIVILEGES lists those that it has")
            for clause in clauses
        ]
    return resolved_users, problems
