# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plan, attach and detach instance profiles on EC2 instances. Private to this collection."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Callable

from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.ec2 import (
    LIVE,
    Instance,
    profile_name,
    read,
    read_associations,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.errors import aws_reason, error_code
from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.polling import attempts
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError
from ansible_collections.dbops.rds_iam.plugins.module_utils._text import listed

try:
    from botocore.exceptions import BotoCoreError, ClientError
except ImportError:
    BotoCoreError = ClientError = None  # AnsibleAWSModule says so when it starts
_GONE = {"shutting-down", "terminated"}
_STOPPED = {"stopping", "stopped"}
_ENDING = {"disassociating"}
_OF_ONE_INSTANCE = {"IncorrectState", "InvalidAssociationID.NotFound", "InvalidInstanceID.NotFound"}


@dataclass(frozen=True)
class Target:
    """The instance profile that instances are to have, or not to have; C(replace) allows to take another one away."""

    profile: str
    present: bool = True
    replace: bool = False


@dataclass(frozen=True)
class Step:
    """The instance profile of one instance before and after; C(state) is None where there is no such instance."""

    instance_id: str
    state: str | None
    before: str | None
    after: str | None

    @property
    def changed(self) -> bool:
        return self.before != self.after

    @property
    def stopped(self) -> bool:
        return self.state in _STOPPED

    def shown(self) -> dict:
        return {
            "instance_id": self.instance_id,
            "state": self.state,
            "before": self.before,
            "after": self.after,
            "changed": self.changed,
        }


class Refused(RdsIamError):
    """Something stands against the change, and nothing was changed; C(steps) are those that were planned."""

    def __init__(self, refusals: list[str], steps: list[Step]):
        super().__init__(f"No instance was changed: {'; '.join(refusals)}.")
        self.steps = steps


def plan(instance_ids: list[str], found: dict[str, Instance], target: Target, region: str) -> list[Step]:
    """Return one step for each instance.

    C(found) has the instances that exist, by id. Raises Refused, with all that stands against attaching the profile.
    """
    steps = [_step(instance_id, found.get(instance_id), target) for instance_id in instance_ids]
    refusals = _refusals(steps, target, region) if target.present else []
    if refusals:
        raise Refused(refusals, steps)
    return steps


def _step(instance_id: str, instance: Instance | None, target: Target) -> Step:
    before = instance.profile if instance else None
    detached = None if before == target.profile else before
    after = target.profile if target.present else detached
    return Step(instance_id, instance.state if instance else None, before, after)


def _refusals(steps: list[Step], target: Target, region: str) -> list[str]:
    refusals = []
    unknown = [step.instance_id for step in steps if step.state is None]
    if unknown:
        refusals.append(f"there is no instance {listed(unknown)} in {region}, so check the ids and the region")
    gone = [step.instance_id for step in steps if step.state in _GONE]
    if gone:
        refusals.append(f"{listed(gone)} is terminated or shutting down, so leave it out")
    others = [step for step in steps if step.state not in _GONE and step.before not in (None, target.profile)]
    if others and not target.replace:
        named = listed([f"{step.instance_id} ({step.before})" for step in others])
        refusals.append(
            f"another instance profile is attached to {named}, so set replace to true to have {target.profile}"
            " in its place, or give the role of the other one the policy"
        )
    return refusals


def apply(client, steps: list[Step], timeout: float) -> None:
    """Make the changes, one instance after the other, and wait until EC2 shows them.

    C(timeout) are the seconds for trying again, and for waiting, without getting any further. Raises Incomplete; a
    second run finishes what a failure left.
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
    if not changes.over:
        _settle(changes, timeout)
    if changes.failed:
        raise Incomplete(changes, steps)


def _settle(changes: _Changes, timeout: float) -> None:
    """Wait until EC2 shows the changes that it accepted: it answers at once, and takes up to two minutes for them.

    So does terraform-provider-aws (waitInstanceIAMInstanceProfileUpdated in internal/service/ec2/wait.go).
    """
    pending, reason = changes.done, "EC2 does not show the change yet; run again when it does, or raise wait_timeout"
    while pending:
        count = len(pending)
        for _attempt in attempts(timeout):
            try:
                pending = _unsettled(changes.client, pending)
            except RdsIamError as exc:
                return changes.fail(pending, str(exc).rstrip("."))
            if len(pending) < count:
                break
        else:
            return changes.fail(pending, reason)
    return None


def _unsettled(client, steps: list[Step]) -> list[Step]:
    """Return the steps that EC2 does not show as done. An instance that is gone has nothing more to show."""
    found = read(client, [step.instance_id for step in steps])
    there = [step for step in steps if step.instance_id in found and found[step.instance_id].state not in _GONE]
    other = [step for step in there if found[step.instance_id].profile != step.after]
    if other:
        return other
    detached = [step for step in there if step.after is None]
    ending = read_associations(client, [step.instance_id for step in detached], LIVE | _ENDING)
    return [step for step in detached if step.instance_id in ending]


class _Failed(RdsIamError):
    """EC2 refused to change an instance."""

    def __init__(self, reason: str, passes: bool, alone: bool):
        super().__init__(reason)
        self.passes = passes  # another try may go well
        self.alone = alone  # it says nothing about the other instances


class _Changes:
    """The changes to make, and how far they are."""

    def __init__(self, client, steps: list[Step]):
        self.client, self.steps, self.waiting = client, steps, list(steps)
        self.attached = read_associations(client, [step.instance_id for step in steps if step.before])
        self.failed: dict[str, str] = {}
        self.emptied: set[str] = set()
        self.over = False

    @property
    def untried(self) -> list[str]:
        return [step.instance_id for step in self.waiting if step.instance_id not in self.failed]

    @property
    def done(self) -> list[Step]:
        return [step for step in self.steps if step not in self.waiting and step.instance_id not in self.failed]

    def fail(self, steps: list[Step], reason: str) -> None:
        self.failed.update(dict.fromkeys((step.instance_id for step in steps), reason))

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
            failure = self._judge(step, exc)
            if failure:
                raise failure from None

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

    def _judge(self, step: Step, exc: Exception) -> _Failed | None:
        """Return why EC2 refused a change; None where the instance has what it is to have all the same.

        An earlier try whose answer was lost, or someone else, may have done it.
        """
        failure = _failure(step, exc)
        if error_code(exc) not in ("IncorrectState", "InvalidAssociationID.NotFound"):
            return failure
        try:
            association = read_associations(self.client, [step.instance_id]).get(step.instance_id)
        except RdsIamError:  # then the failure at hand is the one to report
            return failure
        if step.after == (profile_name(association["IamInstanceProfile"]["Arn"]) if association else None):
            return None
        if association is None and not failure.passes:
            # What is in the way has no future: it is being disassociated, or it has gone since it was read.
            self.attached.pop(step.instance_id, None)
            return _Failed(f"{failure}; run again when it has ended", passes=True, alone=True)
        return failure


class Incomplete(RdsIamError):
    """Some changes were not made; C(instances) has the profile of each instance now, and why it is not the other."""

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
    denied = code == "UnauthorizedOperation"
    if denied and step.after and "perform:" not in message:  # AWS names no action
        reason += ", and iam:PassRole for the role of the profile"
    # A permission may depend on the tags of an instance; that to pass the role is the same for all.
    alone = code in _OF_ONE_INSTANCE or (denied and "passrole" not in message)
    return _Failed(reason, passes=False, alone=alone)
