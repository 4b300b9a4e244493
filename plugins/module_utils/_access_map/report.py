# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Build the access map as plain data, see docs/access-map.schema.json. Pure, and private to this collection."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from ansible_collections.dbops.rds_iam.plugins.module_utils._access_map.findings import (
    ERROR,
    NOTE,
    RISK,
    Finding,
    collect_findings,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._access_map.grants import find_grants
from ansible_collections.dbops.rds_iam.plugins.module_utils._access_map.model import (
    Database,
    Grant,
    Instance,
    Principal,
    UserRecord,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.rds_record import FLAG
from ansible_collections.dbops.rds_iam.plugins.module_utils._text import list_items

# The limits of the map, whatever it may read, for whoever relies on it.
LIMITS = (
    "The root user of the account, who may always connect, with access keys of its own or from the console.",
    "Federated users of sts:GetFederationToken, whose session policies are in no list.",
    "Policies of the organization, session policies, and what else AWS may hold against a login.",
    "Networks, and whether what has a role also runs.",
)
_USER_FIELDS = ("name", "host", "iam", "plugin", "require", "locked", "system")
_DATABASE_FIELDS = (
    *("identifier", "kind", "engine", "engine_version", "status", "endpoint", "resource_id", "master_username"),
    "ca_certificate_identifier",
)


def build_report(
    databases: list[Database],
    region_databases: list[Database],
    principals: list[Principal] | None,
    instances: list[Instance] | None,
    unread: list[str],
) -> dict[str, Any]:
    """Return the map of the databases that are asked about; C(region_databases) are all of the region.

    C(principals) and C(instances) are None where they could not be read; C(unread) has a sentence for each of these,
    and for databases that are not there.
    """
    connecting_principals = [principal for principal in principals or [] if principal.connect_statements]
    connecting_principals.sort(key=lambda principal: (principal.kind, principal.name))
    grants = find_grants(connecting_principals, databases, instances)
    are_all_policies_read = principals is not None and not any(
        principal.permissions.unreadable_policies for principal in principals
    )
    findings = collect_findings(connecting_principals, databases, region_databases, grants, are_all_policies_read)
    return {
        "account_id": region_databases[0].record["account_id"] if region_databases else "",
        "databases": [_database(database) for database in databases],
        "principals": [_principal(principal, instances) for principal in connecting_principals],
        "grants": [grant.to_dict() for grant in grants],
        "findings": [finding.to_dict() for finding in findings],
        "not_collected": [
            *unread,
            *_list_unread_policies(principals or []),
            *_list_unread_credentials(connecting_principals),
            *_list_unread_users(databases),
        ],
        "limits": list(LIMITS),
        "totals": {**_count(databases, principals, instances, grants), **_count_findings(findings)},
    }


def _list_unread_policies(principals: list[Principal]) -> list[str]:
    """Return a sentence for each policy that could not be read."""
    holders: dict[tuple[str, str], list[str]] = {}
    for principal in principals:
        for policy in principal.permissions.unreadable_policies:
            reason = policy.reason or "its document is not understood"
            holders.setdefault((str(policy), reason), []).append(str(principal))
    return [
        f"{policy[0].upper()}{policy[1:]} of {list_items(names)}: {reason}."
        for (policy, reason), names in holders.items()
    ]


def _list_unread_credentials(principals: list[Principal]) -> list[str]:
    users = [principal for principal in principals if principal.kind == "user" and principal.credentials.unread_reason]
    if not users:
        return []
    return [f"The credentials of {list_items([str(user) for user in users])}: {users[0].credentials.unread_reason}."]


def _list_unread_users(databases: list[Database]) -> list[str]:
    """Return a sentence for each reason why the users of databases were not read."""
    names: dict[str, list[str]] = {}
    for database in databases:
        if database.users is None and database.takes_iam_logins:
            names.setdefault(database.unread_reason, []).append(database.name)
    return [f"The accounts of {list_items(databases)}: {reason}." for reason, databases in names.items()]


def _database(database: Database) -> dict[str, Any]:
    record = database.record
    pending = record["pending"].get(FLAG)
    flag = "on" if record["iam_auth_enabled"] else "off"
    return {
        "name": database.name,
        **_pick(record, _DATABASE_FIELDS),
        "iam_auth": flag if pending in (None, record["iam_auth_enabled"]) else f"{flag}, change pending",
        "takes_iam_logins": database.takes_iam_logins,
        "users": None if database.users is None else [_user(user) for user in database.users],
        "not_collected_reason": database.unread_reason if database.users is None else "",
    }


def _user(user: UserRecord) -> dict[str, Any]:
    return {**_pick(user, _USER_FIELDS), "expired": bool(user.get("expired"))}


def _pick(record: Mapping[str, object], fields: tuple[str, ...]) -> dict[str, object]:
    return {field: record[field] for field in fields}


def _principal(principal: Principal, instances: list[Instance] | None) -> dict[str, Any]:
    policies = principal.policies
    holding_instances = [
        instance for instance in instances or [] if instance.instance_profile in principal.instance_profiles
    ]
    return {
        "kind": principal.kind,
        "name": principal.name,
        "arn": principal.arn,
        "policies": [policy.name for policy in policies if not policy.boundary],
        "boundary": next((policy.name for policy in policies if policy.boundary), ""),
        "trusts": [trustee.name for trustee in principal.trustees or []],
        "instance_profiles": principal.instance_profiles,
        "active_keys": principal.credentials.active_keys,
        "console_password": principal.credentials.console_password,
        "instances": [
            {"instance_id": instance.instance_id, "name": instance.name, "state": instance.state}
            for instance in holding_instances
        ],
    }


def _count(
    databases: list[Database],
    principals: list[Principal] | None,
    instances: list[Instance] | None,
    grants: list[Grant],
) -> dict[str, int | None]:
    users = [user for database in databases for user in database.users or [] if not user["system"]]
    kinds = Counter(principal.kind for principal in principals or [])
    states = Counter(grant.state for grant in grants)
    return {
        "databases": len(databases),
        "databases_with_iam": sum(
            database.record["iam_auth_enabled"] and database.takes_iam_logins for database in databases
        ),
        "databases_collected": sum(database.users is not None for database in databases),
        "database_users_with_iam": sum(user["iam"] for user in users),
        "database_users_with_password": sum(not user["iam"] for user in users),
        "iam_roles": None if principals is None else kinds["role"],
        "iam_users": None if principals is None else kinds["user"],
        "connecting_principals": sum(bool(principal.connect_statements) for principal in principals or []),
        "instances": None if instances is None else len(instances),
        **{state: states[state] for state in ("open", "closed", "unknown")},
    }


def _count_findings(findings: list[Finding]) -> dict[str, int]:
    severities = Counter(finding.severity for finding in findings)
    return {"risks": severities[RISK], "errors": severities[ERROR], "notes": severities[NOTE]}
