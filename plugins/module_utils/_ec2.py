# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Instance profiles on EC2 instances: what to do (pure), and the calls to EC2. Private to this collection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable

from ansible_collections.dbops.rds_iam.plugins.module_utils._aws import attempts
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError, aws_error, error_code

try:
    from botocore.exceptions import BotoCoreError, ClientError
except ImportError:
    BotoCoreError = ClientError = None  # AnsibleAWSModule says so when it starts

CHUNK = 200  # the most values that EC2 takes in one filter
_GONE = {"shutting-down", "terminated"}
_LISTED = 10  # the most instances that a message lists


@dataclass(frozen=True)
class Instance:
    """An EC2 instance, with the name of the instance profile that is attached to it."""

    instance_id: str
    state: str
    profile: str | None


@dataclass(frozen=True)
class Wish:
    """What the user asks for all instances."""

    profile: str
    present: bool = True
    replace: bool = False


@dataclass(frozen=True)
class Step:
    """What one instance has, and what it is to have; nothing is done where these are the same."""

    instance_id: str
    before: str | None
    after: str | None

    @property
    def changed(self) -> bool:
        return self.before != self.after

    def shown(self) -> dict:
        return {
            "instance_id": self.instance_id,
            "before": self.before,
            "after": self.after,
            "changed": self.changed,
        }


def plan(instance_ids: list[str], found: dict[str, Instance], wish: Wish, region: str) -> list[Step]:
    """One step for each instance, or one refusal with all that stands against it."""
    unknown = [one for one in instance_ids if one not in found]
    refusals = []
    if unknown:
        refusals.append(f"there is no instance {listed(unknown)} in {region}, so check the ids and the region")
    if wish.present:
        refusals += _refusals([found[one] for one in instance_ids if one in found], wish)
    if refusals:
        raise RdsIamError(f"No instance was changed: {'; '.join(refusals)}.")
    steps = []
    for instance_id in instance_ids:
        before = found[instance_id].profile
        detached = None if before == wish.profile else before
        steps.append(Step(instance_id, before, wish.profile if wish.present else detached))
    return steps


def _refusals(known: list[Instance], wish: Wish) -> list[str]:
    """Why the profile is not to be attached to some of the instances that exist."""
    refusals = []
    gone = [one.instance_id for one in known if one.state in _GONE]
    if gone:
        refusals.append(f"{listed(gone)} is terminated, so leave it out")
    others = [one for one in known if one.state not in _GONE and one.profile not in (None, wish.profile)]
    if others and not wish.replace:
        named = listed([f"{one.instance_id} ({one.profile})" for one in others])
        refusals.append(
            f"another instance profile is attached to {named}, so set replace to true to have {wish.profile}"
            " in its place, or give the role of the other one the policy"
        )
    return refusals


def listed(names: list[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more


def read(client, instance_ids: list[str]) -> dict[str, Instance]:
    """The instances that exist, by id; one call for each 200 ids, profiles included."""
    found = {}
    for ids in _chunks(instance_ids):
        for raw in _pages(client, "describe_instances", "Reservations", "describe the instances", ids):
            for one in raw["Instances"]:
                arn = (one.get("IamInstanceProfile") or {}).get("Arn")
                found[one["InstanceId"]] = Instance(one["InstanceId"], one["State"]["Name"], _name(arn))
    return found


def _name(profile_arn: str | None) -> str | None:
    return profile_arn.rsplit("/", 1)[-1] if profile_arn else None


def _associations(client, instance_ids: list[str]) -> dict[str, dict]:
    """The live association of each instance that has one."""
    found = {}
    doing = "describe the instance profile associations"
    for ids in _chunks(instance_ids):
        operation, key = "describe_iam_instance_profile_associations", "IamInstanceProfileAssociations"
        for one in _pages(client, operation, key, doing, ids):
            if one["State"] in ("associating", "associated"):
                found[one["InstanceId"]] = one
    return found


def _chunks(ids: list[str]) -> list[list[str]]:
    return [ids[start : start + CHUNK] for start in range(0, len(ids), CHUNK)]


def _pages(client, operation: str, key: str, doing: str, ids: list[str]) -> list[dict]:
    """All pages for some instances. A filter leaves unknown ids out, where naming them would fail the whole call."""
    try:
        pages = client.get_paginator(operation).paginate(Filters=[{"Name": "instance-id", "Values": ids}])
        return [item for page in pages for item in page[key]]
    except (ClientError, BotoCoreError) as exc:
        raise aws_error(doing, exc, "ec2") from None


def apply(client, steps: list[Step], timeout: float) -> None:
    """Make the changes, one instance after the other; a second run finishes what a failure left."""
    todo = [step for step in steps if step.changed]
    attached = _associations(client, [step.instance_id for step in todo if step.before])
    for done, step in enumerate(todo):
        try:
            _change(client, step, attached.get(step.instance_id), timeout)
        except RdsIamError as exc:
            rest = f" {done} of {len(todo)} instances were changed before; run again for the rest." if done else ""
            raise RdsIamError(f"{exc}{rest}") from None


def _change(client, step: Step, association: dict | None, timeout: float) -> None:
    """Change one instance, and try again while EC2 does not see a fresh profile or the instance is just starting."""
    doing = f"{'attach' if step.after else 'detach'} the instance profile {step.after or step.before}"
    if step.after is None and association is None:
        return  # detached by someone else since it was read
    call = _call(client, step, association)
    for _attempt in attempts(timeout):
        try:
            call()
            return
        except (ClientError, BotoCoreError) as exc:
            if _arrived(client, step, exc):
                return
            failure = _failure(f"{doing} ({step.instance_id})", step, exc)
            if not _passes(exc):
                raise failure from None
    raise failure


def _call(client, step: Step, association: dict | None) -> Callable[[], object]:
    if association is None:
        profile = {"Name": step.after}
        return lambda: client.associate_iam_instance_profile(InstanceId=step.instance_id, IamInstanceProfile=profile)
    known = {"AssociationId": association["AssociationId"]}
    if step.after is None:
        return lambda: client.disassociate_iam_instance_profile(**known)
    return lambda: client.replace_iam_instance_profile_association(IamInstanceProfile={"Name": step.after}, **known)


def _passes(exc: Exception) -> bool:
    """Whether the failure is one that passes: EC2 does not see a fresh profile, its role or the instance yet."""
    code, message = error_code(exc), str(exc).lower().replace(" ", "")
    if code == "InvalidParameterValue":
        return "iaminstanceprofile" in message
    return code == "IncorrectInstanceState" or (code == "IncorrectState" and "identityprofile" in message)


def _arrived(client, step: Step, exc: Exception) -> bool:
    """Whether the instance is already as wanted: an earlier try whose answer was lost, or someone else, did it."""
    if error_code(exc) not in ("IncorrectState", "InvalidAssociationID.NotFound"):
        return False
    association = _associations(client, [step.instance_id]).get(step.instance_id)
    return step.after == (_name(association["IamInstanceProfile"]["Arn"]) if association else None)


def _failure(doing: str, step: Step, exc: Exception) -> RdsIamError:
    if error_code(exc) == "InvalidParameterValue" and _passes(exc):
        return RdsIamError(
            f"Failed to {doing}: EC2 does not see an instance profile {step.after} with a role in it; create it, or"
            " raise wait_timeout if it is fresh."
        )
    if error_code(exc) == "UnauthorizedOperation" and step.after and "PassRole" not in str(exc):
        sentence = str(aws_error(doing, exc, "ec2")).rstrip(".")
        return RdsIamError(f"{sentence}, and iam:PassRole for the role of the profile.")
    return aws_error(doing, exc, "ec2")
