# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The access map as plain data, see docs/access-map.schema.json. Pure, and private to this collection."""

from __future__ import annotations

from collections import Counter

from ansible_collections.dbops.rds_iam.plugins.module_utils._access_map.findings import collect_findings
from ansible_collections.dbops.rds_iam.plugins.module_utils._access_map.grants import find_grants
from ansible_collections.dbops.rds_iam.plugins.module_utils._access_map.model import Database, Grant, Host, Principal
from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.rds_record import FLAG
from ansible_collections.dbops.rds_iam.plugins.module_utils._text import list_items

# What the map does not see whatever it may read, for whoever relies on it.
LIMITS = (
    "The root user of the account, who may always connect, with access keys of its own or from the console.",
    "Federated users of sts:GetFederationToken, whose session policies are in no list.",
    "Policies of the organization, session policies, and what else AWS may hold against a login.",
    "Networks, and whether what has a role also runs.",
)
_OF_AN_ACCOUNT = ("name", "host", "iam", "plugin", "require", "locked", "system")
_OF_A_DATABASE = (
    *("identifier", "kind", "engine", "engine_version", "status", "endpoint", "resource_id", "master_username"),
    "ca_certificate_identifier",
)


def build_report(
    asked: list[Database],
    known: list[Database],
    principals: list[Principal] | None,
    hosts: list[Host] | None,
    unseen: list[str],
) -> dict:
    """The map of the databases that are asked about; C(known) are all of the region."""
    connecting = sorted((one for one in principals or [] if one.connecting), key=lambda one: (one.kind, one.name))
    found = find_grants(connecting, asked, hosts)
    all_read = principals is not None and not any(one.permissions.unread for one in principals)
    look = collect_findings(connecting, asked, known, found, all_read)
    return {
        "account_id": known[0].record["account_id"] if known else "",
        "databases": [_database(one) for one in asked],
        "principals": [_principal(one, hosts) for one in connecting],
        "grants": [grant.shown() for grant in found],
        "findings": [one.shown() for one in look],
        "unseen": [*unseen, *_unseen_policies(principals or []), *_unseen_keys(connecting), *_unseen_accounts(asked)],
        "limits": list(LIMITS),
        "totals": {**_totals(asked, principals, hosts, found), **_by_severity(look)},
    }


def _unseen_policies(principals: list[Principal]) -> list[str]:
    """One sentence for each policy that could not be read."""
    holders = {}
    for principal in principals:
        for policy in principal.permissions.unread:
            reason = policy.reason or "its document is not understood"
            holders.setdefault((str(policy), reason), []).append(str(principal))
    return [
        f"{policy[0].upper()}{policy[1:]} of {list_items(those)}: {reason}."
        for (policy, reason), those in holders.items()
    ]


def _unseen_keys(connecting: list[Principal]) -> list[str]:
    unread = [one for one in connecting if one.kind == "user" and one.credentials.unread]
    if not unread:
        return []
    return [f"The credentials of {list_items([str(one) for one in unread])}: {unread[0].credentials.unread}."]


def _unseen_accounts(asked: list[Database]) -> list[str]:
    """One sentence for each reason."""
    names = {}
    for one in asked:
        if one.accounts is None and one.takes_iam_logins:
            names.setdefault(one.unseen, []).append(one.name)
    return [f"The accounts of {list_items(those)}: {reason}." for reason, those in names.items()]


def _database(database: Database) -> dict:
    record = database.record
    pending = record["pending"].get(FLAG)
    flag = "on" if record["iam_auth_enabled"] else "off"
    return {
        "name": database.name,
        **{key: record[key] for key in _OF_A_DATABASE},
        "iam_auth": flag if pending in (None, record["iam_auth_enabled"]) else f"{flag}, change pending",
        "takes_iam_logins": database.takes_iam_logins,
        "accounts": None if database.accounts is None else [_account(one) for one in database.accounts],
        "unseen": database.unseen if database.accounts is None else "",
    }


def _account(account: dict) -> dict:
    return {**{key: account[key] for key in _OF_AN_ACCOUNT}, "expired": bool(account.get("expired"))}


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
        "active_keys": principal.credentials.active_keys,
        "console_password": principal.credentials.console_password,
        "hosts": [{"instance_id": one.instance_id, "name": one.name, "state": one.state} for one in holding],
    }


def _totals(asked, principals, hosts, found: list[Grant]) -> dict:
    accounts = [one for database in asked for one in database.accounts or [] if not one["system"]]
    states = Counter(grant.state for grant in found)
    return {
        "databases": len(asked),
        "databases_with_iam": sum(one.record["iam_auth_enabled"] and one.takes_iam_logins for one in asked),
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
