# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Judge what the result of a login proves. Pure, and private to this collection.

Each function returns why something does not hold, as a clause without a period at its end, or an empty string.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.base import UserRow
from ansible_collections.dbops.rds_iam.plugins.module_utils._site.login_matrix import ALLOWED, Login
from ansible_collections.dbops.rds_iam.plugins.module_utils._site.run_state import Attempt, DatabaseState

_FROM_PROFILE = "iam-role"  # as botocore calls the credentials of an instance profile
_NO_PROOF = "it was denied, which proves nothing about the policy, since "
_CREATE = "; create the database user with dbops.rds_iam.site --tags step3"
_SWITCH_ON = "; switch it on with dbops.rds_iam.site --tags step1"


def missing_evidence(login: Login, attempt: Attempt, database: DatabaseState) -> str:
    """Return what a login lacks, whose verdict is the expected one, to be proven."""
    signed = wrong_signer(attempt.client, login.principal, attempt.signer)
    if signed:
        return signed
    principal, account = str(attempt.signer.get("principal") or ""), (database.record or {}).get("account_id")
    if principal.startswith("arn:") and account and principal.split(":")[4] != account:
        return f"{attempt.client} signed it as {principal}, which is of another AWS account than {login.database}"
    if login.expected == ALLOWED:
        return wrong_user(login.user, attempt.result)
    if database.rows is None:
        return f"{_NO_PROOF}whether {login.database} has this database user is not known: {database.rows_error}"
    rows = database.candidate_rows(database.rows, login.user, attempt.result.get("client_host"))
    if login.removed:
        return _still_there(login, rows)
    if not database.takes_iam_logins:
        return f"{_NO_PROOF}IAM database authentication of {login.database} is off{_SWITCH_ON}"
    return _not_the_policy(login, attempt.result, rows)


def wrong_signer(client: str, principal: str, signer: Mapping[str, Any]) -> str:
    """Tell whether another principal than the expected one signed, or none that is known.

    principal: empty where any role is good whose credentials come from the instance profile of the client
    """
    expected = signer.get("is_expected")
    if expected or (expected is None and not principal and signer.get("source") == _FROM_PROFILE):
        return ""
    who = signer.get("principal") or signer.get("role_name")
    instead = f"the IAM role {principal}" if principal else "the role of its instance profile"
    if not who:
        why = str(signer.get("error") or "the client did not tell").rstrip(".")
        return f"it is not known whether {client} signed it as {instead}: {why}"
    source = f" with credentials from {signer.get('source')}"
    remedy = f"remove those credentials from {client}" if principal else "name the principal in connect_principal"
    return f"{client} signed it as {who}{source}, and not as {instead}; {remedy}"


def wrong_user(user: str, result: Mapping[str, Any]) -> str:
    """Tell whether the server logged the client in as another database user than the one asked for."""
    current = result.get("current_user")
    if current is None or current.rpartition("@")[0] == user:
        return ""
    return f"the server logged it in as the database user {current}"


def refusing_row(login: Login, attempt: Attempt, database: DatabaseState) -> str:
    """Return the row of mysql.user because of which an IAM login cannot pass, where that is certain."""
    if database.rows is None or attempt.verdict != "denied":
        return ""
    rows = database.candidate_rows(database.rows, login.user, attempt.result.get("client_host"))
    fault = _fault(rows[0]) if len(rows) == 1 and rows[0] else ""
    return f"{login.database} takes {_name(rows[0])} for it, which {fault}; drop or rename that user" if fault else ""


def _not_the_policy(login: Login, result: Mapping[str, Any], rows: list[UserRow | None]) -> str:
    """Tell whether the server had another reason than IAM to deny a login, or may have had one."""
    takes = "takes" if len(rows) == 1 else "may take"
    for row in rows:
        if row is None:
            where = result.get("client_host") or "this client"
            return f"{_NO_PROOF}{login.database} has no database user {login.user} for {where}{_CREATE}"
        fault = _fault(row)
        if fault:
            return f"{_NO_PROOF}{login.database} {takes} {_name(row)} for it, which {fault}"
    return ""


def _still_there(login: Login, rows: list[UserRow | None]) -> str:
    """Tell whether a user that must be removed has a row left, for this client."""
    left = next((row for row in rows if row is not None), None)
    if left is None:
        return ""
    if not left["name"]:
        return f"it was denied, and {login.database} takes the anonymous user {_name(left)} for it; drop that user"
    fault = _fault(left) or "logs in with IAM"
    return f"it was denied, and {login.database} still has {_name(left)}, which {fault}; drop that user"


def _name(row: UserRow) -> str:
    return f"'{row['name']}'@'{row['host']}'"


def _fault(row: UserRow) -> str:
    """Return why no IAM login can pass by a row, whatever the policy says."""
    if not row["iam"]:
        return f"logs in with {row['plugin'] or 'a password'}"
    if row.get("locked"):
        return "is locked"
    if row.get("expired"):
        return "has expired"
    if row.get("require") in ("X509", "SPECIFIED"):
        return f"requires a client certificate ({row['require']})"
    return ""
