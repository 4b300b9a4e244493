# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Instance profiles on EC2 instances: what to do (pure), and the calls to EC2. Private to this collection."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import Callable

from ansible_collections.dbops.rds_iam.plugins.module_utils._aws import attempts
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import (
    RdsIamError,
    aws_error,
    aws_reason,
    error_code,
)

try:
    from botocore.exceptions import BotoCoreError, ClientError
except ImportError:
    BotoCoreError = ClientError = None  # AnsibleAWSModule says so when it starts

CHUNK = 200  # the most values that EC2 takes in one filter
_GONE = {"shutting-down", "terminated"}
_STOPPED = {"stopping", "stopped"}
_OF_ONE_INSTANCE = {"IncorrectState", "InvalidAssociationID.NotFound", "InvalidInstanceID.NotFound"}
_LISTED = 10  # the most instances that a message lists


@dataclass(frozen=True)
class Instance:
    """An EC2 instance, with the name of the instance profile that is attached to it, and its metadata options."""

    instance_id: str
    state: str
    profile: str | None
    metadata: dict = field(default_factory=dict, compare=False)


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
    stopped: bool = False

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
    if unknown and wish.present:
        refusals.append(f"there is no instance {listed(unknown)} in {region}, so check the ids and the region")
    if wish.present:
        refusals += _refusals([found[one] for one in instance_ids if one in found], wish)
    if refusals:
        raise RdsIamError(f"No instance was changed: {'; '.join(refusals)}.")
    steps = []
    for instance_id in instance_ids:
        one = found.get(instance_id) or Instance(instance_id, "terminated", None)
        before = one.profile
        detached = None if before == wish.profile else before
        stopped = one.state in _STOPPED
        steps.append(Step(instance_id, before, wish.profile if wish.present else detached, stopped))
    return steps


def _refusals(known: list[Instance], wish: Wish) -> list[str]:
    """Why the profile is not to be attached to some of the instances that exist."""
    refusals = []
    gone = [one.instance_id for one in known if one.state in _GONE]
    if gone:
        refusals.append(f"{listed(gone)} is terminated or shutting down, so leave it out")
    others = [one for one in known if one.state not in _GONE and one.profile not in (None, wish.profile)]
    if others and not wish.replace:
        named = listed([f"{one.instance_id} ({one.profile})" for one in others])
        refusals.append(
            f"another instance profile is attached to {named}, so set replace to true to have {wish.profile}"
            " in its place, or give the role of the other one the policy"
        )
    return refusals


def listed(names: list[str], separator: str = ", ") -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return separator.join(names[:_LISTED]) + more


def read(client, instance_ids: list[str]) -> dict[str, Instance]:
    """The instances that exist, by id; one call for each 200 ids, profiles included."""
    found = {}
    for ids in _chunks(instance_ids):
        for raw in _pages(client, "describe_instances", "Reservations", "describe the instances", ids):
            for one in raw["Instances"]:
                arn = (one.get("IamInstanceProfile") or {}).get("Arn")
                found[one["InstanceId"]] = Instance(
                    one["InstanceId"], one["State"]["Name"], _name(arn), one.get("MetadataOptions") or {}
                )
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
    """Make the changes, one instance after the other; a second run finishes what a failure left.

    The time is for trying again without getting any further.
    """
    changes = _Changes(client, [step for step in steps if step.changed])
    while changes.waiting and not changes.over:
        count = len(changes.waiting)
        for _attempt in attempts(timeout):
            changes.try_each()
            if len(changes.waiting) < count:
                break
        else:
            break
    if changes.failed:
        raise Incomplete(changes, steps)


class _Failed(RdsIamError):
    """Why EC2 refused to change an instance."""

    def __init__(self, reason: str, passes: bool, alone: bool):
        super().__init__(reason)
        self.passes = passes  # another try may go well
        self.alone = alone  # it says nothing about the other instances


