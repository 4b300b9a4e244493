# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The access map as plain data, see docs/access-map.schema.json. Pure, and private to this collection."""

from __future__ import annotations

from collections import Counter

from ansible_collections.dbops.rds_iam.plugins.module_utils._access import Database, Grant, Host, Principal, grants
from ansible_collections.dbops.rds_iam.plugins.module_utils._database import FLAG
from ansible_collections.dbops.rds_iam.plugins.module_utils._ec2 import listed
from ansible_collections.dbops.rds_iam.plugins.module_utils._findings import findings
from ansible_collections.dbops.rds_iam.plugins.module_utils._rds import kind_of

_OF_A_DATABASE = (
    *("identifier", "kind", "engine", "engine_version", "status", "endpoint", "resource_id", "master_username"),
    "ca_certificate_identifier",
)


def databases(records: list[dict], given: list[dict]) -> tuple[list[Database], list[str]]:
    """The DB clusters, and the DB instances that are in none, with what is given about them; and what is not there."""
    by_id = {}
    for one in given:
        kind, identifier = kind_of(one)
        by_id[kind.word.lower(), identifier] = one
    found = {}
    for record in records:
        if record["cluster_identifier"]:
            continue
        more = by_id.pop((record["kind"], record["identifier"]), None)
        members = tuple(one["resource_id"] for one in records if one["cluster_identifier"] == record["identifier"])
        about = {"accounts": more["accounts"], "unseen": more["unseen"].rstrip(".")} if more else {}
        name = (more or {}).get("name") or record["identifier"]
        name = f"{name} ({record['kind']})" if name in found else name
        found[name] = Database(name, record, members, given=more is not None, **about)
    missing = [f"The DB {kind} {name}: it is not in the region, or in a DB cluster there." for kind, name in by_id]
    return [found[name] for name in sorted(found)], missing


def draw(
    asked: list[Database],
    known: list[Database],
    principals: list[Principal] | None,
    hosts: list[Host] | None,
    unseen: list[str],
) -> dict:
    """The map of the databases that are asked about; C(known) are all of the region."""
    connecting = sorted((one for one in principals or [] if one.connecting), key=lambda one: (one.kind, one.name))
    found = grants(connecting, asked, hosts)
    look = findings(None if principals is None else connecting, asked, known, found)
    return {
        "account_id": known[0].record["account_id"] if known else "",
        "databases": [_database(one) for one in asked],
        "principals": [_principal(one, hosts) for one in connecting],
        "grants": [grant.shown() for grant in found],
        "findings": [one.shown() for one in look],
        "unseen": unseen + _unseen_accounts(asked),
        "totals": {**_totals(asked, principals, hosts, found), **_by_severity(look)},
    }


def _unseen_accounts(asked: list[Database]) -> list[str]:
    """One sentence for each reason."""
    names = {}
    for one in asked:
        if one.accounts is None:
            names.setdefault(one.unseen, []).append(one.name)
    return [f"The accounts of {listed(those)}: {reason}." for reason, those in names.items()]


def _database(database: Database) -> dict:
    record = database.record
    pending = record["pending"].get(FLAG)
    flag = "on" if record["iam_auth_enabled"] else "off"
    return {
        "name": database.name,
        **{key: record[key] for key in _OF_A_DATABASE},
        "iam_auth": flag if pending in (None, record["iam_auth_enabled"]) else f"{flag}, change pending",
        "accounts": database.accounts,
        "unseen": database.unseen if database.accounts is None else "",
    }


def _principal(principal: Principal, hosts: list[Host] | None) -> dict:
    holding = [one for one in hosts or [] if one.profile in principal.profiles]
    return {
        "kind": principal.kind,
        "name": principal.name,
        "arn": principal.arn,
        "policies": [policy.name for policy in principal.policies if not policy.boundary],
        "boundary": next((policy.name for policy in principal.policies if policy.boundary), ""),
        "trusts": principal.trusts,
        "instance_profiles": principal.profiles,
        "hosts": [{"instance_id": one.instance_id, "name": one.name, "state": one.state} for one in holding],
    }


def _totals(asked, principals, hosts, found: list[Grant]) -> dict:
    accounts = [one for database in asked for one in database.accounts or [] if not one["system"]]
    states = Counter(grant.state for grant in found)
    return {
        "databases": len(asked),
        "databases_with_iam": sum(one.record["iam_auth_enabled"] for one in asked),
        "databases_seen": sum(one.accounts is not None for one in asked),
        "accounts_with_iam": sum(one["iam"] for one in accounts),
        "accounts_with_password": sum(not one["iam"] for one in accounts),
        "roles": None if principals is None else sum(one.kind == "role" for one in principals),
        "users": None if principals is None else sum(one.kind == "user" for one in principals),
        "connecting": sum(bool(one.connecting) for one in principals or []),
        "hosts": None if hosts is None else len(hosts),
        **{state: states[state] for state in ("open", "closed", "unknown")},
    }


def _by_severity(look: list) -> dict:
    counted = Counter(one.severity for one in look)
    return {"risks": counted["risk"], "broken": counted["broken"], "notes": counted["note"]}
