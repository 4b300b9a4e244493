# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import functools

from ansible.errors import AnsibleFilterError
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError
from ansible_collections.dbops.rds_iam.plugins.module_utils._site import (
    attachments,
    client_proof,
    conclusion,
    diagnosis_request,
    failures,
    inventory,
    login_plan,
    outcomes,
    run_state,
)


def next_logins(hosts, matrix, databases):
    return login_plan.next_logins(matrix, run_state.gather(hosts, matrix, databases, {}))


def databases_to_read(hosts, matrix, databases):
    return login_plan.databases_to_read(matrix, run_state.gather(hosts, matrix, databases, {}))


def login_report(hosts, matrix, databases, run, host, present, rows_of_others=None, diagnosis=None, shows_reasons=True):
    state = run_state.gather(hosts, matrix, databases, rows_of_others or {}, _lost(matrix, present))
    logins = (diagnosis or {}).get("logins") or ()
    diagnoses = {(login["host"], login["database"], login["user"]): login for login in logins}
    return conclusion.report(matrix, state, run, diagnoses, host, shows_reasons)


def login_diagnosis_request(hosts, matrix, databases, run, present, rows_of_others=None):
    state = run_state.gather(hosts, matrix, databases, rows_of_others or {}, _lost(matrix, present))
    return diagnosis_request.diagnosis_request(outcomes.outcomes(matrix, state, run), state, hosts)


def _lost(matrix, present):
    return {*matrix["limited_clients"], *matrix["limited_databases"]} & set(matrix["in_play"]) - set(present)


FILTERS = {
    "attachment_error": attachments.attachment_error,
    "attachment_obstacle": attachments.attachment_obstacle,
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


def _as_filter(function):
    @functools.wraps(function)
    def wrapped(*args, **kwargs):
        try:
            return function(*args, **kwargs)
        except RdsIamError as exc:
            raise AnsibleFilterError(str(exc)) from None

    return wrapped


class FilterModule:
    def filters(self):
        return {name: _as_filter(function) for name, function in FILTERS.items()}
