# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Conclude the logins of one client by itself, as the role connect tries them. Pure, and private to this collection."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypedDict

from ansible_collections.dbops.rds_iam.plugins.module_utils._host.results import LoginResult
from ansible_collections.dbops.rds_iam.plugins.module_utils._site.failures import failure_reason
from ansible_collections.dbops.rds_iam.plugins.module_utils._site.login_matrix import ALLOWED, DENIED
from ansible_collections.dbops.rds_iam.plugins.module_utils._site.outcomes import NOT_TRIED, clause
from ansible_collections.dbops.rds_iam.plugins.module_utils._site.records import ConnectDatabase, PingLogin, PingResult
from ansible_collections.dbops.rds_iam.plugins.module_utils._site.unproven_reasons import wrong_signer

# Endpoint, port and user.
_LoginKey = tuple[Any, int, str]
_DENIAL_NEEDS_USER = "A denial proves the policy only if the database has that user, which this role does not read."


class ClientProof(TypedDict):
    """The conclusion about the logins of one client."""

    proven: bool
    message: str


def ping_logins(databases: Iterable[ConnectDatabase], ca_file: str, tries_denied: bool = True) -> list[PingLogin]:
    """Return the logins of connect_databases in the form of the option logins of rds_iam_ping."""
    return [
        {
            "endpoint": database["endpoint"],
            "port": database["port"],
            "region": database["region"],
            "user": user,
            "expect": expected,
            "ca_file": database.get("ca_file") or ca_file,
        }
        for database in databases
        for expected, users in ((ALLOWED, database.get("users")), (DENIED, database.get("denied")))
        for user in users or ()
        if tries_denied or expected == ALLOWED
    ]


def first_client(hosts: Mapping[str, Mapping[str, Any]], names: Iterable[str], client: str) -> str:
    """Return the first host that signs as the same principal as one host, as far as variables of the hosts tell.

    That is the host itself where they do not tell its principal.
    """
    principal = _principal(hosts[client])
    return next(
        (name for name in names if name == client or (principal and _principal(hosts[name]) == principal)), client
    )


def _principal(variables: Mapping[str, Any]) -> str:
    return str(variables.get("connect_principal") or variables.get("iam_role_name") or "")


def untried_logins(
    databases: Iterable[ConnectDatabase], ca_file: str, first_result: PingResult | None
) -> list[PingLogin]:
    """Return those of the logins that must be denied which another host was to try for this one, and has not.

    first_result: the result of rds_iam_ping on that host; None where it did not run, as for a host without the role
    """
    if first_result and not first_result.get("skipped") and "logins" not in first_result:
        return []  # it could try none, and fails
    results = (first_result or {}).get("logins") or ()
    tried_keys = {_result_key(result) for result in results if result["expected"] == DENIED}
    return [
        login
        for login in ping_logins(databases, ca_file)
        if login["expect"] == DENIED and _key(login) not in tried_keys
    ]


def _key(login: PingLogin) -> _LoginKey:
    return login["endpoint"], login["port"], login["user"]


def _result_key(result: LoginResult) -> _LoginKey:
    return result["endpoint"], result["port"], result["user"]


class _DatabaseLogin(PingLogin):
    database: str  # its name in connect_databases


