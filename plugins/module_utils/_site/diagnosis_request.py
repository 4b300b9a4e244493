# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Put together what rds_iam_doctor is asked about unproven logins. Pure, and private to this collection."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypedDict

from ansible_collections.dbops.rds_iam.plugins.module_utils._site.evidence import wrong_signer
from ansible_collections.dbops.rds_iam.plugins.module_utils._site.outcomes import Outcome
from ansible_collections.dbops.rds_iam.plugins.module_utils._site.run_state import DatabaseState, RunState


class DiagnosisRequest(TypedDict):
    """The options logins and hosts of rds_iam_doctor, and what is to be read for them before."""

    logins: list[dict[str, Any]]
    hosts: list[dict[str, Any]]
    users: dict[str, list[str]]  # the database users of these logins, by database
    sql_clients: dict[str, str]  # the client that sends SQL to each of these databases


def diagnosis_request(
    outcomes_of_run: Iterable[Outcome], state: RunState, hosts: Mapping[str, Mapping[str, Any]]
) -> DiagnosisRequest:
    """Return what to ask about the logins that were to be tried, and that are not proven by the server's own answer.

    hosts: the variables of the hosts, among them instance_id and db_users_account_result
    """
    suspects = [outcome for outcome in outcomes_of_run if _is_suspect(outcome)]
    users: dict[str, dict[str, None]] = {}
    for outcome in suspects:
        users.setdefault(outcome.login.database, {})[outcome.login.user] = None
    seen = {name: _seen_accounts(hosts[name].get("db_users_account_result")) for name in users}
    names = dict.fromkeys(outcome.client for outcome in suspects)
    return DiagnosisRequest(
        logins=[_login(outcome, state, seen) for outcome in suspects],
        hosts=[_host(name, state, hosts[name]) for name in names],
        users={name: list(of_database) for name, of_database in users.items()},
        sql_clients={name: client for name in users for client in [state.sql_client(name)] if client},
    )


def _is_suspect(outcome: Outcome) -> bool:
    if outcome.proven or outcome.excuse:
        return False
    attempt = outcome.attempt
    if attempt is None or attempt.verdict != outcome.login.expected or not attempt.result.get("as_expected", True):
        return True
    return bool(wrong_signer(outcome.client, outcome.login.principal, attempt.signer))


def _login(outcome: Outcome, state: RunState, seen: Mapping[str, Mapping[str, list]]) -> dict[str, Any]:
    login = outcome.login
    request = {
        "host": outcome.client,
        "database": login.database,
        "user": login.user,
        "expect": login.expected,
        "error": outcome.reason or "it was not tried",
    }
    if outcome.attempt is not None and outcome.attempt.is_answered:
        request["result"] = dict(outcome.attempt.result)
    results = seen[login.database].get(login.user)
    if results:
        request["account"] = _account_for(results, outcome, state.databases[login.database])
    return request


def _host(name: str, state: RunState, variables: Mapping[str, Any]) -> dict[str, Any]:
    client = state.clients[name]
    host = {"name": name, "instance_id": str(variables.get("instance_id") or "")}
    if client.host_facts:
        host["info"] = dict(client.host_facts)
    elif client.failure:
        host["info"] = {"msg": client.failure}
    return host


def _seen_accounts(registered: Any) -> dict[str, list[Mapping[str, Any]]]:
    """Return what rds_iam_db_user said of each wanted account, by the name of the user."""
    seen: dict[str, list[Mapping[str, Any]]] = {}
    for result in (registered or {}).get("results") or ():
        if not result.get("skipped"):
            seen.setdefault(result["item"]["name"], []).append(result)
    return seen


def _account_for(results: list[Mapping[str, Any]], outcome: Outcome, database: DatabaseState) -> dict[str, Any]:
    """Return the result for the wanted account that the server would pick for this client, or else the first one."""
    by_host = {result["item"].get("host", "%"): result for result in results}
    accounts = [{"name": outcome.login.user, "host": host} for host in by_host]
    client_host = outcome.attempt.result.get("client_host") if outcome.attempt else None
    picked = database.candidate_rows(accounts, outcome.login.user, client_host)[0]
    return dict(by_host[picked["host"]] if picked else results[0])
