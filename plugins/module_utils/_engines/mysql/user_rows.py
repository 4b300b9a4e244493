# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Build rows of mysql.user as modules return them. Pure, and private to this collection."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.database_user import DatabaseUser, UserKey
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.user_matching import ANONYMOUS, UserRow


class MarkedUserRow(UserRow):
    """A row of mysql.user that says whether it bears the mark of what this collection created."""

    managed: bool


def select_rows(users: Mapping[UserKey, DatabaseUser], names: Iterable[str]) -> list[MarkedUserRow]:
    """Return the rows that a server may pick for a login with one of the names, by name and host.

    The anonymous user matches any name. Roles of MariaDB are left out, since nobody can log in as one; those of MySQL
    are rows that a login can match, and are locked.

    users: all users of the server
    """
    names = {ANONYMOUS, *names}
    candidates = [users[key] for key in sorted(users) if users[key].name in names]
    return [to_row(user) for user in candidates if user.host or not user.is_role]


def to_row(user: DatabaseUser) -> MarkedUserRow:
    """Return what decides about logins of one database user."""
    return {
        "name": user.name,
        "host": user.host,
        "plugin": user.login_method,
        "iam": user.is_iam,
        "locked": user.locked,
        "expired": user.expired,
        "require": user.require,
        "managed": user.managed,
    }
