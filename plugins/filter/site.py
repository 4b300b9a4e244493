# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any, Callable

from ansible_collections.dbops.rds_iam.plugins.module_utils._site import (
    attachments,
    client_parts,
    client_proof,
    conclusion,
    diagnosis_request,
    failures,
    inventory,
    login_plan,
    outcomes,
    run_state,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._site.inventory import Hosts
from ansible_collections.dbops.rds_iam.plugins.module_utils._site.login_matrix import Matrix
from ansible_collections.dbops.rds_iam.plugins.module_utils._site.outcomes import RunKind
from ansible_collections.dbops.rds_iam.plugins.module_utils._site.records import (
    ConnectDatabase,
    Diagnosis,
    SiteDatabase,
)
from ansible_collections.dbops.rds_iam.plugins.plugin_utils.filter_errors import as_filter


def next_logins(hosts: Hosts, matrix: Matrix, databases: list[SiteDatabase]) -> dict[str, list[ConnectDatabase]]:
    return login_plan.next_logins(matrix, run_state.gather(hosts, matrix, databases, {}))


def databases_to_read(hosts: Hosts, matrix: Matrix, databases: list[SiteDatabase]) -> dict[str, dict[str, str]]:
    return login_plan.databases_to_read(matrix, run_state.gather(hosts, matrix, databases, {}))


def login_report(  # noqa: PLR0913, PLR0917 - the positional options of the filter
    hosts: Hosts,
    matrix: Matrix,
    databases: list[SiteDatabase],
    run: RunKind,
    host: str,
    active_hosts: list[str],
    excluded_user_rows: dict[str, Any] | None = None,
    diagnosis: dict[str, Any] | None = None,
    shows_reasons: bool = True,
) -> conclusion.Report:
    state = run_state.gather(hosts, matrix, databases, excluded_user_rows or {}, _lost_hosts(matrix, active_hosts))
    logins: list[Diagnosis] = (diagnosis or {}).get("logins") or []
    diagnoses = {(login["client"], login["database"], login["user"]): login for login in logins}
    return conclusion.report(matrix, state, run, diagnoses, host, shows_reasons)


def login_diagnosis_request(
    hosts: Hosts,
    matrix: Matrix,
    databases: list[SiteDatabase],
    run: RunKind,
    active_hosts: list[str],
    excluded_user_rows: dict[str, Any] | None = None,
) -> diagnosis_request.DiagnosisRequest:
    state = run_state.gather(hosts, matrix, databases, excluded_user_rows or {}, _lost_hosts(matrix, active_hosts))
    return diagnosis_request.diagnosis_request(outcomes.outcomes(matrix, state, run), state, hosts)


def _lost_hosts(matrix: Matrix, active_hosts: list[str]) -> set[str]:
    """Return the hosts that were in the play and are not any more."""
    return {*matrix["limited_clients"], *matrix["limited_databases"]} & set(matrix["play_hosts"]) - set(active_hosts)


FILTERS: dict[str, Callable[..., Any]] = {
    "attachment_error": attachments.attachment_error,
    "attachment_obstacle": attachments.attachment_obstacle,
    "client_parts": client_parts.client_parts,
    "connect_database": inventory.connect_database,
    "connect_logins": client_proof.ping_logins,
    "connect_proof": client_proof.client_proof,
    "connect_untried": client_proof.untried_logins,
    "database_identifiers": inventory.identifiers,
    "databases_to_read": databases_to_read,
    "failure_reason": failures.failure_reason,
    "first_client": client_proof.first_client,
    "login_diagnosis_request": login_diagnosis_request,
    "login_matrix": inventory.login_matrix,
    "login_report": login_report,
    "next_logins": next_logins,
    "readable_databases": inventory.readable_databases,
    "report_databases": inventory.report_databases,
    "sql_client": inventory.sql_client,
    "unknown_database_users": inventory.unknown_users,
}


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {name: as_filter(function) for name, function in FILTERS.items()}
