# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The evidence for one login, before it is diagnosed. Pure, and private to this collection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypedDict

from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.ec2 import Instance
from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.rds_record import DatabaseRecord
from ansible_collections.dbops.rds_iam.plugins.module_utils._checks import UNKNOWN, Check
from ansible_collections.dbops.rds_iam.plugins.module_utils._doctor.auth_log import RefusalLog
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.base import UserRow
from ansible_collections.dbops.rds_iam.plugins.module_utils._host.results import HostFacts, LoginResult, TargetFacts
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.near_miss import Target
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.permission_check import check_permissions
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.policy_evaluation import Permissions, Policy
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.request_context import RequestContext
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.simulation import Simulation


@dataclass(frozen=True)
class Unreadable:
    """A thing that could not be read. C(reason) is a clause."""

    reason: str


@dataclass(frozen=True)
class DatabaseEvidence:
    """The facts that RDS tells about a database."""

    record: DatabaseRecord | Unreadable
    absence: str = ""  # the sentence, where there is no such database
    support_error: str = ""  # the sentence, where RDS has no IAM authentication for it
    member_resource_ids: tuple[str, ...] = ()  # of a cluster


@dataclass(frozen=True)
class Role:
    """The IAM role behind the instance profile of a client."""

    name: str
    trusts_ec2: bool
    policies: list[Policy] | Unreadable
    simulations: Mapping[str, Simulation] = field(default_factory=dict)  # of IAM, by the ARN of the database user
    context: RequestContext = field(default_factory=RequestContext)  # of a login by the role

    # By ARN, and by whether they explain.
    _checks: dict[tuple[str, bool], Check] = field(default_factory=dict, init=False, repr=False, compare=False)

    @cached_property
    def _permissions(self) -> Permissions:
        policies = [] if isinstance(self.policies, Unreadable) else self.policies
        return Permissions(policies, self.context)

    def check_permission(self, target: Target, explains: bool = True) -> Check:
        """Return the check of the permission to connect, which is made once for all clients with this role.

        explains: as in check_permissions
        """
        if isinstance(self.policies, Unreadable):
            return Check("permission", UNKNOWN, self.policies.reason)
        key = (target.arn, explains)
        if key not in self._checks:
            simulation = self.simulations.get(target.arn)
            self._checks[key] = check_permissions(
                target, f"the IAM role {self.name}", self._permissions, simulation, explains
            )
        return self._checks[key]


class ClientFacts(HostFacts, total=False):
    """The facts about a client, with its way to the database of one login."""

    target: TargetFacts | None


class PlannedUser(TypedDict):
    """A database user as rds_iam_db_user returns it in check mode."""

    name: str
    host: str
    statements: list[str]  # that would make it as desired


class UserPlan(TypedDict, total=False):
    """The result of rds_iam_db_user in check mode for the database user of a login."""

    users: list[PlannedUser]
    user_rows: list[UserRow]
    iam_database_users_remaining: int | None  # only where the server was read
    conflict: bool  # whether it would have to be converted
    msg: str


@dataclass(frozen=True)
class LoginEvidence:
    """The evidence for one login. A thing that nobody asked for is None."""

    client: str
    database: DatabaseRecord | Unreadable
    name: str  # of the database, in the inventory
    user: str
    expect: str = "allowed"
    absence: str = ""  # as in DatabaseEvidence
    support_error: str = ""  # as in DatabaseEvidence
    login: LoginResult | None = None
    login_error: str = ""  # why there is no result
    host: ClientFacts | Unreadable | None = None
    instance: Instance | Unreadable | None = None  # Unreadable also where there is no such instance
    role: Role | Unreadable | None = None
    user_plan: UserPlan | Unreadable | None = None
    member_resource_ids: tuple[str, ...] = ()
    database_names: Mapping[str, str] = field(default_factory=dict)  # of all databases, by resource id
    refusals: RefusalLog | Unreadable | None = None  # of this login and of others

    @property
    def record(self) -> DatabaseRecord | None:
        """Return the record of the database; None where AWS does not tell."""
        return None if isinstance(self.database, Unreadable) else self.database

    @property
    def facts(self) -> ClientFacts | None:
        """Return the facts about the client; None where it did not tell."""
        return None if isinstance(self.host, Unreadable) else self.host

    @property
    def result(self) -> LoginResult:
        """Return the result of the login, empty where there is none."""
        return self.login or {}
