# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Collect the findings that a reviewer of logins should look at. Pure, and private to this collection."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from ansible_collections.dbops.rds_iam.plugins.module_utils._access_map.model import (
    Database,
    Grant,
    Principal,
    UserRecord,
    user_title,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.rds_record import title
from ansible_collections.dbops.rds_iam.plugins.module_utils._checks import PASSED, UNKNOWN
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.near_miss import find_mistake
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.patterns import glob_matches
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.policy_document import texts
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.policy_evaluation import Statement
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.request_context import NEVER_SENT
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.resources import ResourcePattern, is_pattern

RISK, ERROR, NOTE = "risk", "error", "note"
_SEVERITIES = (RISK, ERROR, NOTE)  # the worst first
_TAG_VARIABLE = re.compile(r"\$\{(aws:PrincipalTag/[^,}]+)", re.IGNORECASE)


@dataclass(frozen=True)
class Finding:
    """A finding on a database or a principal, which is the subject. Message and remedy are parts of sentences."""

    kind: str
    severity: str
    subject: str
    message: str
    remedy: str

    def to_dict(self) -> dict[str, str]:
        """Return the finding as the map has it."""
        return asdict(self)


def collect_findings(
    principals: list[Principal],
    databases: list[Database],
    region_databases: list[Database],
    grants: list[Grant],
    are_all_policies_read: bool,
) -> list[Finding]:
    """Return the findings, the worst first.

    C(principals) are those that some statement lets connect, C(databases) those that are asked about, and
    C(region_databases) all of the region. Nothing is said of database users that nobody may connect as unless
    C(are_all_policies_read): a policy that could not be read may be for them.
    """
    findings = [
        finding for database in databases for finding in _check_database(database, grants, are_all_policies_read)
    ]
    findings += [
        finding for principal in principals for finding in _check_principal(principal, databases, region_databases)
    ]
    return sorted(
        findings,
        key=lambda finding: (_SEVERITIES.index(finding.severity), finding.kind, finding.subject, finding.message),
    )


def _check_database(database: Database, grants: list[Grant], are_all_policies_read: bool) -> Iterator[Finding]:
    if not database.takes_iam_logins:
        return
    possible_grants = [
        grant
        for grant in grants
        if grant.database is database and grant.check("permission").status in (PASSED, UNKNOWN)
    ]
    is_off = not database.record["iam_auth_enabled"]
    if is_off and (database.iam_users or any(_is_for_logins(grant) for grant in possible_grants)):
        yield _iam_auth_off(database)
    usable_names = {grant.user for grant in possible_grants}
    for user in database.users or []:
        yield from _check_user(database, user, usable_names if are_all_policies_read else None)


def _iam_auth_off(database: Database) -> Finding:
    subject = f"IAM database authentication of the {title(database.record)}"
    if database.is_managed:
        switch = "let the role dbops.rds_iam.iam_auth switch it on (dbops.rds_iam.site --tags step1)"
    else:
        kind, identifier = database.record["kind"], database.record["identifier"]
        command = f"aws rds modify-db-{kind} --db-{kind}-identifier {identifier} --enable-iam-database-authentication"
        switch = f"switch it on ({command})"
    message, remedy = f"{subject} is off, and accounts or policies are for it", f"{switch}, or remove them"
    return Finding("iam_auth_off", ERROR, database.name, message, remedy)


def _is_for_logins(grant: Grant) -> bool:
    """Tell whether a statement for it is about logins, and not about all that an administrator may do."""
    return any(
        _has_login_actions(statement) and _names_users(statement, grant.database)
        for statement in grant.principal.connect_statements
    )


def _names_users(statement: Statement, database: Database) -> bool:
    return any(True for _user in statement.resources.users(database.prefix))


def _has_login_actions(statement: Statement) -> bool:
    actions = texts(statement.raw, "Action")
    return bool(actions) and all(action.lower().startswith("rds-db:") for action in actions)


def _check_user(database: Database, user: UserRecord, usable_names: set[str] | None) -> Iterator[Finding]:
    name = user_title(user)
    if user["system"]:
        return
    if not user["iam"]:
        if user["name"] != database.record["master_username"] and not user["locked"]:
            message = f"the account {name} logs in with {user['plugin']}"
            remedy = "let the role dbops.rds_iam.db_users convert it (convert: true), or drop it if nobody needs it"
            yield Finding("password", NOTE, database.name, message, remedy)
        return
    if user["require"] == "NONE":
        message, remedy = f"the account {name} does not require TLS", "let the role dbops.rds_iam.db_users repair it"
        yield Finding("no_tls", NOTE, database.name, message, remedy)
    if user["locked"]:
        message = f"the account {name} is locked"
        remedy = "let the role dbops.rds_iam.db_users unlock it, or drop it if nobody needs it"
        yield Finding("locked", NOTE, database.name, message, remedy)
    if usable_names is not None and user["name"] not in usable_names:
        message = f"no IAM role or user of this account may connect as {name}"
        remedy = "add it to iam_role_users, or drop it with state: absent if nobody needs it"
        yield Finding("unused", NOTE, database.name, message, remedy)


