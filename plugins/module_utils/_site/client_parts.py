# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tell which parts a client has already of what the steps install on it. Pure, and private to this collection."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError

_MODE_OF_PROGRAM = "0755"  # as the role connect sets it


def client_parts(reach_result: Mapping[str, Any], program: str) -> list[str]:
    """Return the parts that are in place: client for what step 2 installs, without a server, and program for step 7.

    None of them where the client could not be examined, as without Python: then each step finds out by itself.

    reach_result: what rds_iam_client_info returned, as a task registers it
    program: the text that rds-mysql must have

    Raises RdsIamError for a client that was not reached.
    """
    if reach_result.get("unreachable"):
        raise RdsIamError(str(reach_result.get("msg") or "The client was not reached."))
    parts = []
    if reach_result.get("missing") == []:
        parts.append("client")
    checksum = hashlib.sha256(program.encode()).hexdigest()
    if reach_result.get("program") == {"checksum": checksum, "mode": _MODE_OF_PROGRAM}:
        parts.append("program")
    return parts
