# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The database users that a task asks for, checked offline. Pure, and private to this collection."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql import privileges as mysql_privileges
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.database_user import (
    DatabaseUser,
    with_privileges,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.ownership import MARK, is_mark
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.privileges import Dialect
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.refusals import Problem
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.user_names import check_user_name
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError

_SYSTEM_ACCOUNTS = {"root", "public", "rds_superuser_role"}
_SYSTEM_PREFIXES = ("mysql.", "mariadb.", "rdsadmin", "rdsrepladmin", "rdsproxyadmin", "rdstopmgr")
_HOST = re.compile(r"[a-z0-9_.:/%-]{1,255}")


@dataclass(frozen=True)
class DesiredUser:
    """What the user asks for one database user. C(locked) is None where the lock is not managed."""

    account: DatabaseUser
    present: bool = True
    convert: bool = False
    locked: bool | None = None
    force_drop: bool = False
    kill_sessions: bool = False


def parse_users(users: list[dict]) -> list[DesiredUser]:
    """Check the users that a task gives, offline, and return what it asks for each."""
    result = [_parse_user(user) for user in users]
    seen = set()
    for item in result:
        if item.account.key in seen:
            raise RdsIamError(f"The account {item.account} is given twice; give every account once.")
        seen.add(item.account.key)
    return result


def is_system(name: str) -> bool:
    """Whether an account belongs to the server or to RDS."""
    return name.lower() in _SYSTEM_ACCOUNTS or name.lower().startswith(_SYSTEM_PREFIXES)


def _parse_user(user: dict) -> DesiredUser:
    name, host = user["name"], (user.get("host") or "%").lower()  # servers keep hosts in lower case
    check_user_name(name)
    mysql_privileges.check_text("database user name", name)
    if not _HOST.fullmatch(host):
        raise RdsIamError(
            f"{host!r} is not the host part of an account (asked for {name}); write a name, an address or a network,"
            " with % for any part."
        )
    if is_system(name):
        raise RdsIamError(f"The account {name} belongs to the server or to RDS; this module does not touch it.")
    privileges = user.get("privileges")
    if privileges is not None:
        privileges = mysql_privileges.parse_privileges(privileges)
        if any(is_mark(level[0]) for level in privileges):
            raise RdsIamError(f"Privileges on the database {MARK} are the mark of this collection (asked for {name}).")
    tls = "" if user.get("require_ssl") is False else "ANY"
    return DesiredUser(
        DatabaseUser(name, host, tls=tls, privileges=privileges),
        present=user.get("state") != "absent",
        convert=bool(user.get("convert")),
        locked=user.get("locked"),
        force_drop=bool(user.get("force_drop")),
        kill_sessions=bool(user.get("kill_sessions")),
    )


def on_server(items: list[DesiredUser], dialect: Dialect, where: str) -> tuple[list[DesiredUser], list[Problem]]:
    """Return the same database users with privileges as this server names them, and what it does not have."""
    result, problems = [], []
    for item in items:
        if item.account.privileges is not None:
            privileges, wrong = dialect.resolve(item.account.privileges)
            item = replace(item, account=with_privileges(item.account, privileges))  # noqa: PLW2901
            clauses = (f"{where} {clause} (asked for {item.account})" for clause in wrong)
            problems += [Problem(clause, "SHOW PRIVILEGES lists those that it has") for clause in clauses]
        result.append(item)
    return result, problems
