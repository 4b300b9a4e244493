# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The logins of one client by itself, as the role connect tries them. Pure, and private to this collection."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypedDict

from ansible_collections.dbops.rds_iam.plugins.module_utils._site.evidence import wrong_signer
from ansible_collections.dbops.rds_iam.plugins.module_utils._site.failures import failure_reason
from ansible_collections.dbops.rds_iam.plugins.module_utils._site.login_matrix import ALLOWED, DENIED
from ansible_collections.dbops.rds_iam.plugins.module_utils._site.outcomes import NOT_TRIED, clause

_UNREAD = "A denial proves the policy only if the database has that user, which this role does not read."


class ClientProof(TypedDict):
    """What the logins of one client come to."""

    proven: bool
    text: str


def ping_logins(
    databases: Iterable[Mapping[str, Any]], ca_file: str, tries_denied: bool = True
) -> list[dict[str, Any]]:
    """Return the logins of connect_databases in the form of the option logins of rds_iam_ping."""
    return [
        {
            **{key: database[key] for key in ("endpoint", "port", "region")},
            "user": user,
            "expect": expected,
            "ca_file": database.get("ca_file") or ca_file,
        }
        for database in databases
        for expected, key in ((ALLOWED, "users"), (DENIED, "denied"))
        for user in database.get(key) or ()
        if tries_denied or expected == ALLOWED
    ]


def first_client(hosts: Mapping[str, Mapping[str, Any]], names: Iterable[str], own: str) -> str:
    """Return the first host that signs as the same principal as one host, as far as variables of the hosts tell.

    That is the host itself where they do not tell its principal.
    """
    principal = _principal(hosts[own])
    return next((name for name in names if name == own or (principal and _principal(hosts[name]) == principal)), own)


def _principal(variables: Mapping[str, Any]) -> str:
    return str(variables.get("connect_principal") or variables.get("iam_role_name") or "")


def untried_logins(
    databases: Iterable[Mapping[str, Any]], ca_file: str, first: Mapping[str, Any] | None
) -> list[dict[str, Any]]:
    """Return those of the logins that must be denied which another host was to try for this one, and has not.

    first: what rds_iam_ping returned on that host; None where it did not run, as for a host without the role
    """
    if first and not first.get("skipped") and "logins" not in first:
        return []  # it could try none, and fails
    tried = {_key(login) for login in (first or {}).get("logins") or () if login["expected"] == DENIED}
    return [
        login for login in ping_logins(databases, ca_file) if login["expect"] == DENIED and _key(login) not in tried
    ]


def _key(login: Mapping[str, Any]) -> tuple[str, int, str]:
    return login["endpoint"], login["port"], login["user"]


def client_proof(
    databases: Iterable[Mapping[str, Any]],
    result: Mapping[str, Any] | None,
    client: str,
    principal: str,
    skipped: str,
    untried: Iterable[Mapping[str, Any]] = (),
    rest: Mapping[str, Any] | None = None,
    has_option: bool = True,
) -> ClientProof:
    """Return what the logins of a client come to, and whether they are what was to be proven.

    result: what rds_iam_ping returned; None where it did not run, as in check mode
    skipped: why logins that must be denied were not tried, as a clause; empty where they were
    untried, rest: those of them that were tried afterwards, and what rds_iam_ping returned for them
    has_option: False where connect_proof_denied leaves them out, and not another host
    """
    every = [{**login, "database": database["name"]} for database in databases for login in ping_logins([database], "")]
    if not every:
        return ClientProof(
            proven=False, text=f"There was no login to prove from {client}; give users in connect_databases."
        )
    if result is None:
        return ClientProof(proven=True, text=f"{_tried(0, every, client)}: check mode logs in nowhere.")
    afterwards = {_key(login) for login in untried}
    first = [login for login in every if not skipped or login["expect"] == ALLOWED]
    second = [login for login in every if login["expect"] == DENIED and _key(login) in afterwards]
    tried, grouped = 0, defaultdict(list)
    for login, login_result, answer in (*_answers(first, result), *_answers(second, rest or {})):
        tried += login_result.get("verdict", NOT_TRIED) != NOT_TRIED
        reason = _fault(login_result, answer, client, principal)
        if reason:
            grouped[reason].append(f"{login['user']} to {login['database']}")
    text = _conclude(tried, every, [*first, *second], client, grouped)
    left_out = len(every) - len(first) - len(second)
    if left_out:
        text += f" {left_out} that must be denied {'was' if left_out == 1 else 'were'} not tried, since {skipped}."
    return ClientProof(proven=not grouped and (tried > 0 or (bool(skipped) and has_option)), text=text)


def _answers(
    logins: list[dict[str, Any]], result: Mapping[str, Any]
) -> Iterator[tuple[dict[str, Any], Mapping[str, Any], Mapping[str, Any]]]:
    """Yield each login with its own result and that of the task, which has them in the order of the logins."""
    for login, login_result in zip(logins, result.get("logins") or [{}] * len(logins)):
        yield login, login_result, result


def _tried(tried: int, every: list[dict[str, Any]], client: str) -> str:
    return f"{tried} of {len(every)} logins from {client} were tried"


def _fault(login: Mapping[str, Any], result: Mapping[str, Any], client: str, principal: str) -> str:
    """Return why a login does not show what it was to show, as a clause; empty where it does."""
    if not login:
        return clause(failure_reason(result))
    if not login["as_expected"]:
        return clause(login["msg"])
    return wrong_signer(client, principal, login.get("signer") or {})


def _conclude(
    tried: int,
    every: list[dict[str, Any]],
    expected: list[dict[str, Any]],
    client: str,
    grouped: Mapping[str, list[str]],
) -> str:
    if grouped:
        clauses = "; ".join(f"{', '.join(logins)}: {reason}" for reason, logins in grouped.items())
        unproven = sum(map(len, grouped.values()))
        are = "is" if unproven == 1 else "are"
        return f"{_tried(tried, every, client)}. {unproven} of {len(every)} logins {are} not proven: {clauses}."
    if not expected:
        return f"{_tried(tried, every, client)}."
    denied = sum(login["expect"] == DENIED for login in expected)
    verdicts = f"{len(expected) - denied} allowed, {denied} denied"
    return (
        f"{_tried(tried, every, client)}, all with the expected verdict: {verdicts}.{f' {_UNREAD}' if denied else ''}"
    )
