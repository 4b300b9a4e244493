# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The log iam-db-auth-error of a database that exports it to CloudWatch Logs, in the words of AWS's user guide.

https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAMDBAuth.Troubleshooting.html has a line for each
of these. What RDS writes of other refusals it does not say, so the lab writes nothing of them.
"""

from __future__ import annotations

import datetime

from ministack.services import cloudwatch_logs

LOG = "iam-db-auth-error"
MALFORMED = "authenticate", "because the provided token is malformed or otherwise invalid.", 400, "InvalidToken"
NOT_ALLOWED = (
    "authorize",
    "because the IAM policy assumed by the caller '{caller}' is not authorized to perform `rds-db:connect` on the DB"
    " instance.",
    403,
    "NotAuthorized",
)
LINES = {
    "InvalidToken": MALFORMED,
    "SignatureDoesNotMatch": MALFORMED,
    "ExpiredToken": ("authenticate", "because the token age is longer than 15 minutes.", 400, "ExpiredToken"),
    "Deny": NOT_ALLOWED,
    "ImplicitDeny": NOT_ALLOWED,
}


def write(kind: str, database: str, member: str, user: str, code: str, caller: str | None) -> None:
    """Write a line about a refusal of the DB instance `member`. Needs the scope of the account and the region."""
    if code not in LINES:
        return
    verb, reason, status, name = LINES[code]
    now = datetime.datetime.now(datetime.timezone.utc)
    text = f"{now:%Y-%m-%dT%H:%M:%S},{now.microsecond // 1000:03} [ERROR] Failed to {verb} the connection request"
    text += f" for user '{user}' {reason.format(caller=caller)} (Status Code: {status}, Error Code: {name})"
    stream = {"logGroupName": f"/aws/rds/{kind}/{database}/{LOG}", "logStreamName": member}
    for call in (cloudwatch_logs._create_log_group, cloudwatch_logs._create_log_stream):
        call(stream)  # which says so if it is there, and leaves it
    event = {"timestamp": int(now.timestamp() * 1000), "message": text}
    cloudwatch_logs._put_log_events({**stream, "logEvents": [event]})
