# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read EC2 instances and their instance profiles. Private to this collection."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.errors import aws_error

try:
    from botocore.exceptions import BotoCoreError, ClientError
except ImportError:
    BotoCoreError = ClientError = None  # AnsibleAWSModule says so when it starts


CHUNK = 200  # the most values that EC2 takes in one filter
LIVE = frozenset({"associating", "associated"})


@dataclass(frozen=True)
class Instance:
    """An EC2 instance, with the name of the instance profile that is attached to it, and its metadata options."""

    instance_id: str
    state: str
    profile: str | None
    metadata: dict = field(default_factory=dict, compare=False)


def read(client, instance_ids: list[str]) -> dict[str, Instance]:
    """Return the instances that exist, by id, as DescribeInstances shows them: one call for each 200 ids."""
    found = {}
    for ids in _chunks(instance_ids):
        for reservation in _pages(client, "describe_instances", "Reservations", "describe the instances", ids):
            for raw in reservation["Instances"]:
                arn = (raw.get("IamInstanceProfile") or {}).get("Arn")
                found[raw["InstanceId"]] = Instance(
                    raw["InstanceId"], raw["State"]["Name"], profile_name(arn), raw.get("MetadataOptions") or {}
                )
    return found


def read_with_associations(client, instance_ids: list[str]) -> dict[str, Instance]:
    """Return the instances that exist, by id, with profiles that are still being attached.

    DescribeInstances shows these only when they are associated, a minute later perhaps. One more call for each 200 ids.
    """
    found = read(client, instance_ids)
    for instance_id, association in read_associations(client, list(found)).items():
        if found[instance_id].profile is None:
            profile = profile_name(association["IamInstanceProfile"]["Arn"])
            found[instance_id] = replace(found[instance_id], profile=profile)
    return found


def profile_name(profile_arn: str | None) -> str | None:
    """Return the name of an instance profile, which is the last part of its ARN."""
    return profile_arn.rsplit("/", 1)[-1] if profile_arn else None


def read_associations(client, instance_ids: list[str], states: frozenset[str] = LIVE) -> dict[str, dict]:
    """Return the association of each instance that has one in one of these states."""
    associations = {}
    doing = "describe the instance profile associations"
    for ids in _chunks(instance_ids):
        operation, key = "describe_iam_instance_profile_associations", "IamInstanceProfileAssociations"
        for association in _pages(client, operation, key, doing, ids):
            if association["State"] in states:
                associations[association["InstanceId"]] = association
    return associations


def _chunks(ids: list[str]) -> list[list[str]]:
    return [ids[start : start + CHUNK] for start in range(0, len(ids), CHUNK)]


def _pages(client, operation: str, key: str, doing: str, ids: list[str]) -> list[dict]:
    """All pages for some instances. A filter leaves unknown ids out, where naming them would fail the whole call."""
    try:
        pages = client.get_paginator(operation).paginate(Filters=[{"Name": "instance-id", "Values": ids}])
        return [item for page in pages for item in page[key]]
    except (ClientError, BotoCoreError) as exc:
        raise aws_error(doing, exc, "ec2") from None
