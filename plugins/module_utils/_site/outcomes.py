# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Determine the outcome of a run for each login of the inventory. Pure, and private to this collection."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypedDict

from ansible_collections.dbops.rds_iam.plugins.module_utils._site.login_matrix import (
    ALLOWED,
    DENIED,
    Login,
    Matrix,
    logins,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._site.run_state import Attempt, RunState
from ansible_collections.dbops.rds_iam.plugins.module_utils._site.signer_groups import SignerGroup, group_by_signer
from ansible_collections.dbops.rds_iam.plugins.module_utils._site.unproven_reasons import missing_evidence, refusing_row

NOT_TRIED = "not_tried"
# The reasons for which a run was not to try a login.
LIMIT, STEP, CHECK_MODE, OPTION = "limit", "step", "check mode", "option"


class RunKind(TypedDict):
    """The task of a run about logins."""

    has_step: bool  # False where the tags of the run leave the logins out
    logs_in: bool  # False where check mode keeps the run from it


@dataclass(frozen=True)
class Outcome:
    """The outcome of a run for one login."""

    login: Login
    client: str  # where it was tried, or was to be tried
    attempt: Attempt | None = None  # None where no client was given it
    proven: bool = False
    reason: str = ""  # why it is not proven, as a clause
    is_refused_by_row: bool = False  # whether the reason is the row of mysql.user that the server picks
    exclusion: str = ""  # why the run was not to try it, as one of the constants above
    excluded_hosts: tuple[str, ...] = ()  # those because of which --limit leaves it out

    @property
    def is_tried(self) -> bool:
        return self.attempt is not None and self.attempt.verdict != NOT_TRIED


def outcomes(matrix: Matrix, state: RunState, run: RunKind) -> Iterator[Outcome]:
    """Yield the outcome of each login, in the order of the matrix."""
    groups = group_by_signer(state.clients.values())
    clients = {name: SignerGroup([client]) for name, client in state.clients.items()}
    limited_databases = set(matrix["limited_databases"])
    for login in logins(matrix):
        group = clients.get(login.clients[0]) if login.expected == ALLOWED else groups.get(login.signer)
        excluded_databases = () if login.database in limited_databases else (login.database,)
        if group is None or excluded_databases:
            excluded_clients = () if group else login.clients[:1]
            yield Outcome(
                login, login.clients[0], exclusion=LIMIT, excluded_hosts=(*excluded_clients, *excluded_databases)
            )
        elif not run["has_step"]:
            yield Outcome(login, group.clients[0].entry["name"], exclusion=STEP)
        elif not run["logs_in"]:
            yield Outcome(login, group.clients[0].entry["name"], exclusion=CHECK_MODE)
        else:
            yield _outcome(login, group, state)


def _outcome(login: Login, group: SignerGroup, state: RunState) -> Outcome:
    """Return the outcome of a login; C(group) has the clients where it can be tried."""
    database, key = state.databases[login.database], (login.database, login.user)
    attempts = group.clients[0].attempts if login.expected == ALLOWED else group.denied_attempts
    attempt = attempts.get(key)
    if attempt is None:
        return _outcome_without_attempt(login, group, database.failure)
    result = attempt.result
    if attempt.verdict != login.expected or not result.get("as_expected", True):
        row = refusing_row(login, attempt, database) if login.expected == ALLOWED else ""
        reason = row or clause(result.get("msg") or attempt.verdict)
        return Outcome(login, attempt.client, attempt, reason=reason, is_refused_by_row=bool(row))
    reason = missing_evidence(login, attempt, database)
    return Outcome(login, attempt.client, attempt, proven=not reason, reason=reason)


def _outcome_without_attempt(login: Login, group: SignerGroup, database_failure: str) -> Outcome:
    """Return the outcome of a login that no client was given, with the reason."""
    name = group.first.entry["name"]
    if login.expected == DENIED and not group.tries_denied:
        return Outcome(login, name, exclusion=OPTION)
    reason = database_failure or group.first.failure
    if not reason and login.expected == DENIED:
        reason = f"no client signs as the IAM role {login.principal}"
    return Outcome(login, name, reason=clause(reason or "the run did not come to it"))


def clause(text: str) -> str:
    """Return a sentence as a clause of another one."""
    return " ".join(str(text).split()).rstrip(".")
