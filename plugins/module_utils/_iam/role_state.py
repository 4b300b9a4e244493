# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a role, its instance profile and its policies are, and who uses them. Private to this collection."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Request:
    """What a user asks for. C(parts) has "role", for the role and its instance profile, or "policy", or both.

    C(instance_ids) are those of the EC2 instances that a removal is for, C(detached_ids) those from which the instance
    profile has been taken already, or would have been in check mode.
    """

    role_name: str
    instance_profile_name: str
    policy_name: str
    parts: frozenset[str]
    path: str = "/"
    permissions_boundary: str = ""
    databases: list[dict] = field(default_factory=list)
    policy_purge: bool = False
    instance_ids: frozenset[str] = frozenset()
    detached_ids: frozenset[str] = frozenset()


@dataclass(frozen=True)
class State:
    """The role, the instance profile and the inline policy as IAM returns them; None for what does not exist.

    C(role) has name, arn, path, trust_policy, permissions_boundary, tags and managed_by; C(instance_profile) has name,
    arn, path, role_name, tags and managed_by; C(policy) is the document of the inline policy.
    """

    role: dict | None
    instance_profile: dict | None
    policy: dict | None


@dataclass(frozen=True)
class Carrier:
    """An EC2 instance that has an instance profile."""

    instance_id: str
    region: str
    profile_arn: str

    def __str__(self) -> str:
        return f"{self.instance_id} ({self.region})"


@dataclass(frozen=True)
class Usage:
    """Who else uses a role: names of its other policies, the instance profiles that hold it, and their instances.

    C(unseen) has the reason for each Region whose instances could not be read.
    """

    inline_policies: list[str] = field(default_factory=list)
    managed_policies: list[str] = field(default_factory=list)
    instance_profiles: dict[str, str] = field(default_factory=dict)  # ARN by name
    carriers: list[Carrier] = field(default_factory=list)
    unseen: dict[str, str] = field(default_factory=dict)


def record_role(raw: dict, managed_by: str | None) -> dict:
    return {
        "name": raw["RoleName"],
        "arn": raw["Arn"],
        "path": raw["Path"],
        "trust_policy": raw["AssumeRolePolicyDocument"],
        "permissions_boundary": raw.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn", ""),
        "tags": tags(raw),
        "managed_by": managed_by,
    }


def record_instance_profile(raw: dict, managed_by: str | None) -> dict:
    return {
        "name": raw["InstanceProfileName"],
        "arn": raw["Arn"],
        "path": raw["Path"],
        "role_name": raw["Roles"][0]["RoleName"] if raw["Roles"] else "",
        "tags": tags(raw),
        "managed_by": managed_by,
    }


def tags(raw: dict) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in raw.get("Tags", [])}
