# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Gather what a run knows so far about its clients and databases. Pure, and private to this collection.

The playbooks keep it in variables of the hosts: _rds_iam_failure, why a host takes part in nothing more;
_rds_iam_rounds, the logins that a client was given and what rds_iam_ping returned for them; and the results of the role
db_users, db_users_result of step 3 and db_users_read_result.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.base import RowMatcher, UserRow
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.engine_names import DEFAULT_ENGINE
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.row_matchers import row_matcher_for
from ansible_collections.dbops.rds_iam.plugins.module_utils._site.failures import failure_reason, is_bad
from ansible_collections.dbops.rds_iam.plugins.module_utils._site.login_matrix import DENIED, ClientEntry, Matrix

NO_MASTER_LOGIN = (
    "there is no master login to read it with; set db_users_login_password, or leave these logins out with"
    " connect_proof_denied=false"
)
_NOT_READ = "this run did not read it"


@dataclass
class Attempt:
    """What one login on one client came to."""

    client: str
    result: Mapping[str, Any]  # as rds_iam_ping returns it
    signer: Mapping[str, Any]  # as rds_iam_ping returns it, of all logins of that task
    is_answered: bool = True  # False where rds_iam_ping returned no logins

    @property
    def verdict(self) -> str:
        return self.result.get("verdict") or "failed"

    @property
    def is_decided(self) -> bool:
        """Whether the server decided about a login that no other principal than the expected one is known to sign."""
        return self.verdict in ("allowed", "denied") and self.signer.get("is_expected") is not False


@dataclass
class ClientState:
    """What a run knows of a client."""

    entry: ClientEntry
    failure: str = ""  # why it takes part in nothing more
    asked_denied: set[str] = field(default_factory=set)  # the databases for which it was given logins to be denied
    rounds: int = 0
    attempts: dict[tuple[str, str], Attempt] = field(default_factory=dict)  # by database and user
    reached: set[str] = field(default_factory=set)  # the databases that decided about a login of it
    signer: Mapping[str, Any] = field(default_factory=dict)
    host_facts: Mapping[str, Any] | None = None  # as rds_iam_ping returns them where a login is not as expected


@dataclass
class DatabaseState:
    """What a run knows of a database."""

    name: str
    record: Mapping[str, Any] | None = None  # as rds_iam_auth_info returns it; None where RDS did not tell
    failure: str = ""
    rows: list[UserRow] | None = None  # of mysql.user; None where they were not read
    rows_error: str = _NOT_READ
    takes_iam_logins: bool = True  # False where IAM database authentication is known to be off

    @property
    def candidate_rows(self) -> RowMatcher:
        """Return the function that finds the rows among which is the one that the server picks for a login."""
        record = self.record or {}
        return row_matcher_for(record.get("engine") or DEFAULT_ENGINE, record.get("engine_version") or "")


@dataclass
class RunState:
    """What a run knows of all that --limit leaves in."""

    clients: dict[str, ClientState]
    databases: dict[str, DatabaseState]

    def sql_client(self, database: str) -> str | None:
        """Return the client that sends SQL to a database: one that has reached it, or else any that has not failed."""
        running = [client for client in self.clients.values() if not client.failure]
        reaching = (client for client in running if database in client.reached)
        client = next(reaching, next(iter(running), None))
        return client.entry["name"] if client else None


Variables = Mapping[str, Any]


def gather(
    hosts: Mapping[str, Variables],
    matrix: Matrix,
    records: Iterable[Mapping[str, Any]],
    rows_of_others: Mapping[str, Any],
    lost: Iterable[str] = (),
) -> RunState:
    """Return the state of a run from the variables of its hosts.

    records: the databases that could be read, each with its name in the inventory
    rows_of_others: results of rds_iam_db_user_info for databases that --limit leaves out, by name
    lost: hosts that Ansible itself left out, since it could not reach them any more
    """
    lost = set(lost)
    by_name = {record["name"]: record for record in records}
    unread = {entry["name"]: entry["unread"] for entry in matrix["databases"]}
    databases = {}
    for name in matrix["limited_databases"]:
        variables = hosts[name]
        state = DatabaseState(name, by_name.get(name), _failure(name, variables, lost))
        if state.record is None:
            state.failure = f"the database could not be read, {state.failure or unread[name] or _NOT_READ}"
        results = [variables.get("db_users_result"), variables.get("db_users_read_result"), rows_of_others.get(name)]
        state.rows, state.rows_error = _user_rows(results)
        state.takes_iam_logins = _takes_iam_logins(state.record or {}, variables.get("iam_auth_result"))
        databases[name] = state
    entries = {entry["name"]: entry for entry in matrix["clients"]}
    clients = {}
    for name in matrix["limited_clients"]:
        clients[name] = _client_state(entries[name], hosts[name])
        clients[name].failure = _failure(name, hosts[name], lost)
    return RunState(clients, databases)


def _failure(name: str, variables: Variables, lost: set[str]) -> str:
    failure = str(variables.get("_rds_iam_failure") or "")
    return failure or (f"an earlier step failed on {name}, as shown above" if name in lost else "")


def _takes_iam_logins(record: Mapping[str, Any], switched: Mapping[str, Any] | None) -> bool:
    """Tell whether IAM database authentication may be on; C(switched) is the result of step 1, after the record."""
    if record.get("iam_auth_enabled") is not False:
        return True
    # The task that waits for it is skipped where there is nothing to wait for.
    return switched is not None and switched.get("in_effect") is not False


def _user_rows(results: list[Any]) -> tuple[list[UserRow] | None, str]:
    """Return the rows of mysql.user from the first result that has them, or why none has."""
    error = _NOT_READ
    for result in results:
        if not isinstance(result, Mapping):
            continue
        rows = result.get("user_rows", result.get("accounts"))
        if rows is not None and not is_bad(result):
            return list(rows), ""
        # The tasks that read them do not fail.
        if result.get("skipped"):
            error = NO_MASTER_LOGIN
        elif result.get("msg"):
            error = failure_reason(result)
    return None, error


def _client_state(entry: ClientEntry, variables: Variables) -> ClientState:
    state = ClientState(entry)
    for login_round in variables.get("_rds_iam_rounds") or ():
        state.rounds += 1
        result = login_round["result"]
        state.signer = result.get("signer") or state.signer
        state.host_facts = result.get("host") or state.host_facts
        logins = [(database["name"], user) for database, user in _assigned(login_round["databases"])]
        state.asked_denied.update(database["name"] for database in login_round["databases"] if database.get(DENIED))
        # rds_iam_ping returns them in the order in which it was given them, unless it could try none.
        returned = result.get("logins")
        unanswered = {"verdict": "not_tried", "msg": "" if returned else failure_reason(result)}
        for login, login_result in zip(logins, returned or [unanswered] * len(logins)):
            attempt = Attempt(entry["name"], login_result, result.get("signer") or {}, is_answered=bool(returned))
            state.attempts[login] = attempt
            if attempt.verdict in ("allowed", "denied"):
                state.reached.add(login[0])
    return state


def _assigned(databases: Iterable[Mapping[str, Any]]) -> Iterator[tuple[Mapping[str, Any], str]]:
    for database in databases:
        for user in (*database["users"], *database["denied"]):
            yield database, user
