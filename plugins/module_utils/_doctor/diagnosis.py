# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The chain from a host to a database user, from what was read at both ends. Pure, and private to this collection."""

from __future__ import annotations

import re
from dataclasses import replace

from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.ec2 import Instance
from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.rds_record import FLAG, title
from ansible_collections.dbops.rds_iam.plugins.module_utils._checks import BROKEN, OK, UNKNOWN, Check
from ansible_collections.dbops.rds_iam.plugins.module_utils._doctor import host_checks
from ansible_collections.dbops.rds_iam.plugins.module_utils._doctor.auth_log import LOG, Refusal, about, tried_at
from ansible_collections.dbops.rds_iam.plugins.module_utils._doctor.evidence import LoginEvidence, Role, Unreadable
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.near_miss import Target
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.permission_check import check_policies
from ansible_collections.dbops.rds_iam.plugins.module_utils._token import credential_sources

# Statuses in which a database takes no logins.
_CLOSED = {"creating", "deleting", "failed", "rebooting", "starting", "stopped", "stopping", "storage-full"}
# What a login needs besides the way to the server.
_REST = ("clock", "profile", "credentials", "permission", "account", "token", "client")
_PROVEN = "the login proves it"
# What to do about the codes in RDS's log, where nothing else is wrong.
_LOGGED = {
    "InvalidToken": "see that the credentials of the host are still valid, and of the account of the database",
    "ExpiredToken": "see that the clock of the host is right, since the token was made just before the login",
    "NotAuthorized": "have the policies of the organization, and those of the session of that caller, allow it",
    "ThrottlingException": "open fewer than 200 new IAM connections a second, or keep them in a pool",
    "InternalError": "try again, and ask AWS Support if it stays",
}


def is_proven(login: dict | None, expect: str) -> bool:
    """Tell whether a login, as rds_iam_ping returns it, went as expected and was signed by whom it is to prove."""
    login = login or {}
    as_expected = login.get("verdict") == expect and login.get("as_expected", True)
    return bool(as_expected and ("signer" not in login or host_checks.is_own(login["signer"])))


def diagnose(case: LoginEvidence) -> list[Check]:
    """Return every link, in the order in which the chain holds."""
    if is_proven(case.login, case.expect):
        return _proven(case)
    links = [_database(case), _flag(case), *host_checks.network(case), host_checks.clock(case)]
    links += [host_checks.profile(case), host_checks.credentials(case)]
    links += [_permission(case), _account(case), _token(case), host_checks.programs(case)]
    links = _by_elimination(case, links)
    return [*links, *_log(case), _answer(case, links)]


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


def _database(case: LoginEvidence) -> Check:
    record = case.database
    if case.missing:
        repair = f"correct the identifier of {case.name} in the inventory"
        return Check("database", BROKEN, case.missing.rstrip("."), repair)
    if isinstance(record, Unreadable):
        return Check("database", UNKNOWN, record.reason)
    if record["status"] in _CLOSED or str(record["status"]).startswith(("inaccessible", "incompatible")):
        repair = "wait until it is available, or do what its events in RDS ask for"
        if record["status"] == "stopped":
            repair = f"start it ({_command('start', record)})"
        text = f"the {title(record)} does not take logins, since its status is {record['status']}"
        return Check("database", BROKEN, text, repair)
    return Check("database", OK, f"the {title(record)} is {record['status']}")


def _command(verb: str, record: dict) -> str:
    """A command of the AWS CLI for a database."""
    return f"aws rds {verb}-db-{record['kind']} --db-{record['kind']}-identifier {record['identifier']}"


def _flag(case: LoginEvidence) -> Check:
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


def _account(case: LoginEvidence) -> Check:
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


def _token(case: LoginEvidence) -> Check:
    login = case.login or {}
    if login.get("failed_at") == "token":
        return Check("token", BROKEN, login["msg"].rstrip("."), "give the endpoint and the region as RDS shows them")
    if not login or login.get("failed_at") == "credentials":
        return Check("token", UNKNOWN, case.login_error or "none was made without the right credentials")
    return Check("token", OK, f"it was signed for {login['endpoint']}:{login['port']} just before the login")


def _logged(case: LoginEvidence) -> list[Refusal]:
    """What RDS logged of this login, or of one that it cannot be told from."""
    skew = case.host.get("clock_skew") if isinstance(case.host, dict) else None
    when = tried_at(case.login or {}, skew)
    if not when or not isinstance(case.refusals, list):
        return []
    instance = case.instance.instance_id if isinstance(case.instance, Instance) else None
    return about(case.refusals, case.user, when, instance)


def _log(case: LoginEvidence) -> list[Check]:
    """What RDS itself has logged, where it was asked. It is no part of the way, so it is never what is broken."""
    if case.refusals is None:
        return []
    if isinstance(case.refusals, Unreadable):
        return [Check("log", UNKNOWN, case.refusals.reason)]
    found = _logged(case)
    if not found:
        text = f"the log {LOG} of {case.name} has no line on {case.user} from then; one may still be on its way"
        return [Check("log", UNKNOWN, text)]
    said = " and ".join(dict.fromkeys(map(str, found)))
    return [Check("log", OK, f"the log {LOG} of {case.name} says {said}")]


def _refused(case: LoginEvidence) -> Check:
    """The server refuses, and every link holds that can be seen: there RDS's own log is what helps."""
    text = "the server refuses the login although every link that can be seen holds"
    codes = {one.code for one in _logged(case)}
    repair = _LOGGED.get(codes.pop()) if len(codes) == 1 else None
    if repair:
        return Check("login", BROKEN, f"{text}, and {_log(case)[0].text}", repair)
    repair = f"read the log {LOG} of the database, and the policies of the organization"
    record = case.database
    if isinstance(record, dict) and LOG not in record["log_exports"]:
        command = f"{_command('modify', record)} --cloudwatch-logs-export-configuration EnableLogTypes={LOG}"
        repair = f"have the log {LOG} of the database exported ({command}), and run the doctor again"
    return Check("login", BROKEN, text, repair)


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
        return _refused(case)
    return Check("login", UNKNOWN, (login.get("msg") or case.login_error or "it was not tried").rstrip("."))
