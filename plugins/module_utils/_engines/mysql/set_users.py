# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Set the database users of one server. Private to this collection."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.base import MissingPrerequisiteError
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql import (
    admin_login,
    desired_users,
    manage_users,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.connection import DriverError
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError


def set_users(module: AnsibleModule) -> tuple[str, dict[str, Any]]:
    """Do what the module rds_iam_db_user does; return why it fails, empty if it does not, and its result."""
    result: dict[str, Any] = {"changed": False, "users": []}
    try:
        users = desired_users.parse_users(module.params["users"])
        try:
            with admin_login.open_session(module.params) as connection:
                run = manage_users.Run(connection, module.params, result, module.warn)
                run.plan(users, module._diff)
                if not module.check_mode:
                    run.apply()
                run.sessions(module.check_mode)
        except MissingPrerequisiteError as exc:
            if not module.check_mode:
                raise
            # Earlier tasks would have installed it.
            result = manage_users.no_server(users, module._diff)
            module.warn(f"{exc} The accounts could not be read; what would change is shown as if none of them existed.")
    except RdsIamError as exc:
        return str(exc), {**result, "conflict": getattr(exc, "conflict", False)}
    except DriverError as exc:
        return admin_login.explain_unreadable(module.params, exc), {**result, "conflict": False}
    return "", result
