# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Diagnose a login by the checks of its client, principal and database. Pure, and private to this collection."""

from __future__ import annotations

from dataclasses import replace

from ansible_collections.dbops.rds_iam.plugins.module_utils._checks import FAILED, PASSED, UNKNOWN, Check
from ansible_collections.dbops.rds_iam.plugins.module_utils._doctor import host_checks
from ansible_collections.dbops.rds_iam.plugins.module_utils._doctor.database_checks import (
    check_database,
    check_flag,
    check_user,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._doctor.evidence import LoginEvidence, Role
from ansible_collections.dbops.rds_iam.plugins.module_utils._doctor.log_check import check_log, explain_refusal
from ansible_collections.dbops.rds_iam.plugins.module_utils._host.results import LoginResult
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.near_miss import Target
from ansible_collections.dbops.rds_iam.plugins.module_utils._token.credential_sources import FROM_PROFILE

# The checks besides those of the database and of the way to the server.
_OTHER_CHECKS = ("clock", "profile", "credentials", "permission", "database_user", "token", "client_program")
_PROOF = "the login proves it"


def is_proven(login: LoginResult | None, expect: str) -> bool:
    """Return whether a login went as expected and was signed by the principal that it is to prove something about."""
    result = login or {}
    as_expected = result.get("verdict") == expect and result.get("as_expected", True)
    return bool(as_expected and ("signer" not in result or host_checks.is_expected_signer(result["signer"])))


def diagnose(evidence: LoginEvidence) -> list[Check]:
    """Return all checks of a login, in the order in which it needs them."""
    if is_proven(evidence.login, evidence.expect):
        return _proven_checks(evidence)
    checks = [
        check_database(evidence),
        check_flag(evidence),
        *host_checks.check_network(evidence),
        host_checks.check_clock(evidence),
        host_checks.check_profile(evidence),
        host_checks.check_credentials(evidence),
        _check_permission(evidence),
        check_user(evidence),
        _check_token(evidence),
        host_checks.check_programs(evidence),
    ]
    checks = _decide_by_elimination(evidence, checks)
    return [*checks, *check_log(evidence), _check_login(evidence, checks)]


def conclude(checks: list[Check]) -> tuple[str, str]:
    """Return the status of a login, and the reason for one that is not passed.

    That is the first failed check, or all that are unknown.
    """
    failed_check = next((check for check in checks if check.status == FAILED), None)
    if failed_check:
        return FAILED, f"{failed_check.message}; to repair it, {failed_check.remedy}"
    if checks[-1].status == PASSED:
        return PASSED, ""
    unknown_checks = "; ".join(f"{check.name}: {check.message}" for check in checks if check.status == UNKNOWN)
    log = "".join(f"; {check.message}" for check in checks if check.name == "log" and check.status == PASSED)
    return UNKNOWN, f"no check failed, and not all could be made ({unknown_checks}){log}"


def _proven_checks(evidence: LoginEvidence) -> list[Check]:
    """Return the checks of a proven login: a session proves all of them, a refusal the way to the server."""
    if evidence.expect == "denied":
        return [*(Check(name, PASSED, _PROOF) for name in host_checks.NETWORK), Check("login", PASSED, "refused")]
    session = f"{evidence.result['current_user']} over {evidence.result['tls_version']}"
    checks = [Check(name, PASSED, _PROOF) for name in ("database", "iam_auth", *host_checks.NETWORK, *_OTHER_CHECKS)]
    source = host_checks.signer_of(evidence).get("source") or FROM_PROFILE
    if source != FROM_PROFILE:
        profile = Check("profile", UNKNOWN, f"the credentials come from {source}")
        checks = [profile if check.name == "profile" else check for check in checks]
    return [*checks, Check("login", PASSED, session)]


def _decide_by_elimination(evidence: LoginEvidence, checks: list[Check]) -> list[Check]:
    """Return the checks; foreign credentials that are refused while all else passes have no permission."""
    doubtful_checks = [(check.name, check.status) for check in checks if check.status != PASSED]
    if evidence.result.get("verdict") != "denied" or doubtful_checks != [("credentials", UNKNOWN)]:
        return checks
    remedy = "remove them from the host, or give their owner the permission"
    return [check if check.status == PASSED else replace(check, status=FAILED, remedy=remedy) for check in checks]


def _check_permission(evidence: LoginEvidence) -> Check:
    role, record = evidence.role, evidence.record
    if record is None or evidence.absence:
        return Check("permission", UNKNOWN, "the database could not be read")
    if not isinstance(role, Role):
        return Check("permission", UNKNOWN, "the IAM role of the host is not known")
    arn = f"{record['connect_arn_prefix']}/{evidence.user}"
    target = Target(arn, record["identifier"], evidence.member_resource_ids, evidence.database_names)
    check = role.check_permission(target, explains=evidence.expect == "allowed")
    if evidence.expect == "allowed" or check.status == UNKNOWN:
        return check
    if check.status == PASSED:
        return Check("permission", FAILED, f"{check.message}, and it should not", "take the user out of that statement")
    return Check("permission", PASSED, f"{check.fact or check.message}, as it should be")


def _check_token(evidence: LoginEvidence) -> Check:
    result = evidence.result
    if result.get("failed_at") == "token":
        return Check("token", FAILED, result["msg"].rstrip("."), "give the endpoint and the region as RDS shows them")
    if not result or result.get("failed_at") == "credentials":
        return Check("token", UNKNOWN, evidence.login_error or "none was made without the right credentials")
    return Check("token", PASSED, f"it was signed for {result['endpoint']}:{result['port']} just before the login")


def _check_login(evidence: LoginEvidence, checks: list[Check]) -> Check:
    """Check the server's own answer; a refusal while no other check failed is a failed check itself."""
    result, statuses = evidence.result, {check.status for check in checks}
    if result.get("verdict") == evidence.expect:
        if result.get("as_expected", True):
            return _check_unproven_login(evidence, checks)
        message, _semicolon, remedy = result["msg"].rstrip(".").rpartition("; ")
        return Check("login", FAILED, message, remedy)
    if result.get("verdict") == "allowed":
        principal = host_checks.signer_of(evidence).get("principal") or "the role of the host"
        return Check("login", FAILED, "it is let in, and should not be", f"see which policy lets {principal} in")
    if result.get("verdict") == "denied" and statuses == {PASSED}:
        return explain_refusal(evidence)
    return Check("login", UNKNOWN, (result.get("msg") or evidence.login_error or "it was not tried").rstrip("."))


def _check_unproven_login(evidence: LoginEvidence, checks: list[Check]) -> Check:
    """Check a login that went as expected, and was signed with other credentials than those of the profile."""
    verdict = evidence.result["verdict"]
    if any(check.name == "credentials" and check.status == PASSED for check in checks):
        return Check("login", PASSED, verdict)
    message = f"it was {verdict}, as expected, which proves nothing about the role of {evidence.client}"
    return Check("login", UNKNOWN, message)