class _Changes:
    """The changes to make, and how far they are."""

    def __init__(self, client, steps: list[Step]):
        self.client, self.steps, self.waiting = client, steps, list(steps)
        self.attached = _associations(client, [step.instance_id for step in steps if step.before])
        self.failed: dict[str, str] = {}
        self.emptied: set[str] = set()
        self.over = False

    @property
    def untried(self) -> list[str]:
        return [step.instance_id for step in self.waiting if step.instance_id not in self.failed]

    def try_each(self) -> None:
        """Make each change that waits, once, until a failure stands against all of them."""
        for step in list(self.waiting):
            try:
                self._change(step)
            except _Failed as exc:
                self.failed[step.instance_id] = str(exc)
                if not exc.passes:
                    self.waiting.remove(step)
                if not exc.alone:
                    self.over = not exc.passes
                    return
            else:
                self.failed.pop(step.instance_id, None)
                self.waiting.remove(step)

    def _change(self, step: Step) -> None:
        try:
            for call in self._calls(step):
                call()
        except (ClientError, BotoCoreError) as exc:
            if not _arrived(self.client, step, exc):
                raise _failure(step, exc) from None

    def _calls(self, step: Step) -> list[Callable[[], object]]:
        profile = {"IamInstanceProfile": {"Name": step.after}}
        attach = partial(self.client.associate_iam_instance_profile, InstanceId=step.instance_id, **profile)
        association = self.attached.get(step.instance_id)
        if association is None:  # none, or detached by someone else since it was read
            return [attach] if step.after else []
        known = {"AssociationId": association["AssociationId"]}
        if step.after and not step.stopped:
            return [partial(self.client.replace_iam_instance_profile_association, **profile, **known)]
        # Of a stopped instance EC2 does not replace the association.
        return [partial(self._detach, step, known), *([attach] if step.after else [])]

    def _detach(self, step: Step, known: dict) -> None:
        self.client.disassociate_iam_instance_profile(**known)
        del self.attached[step.instance_id]
        self.emptied.add(step.instance_id)


class Incomplete(RdsIamError):
    """Some changes were not made; C(instances) says what each instance has now, and why that is not what it should."""

    def __init__(self, changes: _Changes, steps: list[Step]):
        super().__init__(_incomplete(changes))
        missed = {**changes.failed, **dict.fromkeys(changes.untried, "it was not tried")}
        self.instances = []
        for step in steps:
            left = None if step.instance_id in changes.emptied else step.before
            now = replace(step, after=left) if step.instance_id in missed else step
            self.instances.append({**now.shown(), "error": missed.get(step.instance_id)})


def _incomplete(changes: _Changes) -> str:
    """One reason for all instances that have it, and how far the others are."""
    ids_by_reason: dict[str, list[str]] = {}
    for instance_id, reason in changes.failed.items():
        ids_by_reason.setdefault(reason, []).append(instance_id)
    reasons = listed([f"{listed(ids)}: {reason}" for reason, ids in ids_by_reason.items()], "; ")
    profile = changes.steps[0].after
    doing = f"attach the instance profile {profile} to" if profile else "detach the instance profile from"
    total, untried = len(changes.steps), changes.untried
    if total == 1:
        return f"Failed to {doing} {reasons}."
    done = total - len(changes.failed) - len(untried)
    rest = f", not tried: {listed(untried)}" if untried else ""
    return f"Failed to {doing} {reasons}. {done} of {total} instances were changed{rest}; run again for the rest."


def _arrived(client, step: Step, exc: Exception) -> bool:
    """Whether the instance is already as wanted: an earlier try whose answer was lost, or someone else, did it."""
    if error_code(exc) not in ("IncorrectState", "InvalidAssociationID.NotFound"):
        return False
    try:
        association = _associations(client, [step.instance_id]).get(step.instance_id)
    except RdsIamError:  # then the failure at hand is the one to report
        return False
    return step.after == (_name(association["IamInstanceProfile"]["Arn"]) if association else None)


def _failure(step: Step, exc: Exception) -> _Failed:
    code, reason = error_code(exc), aws_reason(exc, "ec2")
    message = str(exc).lower().replace(" ", "")
    if code == "InvalidParameterValue" and "iaminstanceprofile" in message:
        seen = f"EC2 does not see an instance profile {step.after} with a role in it"
        return _Failed(f"{seen}; create it, or raise wait_timeout if it is fresh", passes=True, alone=False)
    if code == "IncorrectState" and "identityprofile" in message:  # the same in other words
        return _Failed(reason, passes=True, alone=False)
    if code == "IncorrectInstanceState":
        return _Failed(f"{reason}; run again when it is", passes=True, alone=True)
    if code == "UnauthorizedOperation" and step.after and "PassRole" not in str(exc):
        reason += ", and iam:PassRole for the role of the profile"
    return _Failed(reason, passes=False, alone=code in _OF_ONE_INSTANCE)