def client_proof(  # noqa: PLR0913, PLR0917 - the positional options of the filter connect_proof
    databases: Iterable[ConnectDatabase],
    result: PingResult | None,
    client: str,
    principal: str,
    skip_reason: str,
    remaining_logins: Iterable[PingLogin] = (),
    remaining_result: PingResult | None = None,
    proof_denied: bool = True,
) -> ClientProof:
    """Conclude whether the logins of a client show everything that they were to show.

    result: that of rds_iam_ping; None where it did not run, as in check mode
    principal: the one that must have signed; empty for whatever role the instance profile has
    skip_reason: why logins that must be denied were not tried, as a clause; empty where they were
    remaining_logins: those of them that were tried afterwards
    remaining_result: the result of rds_iam_ping for them
    proof_denied: False where connect_proof_denied leaves them out, and not another host
    """
    logins = list(_database_logins(databases))
    if not logins:
        message = f"There was no login to prove from {client}; give users in connect_databases."
        return ClientProof(proven=False, message=message)
    if result is None:
        return ClientProof(proven=True, message=f"{_count_tried(0, logins, client)}: check mode logs in nowhere.")
    remaining_keys = {_key(login) for login in remaining_logins}
    first_logins = [login for login in logins if not skip_reason or login["expect"] == ALLOWED]
    second_logins = [login for login in logins if login["expect"] == DENIED and _key(login) in remaining_keys]
    results = [*_pair(first_logins, result), *_pair(second_logins, remaining_result or {})]
    attempt_count = sum(login_result.get("verdict", NOT_TRIED) != NOT_TRIED for _login, login_result, _task in results)
    logins_by_fault = _group_by_fault(results, client, principal)
    message = _conclude(attempt_count, logins, [*first_logins, *second_logins], client, logins_by_fault)
    excluded_count = len(logins) - len(first_logins) - len(second_logins)
    if excluded_count:
        verb = "was" if excluded_count == 1 else "were"
        message += f" {excluded_count} that must be denied {verb} not tried, since {skip_reason}."
    return ClientProof(
        proven=not logins_by_fault and (attempt_count > 0 or (bool(skip_reason) and proof_denied)), message=message
    )


def _database_logins(databases: Iterable[ConnectDatabase]) -> Iterator[_DatabaseLogin]:
    for database in databases:
        for login in ping_logins([database], ""):
            yield {**login, "database": database["name"]}


def _pair(
    logins: list[_DatabaseLogin], task_result: PingResult
) -> Iterator[tuple[_DatabaseLogin, LoginResult, PingResult]]:
    """Yield each login with its own result and that of the task, which has them in the order of the logins."""
    no_result: LoginResult = {}
    for login, login_result in zip(logins, task_result.get("logins") or [no_result] * len(logins)):
        yield login, login_result, task_result


def _count_tried(attempt_count: int, logins: list[_DatabaseLogin], client: str) -> str:
    return f"{attempt_count} of {len(logins)} logins from {client} were tried"


def _group_by_fault(
    results: list[tuple[_DatabaseLogin, LoginResult, PingResult]], client: str, principal: str
) -> dict[str, list[str]]:
    """Return the logins that do not show the expected, in words, by the reason."""
    logins_by_fault = defaultdict(list)
    for login, login_result, task_result in results:
        fault = _find_fault(login_result, task_result, client, principal)
        if fault:
            logins_by_fault[fault].append(f"{login['user']} to {login['database']}")
    return dict(logins_by_fault)


def _find_fault(login_result: LoginResult, task_result: PingResult, client: str, principal: str) -> str:
    """Return why a login does not show the expected, as a clause; empty where it does."""
    if not login_result:
        return clause(failure_reason(task_result))
    if not login_result["as_expected"]:
        return clause(login_result["msg"])
    return wrong_signer(client, principal, login_result.get("signer") or {})


def _conclude(
    attempt_count: int,
    logins: list[_DatabaseLogin],
    chosen_logins: list[_DatabaseLogin],
    client: str,
    logins_by_fault: Mapping[str, list[str]],
) -> str:
    """Return the sentences; C(chosen_logins) are those that were to be tried."""
    start = _count_tried(attempt_count, logins, client)
    if logins_by_fault:
        clauses = "; ".join(f"{', '.join(names)}: {fault}" for fault, names in logins_by_fault.items())
        unproven_count = sum(map(len, logins_by_fault.values()))
        verb = "is" if unproven_count == 1 else "are"
        return f"{start}. {unproven_count} of {len(logins)} logins {verb} not proven: {clauses}."
    if not chosen_logins:
        return f"{start}."
    denied_count = sum(login["expect"] == DENIED for login in chosen_logins)
    verdicts = f"{len(chosen_logins) - denied_count} allowed, {denied_count} denied"
    return f"{start}, all with the expected verdict: {verdicts}.{f' {_DENIAL_NEEDS_USER}' if denied_count else ''}"
