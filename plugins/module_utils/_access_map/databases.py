# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Join the databases of a Region with the options of the module. Pure, and private to this collection."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ansible_collections.dbops.rds_iam.plugins.module_utils._access_map.model import Database
from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.rds import kind_of
from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.rds_record import DatabaseRecord


def match_databases(records: list[DatabaseRecord], options: list[dict[str, Any]]) -> tuple[list[Database], list[str]]:
    """Return the DB clusters, and the DB instances in none, by name; and a sentence for each option without one.

    C(records) are those of a Region; C(options) are elements of the option C(databases) of the module. RDS takes an
    identifier in any case, and an ARN in its place.
    """
    options_by_id = {}
    for option in options:
        kind, identifier = kind_of(option)
        options_by_id[kind.word.lower(), identifier.rpartition(":")[2].lower()] = (identifier, option)
    databases: dict[str, Database] = {}
    for record in records:
        if record["cluster_identifier"]:
            continue
        _identifier, option_of_record = options_by_id.pop((record["kind"], record["identifier"].lower()), ("", None))
        members = [member for member in records if member["cluster_identifier"] == record["identifier"]]
        name = (option_of_record or {}).get("name") or record["identifier"]
        name = f"{name} ({record['kind']})" if name in databases else name
        database = Database(name, record, tuple(member["resource_id"] for member in members))
        databases[name] = _explain_unread_users(_add_option(database, option_of_record))
    missing_databases = [
        f"The DB {kind} {identifier}: it is not in the region, or in a DB cluster there."
        for (kind, _key), (identifier, _option) in options_by_id.items()
    ]
    return [databases[name] for name in sorted(databases)], missing_databases


def _add_option(database: Database, option: dict[str, Any] | None) -> Database:
    if option is None:
        return database
    return replace(
        database, users=option["users"], unread_reason=option["not_collected_reason"].rstrip("."), is_requested=True
    )


def _explain_unread_users(database: Database) -> Database:
    """Return a database with the reason why nobody can have read its users, if there is one."""
    engine = database.record["engine"]
    if not database.takes_iam_logins:
        return replace(database, users=None, unread_reason=f"rds-db:connect is not for the engine {engine}")
    if not database.is_managed:
        return replace(database, users=None, unread_reason=f"this collection does not read users of {engine}")
    return database
