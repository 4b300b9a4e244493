# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Describe a client: the facts about it, and its way to its databases. Private to this collection."""

from __future__ import annotations

from itertools import compress
from typing import TYPE_CHECKING, Any, cast

from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.base import ConnectionOptions, NoConnectionError
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.connectors import connector_for
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.engine_names import DEFAULT_ENGINE
from ansible_collections.dbops.rds_iam.plugins.module_utils._host.facts import gather_facts
from ansible_collections.dbops.rds_iam.plugins.module_utils._host.login_test import LoginOptions, LoginTest
from ansible_collections.dbops.rds_iam.plugins.module_utils._host.results import HostFacts, LoginResult, TargetFacts

if TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule


def describe_host(module: AnsibleModule, test: LoginTest, results: list[LoginResult]) -> HostFacts:
    """Return the facts, and the way to the endpoints for which there was nothing to log in with.

    results: those of the logins of the module; empty where none was tried, and the ways to all endpoints count
    """
    params: dict[str, Any] = module.params
    host = gather_facts(module.run_command, params["ca_file"], test.signer)
    logins: list[LoginOptions] = params["logins"]
    if results:
        logins = list(compress(logins, (result.get("failed_at") in ("credentials", "token") for result in results)))
    # Without the driver there is no way to go there, and the libraries show that it is missing.
    targets = {(login["endpoint"], login["port"]): login for login in logins} if host["libraries"]["pymysql"] else {}
    host["targets"] = [_probe(login, params) for login in targets.values()]
    return host


def _probe(login: LoginOptions, params: dict[str, Any]) -> TargetFacts:
    """Return how far the host gets to the endpoint of a login."""
    facts: TargetFacts = {"endpoint": login["endpoint"], "port": login["port"], "failed_at": None, "msg": None}
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
        return cast("TargetFacts", {**facts, **exc.to_result()})
    return facts
