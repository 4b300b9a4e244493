# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Principals, EC2 hosts, databases, and what a grant is. Pure, and private to this collection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from ansible_collections.dbops.rds_iam.plugins.module_utils._checks import BROKEN, OK, UNKNOWN, Check
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.engine_names import (
    has_iam_logins,
    has_readable_users,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.near_miss import Target
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.policy_evaluation import Permissions, Policy, Statement
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.request_context import RequestContext, login_context
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.resources import is_pattern
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.trust import Trustee

_STATES = {OK: "open", BROKEN: "closed", UNKNOWN: "unknown"}


@dataclass(frozen=True)
class Credentials:
    """With what an IAM user can sign. A thing is None where it was not read, for the reason in C(unread)."""

    active_keys: int | None = None
    console_password: bool | None = None
    unread: str = "its access keys were not read"


@dataclass(frozen=True)
class Principal:
    """An IAM role or user, with all policies that count for it."""

    kind: str  # role or user
    name: str
    arn: str
    policies: list[Policy]
    trustees: list[Trustee] | None = field(default_factory=list)  # who may assume the role; None: not read
    profiles: list[str] = field(default_factory=list)
    credentials: Credentials = Credentials()
    context: RequestContext | None = None

    def __str__(self) -> str:
        return f"the IAM {self.kind} {self.name}"

    @cached_property
    def permissions(self) -> Permissions:
        return Permissions(self.policies, self.context or login_context(self.kind, self.name, self.arn))

    @property
    def connecting(self) -> list[Statement]:
        """The statements that let it connect as some database user, whatever takes that away again."""
        return self.permissions.allowing

    @property
    def trusts(self) -> list[str]:
        return [one.name for one in self.trustees or []]


@dataclass(frozen=True)
class Host:
    """An EC2 instance that has an instance profile."""

    instance_id: str
    name: str
    state: str
    profile: str


@dataclass(frozen=True)
class Database:
    """A DB cluster, or a DB instance that is in none."""

    name: str
    record: dict
    members: tuple[str, ...] = ()  # the resource ids of the instances in a cluster
    accounts: list[dict] | None = None  # None: not seen, for this reason
    unseen: str = "the inventory does not have this database"
    given: bool = False  # whether the user named it

    @property
    def prefix(self) -> str:
        return self.record["connect_arn_prefix"]

    @property
    def takes_iam_logins(self) -> bool:
        """Whether rds-db:connect is for its engine."""
        return has_iam_logins(self.record["engine"])

    @property
    def is_managed(self) -> bool:
        """Whether the collection handles its engine."""
        return has_readable_users(self.record["engine"])

    @cached_property
    def iam_users(self) -> list[str]:
        return list(dict.fromkeys(one["name"] for one in self.accounts or [] if one["iam"]))

    def target(self, user: str, known: Mapping[str, str] | None = None) -> Target:
        pattern = self.accounts is None and is_pattern(user)
        return Target(f"{self.prefix}/{user}", self.record["identifier"], self.members, known or {}, pattern)


@dataclass(frozen=True)
class Grant:
    """That some statement lets a principal connect as a database user, and what the other links say."""

    principal: Principal
    database: Database
    user: str  # or a pattern with * and ?, where the accounts were not seen
    links: list[Check]

    @property
    def state(self) -> str:
        states = {link.state for link in self.links}
        return _STATES[next((state for state in (BROKEN, UNKNOWN) if state in states), OK)]

    def link(self, name: str) -> Check:
        return next(link for link in self.links if link.name == name)

    def shown(self) -> dict:
        # Where all hold, the holder says who can log in.
        deciding = (link for link in self.links if link.state != OK and _STATES[link.state] == self.state)
        decisive = next(deciding, self.link("holder"))
        return {
            "principal": self.principal.arn,
            "database": self.database.name,
            "user": self.user,
            "state": self.state,
            "reason": decisive.text,
            "links": [{"name": link.name, "state": link.state, "text": link.text} for link in self.links],
        }
