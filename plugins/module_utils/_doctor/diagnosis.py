# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Diagnose a login by the checks of its client, principal and database. Pure, and private to this collection."""

from __future__ import annotations

from dataclasses import replace

from ansible_collections.dbops.rds_iam.plugins.module_utils._checks import BROKEN, OK, UNKNOWN, Check
from ansible_collections.dbops.rds_iam.plugins.module_utils._doctor import host_checks
from ansible_collections.dbops.rds_iam.plugins.module_utils._doctor.database_checks import (
    check_database,
    check_flag,
    check_user,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._doctor.evidence import LoginEvidence, Role, Unreadable
from ansible_collections.dbops.rds_iam.plugins.module_utils._doctor.log_check import check_log, explain_refusal
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.near_miss import Target
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.permission_check import check_policies
from ansible_collections.dbops.rds_iam.plugins.module_utils._token import credential_sources

# What a login needs besides the way to the server.
_REST = ("clock", "profile", "credentials", "permission", "account", "token", "client")
_PROVEN = "the login proves it"


def is_proven(login: dict | None, expect: str) -> bool:
    """Tell whether a login, as rds_iam_ping returns it, went as expected and was signed by whom it is to prove."""
    login = login or {}
    as_expected = login.get("verdict") == expect and login.get("as_expected", True)
    return bool(as_expected and ("signer" not in login or host_checks.is_own(login["signer"])))


def diagnose(case: LoginEvidence) -> list[Check]:
    """Return every link, in the order in which the chain holds."""
    if is_proven(case.login, case.expect):
        return _proven(case)
    links = [check_database(case), check_flag(case), *host_checks.network(case), host_checks.clock(case)]
    links += [host_checks.profile(case), host_checks.credentials(case)]
    links += [_permission(case), check_user(case), _token(case), host_checks.programs(case)]
    links = _by_elimination(case, links)
    return [*links, *check_log(case), _answer(case, links)]


def verdict(links: list[Check]) -> tuple[str, str]:
    """The state of a login, and the reason why it is not ok: the first broken link, or all that could not be seen."""
    broken = next((link for link in links if link.state == BROKEN), None)
    if broken:
        return BROKEN, f"{broken.text}; to repair it, {broken.repair}"
    if links[-1].state == OK:
        return OK, ""
    unseen = "; ".join(f"{link.name}: {link.text}" for link in links if link.state == UNKNOWN)
    logged = "".join(f"; {link.text}" for link in links if link.name == "log" and link.state == OK)
    return UNKNOWN, f"no link was found broken, and not all could be seen ({unseen}){logged}"


def _proven(case: LoginEvidence) -> list[Check]:
    """A login that went as it should proves what it needs; a refusal proves the way to the server."""
    if case.expect == "denied":
        return [*(Check(name, OK, _PROVEN) for name in host_checks.NETWORK), Check("login", OK, "refused")]
    said = f"{case.login['current_user']} over {case.login['tls_version']}"
    links = [Check(name, OK, _PROVEN) for name in ("database", "flag", *host_checks.NETWORK, *_REST)]
    source = host_checks.signer(case).get("source") or credential_sources.FROM_PROFILE
    if source != credential_sources.FROM_PROFILE:
        aside = Check("profile", UNKNOWN, f"the credentials come from {source}")
        links = [aside if link.name == "profile" else link for link in links]
    return [*links, Check("login", OK, said)]


def _by_elimination(case: LoginEvidence, links: list[Check]) -> list[Check]:
    """Credentials of others may have the permission; where they are refused and all else is good, they have it not."""
    doubtful = [link for link in links if link.state != OK]
    found = [(link.name, link.state) for link in doubtful]
    if (case.login or {}).get("verdict") != "denied" or found != [("credentials", UNKNOWN)]:
        return links
    repair = "remove them from the host, or give their owner the permission"
    return [replace(link, state=BROKEN, repair=repair) if link in doubtful else link for link in links]


def _permission(case: LoginEvidence) -> Check:
    if isinstance(case.database, Unreadable) or case.missing:
        return Check("permission", UNKNOWN, "the database could not be read")
    if not isinstance(case.role, Role):
        return Check("permission", UNKNOWN, "the IAM role of the host is not known")
    if isinstance(case.role.policies, Unreadable):
        return Check("permission", UNKNOWN, case.role.policies.reason)
    arn = f"{case.database['connect_arn_prefix']}/{case.user}"
    target = Target(arn, case.database["identifier"], case.member_resource_ids, case.resource_ids)
    who, simulated = f"the IAM role {case.role.name}", case.role.simulated.get(arn)
    found = check_policies(target, who, case.role.policies, simulated, case.role.context)
    if case.expect == "allowed" or found.state == UNKNOWN:
        return found
    if found.state == OK:
        return Check("permission", BROKEN, f"{found.text}, and it should not", "take the user out of that statement")
    return Check("permission", OK, f"{found.fact or found.text}, as it should be")


def _token(case: LoginEvidence) -> Check:
    login = case.login or {}
    if login.get("failed_at") == "token":
        return Check("token", BROKEN, login["msg"].rstrip("."), "give the endpoint and the region as RDS shows them")
    if not login or login.get("failed_at") == "credentials":
        return Check("token", UNKNOWN, case.login_error or "none was made without the right credentials")
    return Check("token", OK, f"it was signed for {login['endpoint']}:{login['port']} just before the login")


def _unproven(case: LoginEvidence, links: list[Check]) -> Check:
    """Judge a login that went as expected and was signed with other credentials than those of the profile."""
    if any(link.name == "credentials" and link.state == OK for link in links):
        return Check("login", OK, case.login["verdict"])
    text = f"it was {case.login['verdict']}, as expected, which proves nothing about the role of {case.client}"
    return Check("login", UNKNOWN, text)


def _answer(case: LoginEvidence, links: list[Check]) -> Check:
    """Judge the login's own answer; refused with nothing broken before it is a broken link of its own."""
    login = case.login or {}
    if login.get("verdict") == case.expect and login.get("as_expected", True):
        return _unproven(case, links)
    if login.get("verdict") == case.expect:
        text, _semicolon, repair = login["msg"].rstrip(".").rpartition("; ")
        return Check("login", BROKEN, text, repair)
    if login.get("verdict") == "allowed":
        principal = host_checks.signer(case).get("principal") or "the role of the host"
        return Check("login", BROKEN, "it is let in, and should not be", f"see which policy lets {principal} in")
    if any(link.state == BROKEN for link in links):
        return Check("login", UNKNOWN, login.get("msg", case.login_error or "it was not tried").rstrip("."))
    if login.get("verdict") == "denied" and not any(link.state == UNKNOWN for link in links):
        return explain_refusal(case)
    return Check("login", UNKNOWN, (login.get("msg") or case.login_error or "it was not tried").rstrip("."))
