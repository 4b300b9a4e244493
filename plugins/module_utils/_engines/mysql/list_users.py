# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""List the database users of one server. Private to this collection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql import (
    admin_login,
    desired_users,
    session,
    user_reader,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.connection import DriverError
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.user_rows import to_row
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError


def list_users(options: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the users of the server to which the options log in, as the module rds_iam_db_user_info returns them.

    Raises RdsIamError where the server cannot be read.
    """
    try:
        with admin_login.open_session(options) as connection:
            users = user_reader.read_users(connection, session.prepare(connection, options["login_host"]))
    except DriverError as exc:
        raise RdsIamError(admin_login.explain_unreadable(options, exc)) from None
    users_in_order = [users[key] for key in sorted(users)]
    return [
        {**to_row(user), "system": desired_users.is_system(user.name)} for user in users_in_order if not user.is_role
    ]
