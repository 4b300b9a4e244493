# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Check what RDS has logged of a refused login. Pure, and private to this collection."""

from __future__ import annotations

from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.ec2 import Instance
from ansible_collections.dbops.rds_iam.plugins.module_utils._checks import BROKEN, OK, UNKNOWN, Check
from ansible_collections.dbops.rds_iam.plugins.module_utils._doctor.auth_log import LOG, Refusal, about, tried_at
from ansible_collections.dbops.rds_iam.plugins.module_utils._doctor.database_checks import aws_command
from ansible_collections.dbops.rds_iam.plugins.module_utils._doctor.evidence import LoginEvidence, Unreadable

# What to do about the codes in RDS's log, where nothing else is wrong.
_LOGGED = {
    "InvalidToken": "see that the credentials of the host are still valid, and of the account of the database",
    "ExpiredToken": "see that the clock of the host is right, since the token was made just before the login",
    "NotAuthorized": "have the policies of the organization, and those of the session of that caller, allow it",
    "ThrottlingException": "open fewer than 200 new IAM connections a second, or keep them in a pool",
    "InternalError": "try again, and ask AWS Support if it stays",
}


def _logged(case: LoginEvidence) -> list[Refusal]:
    """What RDS logged of this login, or of one that it cannot be told from."""
    skew = case.host.get("clock_skew") if isinstance(case.host, dict) else None
    when = tried_at(case.login or {}, skew)
    if not when or not isinstance(case.refusals, list):
        return []
    instance = case.instance.instance_id if isinstance(case.instance, Instance) else None
    return about(case.refusals, case.user, when, instance)


def check_log(case: LoginEvidence) -> list[Check]:
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


def explain_refusal(case: LoginEvidence) -> Check:
    """The server refuses, and every link holds that can be seen: there RDS's own log is what helps."""
    text = "the server refuses the login although every link that can be seen holds"
    codes = {one.code for one in _logged(case)}
    repair = _LOGGED.get(codes.pop()) if len(codes) == 1 else None
    if repair:
        return Check("login", BROKEN, f"{text}, and {check_log(case)[0].text}", repair)
    repair = f"read the log {LOG} of the database, and the policies of the organization"
    record = case.database
    if isinstance(record, dict) and LOG not in record["log_exports"]:
        command = f"{aws_command('modify', record)} --cloudwatch-logs-export-configuration EnableLogTypes={LOG}"
        repair = f"have the log {LOG} of the database exported ({command}), and run the doctor again"
    return Check("login", BROKEN, text, repair)
