# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read EC2 instances and their instance profiles. Private to this collection."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.botocore_errors import AWS_ERRORS
from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.errors import aws_error

if TYPE_CHECKING:
    from botocore.client import BaseClient

CHUNK = 200  # the most values that EC2 takes in one filter
LIVE = frozenset({"associating", "associated"})


@dataclass(frozen=True)
class Instance:
    """An EC2 instance as C(DescribeInstances) shows it."""

    instance_id: str
    state: str  # pending, running, shutting-down, terminated, stopping or stopped
    profile: str | None  # the name of the attached instance profile
    metadata: dict[str, Any] = field(default_factory=dict, compare=False)


def read(client: BaseClient, instance_ids: list[str]) -> dict[str, Instance]:
    """Return the instances that exist, by id, as DescribeInstances shows them: one call for each 200 ids.

    Raises RdsIamError, like all functions of this file that call EC2.
    """
    instances = {}
    for ids in _chunks(instance_ids):
        for reservation in _pages(client, "describe_instances", "Reservations", "describe the instances", ids):
            for raw in reservation["Instances"]:
                arn = (raw.get("IamInstanceProfile") or {}).get("Arn")
                instances[raw["InstanceId"]] = Instance(
                    raw["InstanceId"], raw["State"]["Name"], profile_name(arn), raw.get("MetadataOptions") or {}
                )
    return instances


def read_with_associations(client: BaseClient, instance_ids: list[str]) -> dict[str, Instance]:
    """Return the instances that exist, by id, with profiles that are still being attached.

    DescribeInstances shows these only when they are associated, a minute later perhaps. One more call for each 200 ids.
    """
    instances = read(client, instance_ids)
    for instance_id, association in read_associations(client, list(instances)).items():
        if instances[instance_id].profile is None:
            profile = profile_name(association["IamInstanceProfile"]["Arn"])
            instances[instance_id] = replace(instances[instance_id], profile=profile)
    return instances


def profile_name(profile_arn: str | None) -> str | None:
    """Return the name of an instance profile, which is the last part of its ARN."""
    return profile_arn.rsplit("/", 1)[-1] if profile_arn else None


def read_associations(
    client: BaseClient, instance_ids: list[str], states: frozenset[str] = LIVE
) -> dict[str, dict[str, Any]]:
    """Return the association of each instance that has one in one of these states, by the id of the instance."""
    associations = {}
    task = "describe the instance profile associations"
    for ids in _chunks(instance_ids):
        operation, key = "describe_iam_instance_profile_associations", "IamInstanceProfileAssociations"
        for association in _pages(client, operation, key, task, ids):
            if association["State"] in states:
                associations[association["InstanceId"]] = association
    return associations


def _chunks(ids: list[str]) -> list[list[str]]:
    return [ids[start : start + CHUNK] for start in range(0, len(ids), CHUNK)]


def _pages(client: BaseClient, operation: str, key: str, task: str, ids: list[str]) -> list[dict[str, Any]]:
    """Return all pages for some instances.

    A filter leaves unknown ids out, where naming them would fail the whole call.
    """
    try:
        pages = client.get_paginator(operation).paginate(Filters=[{"Name": "instance-id", "Values": ids}])
        return [item for page in pages for item in page[key]]
    except AWS_ERRORS as exc:
        raise aws_error(task, exc, "ec2") from None
