# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Derive the logins, and the verdict that is expected of each, from the inventory. Pure, private to this collection.

A login that must be allowed is one for each client, since each must have the way to the database and the credentials. A
login that must be denied is one for each principal, since IAM decides by the principal, whichever client asks.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypedDict

from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError
from ansible_collections.dbops.rds_iam.plugins.module_utils._site.records import DatabaseUsers

ALLOWED, DENIED = "allowed", "denied"
# The principal, or the name of a client whose principal is not known.
SignerKey = tuple[str, str]


class ClientEntry(TypedDict):
    """A client of the inventory."""

    name: str
    principal: str  # the IAM role that signs there
    tries_denied: bool  # whether logins that must be denied are to be tried


class DatabaseEntry(DatabaseUsers):
    """A database of the inventory."""

    name: str
    error: str  # why its users are not known; empty where they are
    unread: str  # why RDS did not return its record; empty where it did


class Matrix(TypedDict):
    """All logins of the inventory, in the form of the clients and databases that they are made from."""

    clients: list[ClientEntry]
    databases: list[DatabaseEntry]
    total: int  # number of logins
    limit: str  # the option --limit, empty without one
    play_hosts: list[str]  # the hosts that it leaves in
    limited_clients: list[str]  # what --limit leaves in
    limited_databases: list[str]


@dataclass(frozen=True)
class Login:
    """One login of the matrix."""

    clients: tuple[str, ...]  # where it can be tried; one alone if it must be allowed
    principal: str
    database: str
    user: str
    expected: str
    removed: bool = False

    @property
    def signer(self) -> SignerKey:
        return _signer_key(self.principal, self.clients[0])


def database_users(variables: Mapping[str, Any]) -> DatabaseUsers:
    """Return the users of a database from db_users_accounts and iam_role_users of its host.

    Raises RdsIamError if one of them has another form than that of the role db_users.
    """
    present, absent = _names_by_state(variables.get("db_users_accounts") or [])
    must_be_absent = set(absent)
    role_users = variables.get("iam_role_users")
    if role_users is None:
        role_users = present
    if not isinstance(role_users, (list, tuple)) or not all(isinstance(name, str) for name in role_users):
        raise RdsIamError("iam_role_users must be a list of names of database users.")
    defined = set(present)
    users = [name for name in role_users if (name in defined if present else name not in must_be_absent)]
    allowed = set(users)
    return {
        "users": list(dict.fromkeys(users)),
        "denied": [name for name in present if name not in allowed],
        "removed": [name for name in absent if name not in defined and name not in allowed],
    }


def _names_by_state(accounts: object) -> tuple[list[str], list[str]]:
    """Return the names that must be there and those that must not, each of them once."""
    names: dict[bool, dict[str, None]] = {True: {}, False: {}}
    if not isinstance(accounts, (list, tuple)):
        raise RdsIamError("db_users_accounts must be a list of database users.")
    for account in accounts:
        if not isinstance(account, Mapping) or not isinstance(account.get("name"), str):
            raise RdsIamError(
                f"db_users_accounts must be a list of database users with a name each, and has {account!r}."
            )
        names[account.get("state", "present") == "present"][account["name"]] = None
    return list(names[True]), list(names[False])


def database_entries(
    names: Iterable[str], variables: Mapping[str, Mapping[str, Any]], unread: Mapping[str, str]
) -> list[DatabaseEntry]:
    """Return the entries of databases; one whose users are not known has an error, and no users."""
    entries = []
    for name in names:
        error, users = "", DatabaseUsers(users=[], denied=[], removed=[])
        try:
            users = database_users(variables[name])
        except RdsIamError as exc:
            error = str(exc)
        entries.append(DatabaseEntry(name=name, error=error, unread=unread.get(name, ""), **users))
    return entries


def build_matrix(
    clients: list[ClientEntry], databases: list[DatabaseEntry], play_hosts: Collection[str], limit: str = ""
) -> Matrix:
    """Return the login matrix of an inventory, and the part of it that a run with --limit is about.

    play_hosts: the hosts that --limit leaves in. Where it names clients alone, it is about their logins to all
        databases.
    """
    inside = set(play_hosts)
    limited_databases = [entry["name"] for entry in databases if entry["name"] in inside]
    matrix = Matrix(
        clients=clients,
        databases=databases,
        total=0,
        limit=limit,
        play_hosts=list(play_hosts),
        limited_clients=[entry["name"] for entry in clients if entry["name"] in inside],
        limited_databases=limited_databases or [entry["name"] for entry in databases],
    )
    matrix["total"] = sum(1 for _login in logins(matrix))
    return matrix


def logins(matrix: Matrix) -> Iterator[Login]:
    """Yield every login of the inventory: by client, database and user, denied ones with the first of their clients."""
    clients_of: dict[SignerKey, list[str]] = defaultdict(list)
    for client in matrix["clients"]:
        clients_of[signer_key(client)].append(client["name"])
    for client in matrix["clients"]:
        principal = client["principal"]
        group = tuple(clients_of.pop(signer_key(client), ()))  # empty but for the first client of each principal
        for database in matrix["databases"]:
            for user in database["users"]:
                yield Login((client["name"],), principal, database["name"], user, ALLOWED)
            if group:
                yield from _denied_logins(group, principal, database)


def signer_key(client: ClientEntry) -> SignerKey:
    """Return a key that is the same for clients that sign as one principal; without a known one a client is alone."""
    return _signer_key(client["principal"], client["name"])


def _signer_key(principal: str, client: str) -> SignerKey:
    return principal, "" if principal else client


def _denied_logins(clients: tuple[str, ...], principal: str, database: DatabaseEntry) -> Iterator[Login]:
    for user in database["denied"]:
        yield Login(clients, principal, database["name"], user, DENIED)
    for user in database["removed"]:
        yield Login(clients, principal, database["name"], user, DENIED, removed=True)
