# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The outcome of a run for one database user. Pure, and private to this collection."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypedDict

from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.database_user import UserKey
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.desired_users import DesiredUser


class SessionRecord(TypedDict):
    """An open session, as rds_iam_db_user returns it."""

    id: int
    client: str
    database: str
    ended: bool


class UserRecord(TypedDict):
    """An entry of what rds_iam_db_user returns as users."""

    name: str
    host: str
    state: str
    changed: bool
    outcome: str
    reason: str
    sessions: list[SessionRecord]
    statements: list[str]


@dataclass
class UserOutcome:
    """The outcome for one database user, as far as the run has come; before it, what is planned.

    statements: those that are planned for it
    changed: whether the user changes, or would in check mode
    keep_reason: why a user stays that was to go; empty for any other
    """

    desired_user: DesiredUser
    statements: list[str]
    changed: bool
    keep_reason: str = ""
    status: Literal["done", "failed", "not_tried"] = "done"
    sessions: list[SessionRecord] = field(default_factory=list)

    @property
    def key(self) -> UserKey:
        return self.desired_user.user.key

    def to_result(self) -> UserRecord:
        return {
            "name": self.desired_user.user.name,
            "host": self.desired_user.user.host,
            "state": "present" if self.desired_user.present else "absent",
            "changed": self.changed,
            "outcome": "kept" if self.keep_reason else self.status,
            "reason": self.keep_reason,
            "sessions": self.sessions,
            "statements": self.statements,
        }
