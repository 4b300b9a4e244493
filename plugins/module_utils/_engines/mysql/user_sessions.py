# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sessions of database users that are open, and their end. Private to this collection."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from dataclasses import dataclass

from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.connection import DriverError
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.error_texts import server_error
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.row_match import candidates
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.session import rows, send

_WAIT = 10  # seconds for sessions to end that were killed
_GONE = 1094  # there is no such session
_NOT_ALLOWED = {1095, 1227}


@dataclass(frozen=True)
class Session:
    """One open session; C(certain) says that it is of this database user, and not of one with another host part."""

    number: int
    client: str
    database: str
    certain: bool

    def to_result(self, ended: bool) -> dict:
        return {"id": self.number, "client": self.client, "database": self.database, "ended": ended}


def read_sessions(connection, wanted: Iterable[tuple[str, str]], keys: Iterable[tuple[str, str]]) -> dict:
    """Read the open sessions of each of the wanted database users, by name and host.

    C(keys) are the users that the server had when they logged in, those that are dropped by now included.
    """
    wanted = set(wanted)
    keys = {*keys, *wanted}
    names = {name for name, _host in wanted}
    result: dict = {key: [] for key in wanted}
    for number, name, address, database, *_rest in rows(connection, "SHOW PROCESSLIST"):
        if name not in names:
            continue
        client = re.sub(r":\d+$", "", address or "")
        found = candidates(keys, name, client)
        for key in wanted.intersection(found):
            result[key].append(Session(int(number), client, database or "", found == [key]))
    return result


def kill(connection, numbers: set[int]) -> set[int]:
    """End these sessions, and return those that are still there after a while.

    KILL for sessions of others asks for a privilege that RDS gives to nobody, and has a procedure for.
    """
    for number in sorted(numbers):
        try:
            _kill(connection, number)
        except DriverError as exc:
            if server_error(exc)[0] != _GONE:
                raise
    deadline = time.monotonic() + _WAIT
    while left := numbers & {int(row[0]) for row in rows(connection, "SHOW PROCESSLIST")}:
        if time.monotonic() > deadline:
            break
        time.sleep(0.1)
    return left


def _kill(connection, number: int) -> None:
    try:
        send(connection, f"KILL {number}")
    except DriverError as exc:
        if server_error(exc)[0] not in _NOT_ALLOWED:
            raise
        send(connection, f"CALL mysql.rds_kill({number})")
