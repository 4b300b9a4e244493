# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Diagnose the logins of a run, and report them. Private to this collection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.dbops.rds_iam.plugins.module_utils._checks import PASSED
from ansible_collections.dbops.rds_iam.plugins.module_utils._doctor.collector import (
    EvidenceCollector,
    LoginOption,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._doctor.diagnosis import conclude, diagnose
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError

if TYPE_CHECKING:
    from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule


def diagnose_logins(module: AnsibleAWSModule) -> list[dict[str, Any]]:
    """Return the logins with their diagnosis, as the module rds_iam_doctor returns them.

    Raises RdsIamError where a login names a client or a database that the options do not have.
    """
    logins: list[LoginOption] = module.params["logins"]
    clients = _items_by_name(module.params["clients"], "client", logins)
    databases = _items_by_name(module.params["databases"], "database", logins)
    collector = EvidenceCollector(module, clients, databases, logins)
    return [_diagnosis(login, collector) for login in logins]


def _items_by_name(items: list[dict[str, Any]], kind: str, logins: list[LoginOption]) -> dict[str, Any]:
    by_name = {item["name"]: item for item in items}
    for login in logins:
        name = login["client"] if kind == "client" else login["database"]
        if name not in by_name:
            raise RdsIamError(f"A login names the {kind} {name}, which is not given; add it to {kind}s.")
    return by_name


def _diagnosis(login: LoginOption, collector: EvidenceCollector) -> dict[str, Any]:
    checks = diagnose(collector.collect(login))
    status, reason = conclude(checks)
    return {
        "client": login["client"],
        "database": login["database"],
        "user": login["user"],
        "status": status,
        "reason": reason,
        "checks": [check.to_dict() for check in checks],
    }


def explain_failures(logins: list[dict[str, Any]]) -> str:
    """Return a sentence for each of these diagnosed logins that is not passed, empty where all are."""
    failures = [login for login in logins if login["status"] != PASSED]
    return " ".join(
        f"{login['user']} on {login['database']} from {login['client']}: {login['reason']}." for login in failures
    )
