# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Choose the logins that each client tries next. Pure, and private to this collection.

First every client tries the logins that must be allowed. Then one client of each principal tries those that must be
denied, since each of them is a refused login that the server counts against its database user.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from ansible_collections.dbops.rds_iam.plugins.module_utils._site.login_matrix import DatabaseEntry, Matrix
from ansible_collections.dbops.rds_iam.plugins.module_utils._site.records import ConnectDatabase, SiteDatabase
from ansible_collections.dbops.rds_iam.plugins.module_utils._site.run_state import ClientState, RunState
from ansible_collections.dbops.rds_iam.plugins.module_utils._site.signer_groups import group_by_signer

# The number of clients of a principal that are asked at most, one after the other, until a database decides.
MAX_CLIENTS = 3


def next_logins(matrix: Matrix, state: RunState) -> dict[str, list[ConnectDatabase]]:
    """Return the logins that clients are to try next, in the form of connect_databases of the role connect.

    By the name of the client. Empty when there is nothing to try any more.
    """
    running = [client for client in state.clients.values() if not client.failure]
    open_databases = _open_databases(matrix, state)
    first_round = [
        _connect_database(entry, record, entry["users"], []) for entry, record in open_databases if entry["users"]
    ]
    unasked_clients = [client for client in running if not client.rounds]
    if first_round and unasked_clients:
        return {client.entry["name"]: first_round for client in unasked_clients}
    return _denied_logins(running, open_databases)


def _open_databases(matrix: Matrix, state: RunState) -> list[tuple[DatabaseEntry, SiteDatabase]]:
    """Return the databases of the run that were read and have not failed."""
    pairs = []
    for entry in matrix["databases"]:
        database = state.databases.get(entry["name"])
        if database and database.record and not database.failure:
            pairs.append((entry, database.record))
    return pairs


def databases_to_read(matrix: Matrix, state: RunState) -> dict[str, dict[str, str]]:
    """Return the databases whose users are to be read, since a denial proves nothing without them.

    Each with the client that sends the SQL: under C(included) those that the run has as hosts, under C(excluded) those
    that --limit leaves out.
    """
    clients: dict[str, dict[str, str]] = {"included": {}, "excluded": {}}
    if not any(client.entry["tries_denied"] for client in state.clients.values()):
        return clients
    play_hosts = set(matrix["play_hosts"])
    for entry in matrix["databases"]:
        name = entry["name"]
        database = state.databases.get(name) if entry["denied"] or entry["removed"] else None
        client = state.sql_client(name)
        if client and database and database.record and not database.failure and database.rows is None:
            clients["included" if name in play_hosts else "excluded"][name] = client
    return clients


def _connect_database(
    entry: DatabaseEntry, record: SiteDatabase, users: list[str], denied: list[str]
) -> ConnectDatabase:
    return {
        "name": entry["name"],
        "endpoint": record["endpoint"],
        "port": record["port"],
        "region": record["region"],
        "users": users,
        "denied": denied,
    }


def _denied_logins(
    running: list[ClientState], databases: Iterable[tuple[DatabaseEntry, SiteDatabase]]
) -> dict[str, list[ConnectDatabase]]:
    """Return the undecided logins that must be denied, each with one client of its principal.

    Where no client reached a database, although there was something to log in with, only one is asked about it.
    """
    groups = group_by_signer(running).values()
    assigned = defaultdict(list)
    for entry, record in databases:
        name, users = entry["name"], [*entry["denied"], *entry["removed"]]
        for group in groups:
            attempts = (group.denied_attempts.get((name, user)) for user in users)
            undecided_users = [user for user, attempt in zip(users, attempts) if not (attempt and attempt.is_decided)]
            max_clients = MAX_CLIENTS if group.has_reached(name) or not entry["users"] else 1
            client = group.next_client(name, max_clients) if undecided_users else None
            if client:
                assigned[client.entry["name"]].append(_connect_database(entry, record, [], undecided_users))
    return dict(assigned)
