# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Describe principals, EC2 instances, databases, and grants. Pure, and private to this collection."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypedDict

from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.rds_record import DatabaseRecord
from ansible_collections.dbops.rds_iam.plugins.module_utils._checks import FAILED, PASSED, UNKNOWN, Check
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.engine_names import (
    has_iam_logins,
    has_readable_users,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.near_miss import Target
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.policy_evaluation import Permissions, Policy, Statement
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.request_context import RequestContext, login_context
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.resources import is_pattern
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.trust import Trustee

_STATES = {PASSED: "open", FAILED: "closed", UNKNOWN: "unknown"}


@dataclass(frozen=True)
class Credentials:
    """The credentials of an IAM user. A field is None where it was not read, for the reason in C(unread_reason)."""

    active_keys: int | None = None
    console_password: bool | None = None
    unread_reason: str = "its access keys were not read"


@dataclass(frozen=True)
class Principal:
    """An IAM role or user, with all policies that count for it."""

    kind: str  # role or user
    name: str
    arn: str
    policies: list[Policy]
    trustees: list[Trustee] | None = field(default_factory=list)  # who may assume the role; None: not read
    instance_profiles: list[str] = field(default_factory=list)
    credentials: Credentials = Credentials()
    context: RequestContext | None = None

    def __str__(self) -> str:
        return f"the IAM {self.kind} {self.name}"

    @cached_property
    def permissions(self) -> Permissions:
        return Permissions(self.policies, self.context or login_context(self.kind, self.name, self.arn))

    @property
    def connect_statements(self) -> list[Statement]:
        """Return the statements that let it connect as some database user, whatever takes that away again."""
        return self.permissions.allow_statements


@dataclass(frozen=True)
class Instance:
    """An EC2 instance that has an instance profile."""

    instance_id: str
    name: str  # the tag Name, or the id
    state: str
    instance_profile: str


class _UserFields(TypedDict):
    name: str
    host: str
    iam: bool  # it takes IAM logins
    plugin: str
    require: str
    locked: bool
    system: bool


class UserRecord(_UserFields, total=False):
    """A database user, as the module rds_iam_db_user_info returns and documents it."""

    expired: bool


def user_title(user: UserRecord) -> str:
    return f"'{user['name']}'@'{user['host']}'"


@dataclass(frozen=True)
class Database:
    """A DB cluster, or a DB instance that is in none."""

    name: str
    record: DatabaseRecord
    member_resource_ids: tuple[str, ...] = ()  # of the instances in a cluster
    users: list[UserRecord] | None = None  # None: not read, for this reason
    unread_reason: str = "the inventory does not have this database"
    is_requested: bool = False  # whether the options of the module name it

    @property
    def prefix(self) -> str:
        """Return what the ARNs of its users begin with, without the slash."""
        return self.record["connect_arn_prefix"]

    @property
    def takes_iam_logins(self) -> bool:
        """Tell whether rds-db:connect is for its engine."""
        return has_iam_logins(self.record["engine"])

    @property
    def is_managed(self) -> bool:
        """Tell whether the collection handles its engine."""
        return has_readable_users(self.record["engine"])

    @cached_property
    def iam_users(self) -> list[str]:
        return list(dict.fromkeys(user["name"] for user in self.users or [] if user["iam"]))

    def target(self, user: str) -> Target:
        """Return a user of it as a target of logins. C(user) may be a pattern where the users were not read."""
        is_user_pattern = self.users is None and is_pattern(user)
        identifier = self.record["identifier"]
        return Target(f"{self.prefix}/{user}", identifier, self.member_resource_ids, is_pattern=is_user_pattern)


@dataclass(frozen=True)
class Grant:
    """The permission of a principal to connect as a database user, and all checks of such a login."""

    principal: Principal
    database: Database
    user: str  # or a pattern with * and ?, where the users were not read
    checks: list[Check]

    @property
    def state(self) -> str:
        statuses = {check.status for check in self.checks}
        return _STATES[next((status for status in (FAILED, UNKNOWN) if status in statuses), PASSED)]

    def check(self, name: str) -> Check:
        return next(check for check in self.checks if check.name == name)

    def to_dict(self) -> dict[str, Any]:
        """Return the grant as the map has it."""
        # Where all checks pass, that of the credentials says who can log in.
        failed_checks = (
            check for check in self.checks if check.status != PASSED and _STATES[check.status] == self.state
        )
        decisive_check = next(failed_checks, self.check("credentials"))
        return {
            "principal": self.principal.arn,
            "database": self.database.name,
            "user": self.user,
            "state": self.state,
            "reason": decisive_check.message,
            "checks": [{"name": check.name, "status": check.status, "message": check.message} for check in self.checks],
        }
