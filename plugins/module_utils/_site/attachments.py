# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Say why one client has not, or cannot have, the instance profile. Pure, and private to this collection.

The module ec2_role_attachment is called once, for the EC2 instances of all clients. Here each client gets its own part.
"""

from __future__ import annotations

from typing import TypedDict


class InstanceResult(TypedDict, total=False):
    """An entry of C(instances), as ec2_role_attachment returns it."""

    instance_id: str
    state: str | None  # None where there is no such instance
    before: str | None  # the name of the instance profile that was attached; None for none
    error: str | None  # why the instance was not changed; only where some of the changes failed


class AttachmentResult(TypedDict, total=False):
    """The result of ec2_role_attachment, as a task registers it."""

    failed: bool
    msg: str
    instances: list[InstanceResult]


def attachment_obstacle(plan: AttachmentResult, client: str, instance_id: str, profile: str, replace: bool) -> str:
    """Return why the instance profile cannot be attached, as a sentence; empty where it can.

    plan: what ec2_role_attachment returned in check mode
    client: the name of the host in the inventory
    instance_id: its EC2 instance; empty where the inventory has none
    profile: the name of the instance profile
    replace: True where another profile may be replaced
    """
    instance = _instance(plan, instance_id) or {}
    state, attached = instance.get("state"), instance.get("before")
    if not instance_id:
        return (
            f"The EC2 instance of the host {client} is not known; set its instance_id, or use the inventory"
            " amazon.aws.aws_ec2, which does."
        )
    if state is None:
        return (
            f"The EC2 instance {instance_id} of the host {client} does not exist in the Region of this run; check its"
            " instance_id, and the Region."
        )
    if state in ("shutting-down", "terminated"):
        return (
            f"The EC2 instance {instance_id} of the host {client} is terminated or shutting down; take the host out of"
            " the group rds_clients."
        )
    if attached not in (None, profile) and not replace:
        return (
            f"The instance profile {attached} is attached to the EC2 instance {instance_id} of the host {client}; set"
            f" role_attachment_replace to true to have {profile} in its place, or take the host out of the group"
            " rds_clients."
        )
    return ""


def attachment_error(result: AttachmentResult, instance_id: str) -> str:
    """Return why ec2_role_attachment did not change an instance; empty where it did, or had nothing to change."""
    if not result.get("failed"):
        return ""
    instance = _instance(result, instance_id)
    # A refusal before anything was changed is one of all instances, and none of them has an error of its own.
    return (instance["error"] if instance and "error" in instance else result.get("msg")) or ""


def _instance(result: AttachmentResult, instance_id: str) -> InstanceResult | None:
    return next((item for item in result.get("instances") or () if item["instance_id"] == instance_id), None)
