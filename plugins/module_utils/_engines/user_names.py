# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Check the names of database users. Pure, and private to this collection."""

from __future__ import annotations

import re

from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError

_NAME_LIMIT = 32  # MySQL's; MariaDB takes longer names, and a fleet may hold both


def check_user_name(name: str) -> None:
    """Raise RdsIamError for a database user name that cannot be one, or that a policy would read as more than one."""
    if not isinstance(name, str) or not name:
        raise RdsIamError(f"A database user name must be a text that is not empty, and {name!r} is not.")
    if len(name) > _NAME_LIMIT:
        raise RdsIamError(
            f"The database user name {name} has {len(name)} characters, and MySQL takes {_NAME_LIMIT}; shorten it."
        )
    if re.search(r"[*?]|\$\{", name):
        raise RdsIamError(
            f"The database user name {name} has *, ? or ${{ in it, which an IAM policy reads as a pattern that matches"
            " other users too; give every user by name."
        )
