# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Decide which client tries which login next. Pure, and private to this collection.

First every client tries the logins that must be allowed. Then one client of each principal tries those that must be
denied, since each of them is a refused login that the server counts against its database user.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from ansible_collections.dbops.rds_iam.plugins.module_utils._site.login_matrix import DatabaseEntry, Matrix, who_signs
from ansible_collections.dbops.rds_iam.plugins.module_utils._site.run_state import ClientState, DatabaseState, RunState

# How many clients of a principal are asked at most, one after the other, until a database decides.
MOST_CLIENTS = 3


def next_logins(matrix: Matrix, state: RunState) -> dict[str, list[dict[str, Any]]]:
    """Return the logins that clients are to try next, in the form of connect_databases of the role connect.

    By the name of the client. Empty when nothing is left to try.
    """
    ready = [client for client in state.clients.values() if not client.failure]
    limited = set(matrix["limited_databases"])
    entries = [entry for entry in matrix["databases"] if entry["name"] in limited]
    open_databases = [(entry, state.databases[entry["name"]]) for entry in entries]
    open_databases = [
        (entry, database) for entry, database in open_databases if database.record and not database.failure
    ]
    first = [
        _connect_database(entry, database, entry["users"], []) for entry, database in open_databases if entry["users"]
    ]
    if first and any(not client.rounds for client in ready):
        return {client.entry["name"]: first for client in ready if not client.rounds}
    return _denied_logins(ready, open_databases)


def databases_to_read(matrix: Matrix, state: RunState) -> dict[str, dict[str, str]]:
    """Return the databases whose users are to be read, since a denial proves nothing without them.

    Each with the client that sends the SQL: under C(inside) those that the run has as hosts, under C(outside) those
    that --limit leaves out.
    """
    clients: dict[str, dict[str, str]] = {"inside": {}, "outside": {}}
    if not any(client.entry["tries_denied"] for client in state.clients.values()):
        return clients
    limited, in_play = set(matrix["limited_databases"]), set(matrix["in_play"])
    for entry in matrix["databases"]:
        name = entry["name"]
        database = state.databases.get(name) if name in limited and (entry["denied"] or entry["removed"]) else None
        client = state.sql_client(name)
        if client and database and database.record and not database.failure and database.rows is None:
            clients["inside" if name in in_play else "outside"][name] = client
    return clients


def _connect_database(
    entry: DatabaseEntry, database: DatabaseState, users: list[str], denied: list[str]
) -> dict[str, Any]:
    record = database.record or {}
    place = {key: record[key] for key in ("endpoint", "port", "region")}
    return {"name": entry["name"], **place, "users": users, "denied": denied}


def _denied_logins(
    ready: list[ClientState], databases: Iterable[tuple[DatabaseEntry, DatabaseState]]
) -> dict[str, list[dict[str, Any]]]:
    alike = defaultdict(list)
    for client in ready:
        alike[who_signs(client.entry)].append(client)
    assigned = defaultdict(list)
    for entry, database in databases:
        users = [*entry["denied"], *entry["removed"]]
        for clients in alike.values():
            left = [user for user in users if not _is_decided(clients, entry["name"], user)]
            client = _next_client(clients, entry) if left else None
            if client:
                assigned[client.entry["name"]].append(_connect_database(entry, database, [], left))
    return dict(assigned)


def _is_decided(clients: list[ClientState], database: str, user: str) -> bool:
    attempts = (client.attempts.get((database, user)) for client in clients if database in client.asked_denied)
    return any(attempt is not None and attempt.is_decided for attempt in attempts)


def _next_client(clients: list[ClientState], entry: DatabaseEntry) -> ClientState | None:
    """Return the first client that signs as it must and was not asked yet, those first that reached the database.

    Where none did, although there was something to log in with, the others are not asked after the first one.
    """
    database = entry["name"]
    candidates = [
        client
        for client in clients
        if client.entry["tries_denied"]
        and database not in client.asked_denied
        and client.signer.get("is_expected") is not False
    ]
    asked = sum(database in client.asked_denied for client in clients)
    reached = any(database in client.reached for client in clients)
    if asked >= (MOST_CLIENTS if reached or not entry["users"] else 1):
        return None
    return next((client for client in candidates if database in client.reached), next(iter(candidates), None))