def _check_principal(
    principal: Principal, databases: list[Database], region_databases: list[Database]
) -> Iterator[Finding]:
    databases = [database for database in databases if database.takes_iam_logins]
    for statement in principal.connect_statements:
        yield from _check_conditions(principal, statement)
        excesses = _list_excesses(statement, databases)
        if excesses:
            message = f"{statement} of {principal} allows {' and '.join(excesses)}"
            remedy = "name the databases by resource id and the users by name, as the role dbops.rds_iam.iam_role does"
            yield Finding("overly_permissive", RISK, principal.name, message, remedy)
        for resource in statement.resources.patterns:
            yield from _check_resource(principal, statement, resource, region_databases)
            for database in databases:
                yield from _check_users_exist(principal, statement, resource, database)


def _check_conditions(principal: Principal, statement: Statement) -> Iterator[Finding]:
    """Yield conditions on keys that RDS does not send with a login: they keep out everybody, or nobody."""
    unsent_parts = [part for part in statement.conditions if part.key.lower() in NEVER_SENT]
    for value, severity, effect in ((False, ERROR, "so it allows no login"), (True, RISK, "so it keeps out no login")):
        keys = dict.fromkeys(part.key for part in unsent_parts if part.truth.value is value)
        if keys:
            condition = f"a condition on {', '.join(keys)}, which RDS does not support for logins"
            message = f"{statement} of {principal} has {condition}, {effect}"
            yield Finding("unsupported_condition", severity, principal.name, message, "take the condition out")


def _list_excesses(statement: Statement, databases: list[Database]) -> list[str]:
    """Return in what a statement is wider than a list of users on databases, if it reaches one of the databases."""
    resources = [
        resource
        for resource in statement.resources.patterns
        if any(_reaches(resource, database) for database in databases)
    ]
    if not resources and "NotResource" not in statement.raw:
        return []
    excesses = [f"the actions {action}" for action in texts(statement.raw, "Action") if is_pattern(action)]
    if "NotAction" in statement.raw:
        excesses.append("all actions but some")
    if "NotResource" in statement.raw:
        excesses.append("all resources but some")
    wildcards = [resource.text for resource in resources if resource.has_wildcards]
    if wildcards:
        excesses.append(f"connections to whatever matches {', '.join(wildcards)}")
    tags = {tag: None for resource in resources for tag in _TAG_VARIABLE.findall(resource.text)}
    if tags and statement.has_variables:
        excesses.append(f"connections to what {', '.join(tags)} says, which is up to who may tag it")
    return excesses


def _reaches(resource: ResourcePattern, database: Database) -> bool:
    return any(True for _user in resource.users(database.prefix))


def _check_resource(
    principal: Principal, statement: Statement, resource: ResourcePattern, region_databases: list[Database]
) -> Iterator[Finding]:
    """Yield a resource that looks like one for logins, and is on no database."""
    service, region, account = ([*resource.glob.split(":"), *[""] * 5])[2:5]
    is_for_logins = service == "rds-db" or (service == "rds" and _has_login_actions(statement))
    if not is_for_logins or not region_databases:
        return
    subject = f"{statement} of {principal}"
    remedy = "take it out, or let the role dbops.rds_iam.iam_role write the policy (dbops.rds_iam.site --tags step5)"
    if resource.empty_variable:
        reason = f"{resource.empty_variable} has no value for {principal}, so it matches nothing"
        message = f"{subject} names {resource.text}, and {reason}"
        yield Finding("dangling", ERROR, principal.name, message, remedy)
        return
    databases = [database for database in region_databases if _reaches(resource, database)]
    if any(database.takes_iam_logins for database in databases):
        return
    record = region_databases[0].record
    is_elsewhere = not glob_matches(region, record["region"]) or not glob_matches(account, record["account_id"])
    if service == "rds-db" and not databases and (is_elsewhere or ":dbuser:prx-" in resource.glob):
        message = f"{subject} names {resource.text}, which is on no database of this map"
        yield Finding(
            "out_of_scope", NOTE, principal.name, message, "see whether it is meant, and take it out if it is not"
        )
        return
    message = f"{subject} {_explain_dangling(resource, databases, region_databases)}"
    yield Finding("dangling", ERROR, principal.name, message, remedy)


def _explain_dangling(resource: ResourcePattern, databases: list[Database], region_databases: list[Database]) -> str:
    """Explain the mistake of a resource, for the database that it means only where one alone is the likeliest.

    C(databases) are those that it reaches, whose engines have no IAM logins.
    """
    if databases:
        engine = databases[0].record["engine"]
        return f"names {databases[0].name}, and rds-db:connect is not for its engine {engine}"
    user = resource.glob.partition("/")[2]
    mistakes = [find_mistake(database.target(user), resource.glob) for database in region_databases]
    likely_mistakes = [mistake for mistake in mistakes if mistake.means_database] or mistakes
    first = likely_mistakes[0]
    if len({mistake.text for mistake in likely_mistakes}) == 1 and (len(mistakes) > 1 or first.means_database):
        return first.text
    resource_id = resource.glob.split(":", 6)[-1].partition("/")[0]
    region = region_databases[0].record["region"]
    return (
        f"names the resource id {resource_id}, which no database in {region} has; a database that was restored or made"
        " again has another one than before"
    )


def _check_users_exist(
    principal: Principal, statement: Statement, resource: ResourcePattern, database: Database
) -> Iterator[Finding]:
    if database.users is None:
        return
    names = {user["name"] for user in database.users}
    for user in resource.users(database.prefix):
        if not is_pattern(user) and user not in names:
            message = f"{statement} of {principal} names the user {user} on {database.name}, which has no such account"
            remedy = "let the role dbops.rds_iam.db_users create it (dbops.rds_iam.site --tags step3), or take it out"
            yield Finding("no_database_user", ERROR, principal.name, message, remedy)
