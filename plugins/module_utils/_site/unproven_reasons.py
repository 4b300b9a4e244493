# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Judge whether the result of a login proves it. Pure, and private to this collection.

Each function returns why a condition does not hold, as a clause without a period at its end, or an empty string.
"""

from __future__ import annotations

from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.base import UserRow
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.login_obstacle import login_obstacle
from ansible_collections.dbops.rds_iam.plugins.module_utils._host.results import LoginResult, SignerResult
from ansible_collections.dbops.rds_iam.plugins.module_utils._site.login_matrix import ALLOWED, Login
from ansible_collections.dbops.rds_iam.plugins.module_utils._site.run_state import Attempt, DatabaseState
from ansible_collections.dbops.rds_iam.plugins.module_utils._token.credential_sources import FROM_PROFILE

_NO_PROOF = "it was denied, which proves nothing about the policy, since "
_CREATE = "; create the database user with dbops.rds_iam.site --tags step3"
_SWITCH_ON = "; switch it on with dbops.rds_iam.site --tags step1"
_ARN_ACCOUNT = 4  # the index of the account among the parts of an ARN


def missing_evidence(login: Login, attempt: Attempt, database: DatabaseState) -> str:
    """Return the evidence that a login with the expected verdict lacks to be proven."""
    lack = wrong_signer(attempt.client, login.principal, attempt.signer) or _wrong_account(login, attempt, database)
    if lack:
        return lack
    if login.expected == ALLOWED:
        return wrong_user(login.user, attempt.result)
    if database.rows is None:
        return f"{_NO_PROOF}whether {login.database} has this database user is not known: {database.rows_error}"
    rows = database.candidate_rows(login.user, attempt.result.get("client_host"))
    if login.removed:
        return _remaining_row(login, rows)
    if not database.takes_iam_logins:
        return f"{_NO_PROOF}IAM database authentication of {login.database} is off{_SWITCH_ON}"
    return _other_reason(login, attempt.result, rows)


def _wrong_account(login: Login, attempt: Attempt, database: DatabaseState) -> str:
    """Return that a principal of another AWS account than the database signed."""
    principal = str(attempt.signer.get("principal") or "")
    account = database.record.get("account_id") if database.record else None
    if principal.startswith("arn:") and account and principal.split(":")[_ARN_ACCOUNT] != account:
        return f"{attempt.client} signed it as {principal}, which is of another AWS account than {login.database}"
    return ""


def wrong_signer(client: str, principal: str, signer: SignerResult) -> str:
    """Return that another principal than the expected one signed, or one that is not known.

    principal: empty where any role is good whose credentials come from the instance profile of the client
    """
    is_expected = signer.get("is_expected")
    if is_expected or (is_expected is None and not principal and signer.get("source") == FROM_PROFILE):
        return ""
    signing_principal = signer.get("principal") or signer.get("role_name")
    expected_principal = f"the IAM role {principal}" if principal else "the role of its instance profile"
    if not signing_principal:
        error = str(signer.get("error") or "the client did not tell").rstrip(".")
        return f"it is not known whether {client} signed it as {expected_principal}: {error}"
    source = f" with credentials from {signer.get('source')}"
    remedy = f"remove those credentials from {client}" if principal else "name the principal in connect_principal"
    return f"{client} signed it as {signing_principal}{source}, and not as {expected_principal}; {remedy}"


def wrong_user(user: str, result: LoginResult) -> str:
    """Return that the server logged the client in as another database user than the one asked for."""
    current_user = result.get("current_user")
    if current_user is None or current_user.rpartition("@")[0] == user:
        return ""
    return f"the server logged it in as the database user {current_user}"


def refusing_row(login: Login, attempt: Attempt, database: DatabaseState) -> str:
    """Return the row of mysql.user because of which an IAM login cannot pass, where that is certain."""
    if database.rows is None or attempt.verdict != "denied":
        return ""
    rows = database.candidate_rows(login.user, attempt.result.get("client_host"))
    row = rows[0] if len(rows) == 1 else None
    obstacle = login_obstacle(row) if row else ""
    return (
        f"{login.database} takes {_name(row)} for it, which {obstacle}; drop or rename that user"
        if row and obstacle
        else ""
    )


def _other_reason(login: Login, result: LoginResult, rows: list[UserRow | None]) -> str:
    """Return the reason other than IAM for which the server denied a login, or may have denied it."""
    takes = "takes" if len(rows) == 1 else "may take"
    for row in rows:
        if row is None:
            client_host = result.get("client_host") or "this client"
            return f"{_NO_PROOF}{login.database} has no database user {login.user} for {client_host}{_CREATE}"
        obstacle = login_obstacle(row)
        if obstacle:
            return f"{_NO_PROOF}{login.database} {takes} {_name(row)} for it, which {obstacle}"
    return ""


def _remaining_row(login: Login, rows: list[UserRow | None]) -> str:
    """Return the row for this client that a user has who must be removed."""
    row = next((row for row in rows if row is not None), None)
    if row is None:
        return ""
    if not row["name"]:
        return f"it was denied, and {login.database} takes the anonymous user {_name(row)} for it; drop that user"
    obstacle = login_obstacle(row) or "logs in with IAM"
    return f"it was denied, and {login.database} still has {_name(row)}, which {obstacle}; drop that user"


def _name(row: UserRow) -> str:
    return f"'{row['name']}'@'{row['host']}'"
