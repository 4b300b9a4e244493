# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Describe a role with its instance profile and policies, and their users. Pure, and private to this collection."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypedDict

from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.managed_by import managed_by
from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.tags import tag_values
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.connect_policy import DatabaseOption
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.policy_document import PolicyDocument


@dataclass(frozen=True)
class Request:
    """The role that a user asks for.

    C(parts) has "role", for the role and its instance profile, or "policy", or both. C(instance_ids) are those of the
    EC2 instances that a removal is for, C(detached_ids) those from which the instance profile has been taken already,
    or would have been in check mode.
    """

    role_name: str
    instance_profile_name: str
    policy_name: str
    parts: frozenset[str]
    path: str = "/"
    permissions_boundary: str = ""
    databases: list[DatabaseOption] = field(default_factory=list)
    policy_purge: bool = False
    instance_ids: frozenset[str] = frozenset()
    detached_ids: frozenset[str] = frozenset()


class RoleRecord(TypedDict):
    """A role as GetRole has it, and modules return it."""

    name: str
    arn: str | None  # None before it is created
    path: str
    trust_policy: PolicyDocument
    permissions_boundary: str  # the ARN of a policy; empty without one
    tags: dict[str, str]
    managed_by: str | None  # the value of the tag ManagedBy


class InstanceProfileRecord(TypedDict):
    """An instance profile as GetInstanceProfile has it, and modules return it."""

    name: str
    arn: str | None  # None before it is created
    path: str
    role_name: str  # empty without a role
    tags: dict[str, str]
    managed_by: str | None  # the value of the tag ManagedBy


@dataclass(frozen=True)
class State:
    """The role, the instance profile and the document of the inline policy; None for what does not exist."""

    role: RoleRecord | None
    instance_profile: InstanceProfileRecord | None
    policy: PolicyDocument | None


@dataclass(frozen=True)
class AttachedInstance:
    """An EC2 instance to which an instance profile is attached."""

    instance_id: str
    region: str
    profile_arn: str

    def __str__(self) -> str:
        return f"{self.instance_id} ({self.region})"


@dataclass(frozen=True)
class Usage:
    """The users of a role: its policies by name, the instance profiles that hold it, and their instances."""

    inline_policies: list[str] = field(default_factory=list)
    managed_policies: list[str] = field(default_factory=list)
    instance_profiles: dict[str, str] = field(default_factory=dict)  # ARN by name
    instances: list[AttachedInstance] = field(default_factory=list)
    unreadable_regions: dict[str, str] = field(default_factory=dict)  # the reason by Region


def role_record(raw: dict[str, Any]) -> RoleRecord:
    """Return the record of a C(Role) in an answer of IAM."""
    return {
        "name": raw["RoleName"],
        "arn": raw["Arn"],
        "path": raw["Path"],
        "trust_policy": raw["AssumeRolePolicyDocument"],
        "permissions_boundary": raw.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn", ""),
        "tags": tag_values(raw.get("Tags")),
        "managed_by": managed_by(raw.get("Tags")),
    }


def instance_profile_record(raw: dict[str, Any]) -> InstanceProfileRecord:
    """Return the record of an C(InstanceProfile) in an answer of IAM."""
    return {
        "name": raw["InstanceProfileName"],
        "arn": raw["Arn"],
        "path": raw["Path"],
        "role_name": raw["Roles"][0]["RoleName"] if raw["Roles"] else "",
        "tags": tag_values(raw.get("Tags")),
        "managed_by": managed_by(raw.get("Tags")),
    }
