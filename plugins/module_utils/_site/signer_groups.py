# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The clients that sign as one principal, and their attempts together. Pure, and private to this collection.

What is asked for each login that must be denied is found here without reading all clients of the principal again.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from functools import cached_property

from ansible_collections.dbops.rds_iam.plugins.module_utils._site.login_matrix import SignerKey, signer_key
from ansible_collections.dbops.rds_iam.plugins.module_utils._site.run_state import Attempt, ClientState


class SignerGroup:
    """The clients that sign as one principal, at least one, in the order of the inventory."""

    def __init__(self, clients: list[ClientState]) -> None:
        self.clients = clients

    @cached_property
    def first(self) -> ClientState:
        """Return the first client that has not failed, or else the first one."""
        return next((client for client in self.clients if not client.failure), self.clients[0])

    @cached_property
    def tries_denied(self) -> bool:
        return any(client.entry["tries_denied"] for client in self.clients)

    @cached_property
    def denied_attempts(self) -> dict[tuple[str, str], Attempt]:
        """Return the attempts on the databases for which a client was given logins to be denied, by database and user.

        Of several attempts at one login that is a decision of the server, or else the last one.
        """
        attempts: dict[tuple[str, str], Attempt] = {}
        for client in self.clients:
            for login, attempt in client.attempts.items():
                if login[0] in client.asked_denied and not (login in attempts and attempts[login].is_decided):
                    attempts[login] = attempt
        return attempts

    @cached_property
    def _candidates(self) -> list[ClientState]:
        """Return the clients that sign as they must, and are to try logins that must be denied."""
        return [
            client
            for client in self.clients
            if client.entry["tries_denied"] and client.signer.get("is_expected") is not False
        ]

    @cached_property
    def _reached_by(self) -> dict[str, list[ClientState]]:
        """Return the candidates that reached each database."""
        reached_by = defaultdict(list)
        for client in self._candidates:
            for database in client.reached_databases:
                reached_by[database].append(client)
        return dict(reached_by)

    @cached_property
    def _reached_databases(self) -> set[str]:
        return {database for client in self.clients for database in client.reached_databases}

    @cached_property
    def _asked_counts(self) -> Counter[str]:
        return Counter(database for client in self.clients for database in client.asked_denied)

    def next_client(self, database: str, max_clients: int) -> ClientState | None:
        """Return the first candidate that was not asked yet about a database, those first that reached it.

        max_clients: the number of clients that are asked at most
        """
        if self._asked_counts[database] >= max_clients:
            return None
        candidates = (*self._reached_by.get(database, ())[: max_clients + 1], *self._candidates[: max_clients + 1])
        return next((client for client in candidates if database not in client.asked_denied), None)

    def has_reached(self, database: str) -> bool:
        return database in self._reached_databases


def group_by_signer(clients: Iterable[ClientState]) -> dict[SignerKey, SignerGroup]:
    groups: dict[SignerKey, list[ClientState]] = defaultdict(list)
    for client in clients:
        groups[signer_key(client.entry)].append(client)
    return {key: SignerGroup(members) for key, members in groups.items()}
