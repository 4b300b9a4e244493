# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Collect what a reviewer of logins should look at. Pure, and private to this collection."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from ansible_collections.dbops.rds_iam.plugins.module_utils._access_map.model import Database, Grant, Principal
from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.rds_record import title
from ansible_collections.dbops.rds_iam.plugins.module_utils._checks import OK, UNKNOWN
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.near_miss import find_mistake
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.patterns import glob_matches
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.policy_evaluation import Statement, texts
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.request_context import NEVER_SENT
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.resources import ResourcePattern, is_pattern

RISK, BROKEN, NOTE = "risk", "broken", "note"
_TAG_VARIABLE = re.compile(r"\$\{(aws:PrincipalTag/[^,}]+)", re.IGNORECASE)


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


def collect_findings(
    principals: list[Principal], databases: list[Database], known: list[Database], grants: list[Grant], all_read: bool
) -> list[Finding]:
    """Return the worst first. C(known) are all databases of the region, C(databases) those that are asked about.

    C(principals) are those that some statement lets connect. Nothing is said of accounts that nobody may use unless
    C(all_read): a policy that could not be read may be for them.
    """
    found = [finding for database in databases for finding in _of_database(database, grants, all_read)]
    found += [finding for principal in principals for finding in _of_principal(principal, databases, known)]
    order = (RISK, BROKEN, NOTE)
    return sorted(found, key=lambda one: (order.index(one.severity), one.kind, one.subject, one.text))


def _of_database(database: Database, grants: list[Grant], all_read: bool) -> Iterator[Finding]:
    if not database.takes_iam_logins:
        return
    wanted = [
        grant for grant in grants if grant.database is database and grant.link("permission").state in (OK, UNKNOWN)
    ]
    off = not database.record["iam_auth_enabled"]
    if off and (database.iam_users or any(_names_logins(grant) for grant in wanted)):
        why = f"IAM database authentication of the {title(database.record)} is off, and accounts or policies are for it"
        kind, identifier = database.record["kind"], database.record["identifier"]
        command = f"aws rds modify-db-{kind} --db-{kind}-identifier {identifier} --enable-iam-database-authentication"
        repair = f"switch it on ({command}), or remove them"
        if database.is_managed:
            repair = (
                "let the role dbops.rds_iam.iam_auth switch it on (dbops.rds_iam.site --tags step1), or remove them"
            )
        yield Finding("flag_off", BROKEN, database.name, why, repair)
    used = {grant.user for grant in wanted}
    for account in database.accounts or []:
        yield from _of_account(database, account, used if all_read else None)


def _names_logins(grant: Grant) -> bool:
    """Whether a statement for it is about logins, and not about all that an administrator may do."""
    return any(
        _is_for_logins(statement) and any(True for _user in statement.resources.users(grant.database.prefix))
        for statement in grant.principal.connecting
    )


def _is_for_logins(statement: Statement) -> bool:
    actions = texts(statement.raw, "Action")
    return bool(actions) and all(action.lower().startswith("rds-db:") for action in actions)


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
    databases = [one for one in databases if one.takes_iam_logins]
    for statement in principal.connecting:
        what = f"{statement} of {principal}"
        yield from _of_condition(what, principal, statement)
        wide = _wide(statement, databases)
        if wide:
            text = f"{what} allows {' and '.join(wide)}"
            repair = "name the databases by resource id and the users by name, as the role dbops.rds_iam.iam_role does"
            yield Finding("wide", RISK, principal.name, text, repair)
        for resource in statement.resources.all:
            yield from _of_resource(what, principal, statement, resource, known)
            for database in databases:
                yield from _missing_accounts(what, principal, resource, database)


def _of_condition(what: str, principal: Principal, statement: Statement) -> Iterator[Finding]:
    """Conditions on keys that RDS does not send with a login: they keep out everybody, or nobody."""
    unsent = [part for part in statement.conditions if part.key.lower() in NEVER_SENT]
    for state, severity, effect in ((False, BROKEN, "so it allows no login"), (True, RISK, "so it keeps out no login")):
        keys = dict.fromkeys(part.key for part in unsent if part.truth.value is state)
        if keys:
            text = f"{what} has a condition on {', '.join(keys)}, which RDS does not support for logins, {effect}"
            yield Finding("condition", severity, principal.name, text, "take the condition out")


