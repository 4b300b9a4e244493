# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Try the logins of the module rds_iam_ping, and describe the client where they fail. Private to this collection."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.base import MissingPrerequisiteError
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.connectors import connector_for
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.engine_names import DEFAULT_ENGINE
from ansible_collections.dbops.rds_iam.plugins.module_utils._host.description import describe_host
from ansible_collections.dbops.rds_iam.plugins.module_utils._host.login_test import LoginTest


def ping(module: AnsibleModule) -> tuple[str, dict[str, Any]]:
    """Return why the module fails, empty if it does not, and its result.

    Raises RdsIamError for options that cannot be.
    """
    options = module.params
    test = LoginTest(options)
    try:
        for ca_file in {login["ca_file"] or options["ca_file"] for login in options["logins"]}:
            connector_for(DEFAULT_ENGINE).check_prerequisites(ca_file)
    except MissingPrerequisiteError as exc:
        test.find_signer()
        return str(exc), {"signer": test.signer.to_result(), "host": describe_host(module, test, [])}
    records = test.run()
    result = {"logins": records, "signer": test.signer.to_result()}
    reasons = list(dict.fromkeys(record["msg"] for record in records if not record["as_expected"]))
    if reasons:
        result["host"] = describe_host(module, test, records)
    return " ".join(reasons), result
