# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Open the session of the master user, by the options of a module. Private to this collection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.base import ConnectionOptions
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql import connection, connection_errors

# Documented in plugins/doc_fragments/login.py.
ARGUMENTS: dict[str, dict[str, Any]] = {
    "login_host": {"type": "str", "required": True},
    "login_port": {"type": "int", "default": 3306},
    "login_user": {"type": "str", "required": True},
    "login_password": {"type": "str", "required": True, "no_log": True},
    "ca_file": {"type": "path", "default": "/etc/ssl/rds/global-bundle.pem"},
    "connect_host": {"type": "str"},
    "connect_timeout": {"type": "int", "default": 10},
}


def open_session(params: Mapping[str, Any]) -> connection.Connection:
    """Open the session that the options of a module, those of ARGUMENTS, ask for. Raises what connect() raises."""
    options = ConnectionOptions(
        host=params["login_host"],
        port=params["login_port"],
        ca_file=params["ca_file"],
        connect_host=params["connect_host"],
        timeout=params["connect_timeout"],
    )
    return connection.connect(options, params["login_user"], params["login_password"])


def explain_unreadable(params: Mapping[str, Any], exc: Exception) -> str:
    """Return the sentence for an error of the driver, where a session may not read the database users."""
    reason = connection_errors.server_error(exc)[1]
    return f"The accounts of {params['login_host']} could not be read as {params['login_user']}: {reason}."