def _wide(statement: Statement, databases: list[Database]) -> list[str]:
    """In what a statement is wider than a list of users on databases, if it reaches a database of the map at all."""
    reaching = [one for one in statement.resources.all if any(_reaches(one, each) for each in databases)]
    if not reaching and "NotResource" not in statement.raw:
        return []
    wide = [f"the actions {one}" for one in texts(statement.raw, "Action") if is_pattern(one)]
    wide += ["all actions but some"] * ("NotAction" in statement.raw)
    wide += ["all resources but some"] * ("NotResource" in statement.raw)
    wildcards = [one.text for one in reaching if one.has_wildcards]
    wide += [f"connections to whatever matches {', '.join(wildcards)}"] if wildcards else []
    tags = {tag: None for one in reaching if statement.variables for tag in _TAG_VARIABLE.findall(one.text)}
    return wide + ([f"connections to what {', '.join(tags)} says, which is up to who may tag it"] if tags else [])


def _reaches(resource: ResourcePattern, database: Database) -> bool:
    return any(True for _user in resource.users(database.prefix))


def _of_resource(
    what: str, principal: Principal, statement: Statement, resource: ResourcePattern, known: list[Database]
) -> Iterator[Finding]:
    """A resource that looks like one for logins, and is on no database."""
    service, region, account = ([*resource.widened.split(":"), *[""] * 5])[2:5]
    if not (service == "rds-db" or (service == "rds" and _is_for_logins(statement))) or not known:
        return
    repair = "take it out, or let the role dbops.rds_iam.iam_role write the policy (dbops.rds_iam.site --tags step5)"
    if resource.void_variable:
        why = f"{resource.void_variable} has no value for {principal}, so it matches nothing"
        text = f"{what} names {resource.text}, and {why}"
        yield Finding("dangling", BROKEN, principal.name, text, repair)
        return
    reached = [database for database in known if _reaches(resource, database)]
    if any(database.takes_iam_logins for database in reached):
        return
    here = known[0].record
    elsewhere = not glob_matches(region, here["region"]) or not glob_matches(account, here["account_id"])
    if service == "rds-db" and not reached and (elsewhere or ":dbuser:prx-" in resource.widened):
        text = f"{what} names {resource.text}, which is on no database of this map"
        yield Finding("elsewhere", NOTE, principal.name, text, "see whether it is meant, and take it out if it is not")
        return
    yield Finding("dangling", BROKEN, principal.name, f"{what} {_why_dangling(resource, reached, known)}", repair)


def _why_dangling(resource: ResourcePattern, reached: list[Database], known: list[Database]) -> str:
    """What is wrong with it, with a database that was meant only where one alone is the likeliest."""
    if reached:
        database = reached[0]
        return f"names {database.name}, and rds-db:connect is not for its engine {database.record['engine']}"
    user = resource.widened.partition("/")[2]
    mistakes = [find_mistake(database.target(user), resource.widened) for database in known]
    meant = [one for one in mistakes if one.means_database] or mistakes
    if len({one.text for one in meant}) == 1 and (len(mistakes) > 1 or meant[0].means_database):
        return meant[0].text
    resource_id = resource.widened.split(":", 6)[-1].partition("/")[0]
    region = known[0].record["region"]
    return (
        f"names the resource id {resource_id}, which no database in {region} has; a database that was restored or made"
        " again has another one than before"
    )


def _missing_accounts(
    what: str, principal: Principal, resource: ResourcePattern, database: Database
) -> Iterator[Finding]:
    if database.accounts is None:
        return
    names = {one["name"] for one in database.accounts}
    for user in resource.users(database.prefix):
        if not is_pattern(user) and user not in names:
            text = f"{what} names the user {user} on {database.name}, which has no such account"
            repair = "let the role dbops.rds_iam.db_users create it (dbops.rds_iam.site --tags step3), or take it out"
            yield Finding("no_account", BROKEN, principal.name, text, repair)
