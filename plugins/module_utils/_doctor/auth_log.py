# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read the log of RDS on refused IAM logins, and find the lines on a login. Pure, and private to this collection.

https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAMDBAuth.Troubleshooting.html has the lines.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

LOG = "iam-db-auth-error"
# Seconds by which a line may be older than the login that it is about, as clocks go, and later, as servers answer.
_BEFORE, _AFTER = 5, 30
_LINE = re.compile(
    r"\[ERROR\] (?P<text>Failed to \w+ the connection request for user '?(?P<user>.+?)'? (?:because|due to) .+?)\.?"
    r" \(Status Code: \d+, Error Code: ?(?P<code>\w+)\)"
)
# The session of an instance profile has the name of the EC2 instance.
_INSTANCE = re.compile(r":assumed-role/[^/]+/ ?(i-[0-9a-f]+)'")


@dataclass(frozen=True)
class Refusal:
    """One line of the log."""

    when: datetime
    user: str
    code: str
    text: str

    def __str__(self) -> str:
        return f"{self.code} at {self.when:%H:%M:%S} UTC ({self.text})"


def group(record: dict) -> str:
    """The log group of a database; a member of a cluster logs to that of its cluster."""
    cluster = record["cluster_identifier"]
    kind, name = ("cluster", cluster) if cluster else (record["kind"], record["identifier"])
    return f"/aws/rds/{kind}/{name}/{LOG}"


def parse(events: list[dict]) -> list[Refusal]:
    """The refusals among the events of CloudWatch Logs; what reads otherwise is left out."""
    found = []
    for event in events:
        line = _LINE.search(event["message"])
        if line:
            when = datetime.fromtimestamp(event["timestamp"] / 1000, timezone.utc)
            found.append(Refusal(when, line["user"], line["code"], line["text"]))
    return found


def window(times: list[datetime]) -> tuple[datetime, datetime]:
    """From when to when the lines of logins may be that were tried at these times."""
    return min(times) - timedelta(seconds=_BEFORE), max(times) + timedelta(seconds=_AFTER)


def about(refusals: list[Refusal], user: str, when: datetime, instance_id: str | None) -> list[Refusal]:
    """Those that may be about a login: of its user, at its time, and not by the credentials of another instance."""
    start, end = window([when])
    mine = [one for one in refusals if one.user == user and start <= one.when <= end]
    return [one for one in mine if _by(one) in (None, instance_id) or not instance_id]


def _by(refusal: Refusal) -> str | None:
    found = _INSTANCE.search(refusal.text)
    return found[1] if found else None


def tried_at(login: dict, clock_skew: float | None) -> datetime | None:
    """When a login was tried by the clock of AWS, of which that of its host may be ahead."""
    stamp = login.get("tried_at")
    if not stamp:
        return None
    seen = datetime.strptime(stamp, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
    return seen - timedelta(seconds=clock_skew or 0)
