# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The mark on database users that this collection created. Pure, and private to this collection.

MySQL keeps attributes of a user from 8.0.21 on. MariaDB, and MySQL before, have no place for a word about a user that
their administrators may write to. There the mark is a grant: REFERENCES, which lets nobody read or change anything, on
a database of this name, which does not exist. It goes when the user is dropped, is copied by dumps and replicas, and
asks for no privilege that a master user lacks. A role would belong to who made it, and only they could grant it.
"""

from __future__ import annotations

MARK_KEY, MARK_VALUE = "ManagedBy", "dbops.rds_iam"
MARK = f"{MARK_KEY}={MARK_VALUE}"
MARK_DATABASE = MARK.lower()  # as compared, since some servers keep names of databases in lower case


def is_mark(database: str) -> bool:
    """Return whether privileges on this database are the mark, and none that somebody uses."""
    return database.lower() == MARK_DATABASE
