# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The evidence for one login, before it is diagnosed. Pure, and private to this collection."""

from __future__ import annotations

from dataclasses import dataclass, field

from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.ec2 import Instance
from ansible_collections.dbops.rds_iam.plugins.module_utils._doctor.auth_log import Refusal
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.policy_evaluation import Policy
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.request_context import RequestContext
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.simulation import Simulation


@dataclass(frozen=True)
class Unreadable:
    """What could not be read, and why."""

    reason: str


@dataclass(frozen=True)
class Role:
    """The IAM role behind the instance profile of a host."""

    name: str
    trusts_ec2: bool
    policies: list[Policy] | Unreadable
    # What IAM says, by the ARN of the database user.
    simulated: dict[str, Simulation] = field(default_factory=dict)
    context: RequestContext = field(default_factory=RequestContext)  # what is known of a login with it


@dataclass(frozen=True)
class LoginEvidence:
    """All that is known about one login. Where a thing is None, nobody asked for it."""

    client: str
    database: dict | Unreadable  # the record; Unread where AWS does not tell
    name: str  # of the database, as the user calls it
    user: str
    expect: str = "allowed"
    missing: str = ""  # the sentence, where there is no such database
    unsupported: str = ""  # the sentence, where RDS has no IAM authentication for it
    login: dict | None = None  # as rds_iam_ping returns it
    login_error: str = ""  # why there is none
    host: dict | Unreadable | None = None  # of what rds_iam_ping returns
    instance: Instance | Unreadable | None = None  # Unread also where there is no such instance
    role: Role | Unreadable | None = None
    account: dict | Unreadable | None = None  # what rds_iam_db_user would do for the account
    member_resource_ids: tuple[str, ...] = ()
    resource_ids: dict[str, str] = field(
        default_factory=dict
    )  # the names of the databases that were read, by these ids
    refusals: list[Refusal] | Unreadable | None = None  # what RDS logged at that time, of this login and of others
