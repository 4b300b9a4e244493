# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read the log of RDS on refused IAM logins, and find the lines on a login. Pure, and private to this collection.

https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAMDBAuth.Troubleshooting.html has the lines.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.rds_record import DatabaseRecord
from ansible_collections.dbops.rds_iam.plugins.module_utils._host.results import LoginResult

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

    time: datetime
    user: str
    code: str
    text: str

    def __str__(self) -> str:
        return f"{self.code} at {self.time:%H:%M:%S} UTC ({self.text})"

    @property
    def instance_id(self) -> str | None:
        """Return the EC2 instance whose credentials were refused; None where the line does not tell."""
        match = _INSTANCE.search(self.text)
        return match[1] if match else None


class _Timeline:
    """Refusals in the order of their times."""

    def __init__(self, refusals: list[Refusal]) -> None:
        self._refusals = sorted(refusals, key=lambda refusal: refusal.time)
        self._times = [refusal.time for refusal in self._refusals]

    def between(self, start: datetime, end: datetime) -> list[Refusal]:
        return self._refusals[bisect_left(self._times, start) : bisect_right(self._times, end)]


class RefusalLog:
    """The lines of one log, by user and EC2 instance, so that the lines on a login are found without reading all.

    Of lines that read alike and are of one second, the first and the last are enough: a login is compared with spans of
    time that are longer. So the lines that may be about one login are few, however many clients try it.
    """

    def __init__(self, refusals: Iterable[Refusal]) -> None:
        spans: dict[tuple[str, int, str], tuple[Refusal, Refusal]] = {}
        for refusal in sorted(refusals, key=lambda refusal: refusal.time):
            key = (refusal.user, int(refusal.time.timestamp()), str(refusal))
            first = spans[key][0] if key in spans else refusal
            spans[key] = (first, refusal)
        lines: dict[tuple[str, str | None], list[Refusal]] = defaultdict(list)
        lines_of_user: dict[str, list[Refusal]] = defaultdict(list)
        for span in spans.values():
            for refusal in dict.fromkeys(span):
                lines[refusal.user, refusal.instance_id].append(refusal)
                lines_of_user[refusal.user].append(refusal)
        self._lines = {key: _Timeline(refusals_of_key) for key, refusals_of_key in lines.items()}
        self._lines_of_user = {user: _Timeline(refusals_of_user) for user, refusals_of_user in lines_of_user.items()}

    def about(self, user: str, tried_at: datetime, instance_id: str | None) -> list[Refusal]:
        """Return the lines that may be about a login: of its user, at its time, and not of another instance.

        instance_id: the EC2 instance of the client; None if unknown
        """
        start, end = window([tried_at])
        if not instance_id:
            timeline = self._lines_of_user.get(user)
            return timeline.between(start, end) if timeline else []
        timelines = (self._lines.get((user, caller)) for caller in (instance_id, None))
        refusals = [refusal for timeline in timelines if timeline for refusal in timeline.between(start, end)]
        return sorted(refusals, key=lambda refusal: refusal.time)


def log_group(record: DatabaseRecord) -> str:
    """Return the log group of a database; a member of a cluster logs to that of its cluster."""
    cluster = record["cluster_identifier"]
    kind, name = ("cluster", cluster) if cluster else (record["kind"], record["identifier"])
    return f"/aws/rds/{kind}/{name}/{LOG}"


def parse_events(events: Iterable[Mapping[str, Any]]) -> list[Refusal]:
    """Return the refusals among events of CloudWatch Logs, without those that read otherwise.

    events: from the answer of FilterLogEvents, with C(timestamp), in milliseconds since 1970, and C(message)
    """
    matches = ((event, _LINE.search(event["message"])) for event in events)
    return [
        Refusal(_time_of(event["timestamp"]), match["user"], match["code"], match["text"])
        for event, match in matches
        if match
    ]


def _time_of(milliseconds: float) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, timezone.utc)


def window(times: list[datetime]) -> tuple[datetime, datetime]:
    """Return the first and the last time that lines on logins may have that were tried at these times."""
    return min(times) - timedelta(seconds=_BEFORE), max(times) + timedelta(seconds=_AFTER)


def time_of_login(login: LoginResult, clock_skew: float | None) -> datetime | None:
    """Return the time at which a login was tried, by the clock of AWS; None if it was not.

    clock_skew: seconds by which the clock of the client is ahead; None if unknown
    """
    stamp = login.get("tried_at")
    if not stamp:
        return None
    client_time = datetime.strptime(stamp, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
    return client_time - timedelta(seconds=clock_skew or 0)
