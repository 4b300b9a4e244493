# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Check the database: its status, its IAM flag and its database user. Pure, and private to this collection."""

from __future__ import annotations

import re

from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.rds_record import FLAG, title
from ansible_collections.dbops.rds_iam.plugins.module_utils._checks import BROKEN, OK, UNKNOWN, Check
from ansible_collections.dbops.rds_iam.plugins.module_utils._doctor.evidence import LoginEvidence, Unreadable

# Statuses in which a database takes no logins.
_CLOSED = {"creating", "deleting", "failed", "rebooting", "starting", "stopped", "stopping", "storage-full"}


def check_database(case: LoginEvidence) -> Check:
    record = case.database
    if case.missing:
        repair = f"correct the identifier of {case.name} in the inventory"
        return Check("database", BROKEN, case.missing.rstrip("."), repair)
    if isinstance(record, Unreadable):
        return Check("database", UNKNOWN, record.reason)
    if record["status"] in _CLOSED or str(record["status"]).startswith(("inaccessible", "incompatible")):
        repair = "wait until it is available, or do what its events in RDS ask for"
        if record["status"] == "stopped":
            repair = f"start it ({aws_command('start', record)})"
        text = f"the {title(record)} does not take logins, since its status is {record['status']}"
        return Check("database", BROKEN, text, repair)
    return Check("database", OK, f"the {title(record)} is {record['status']}")


def aws_command(verb: str, record: dict) -> str:
    """A command of the AWS CLI for a database."""
    return f"aws rds {verb}-db-{record['kind']} --db-{record['kind']}-identifier {record['identifier']}"


def check_flag(case: LoginEvidence) -> Check:
    record = case.database
    if isinstance(record, Unreadable) or case.missing:
        return Check("flag", UNKNOWN, "the database could not be read")
    switch = "let the role dbops.rds_iam.iam_auth switch it on (dbops.rds_iam.site --tags step1"
    if case.unsupported:
        repair = "move the database to a version and an instance class that support it"
        return Check("flag", BROKEN, case.unsupported.rstrip("."), repair)
    if record["iam_auth_enabled"]:
        return Check("flag", OK, f"IAM database authentication of the {title(record)} is on")
    if record["pending"].get(FLAG):
        return Check(
            "flag",
            BROKEN,
            f"IAM database authentication of the {title(record)} is only pending for its maintenance window",
            f"{switch} -e iam_auth_apply_immediately=true), or wait for the window",
        )
    return Check("flag", BROKEN, f"IAM database authentication of the {title(record)} is off", f"{switch})")


def check_user(case: LoginEvidence) -> Check:
    account, repair = case.account, "let the role dbops.rds_iam.db_users repair it (dbops.rds_iam.site --tags step3)"
    if account is None or isinstance(account, Unreadable):
        return Check("account", UNKNOWN, account.reason if account else "no master login was given to read it with")
    if account.get("conflict"):
        repair = f"set convert for {case.user} in db_users_accounts, and {repair}"
        return Check("account", BROKEN, account["msg"].split(";")[0], repair)
    if "accounts_left" not in account:  # the server was not read, and the plan is one for a server without accounts
        return Check("account", UNKNOWN, account.get("msg", "the accounts could not be read").rstrip("."))
    user = account["users"][0]
    who, statements = f"'{user['name']}'@'{user['host']}'", " ".join(user["statements"])
    same = [row for row in account.get("user_rows", []) if (row["name"], row["host"]) == (user["name"], user["host"])]
    row = same[0] if same else {}
    expired = row.get("iam") and row.get("expired")
    if statements.startswith("CREATE USER"):
        return Check("account", BROKEN, f"{case.name} has no account {who}", repair)
    for sign, what in (
        ("IDENTIFIED WITH", "does not log in with AWSAuthenticationPlugin as 'RDS'"),
        ("DROP 2 FACTOR", "asks for a second factor"),
    ):
        if sign in statements and not expired:
            return Check("account", BROKEN, f"the account {who} of {case.name} {what}", repair)
    if row.get("locked"):
        if "ACCOUNT UNLOCK" not in statements:
            repair = f"set locked to false for {case.user} in db_users_accounts, and {repair}"
        return Check("account", BROKEN, f"the account {who} of {case.name} is locked", repair)
    if expired:
        return Check("account", BROKEN, f"the account {who} of {case.name} has expired as if it had a password", repair)
    client_host = (case.login or {}).get("client_host")
    if client_host and not _like(user["host"], client_host):
        text = f"the account {who} of {case.name} is not for {client_host}, from where {case.client} comes"
        repair = f"set the host of {case.user} in db_users_accounts to % or to a pattern that matches, and {repair}"
        return Check("account", BROKEN, text, repair)
    rest = "; its privileges or SSL requirement differ from what is asked for" if statements else ""
    return Check("account", OK, f"{case.name} has the account {who} for IAM logins{rest}")


def _like(pattern: str, text: str) -> bool:
    expression = "".join({"%": ".*", "_": "."}.get(char, re.escape(char)) for char in pattern)
    return re.fullmatch(expression, text, re.I) is not None or "/" in pattern
