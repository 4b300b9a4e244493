# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The databases of the map, with what is given about them. Pure, and private to this collection."""

from __future__ import annotations

from dataclasses import replace

from ansible_collections.dbops.rds_iam.plugins.module_utils._access_map.model import Database
from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.rds import kind_of


def match_databases(records: list[dict], given: list[dict]) -> tuple[list[Database], list[str]]:
    """Return the DB clusters, and the DB instances in none, with what is given about them; and what is not there.

    RDS takes an identifier in any case, and an ARN in its place.
    """
    by_id = {}
    for one in given:
        kind, identifier = kind_of(one)
        by_id[kind.word.lower(), identifier.rpartition(":")[2].lower()] = (identifier, one)
    found = {}
    for record in records:
        if record["cluster_identifier"]:
            continue
        _identifier, more = by_id.pop((record["kind"], record["identifier"].lower()), ("", None))
        members = tuple(one["resource_id"] for one in records if one["cluster_identifier"] == record["identifier"])
        name = (more or {}).get("name") or record["identifier"]
        name = f"{name} ({record['kind']})" if name in found else name
        found[name] = _without_logins(Database(name, record, members, given=more is not None, **_about(more)))
    missing = [
        f"The DB {kind} {identifier}: it is not in the region, or in a DB cluster there."
        for (kind, _key), (identifier, _one) in by_id.items()
    ]
    return [found[name] for name in sorted(found)], missing


def _about(given: dict | None) -> dict:
    return {"accounts": given["accounts"], "unseen": given["unseen"].rstrip(".")} if given else {}


def _without_logins(database: Database) -> Database:
    """A database with the reason why nobody can have read its accounts, if there is one."""
    engine = database.record["engine"]
    if not database.takes_iam_logins:
        return replace(database, accounts=None, unseen=f"rds-db:connect is not for the engine {engine}")
    if not database.is_managed:
        return replace(database, accounts=None, unseen=f"this collection does not read users of {engine}")
    return database
