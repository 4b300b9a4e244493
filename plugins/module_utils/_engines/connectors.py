# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find what opens connections to a database, by the name of its engine. Private to this collection."""

from __future__ import annotations

from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.base import Connector
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.engine_names import FAMILIES
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql import connection as mysql_connection

_CONNECTORS: dict[str, Connector] = dict.fromkeys(FAMILIES["mysql"], mysql_connection)


def connector_for(engine: str) -> Connector:
    """Return the connector for an engine of engine_names.SUPPORTED, by the name that RDS gives to it."""
    return _CONNECTORS[engine]
