# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Describe a client: what it has, and how far it gets to its databases. Private to this collection."""

from __future__ import annotations

from itertools import compress

from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.base import ConnectionOptions, NoConnectionError
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.connectors import connector_for
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.engine_names import DEFAULT_ENGINE
from ansible_collections.dbops.rds_iam.plugins.module_utils._host import facts


def _probe(login, params):
    """Return how far the host gets to the endpoint of a login."""
    record = {"endpoint": login["endpoint"], "port": login["port"], "failed_at": None, "msg": None}
    options = ConnectionOptions(
        host=login["endpoint"],
        port=login["port"],
        ca_file=login["ca_file"] or params["ca_file"],
        connect_host=login["connect_host"],
        timeout=params["connect_timeout"],
    )
    try:
        connector_for(DEFAULT_ENGINE).probe_tls(options)
    except NoConnectionError as exc:
        record.update(exc.to_result())
    return record


def describe_host(module, test, records):
    """Return what the host has, and how far it gets to the endpoints to which there was nothing to log in with."""
    params = module.params
    host = facts.facts(module.run_command, params["ca_file"], test.signer)
    unarmed = [record.get("failed_at") in ("credentials", "token") for record in records]
    ways = compress(params["logins"], unarmed) if records else params["logins"]
    # Without the driver there is no way to go there, and that it is missing is said already.
    ends = {(login["endpoint"], login["port"]): login for login in ways} if host["libraries"]["pymysql"] else {}
    host["targets"] = [_probe(login, params) for login in ends.values()]
    return host
