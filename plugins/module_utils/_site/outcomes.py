# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Say of each login of the inventory what a run has shown about it. Pure, and private to this collection."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypedDict

from ansible_collections.dbops.rds_iam.plugins.module_utils._site.evidence import missing_evidence, refusing_row
from ansible_collections.dbops.rds_iam.plugins.module_utils._site.login_matrix import (
    ALLOWED,
    DENIED,
    Login,
    Matrix,
    logins,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._site.run_state import Attempt, ClientState, RunState

NOT_TRIED = "not_tried"
# Why a run was not to try a login.
LIMIT, STEP, CHECK_MODE, OPTION = "limit", "step", "check mode", "option"


class RunKind(TypedDict):
    """What a run was to do about logins."""

    has_step: bool  # False where the tags of the run leave the logins out
    logs_in: bool  # False where check mode keeps the run from it


@dataclass(frozen=True)
class Outcome:
    """What a run has shown about one login."""

    login: Login
    client: str  # where it was tried, or was to be tried
    attempt: Attempt | None = None  # None where no client was given it
    proven: bool = False
    reason: str = ""  # why it is not proven, as a clause
    is_refused_by_row: bool = False  # whether the reason is the row of mysql.user that the server picks
    excuse: str = ""  # why the run was not to try it, as one of the constants above
    left_out: tuple[str, ...] = field(default=())  # the hosts because of which --limit leaves it out

    @property
    def is_tried(self) -> bool:
        return self.attempt is not None and self.attempt.verdict != NOT_TRIED


def outcomes(matrix: Matrix, state: RunState, run: RunKind) -> Iterator[Outcome]:
    """Yield what came of each login, in the order of the matrix."""
    limited_databases, limited_clients = set(matrix["limited_databases"]), set(matrix["limited_clients"])
    for login in logins(matrix):
        clients = [client for client in login.clients if client in limited_clients]
        left_out = (() if clients else login.clients[:1]) + (
            () if login.database in limited_databases else (login.database,)
        )
        if left_out:
            yield Outcome(login, login.clients[0], excuse=LIMIT, left_out=left_out)
        elif not run["has_step"]:
            yield Outcome(login, clients[0], excuse=STEP)
        elif not run["logs_in"]:
            yield Outcome(login, clients[0], excuse=CHECK_MODE)
        else:
            yield _outcome(login, [state.clients[client] for client in clients], state)


def _outcome(login: Login, clients: list[ClientState], state: RunState) -> Outcome:
    database = state.databases[login.database]
    attempt = _best(login, clients)
    if attempt is None:
        return _without_attempt(login, clients, database.failure)
    result = attempt.result
    if attempt.verdict != login.expected or not result.get("as_expected", True):
        row = refusing_row(login, attempt, database) if login.expected == ALLOWED else ""
        reason = row or clause(result.get("msg") or attempt.verdict)
        return Outcome(login, attempt.client, attempt, reason=reason, is_refused_by_row=bool(row))
    reason = missing_evidence(login, attempt, database)
    return Outcome(login, attempt.client, attempt, proven=not reason, reason=reason)


def _best(login: Login, clients: list[ClientState]) -> Attempt | None:
    """Return the attempt that decides about a login: a decision of the server, or else the last attempt."""
    best = None
    for client in clients:
        if login.expected == DENIED and login.database not in client.asked_denied:
            continue
        attempt = client.attempts.get((login.database, login.user))
        if attempt and (best is None or not best.is_decided):
            best = attempt
    return best


def _without_attempt(login: Login, clients: list[ClientState], failure: str) -> Outcome:
    """Say why no client was given a login."""
    first = next((client for client in clients if not client.failure), clients[0])
    name = first.entry["name"]
    if login.expected == DENIED and not any(client.entry["tries_denied"] for client in clients):
        return Outcome(login, name, excuse=OPTION)
    why = failure or first.failure
    if not why and login.expected == DENIED:
        why = f"no client signs as the IAM role {login.principal}"
    return Outcome(login, name, reason=clause(why or "the run did not come to it"))


def clause(text: str) -> str:
    """Return a sentence as a clause of another one."""
    return " ".join(str(text).split()).rstrip(".")
