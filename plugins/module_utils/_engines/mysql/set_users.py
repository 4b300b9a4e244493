# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Set the database users of one server. Private to this collection."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.base import MissingPrerequisiteError
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql import admin_login, manage_users
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.connection import DriverError
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError


def set_users(module: AnsibleModule) -> tuple[str, dict[str, Any]]:
    """Do what the module rds_iam_db_user does; return why it fails, empty if it does not, and its result."""
    run = manage_users.UserRun(module.params, module.warn, with_diff=module._diff)
    try:
        run.execute(module.check_mode)
    except MissingPrerequisiteError as exc:
        if not module.check_mode:
            return str(exc), {**run.to_result(), "conflict": False}
        # Earlier tasks would have installed what is missing.
        run.assume_no_users()
        module.warn(f"{exc} The accounts could not be read; what would change is shown as if none of them existed.")
    except RdsIamError as exc:
        return str(exc), {**run.to_result(), "conflict": getattr(exc, "conflict", False)}
    except DriverError as exc:
        return admin_login.explain_unreadable(module.params, exc), {**run.to_result(), "conflict": False}
    return "", run.to_result()
