# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read and end the open sessions of database users. Private to this collection."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from dataclasses import dataclass

from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.connection import Connection, DriverError
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.connection_errors import server_error
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.database_user import UserKey
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.server import Traits
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.session import rows, send
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.user_matching import (
    ServerKind,
    candidate_keys,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.user_outcome import SessionRecord

_KILL_TIMEOUT = 10  # seconds for sessions to end that were killed
# Errors of servers; https://dev.mysql.com/doc/mysql-errors/en/server-error-reference.html
_NO_SUCH_SESSION = 1094
_NOT_ALLOWED = {1095, 1227}


@dataclass(frozen=True)
class Session:
    """One open session.

    client: address or name, without the port
    certain: it is of this database user, and not of one with another host part
    """

    number: int
    client: str
    database: str
    certain: bool

    def to_result(self, ended: bool) -> SessionRecord:
        return {"id": self.number, "client": self.client, "database": self.database, "ended": ended}


def read_sessions(
    connection: Connection, keys: Iterable[UserKey], all_keys: Iterable[UserKey], traits: Traits
) -> dict[UserKey, list[Session]]:
    """Read the open sessions of each of these database users.

    all_keys: the users that the server had when they logged in, those that are dropped by now included
    """
    sessions: dict[UserKey, list[Session]] = {key: [] for key in keys}
    all_keys = {*all_keys, *sessions}
    names = {name for name, _host in sessions}
    [(version,)] = rows(connection, "SELECT VERSION()")
    server = ServerKind.of("mariadb" if traits.mariadb else "mysql", version)
    for number, name, address, database, *_columns in rows(connection, "SHOW PROCESSLIST"):
        if name not in names:
            continue
        client = re.sub(r":\d+$", "", address or "")
        # More candidates than one keep a session from being ended, so they are rather too many than too few. None is
        # not among them, since there is a session.
        candidates = list(filter(None, candidate_keys(all_keys, name, client, server, address_may_have_name=True)))
        for key in sessions.keys() & set(candidates):
            sessions[key].append(Session(int(number), client, database or "", candidates == [key]))
    return sessions


def kill(connection: Connection, numbers: set[int]) -> set[int]:
    """End these sessions, and return those that are still there after a while.

    KILL for sessions of others asks for a privilege that RDS gives to nobody, and has a procedure for. Raises
    DriverError where the login may use neither.
    """
    for number in sorted(numbers):
        _kill(connection, number)
    deadline = time.monotonic() + _KILL_TIMEOUT
    while remaining_numbers := numbers & {int(row[0]) for row in rows(connection, "SHOW PROCESSLIST")}:
        if time.monotonic() > deadline:
            break
        time.sleep(0.1)
    return remaining_numbers


def _kill(connection: Connection, number: int) -> None:
    error = _send(connection, f"KILL {number}", {_NO_SUCH_SESSION, *_NOT_ALLOWED})
    if error in _NOT_ALLOWED:
        _send(connection, f"CALL mysql.rds_kill({number})", {_NO_SUCH_SESSION})


def _send(connection: Connection, statement: str, expected_errors: set[int]) -> int | None:
    """Send a statement, and return the number of an error that is expected of it."""
    try:
        send(connection, statement)
    except DriverError as exc:
        error, _text = server_error(exc)
        if error not in expected_errors:
            raise
        return error
    return None
