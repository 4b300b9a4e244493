# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Build the options of rds_iam_doctor about unproven logins. Pure, and private to this collection."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypedDict, cast

from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.base import UserRow
from ansible_collections.dbops.rds_iam.plugins.module_utils._site.outcomes import Outcome
from ansible_collections.dbops.rds_iam.plugins.module_utils._site.records import DoctorClient, DoctorLogin
from ansible_collections.dbops.rds_iam.plugins.module_utils._site.run_state import DatabaseState, RunState
from ansible_collections.dbops.rds_iam.plugins.module_utils._site.unproven_reasons import wrong_signer


class DiagnosisRequest(TypedDict):
    """The options logins and clients of rds_iam_doctor, and the database users to read for them before."""

    logins: list[DoctorLogin]
    clients: list[DoctorClient]
    users: dict[str, list[str]]  # the database users of these logins, by database
    sql_clients: dict[str, str]  # the client that sends SQL to each of these databases


def diagnosis_request(
    outcomes_of_run: Iterable[Outcome], state: RunState, hosts: Mapping[str, Mapping[str, Any]]
) -> DiagnosisRequest:
    """Return the options about the logins that were to be tried, and are not proven by the server's own answer.

    hosts: the variables of the hosts, among them instance_id and db_users_plan_result
    """
    unproven_outcomes = [outcome for outcome in outcomes_of_run if _needs_diagnosis(outcome)]
    users: dict[str, dict[str, None]] = {}
    for outcome in unproven_outcomes:
        users.setdefault(outcome.login.database, {})[outcome.login.user] = None
    plans = {name: _plans_by_user(hosts[name].get("db_users_plan_result")) for name in users}
    names = dict.fromkeys(outcome.client for outcome in unproven_outcomes)
    return DiagnosisRequest(
        logins=[_login_option(outcome, state, plans) for outcome in unproven_outcomes],
        clients=[_client_option(name, state, hosts[name]) for name in names],
        users={name: list(of_database) for name, of_database in users.items()},
        sql_clients={name: client for name in users for client in [state.sql_client(name)] if client},
    )


def _needs_diagnosis(outcome: Outcome) -> bool:
    if outcome.proven or outcome.exclusion:
        return False
    attempt = outcome.attempt
    if attempt is None or attempt.verdict != outcome.login.expected or not attempt.result.get("as_expected", True):
        return True
    return bool(wrong_signer(outcome.client, outcome.login.principal, attempt.signer))


def _login_option(
    outcome: Outcome, state: RunState, plans: Mapping[str, Mapping[str, list[Mapping[str, Any]]]]
) -> DoctorLogin:
    login, attempt = outcome.login, outcome.attempt
    option: DoctorLogin = {
        "client": outcome.client,
        "database": login.database,
        "user": login.user,
        "expect": login.expected,
        "error": outcome.reason or "it was not tried",
    }
    if attempt is not None and attempt.is_answered:
        option["login_result"] = dict(attempt.result)
    plans_of_user = plans[login.database].get(login.user)
    if plans_of_user:
        option["user_plan"] = _choose_plan(plans_of_user, outcome, state.databases[login.database])
    return option


def _client_option(name: str, state: RunState, variables: Mapping[str, Any]) -> DoctorClient:
    client = state.clients[name]
    option: DoctorClient = {"name": name, "instance_id": str(variables.get("instance_id") or "")}
    if client.host_facts:
        option["host_facts"] = client.host_facts
    elif client.failure:
        option["host_facts"] = {"msg": client.failure}
    return option


def _plans_by_user(registered: Any) -> dict[str, list[Mapping[str, Any]]]:
    """Return the results of rds_iam_db_user in check mode, by the name of the user.

    registered: the result of the task that loops over the database users
    """
    plans: dict[str, list[Mapping[str, Any]]] = {}
    for result in (registered or {}).get("results") or ():
        if not result.get("skipped"):
            plans.setdefault(result["item"]["name"], []).append(result)
    return plans


def _choose_plan(plans: list[Mapping[str, Any]], outcome: Outcome, database: DatabaseState) -> dict[str, Any]:
    """Return the plan for the database user that the server would pick for this client, or else the first one."""
    if len(plans) == 1:
        return dict(plans[0])
    plans_by_host = {plan["item"].get("host", "%"): plan for plan in plans}
    rows = [cast(UserRow, {"name": outcome.login.user, "host": host}) for host in plans_by_host]
    client_host = outcome.attempt.result.get("client_host") if outcome.attempt else None
    row = database.row_matcher(rows, outcome.login.user, client_host)[0]
    return dict(plans_by_host[row["host"]] if row else plans[0])
