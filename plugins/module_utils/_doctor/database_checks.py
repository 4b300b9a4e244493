# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Check the database: its status, its IAM flag and its database user. Pure, and private to this collection."""

from __future__ import annotations

import re

from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.rds_record import FLAG, DatabaseRecord, title
from ansible_collections.dbops.rds_iam.plugins.module_utils._checks import FAILED, PASSED, UNKNOWN, Check
from ansible_collections.dbops.rds_iam.plugins.module_utils._doctor.evidence import (
    LoginEvidence,
    PlannedUser,
    Unreadable,
    UserPlan,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.login_obstacle import login_obstacle

# Statuses in which a database takes no logins.
_CLOSED = {"creating", "deleting", "failed", "rebooting", "starting", "stopped", "stopping", "storage-full"}
_REMEDY_OF_USER = "let the role dbops.rds_iam.db_users repair it (dbops.rds_iam.site --tags step3)"


def check_database(evidence: LoginEvidence) -> Check:
    record = evidence.database
    if evidence.absence:
        remedy = f"correct the identifier of {evidence.name} in the inventory"
        return Check("database", FAILED, evidence.absence.rstrip("."), remedy)
    if isinstance(record, Unreadable):
        return Check("database", UNKNOWN, record.reason)
    if record["status"] in _CLOSED or str(record["status"]).startswith(("inaccessible", "incompatible")):
        remedy = "wait until it is available, or do what its events in RDS ask for"
        if record["status"] == "stopped":
            remedy = f"start it ({aws_command('start', record)})"
        message = f"the {title(record)} does not take logins, since its status is {record['status']}"
        return Check("database", FAILED, message, remedy)
    return Check("database", PASSED, f"the {title(record)} is {record['status']}")


def aws_command(verb: str, record: DatabaseRecord) -> str:
    """Return a command of the AWS CLI for a database, which begins with start or modify."""
    return f"aws rds {verb}-db-{record['kind']} --db-{record['kind']}-identifier {record['identifier']}"


def check_flag(evidence: LoginEvidence) -> Check:
    record = evidence.record
    if record is None or evidence.absence:
        return Check("iam_auth", UNKNOWN, "the database could not be read")
    switch_on = "let the role dbops.rds_iam.iam_auth switch it on (dbops.rds_iam.site --tags step1"
    if evidence.support_error:
        remedy = "move the database to a version and an instance class that support it"
        return Check("iam_auth", FAILED, evidence.support_error.rstrip("."), remedy)
    if record["iam_auth_enabled"]:
        return Check("iam_auth", PASSED, f"IAM database authentication of the {title(record)} is on")
    if record["pending"].get(FLAG):
        return Check(
            "iam_auth",
            FAILED,
            f"IAM database authentication of the {title(record)} is only pending for its maintenance window",
            f"{switch_on} -e iam_auth_apply_immediately=true), or wait for the window",
        )
    return Check("iam_auth", FAILED, f"IAM database authentication of the {title(record)} is off", f"{switch_on})")


def check_user(evidence: LoginEvidence) -> Check:
    plan = evidence.user_plan
    if plan is None or isinstance(plan, Unreadable):
        return Check("database_user", UNKNOWN, plan.reason if plan else "no master login was given to read it with")
    if plan.get("conflict"):
        remedy = f"set convert for {evidence.user} in db_users_accounts, and {_REMEDY_OF_USER}"
        return Check("database_user", FAILED, plan["msg"].split(";")[0], remedy)
    # Without it the server was not read, and the plan is one for a server without users.
    if "iam_database_users_remaining" not in plan:
        return Check("database_user", UNKNOWN, plan.get("msg", "the accounts could not be read").rstrip("."))
    user = plan["users"][0]
    fault = _find_fault(evidence, plan, user)
    if fault:
        message, remedy = fault
        return Check("database_user", FAILED, message, remedy)
    difference = "; its privileges or SSL requirement differ from what is asked for" if user["statements"] else ""
    return Check("database_user", PASSED, f"{evidence.name} has the account {_quote(user)} for IAM logins{difference}")


def _find_fault(evidence: LoginEvidence, plan: UserPlan, user: PlannedUser) -> tuple[str, str] | None:
    """Return why no IAM login can pass by a database user, and the remedy; None where it can."""
    statements, subject = " ".join(user["statements"]), f"the account {_quote(user)} of {evidence.name}"
    if statements.startswith("CREATE USER"):
        return f"{evidence.name} has no account {_quote(user)}", _REMEDY_OF_USER
    rows = (row for row in plan.get("user_rows", ()) if (row["name"], row["host"]) == (user["name"], user["host"]))
    row = next(rows, None)
    is_expired = row is not None and row.get("iam") and row.get("expired")
    for clause, predicate in (
        ("IDENTIFIED WITH", "does not log in with AWSAuthenticationPlugin as 'RDS'"),
        ("DROP 2 FACTOR", "asks for a second factor"),
    ):
        if clause in statements and not is_expired:
            return f"{subject} {predicate}", _REMEDY_OF_USER
    if row is not None and row.get("locked"):
        unlock = f"set locked to false for {evidence.user} in db_users_accounts, and {_REMEDY_OF_USER}"
        return f"{subject} is locked", _REMEDY_OF_USER if "ACCOUNT UNLOCK" in statements else unlock
    obstacle = login_obstacle(row) if row is not None and row.get("iam") else ""
    if obstacle:
        by_hand = f"let it log in without a certificate (ALTER USER {_quote(user)} REQUIRE SSL)"
        return f"{subject} {obstacle}", _REMEDY_OF_USER if is_expired else by_hand
    client_host = evidence.result.get("client_host")
    if client_host and not _is_like(user["host"], client_host):
        pattern = f"set the host of {evidence.user} in db_users_accounts to % or to a pattern that matches"
        message = f"{subject} is not for {client_host}, from where {evidence.client} comes"
        return message, f"{pattern}, and {_REMEDY_OF_USER}"
    return None


def _quote(user: PlannedUser) -> str:
    return f"'{user['name']}'@'{user['host']}'"


def _is_like(pattern: str, text: str) -> bool:
    """Match a host as LIKE does; one with a mask is taken to match."""
    expression = "".join({"%": ".*", "_": "."}.get(char, re.escape(char)) for char in pattern)
    return re.fullmatch(expression, text, re.I) is not None or "/" in pattern
