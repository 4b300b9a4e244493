# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read the clients and databases of an inventory. Pure, and private to this collection.

Ansible puts all variables of a host together for each hostvars[host], which is why it is asked for them but once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, cast

from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError
from ansible_collections.dbops.rds_iam.plugins.module_utils._site.failures import failure_reason, is_bad
from ansible_collections.dbops.rds_iam.plugins.module_utils._site.login_matrix import (
    ClientEntry,
    Matrix,
    build_matrix,
    database_entries,
    database_users,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._site.records import (
    ConnectDatabase,
    DatabaseUsers,
    SiteDatabase,
)

DATABASES, CLIENTS = "rds_databases", "rds_clients"
_FALSE = ("0", "f", "false", "n", "no", "off")

Hosts = Mapping[str, Mapping[str, Any]]
Groups = Mapping[str, list[str]]


def identifier(name: str, variables: Mapping[str, Any]) -> dict[str, str]:
    """Return db_cluster_identifier or db_instance_identifier of a database, which is by default its name."""
    cluster = variables.get("db_cluster_identifier")
    if cluster:
        return {"db_cluster_identifier": cluster}
    return {"db_instance_identifier": variables.get("db_instance_identifier") or name}


def identifiers(hosts: Hosts, groups: Groups) -> list[dict[str, str]]:
    """Return the databases of the inventory, each with its name there and its identifier in AWS."""
    return [{**identifier(name, hosts[name]), "name": name} for name in groups.get(DATABASES, ())]


def readable_databases(
    hosts: Hosts, groups: Groups, excluded_results: Iterable[Mapping[str, Any]], engines: Collection[str]
) -> list[SiteDatabase]:
    """Return the records of the databases that RDS returned and that these playbooks can work with.

    excluded_results: results of rds_iam_auth_info for the databases that --limit leaves out, with their names as item
    """
    results_of_others = {result["item"]: result for result in excluded_results}
    databases: list[SiteDatabase] = []
    for name in groups.get(DATABASES, ()):
        variables = hosts[name]
        result = variables.get("_rds_iam_info") or results_of_others.get(name) or {}
        databases.extend(
            cast("SiteDatabase", {**record, "name": name, **_users_or_none(variables)})
            for record in result.get("databases") or ()
            if record["engine"] in engines and record["endpoint"]
        )
    return databases


def connect_database(database: SiteDatabase) -> ConnectDatabase:
    """Return the part of a database that rds-mysql on a client needs, as an entry of connect_databases."""
    return {
        "name": database["name"],
        "endpoint": database["endpoint"],
        "port": database["port"],
        "region": database["region"],
        "users": database["users"],
        "denied": database["denied"],
    }


def _users_or_none(variables: Mapping[str, Any]) -> DatabaseUsers:
    try:
        return database_users(variables)
    except RdsIamError:  # the matrix has the error
        return {"users": [], "denied": [], "removed": []}


def report_databases(hosts: Hosts, groups: Groups) -> list[dict[str, Any]]:
    """Return the option databases of rds_iam_access_map: identifiers, with their users or why they were not read."""
    databases: list[dict[str, Any]] = []
    for database in identifiers(hosts, groups):
        variables = hosts[database["name"]]
        result = variables.get("db_users_read_result") or {}
        if "users" in result:
            databases.append({**database, "users": result["users"]})
        elif result.get("skipped"):
            databases.append(
                {**database, "not_collected_reason": "there is no master login for it, set db_users_login_password"}
            )
        else:
            failure = result if result.get("msg") else variables.get("_rds_iam_info") or {}
            reason = failure_reason(failure) if failure.get("msg") else "this run did not read it"
            databases.append({**database, "not_collected_reason": reason})
    return databases


def login_matrix(
    hosts: Hosts,
    groups: Groups,
    play_hosts: Collection[str],
    excluded_results: Iterable[Mapping[str, Any]] = (),
    limit: str = "",
) -> Matrix:
    """Return the login matrix of the inventory. The parameters are those of readable_databases and of build_matrix."""
    names = groups.get(DATABASES, ())
    unread = {
        result["item"]: failure_reason(result)
        for result in excluded_results
        if is_bad(result) or not result.get("databases")
    }
    clients = [_client(name, hosts[name]) for name in groups.get(CLIENTS, ())]
    return build_matrix(clients, database_entries(names, hosts, unread), play_hosts, limit)


def _client(name: str, variables: Mapping[str, Any]) -> ClientEntry:
    tries_denied = str(variables.get("connect_proof_denied", True)).lower() not in _FALSE
    return ClientEntry(name=name, principal=str(variables.get("iam_role_name") or ""), tries_denied=tries_denied)


def unknown_users(hosts: Hosts, groups: Groups) -> list[str]:
    """Return the names in iam_role_users that are no database user of any database of the inventory.

    None where a database has no list of its users, since it may have them.
    """
    defined: set[str] = set()
    role_users: dict[str, None] = {}
    for name in groups.get(DATABASES, ()):
        try:
            users = database_users(hosts[name])
        except RdsIamError:
            return []
        defined.update(users["users"], users["denied"], users["removed"])
        role_users.update(dict.fromkeys(hosts[name].get("iam_role_users") or ()))
    return [name for name in role_users if name not in defined]


def sql_client(hosts: Hosts, clients: list[str]) -> str:
    """Return the client that sends SQL to the databases: the first one that has not failed in this run."""
    for name in clients:
        if not hosts[name].get("_rds_iam_failure"):
            return name
    return clients[0]
