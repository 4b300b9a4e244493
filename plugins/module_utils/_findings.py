# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a reviewer of logins should look at. Pure, and private to this collection."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass

from ansible_collections.dbops.rds_iam.plugins.module_utils._access import (
    Database,
    Grant,
    Principal,
    is_pattern,
    user_patterns,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._database import title
from ansible_collections.dbops.rds_iam.plugins.module_utils._links import OK, UNKNOWN
from ansible_collections.dbops.rds_iam.plugins.module_utils._permission import (
    matches,
    mistake,
    named,
    texts,
    unsupported_keys,
    widened,
)

RISK, BROKEN, NOTE = "risk", "broken", "note"


@dataclass(frozen=True)
class Finding:
    """One thing to look at: what it is about, what was found, and what to do."""

    kind: str
    severity: str
    subject: str
    text: str
    repair: str

    def shown(self) -> dict:
        return asdict(self)


def findings(
    principals: list[Principal] | None, databases: list[Database], known: list[Database], grants: list[Grant]
) -> list[Finding]:
    """The worst first. C(known) are all databases of the region, C(databases) those that are asked about.

    C(principals) is None where IAM could not be read, so that nothing is said of accounts that nobody may use.
    """
    found = [finding for database in databases for finding in _of_database(database, grants, principals is not None)]
    found += [finding for principal in principals or [] for finding in _of_principal(principal, databases, known)]
    order = (RISK, BROKEN, NOTE)
    return sorted(found, key=lambda one: (order.index(one.severity), one.kind, one.subject, one.text))


def _of_database(database: Database, grants: list[Grant], iam_seen: bool) -> Iterator[Finding]:
    wanted = [grant for grant in grants if grant.database is database]
    off = not database.record["iam_auth_enabled"]
    if off and (wanted or database.iam_users):
        why = f"IAM database authentication of the {title(database.record)} is off, and accounts or policies are for it"
        repair = "let the role dbops.rds_iam.iam_auth switch it on (dbops.rds_iam.site --tags step1), or remove them"
        yield Finding("flag_off", BROKEN, database.name, why, repair)
    used = {grant.user for grant in wanted if grant.link("permission").state in (OK, UNKNOWN)}
    for account in database.accounts or []:
        yield from _of_account(database, account, used if iam_seen else None)


def _of_account(database: Database, account: dict, used: set[str] | None) -> Iterator[Finding]:
    name, who = account["name"], f"'{account['name']}'@'{account['host']}'"
    if account["system"]:
        return
    if not account["iam"]:
        if name != database.record["master_username"] and not account["locked"]:
            text = f"the account {who} logs in with {account['plugin']}"
            repair = "let the role dbops.rds_iam.db_users convert it (convert: true), or drop it if nobody needs it"
            yield Finding("password", NOTE, database.name, text, repair)
        return
    if account["require"] == "NONE":
        text, repair = f"the account {who} does not require TLS", "let the role dbops.rds_iam.db_users repair it"
        yield Finding("no_tls", NOTE, database.name, text, repair)
    if account["locked"]:
        text = f"the account {who} is locked"
        repair = "let the role dbops.rds_iam.db_users unlock it, or drop it if nobody needs it"
        yield Finding("locked", NOTE, database.name, text, repair)
    if used is not None and name not in used:
        text = f"no IAM role or user of this account may connect as {who}"
        repair = "add it to iam_role_users, or drop it with state: absent if nobody needs it"
        yield Finding("unused", NOTE, database.name, text, repair)


def _of_principal(principal: Principal, databases: list[Database], known: list[Database]) -> Iterator[Finding]:
    for policy, statement in principal.connecting:
        what = f"{named(policy, statement)} of {principal}"
        keys = unsupported_keys(statement)
        if keys:
            text = f"{what} has a condition on {', '.join(keys)}, which RDS does not support for logins"
            yield Finding("condition", BROKEN, principal.name, text, "take the condition out")
        wide = _wide(statement, databases)
        if wide:
            text = f"{what} allows {' and '.join(wide)}"
            repair = "name the databases by resource id and the users by name, as the role dbops.rds_iam.iam_role does"
            yield Finding("wide", RISK, principal.name, text, repair)
        for resource in texts(statement, "Resource"):
            yield from _of_resource(what, principal, statement, resource, known)
            for database in databases:
                yield from _missing_accounts(what, principal, resource, database)


def _wide(statement: dict, databases: list[Database]) -> list[str]:
    """In what a statement is wider than a list of users on databases, if it reaches a database of the map at all."""
    resources = [one for one in texts(statement, "Resource") if any(_reaches(one, each) for each in databases)]
    if not resources and "NotResource" not in statement:
        return []
    wide = [f"the actions {one}" for one in texts(statement, "Action") if is_pattern(one)]
    wide += ["all actions but some"] * ("NotAction" in statement)
    wide += ["all resources but some"] * ("NotResource" in statement)
    patterns = [one for one in resources if is_pattern(one)]
    return wide + ([f"connections to whatever matches {', '.join(patterns)}"] if patterns else [])


def _reaches(resource: str, database: Database) -> bool:
    return any(True for _user in user_patterns(resource, database.prefix))


def _of_resource(what: str, principal: Principal, statement: dict, resource: str, known: list[Database]):
    """A resource that looks like one for logins, and is on no database."""
    service, region, account = ([*widened(resource).split(":"), *[""] * 5])[2:5]
    only_logins = all(action.lower().startswith("rds-db:") for action in texts(statement, "Action"))
    if not (service == "rds-db" or (service == "rds" and only_logins)) or not known:
        return
    if any(_reaches(resource, database) for database in known):
        return
    here = known[0].record
    elsewhere = not matches(region, here["region"]) or not matches(account, here["account_id"])
    if service == "rds-db" and (elsewhere or ":dbuser:prx-" in resource):
        text = f"{what} names {resource}, which is on no database of this map"
        yield Finding("elsewhere", NOTE, principal.name, text, "see whether it is meant, and take it out if it is not")
        return
    user = widened(resource).partition("/")[2]
    why = max(mistake(database.target(user), resource) for database in known)[1]
    repair = "take it out, or let the role dbops.rds_iam.iam_role write the policy (dbops.rds_iam.site --tags step5)"
    yield Finding("dangling", BROKEN, principal.name, f"{what} {why}", repair)


def _missing_accounts(what: str, principal: Principal, resource: str, database: Database) -> Iterator[Finding]:
    if database.accounts is None:
        return
    names = {one["name"] for one in database.accounts}
    for user in user_patterns(resource, database.prefix):
        if not is_pattern(user) and user not in names:
            text = f"{what} names the user {user} on {database.name}, which has no such account"
            repair = "let the role dbops.rds_iam.db_users create it (dbops.rds_iam.site --tags step3), or take it out"
            yield Finding("no_account", BROKEN, principal.name, text, repair)
