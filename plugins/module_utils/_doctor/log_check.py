# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Check the log of RDS on a refused login. Pure, and private to this collection."""

from __future__ import annotations

from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.ec2 import Instance
from ansible_collections.dbops.rds_iam.plugins.module_utils._checks import FAILED, PASSED, UNKNOWN, Check
from ansible_collections.dbops.rds_iam.plugins.module_utils._doctor.auth_log import LOG, Refusal, time_of_login
from ansible_collections.dbops.rds_iam.plugins.module_utils._doctor.database_checks import aws_command
from ansible_collections.dbops.rds_iam.plugins.module_utils._doctor.evidence import LoginEvidence, Unreadable

# The remedy for the codes in RDS's log, where no check failed.
_REMEDIES = {
    "InvalidToken": "see that the credentials of the host are still valid, and of the account of the database",
    "ExpiredToken": "see that the clock of the host is right, since the token was made just before the login",
    "NotAuthorized": "have the policies of the organization, and those of the session of that caller, allow it",
    "ThrottlingException": "open fewer than 200 new IAM connections a second, or keep them in a pool",
    "InternalError": "try again, and ask AWS Support if it stays",
}


def _find_refusals(evidence: LoginEvidence) -> list[Refusal]:
    """Return the lines of the log on this login, or on one that it cannot be told from."""
    time = time_of_login(evidence.result, (evidence.facts or {}).get("clock_skew"))
    if not time or evidence.refusals is None or isinstance(evidence.refusals, Unreadable):
        return []
    instance_id = evidence.instance.instance_id if isinstance(evidence.instance, Instance) else None
    return evidence.refusals.about(evidence.user, time, instance_id)


def check_log(evidence: LoginEvidence) -> list[Check]:
    """Return the check of the log, where it was read. The log is no part of the way, so it never fails."""
    if evidence.refusals is None:
        return []
    if isinstance(evidence.refusals, Unreadable):
        return [Check("log", UNKNOWN, evidence.refusals.reason)]
    lines = " and ".join(dict.fromkeys(map(str, _find_refusals(evidence))))
    if not lines:
        message = (
            f"the log {LOG} of {evidence.name} has no line on {evidence.user} from then; one may still be on its way"
        )
        return [Check("log", UNKNOWN, message)]
    return [Check("log", PASSED, f"the log {LOG} of {evidence.name} says {lines}")]


def explain_refusal(evidence: LoginEvidence) -> Check:
    """Return the check of a login that the server refuses although all others pass: there RDS's own log helps."""
    message = "the server refuses the login although every check that could be made passed"
    codes = {refusal.code for refusal in _find_refusals(evidence)}
    remedy = _REMEDIES.get(codes.pop()) if len(codes) == 1 else None
    if remedy:
        return Check("login", FAILED, f"{message}, and {check_log(evidence)[0].message}", remedy)
    remedy = f"read the log {LOG} of the database, and the policies of the organization"
    record = evidence.record
    if record and LOG not in record["log_exports"]:
        command = f"{aws_command('modify', record)} --cloudwatch-logs-export-configuration EnableLogTypes={LOG}"
        remedy = f"have the log {LOG} of the database exported ({command}), and run the doctor again"
    return Check("login", FAILED, message, remedy)
