# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read what a client has of what it needs to log in with IAM. Private to this collection."""

from __future__ import annotations

import hashlib
import os
import stat
from typing import TypedDict

from ansible_collections.dbops.rds_iam.plugins.module_utils._client import libraries
from ansible_collections.dbops.rds_iam.plugins.module_utils._client.installation import find_client
from ansible_collections.dbops.rds_iam.plugins.module_utils._client.packages import Run


class ProgramFile(TypedDict):
    """The file of rds-mysql: its SHA-256 in hexadecimal digits, and its permissions as four octal digits."""

    checksum: str
    mode: str


class ClientState(TypedDict):
    """What the module rds_iam_client_info returns, which documents it."""

    client_program: str
    missing: list[str]
    program: ProgramFile | None


def inspect_client(run: Run, program_python: str, program_path: str) -> ClientState:
    """Return the state of this client.

    program_python: the Python that runs rds-mysql
    program_path: the place of rds-mysql
    """
    client_program = find_client()
    state = libraries.inspect(run, program_python)
    missing = {"client_program": not client_program, "libraries": state.is_lacking}
    return {
        "client_program": client_program,
        "missing": [part for part, is_missing in missing.items() if is_missing],
        "program": read_program(program_path),
    }


def read_program(path: str) -> ProgramFile | None:
    """Return checksum and mode of a file; None where there is none that is regular and can be read."""
    try:
        status = os.lstat(path)
        if not stat.S_ISREG(status.st_mode):
            return None
        with open(path, "rb") as stream:
            checksum = hashlib.sha256(stream.read()).hexdigest()
    except OSError:
        return None
    return {"checksum": checksum, "mode": f"{stat.S_IMODE(status.st_mode):04o}"}
