# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Gather the facts of a run about its clients and databases. Pure, and private to this collection.

The playbooks keep it in variables of the hosts: _rds_iam_failure, why a host takes part in nothing more;
_rds_iam_rounds, the logins that a client was given and the results of rds_iam_ping; and the results of the role
db_users, db_users_result of step 3 and db_users_read_result.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.base import RowMatcher, UserRow
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.engine_names import DEFAULT_ENGINE
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.row_matchers import row_matcher_for
from ansible_collections.dbops.rds_iam.plugins.module_utils._host.results import HostFacts, LoginResult, SignerResult
from ansible_collections.dbops.rds_iam.plugins.module_utils._site.failures import failure_reason, is_bad
from ansible_collections.dbops.rds_iam.plugins.module_utils._site.login_matrix import ClientEntry, Matrix
from ansible_collections.dbops.rds_iam.plugins.module_utils._site.records import (
    ConnectDatabase,
    LoginRound,
    SiteDatabase,
)

NO_MASTER_LOGIN = (
    "there is no master login to read it with; set db_users_login_password, or leave these logins out with"
    " connect_proof_denied=false"
)
_NOT_READ = "this run did not read it"

# The variables of a host, as Ansible has them.
Variables = Mapping[str, Any]


@dataclass(frozen=True)
class Attempt:
    """One attempt at a login on one client."""

    client: str
    result: LoginResult
    signer: SignerResult  # of all logins of that task
    is_answered: bool = True  # False where rds_iam_ping returned no logins

    @property
    def verdict(self) -> str:
        return self.result.get("verdict") or "failed"

    @property
    def is_decided(self) -> bool:
        """Return whether the server decided about a login that no other principal than the expected one signed.

        A principal that is not known counts as the expected one.
        """
        return self.verdict in ("allowed", "denied") and self.signer.get("is_expected") is not False


@dataclass
class ClientState:
    """The facts of a run about a client."""

    entry: ClientEntry
    failure: str = ""  # why it takes part in nothing more
    asked_denied: set[str] = field(default_factory=set)  # the databases for which it was given logins to be denied
    rounds: int = 0
    attempts: dict[tuple[str, str], Attempt] = field(default_factory=dict)  # by database and user
    reached_databases: set[str] = field(default_factory=set)  # the databases that decided about a login of it
    signer: SignerResult = field(default_factory=SignerResult)
    host_facts: HostFacts | None = None  # where a login is not as expected


@dataclass
class DatabaseState:
    """The facts of a run about a database."""

    name: str
    record: SiteDatabase | None = None  # None where RDS did not return it
    failure: str = ""
    rows: list[UserRow] | None = None  # of mysql.user; None where they were not read
    rows_error: str = _NOT_READ
    takes_iam_logins: bool = True  # False where IAM database authentication is known to be off

    @cached_property
    def row_matcher(self) -> RowMatcher:
        """Return the function that finds the rows among which is the one that the server picks for a login."""
        if self.record is None:
            return row_matcher_for(DEFAULT_ENGINE, "")
        return row_matcher_for(self.record["engine"] or DEFAULT_ENGINE, self.record["engine_version"] or "")

    @cached_property
    def _rows_by_user(self) -> dict[str, list[UserRow]]:
        rows_by_user = defaultdict(list)
        for row in self.rows or ():
            rows_by_user[row["name"]].append(row)
        return dict(rows_by_user)

    def candidate_rows(self, user: str, client_host: str | None) -> list[UserRow | None]:
        """Return the rows among which is the one that the server picks for a login, as RowMatcher does.

        client_host: the address or name by which the server knows the client; None if unknown
        """
        rows = [*self._rows_by_user.get(user, ()), *self._rows_by_user.get("", ())]
        return self.row_matcher(rows, user, client_host)


@dataclass(frozen=True)
class RunState:
    """The facts of a run about the hosts that --limit leaves in."""

    clients: dict[str, ClientState]
    databases: dict[str, DatabaseState]

    @cached_property
    def _sql_clients(self) -> dict[str, str]:
        """Return the first client that has not failed and reached a database, by the database."""
        clients: dict[str, str] = {}
        for client in self.clients.values():
            if not client.failure:
                for database in client.reached_databases:
                    clients.setdefault(database, client.entry["name"])
        return clients

    @cached_property
    def _first_client(self) -> str | None:
        running = (name for name, client in self.clients.items() if not client.failure)
        return next(running, None)

    def sql_client(self, database: str) -> str | None:
        """Return the client that sends SQL to a database: one that has reached it, or else any that has not failed."""
        return self._sql_clients.get(database, self._first_client)


