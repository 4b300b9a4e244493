# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find the client program of MySQL or MariaDB on this host, and tell its family. Private to this collection.

The program rds-mysql contains this text, so it imports nothing but the standard library.
"""

from __future__ import annotations

import shutil

MARIADB, MYSQL = "MariaDB", "MySQL"
_PROGRAMS = ("mariadb", "mysql")


def find_client_programs() -> list[str]:
    """Return the paths of the client programs on the PATH; rds-mysql runs the first one."""
    return [path for path in map(shutil.which, _PROGRAMS) if path]


def family_of(version: str) -> str:
    """Return MARIADB or MYSQL for the text that a client program prints as its version."""
    return MARIADB if "MariaDB" in version else MYSQL