def gather(
    hosts: Mapping[str, Variables],
    matrix: Matrix,
    records: Iterable[SiteDatabase],
    excluded_user_rows: Mapping[str, Any],
    lost_hosts: Iterable[str] = (),
) -> RunState:
    """Return the state of a run from the variables of its hosts.

    records: the databases that could be read
    excluded_user_rows: results of rds_iam_db_user_info for databases that --limit leaves out, by name
    lost_hosts: those that Ansible itself left out, since it could not reach them any more
    """
    lost_names = set(lost_hosts)
    records_by_name = {record["name"]: record for record in records}
    unread = {entry["name"]: entry["unread"] for entry in matrix["databases"]}
    databases = {}
    for name in matrix["limited_databases"]:
        variables, record = hosts[name], records_by_name.get(name)
        failure = _failure(name, variables, lost_names)
        if record is None:
            failure = f"the database could not be read, {failure or unread[name] or _NOT_READ}"
        results = [
            (variables.get("db_users_result"), "user_rows"),
            (variables.get("db_users_read_result"), "users"),
            (excluded_user_rows.get(name), "users"),
        ]
        rows, rows_error = _user_rows(results)
        takes_iam_logins = _takes_iam_logins(record, variables.get("iam_auth_result"))
        databases[name] = DatabaseState(name, record, failure, rows, rows_error, takes_iam_logins)
    entries = {entry["name"]: entry for entry in matrix["clients"]}
    clients = {}
    for name in matrix["limited_clients"]:
        clients[name] = _client_state(entries[name], hosts[name], lost_names)
    return RunState(clients, databases)


def _failure(name: str, variables: Variables, lost_names: set[str]) -> str:
    failure = str(variables.get("_rds_iam_failure") or "")
    return failure or (f"an earlier step failed on {name}, as shown above" if name in lost_names else "")


def _takes_iam_logins(record: SiteDatabase | None, flag_result: Mapping[str, Any] | None) -> bool:
    """Return whether IAM database authentication may be on.

    flag_result: that of step 1, which is later than the record
    """
    if record is None or record.get("iam_auth_enabled") is not False:
        return True
    # The task that waits for it is skipped where there is nothing to wait for.
    return flag_result is not None and flag_result.get("in_effect") is not False


def _user_rows(results: list[tuple[Any, str]]) -> tuple[list[UserRow] | None, str]:
    """Return the rows of mysql.user from the first result that has them, or why none has.

    results: each with the key under which its module returns them
    """
    error = _NOT_READ
    for result, key in results:
        if not isinstance(result, Mapping):
            continue
        rows = result.get(key)
        if rows is not None and not is_bad(result):
            return list(rows), ""
        # The tasks that read them do not fail.
        if result.get("skipped"):
            error = NO_MASTER_LOGIN
        elif result.get("msg"):
            error = failure_reason(result)
    return None, error


def _client_state(entry: ClientEntry, variables: Variables, lost_names: set[str]) -> ClientState:
    state = ClientState(entry, _failure(entry["name"], variables, lost_names))
    login_rounds: Iterable[LoginRound] = variables.get("_rds_iam_rounds") or ()
    for login_round in login_rounds:
        state.rounds += 1
        result, databases = login_round["result"], login_round["databases"]
        signer: SignerResult = result.get("signer") or {}
        state.signer = signer or state.signer
        state.host_facts = result.get("host") or state.host_facts
        if result.get("unreachable"):
            state.failure = state.failure or failure_reason(result)
        logins = list(_assigned_logins(databases))
        state.asked_denied.update(database["name"] for database in databases if database.get("denied"))
        # rds_iam_ping returns them in the order in which it was given them, unless it could try none.
        answers = result.get("logins")
        no_answer: LoginResult = {"verdict": "not_tried", "msg": "" if answers else failure_reason(result)}
        for login, answer in zip(logins, answers or [no_answer] * len(logins)):
            attempt = Attempt(entry["name"], answer, signer, is_answered=bool(answers))
            state.attempts[login] = attempt
            if attempt.verdict in ("allowed", "denied"):
                state.reached_databases.add(login[0])
    return state


def _assigned_logins(databases: Iterable[ConnectDatabase]) -> Iterator[tuple[str, str]]:
    """Yield the database and the user of each login."""
    for database in databases:
        for user in (*(database["users"] or ()), *(database["denied"] or ())):
            yield database["name"], user
