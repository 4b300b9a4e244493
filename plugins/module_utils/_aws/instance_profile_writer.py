# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Attach instance profiles to EC2 instances, and detach them. Private to this collection."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Callable

from ansible_collections.dbops.rds_iam.plugins.module_utils._aws import ec2
from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.botocore_errors import AWS_ERRORS
from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.errors import aws_reason, error_code
from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.instance_profile_plan import ENDED, Step, Target, plan
from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.polling import attempts
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError
from ansible_collections.dbops.rds_iam.plugins.module_utils._text import list_items

if TYPE_CHECKING:
    from botocore.client import BaseClient

_PROFILE_NAME = re.compile(r"[\w+=,.@-]{1,128}", re.ASCII)
_ENDING = {"disassociating"}
_INSTANCE_ERROR_CODES = {"IncorrectState", "InvalidAssociationID.NotFound", "InvalidInstanceID.NotFound"}


def set_profiles(client: BaseClient, options: Mapping[str, Any], check_mode: bool) -> dict[str, Any]:
    """Do what the options of the module ec2_role_attachment ask for, and return its result.

    Raises RefusedError before anything is changed, IncompleteError where some instances were not changed, and
    RdsIamError where EC2 cannot be read.
    """
    target = Target(options["instance_profile_name"], options["state"] == "present", options["replace"])
    if not _PROFILE_NAME.fullmatch(target.profile):
        raise RdsIamError(
            f"{target.profile!r} is not the name of an instance profile; give the name alone, without its path and"
            " without the rest of its ARN."
        )
    ids = list(dict.fromkeys(options["instance_ids"]))
    instances = ec2.read(client, ids) if target.present else ec2.read_with_associations(client, ids)
    steps = plan(ids, instances, target, client.meta.region_name)
    if not check_mode:
        _apply(client, steps, options["wait_timeout"])
    return {
        "changed": any(step.changed for step in steps),
        "instances": [step.to_dict() for step in steps],
        "diff": {
            "before": {step.instance_id: step.before for step in steps},
            "after": {step.instance_id: step.after for step in steps},
        },
    }


def _apply(client: BaseClient, steps: list[Step], timeout: float) -> None:
    """Make the changes, one instance after the other, and wait until EC2 shows them.

    C(timeout) are the seconds for trying again, and for waiting, without getting any further. Raises IncompleteError; a
    second run finishes what a failure left.
    """
    changes = _Changes(client, [step for step in steps if step.changed])
    while changes.pending and not changes.is_aborted:
        count = len(changes.pending)
        for _attempt in attempts(timeout):
            changes.try_pending()
            if len(changes.pending) < count:
                break
        else:
            break
    if not changes.is_aborted:
        _wait_until_shown(changes, timeout)
    if changes.failures:
        raise IncompleteError(changes, steps)


def _wait_until_shown(changes: _Changes, timeout: float) -> None:
    """Wait until EC2 shows the changes that it accepted: it answers at once, and takes up to two minutes for them.

    So does terraform-provider-aws (waitInstanceIAMInstanceProfileUpdated in internal/service/ec2/wait.go).
    """
    pending, reason = (
        changes.accepted,
        "EC2 does not show the change yet; run again when it does, or raise wait_timeout",
    )
    while pending:
        count = len(pending)
        for _attempt in attempts(timeout):
            try:
                pending = _not_yet_shown(changes.client, pending)
            except RdsIamError as exc:
                return changes.fail(pending, str(exc).rstrip("."))
            if len(pending) < count:
                break
        else:
            return changes.fail(pending, reason)
    return None


def _not_yet_shown(client: BaseClient, steps: list[Step]) -> list[Step]:
    """Return the steps that EC2 does not show as done. An instance that has ended has nothing more to show."""
    instances = ec2.read(client, [step.instance_id for step in steps])
    live_ids = {instance_id for instance_id, instance in instances.items() if instance.state not in ENDED}
    steps = [step for step in steps if step.instance_id in live_ids]
    differing = [step for step in steps if instances[step.instance_id].profile != step.after]
    if differing:
        return differing
    detached = [step for step in steps if step.after is None]
    associations = ec2.read_associations(client, [step.instance_id for step in detached], ec2.LIVE | _ENDING)
    return [step for step in detached if step.instance_id in associations]


class _ChangeError(RdsIamError):
    """EC2 refused to change an instance.

    is_retryable: another attempt may go well
    is_instance_specific: the refusal says nothing about other instances
    """

    def __init__(self, reason: str, is_retryable: bool, is_instance_specific: bool) -> None:
        super().__init__(reason)
        self.is_retryable = is_retryable
        self.is_instance_specific = is_instance_specific


class _Changes:
    """The changes to make, and how far they are.

    C(pending) are the steps to try, C(failures) the reasons of those that failed last, by the id of the instance.
    """

    def __init__(self, client: BaseClient, steps: list[Step]) -> None:
        self.client, self.steps, self.pending = client, steps, list(steps)
        self.associations = ec2.read_associations(client, [step.instance_id for step in steps if step.before])
        self.failures: dict[str, str] = {}
        self.detached_ids: set[str] = set()
        self.is_aborted = False  # a failure stands against all of them

    @property
    def untried_ids(self) -> list[str]:
        return [step.instance_id for step in self.pending if step.instance_id not in self.failures]

    @property
    def accepted(self) -> list[Step]:
        return [step for step in self.steps if step not in self.pending and step.instance_id not in self.failures]

    def fail(self, steps: list[Step], reason: str) -> None:
        self.failures.update(dict.fromkeys((step.instance_id for step in steps), reason))

    def try_pending(self) -> None:
        """Make each change that is pending, once, until a failure stands against all of them."""
        for step in list(self.pending):
            error = self._try(step)
            if error and not error.is_instance_specific:
                self.is_aborted = not error.is_retryable
                return

    def _try(self, step: Step) -> _ChangeError | None:
        try:
            self._change(step)
        except _ChangeError as exc:
            self.failures[step.instance_id] = str(exc)
            if not exc.is_retryable:
                self.pending.remove(step)
            return exc
        self.failures.pop(step.instance_id, None)
        self.pending.remove(step)
        return None

    def _change(self, step: Step) -> None:
        try:
            for call in self._calls(step):
                call()
        except AWS_ERRORS as exc:
            error = self._explain(step, exc)
            if error:
                raise error from None

    def _calls(self, step: Step) -> list[Callable[[], object]]:
        profile = {"IamInstanceProfile": {"Name": step.after}}
        attach = partial(self.client.associate_iam_instance_profile, InstanceId=step.instance_id, **profile)
        association = self.associations.get(step.instance_id)
        if association is None:  # none, or detached by someone else since it was read
            return [attach] if step.after else []
        association_id = association["AssociationId"]
        if step.after and not step.is_stopped:
            replace_association = self.client.replace_iam_instance_profile_association
            return [partial(replace_association, AssociationId=association_id, **profile)]
        # Of a stopped instance EC2 does not replace the association.
        return [partial(self._detach, step, association_id), *([attach] if step.after else [])]

    def _detach(self, step: Step, association_id: str) -> None:
        self.client.disassociate_iam_instance_profile(AssociationId=association_id)
        del self.associations[step.instance_id]
        self.detached_ids.add(step.instance_id)

    def _explain(self, step: Step, exc: Exception) -> _ChangeError | None:
        """Return why EC2 refused a change; None where the instance has the profile of the step all the same.

        An earlier try whose answer was lost, or someone else, may have done it.
        """
        error = _change_error(step, exc)
        if error_code(exc) not in ("IncorrectState", "InvalidAssociationID.NotFound"):
            return error
        try:
            association = ec2.read_associations(self.client, [step.instance_id]).get(step.instance_id)
        except RdsIamError:  # then the failure at hand is the one to report
            return error
        if step.after == (ec2.profile_name(association["IamInstanceProfile"]["Arn"]) if association else None):
            return None
        if association is None and not error.is_retryable:
            # The association in the way has no future: it is being disassociated, or has gone since it was read.
            self.associations.pop(step.instance_id, None)
            return _ChangeError(f"{error}; run again when it has ended", is_retryable=True, is_instance_specific=True)
        return error


class IncompleteError(RdsIamError):
    """Some changes were not made; C(instances) has the profile of each instance now, and why it is not the other."""

    def __init__(self, changes: _Changes, steps: list[Step]) -> None:
        super().__init__(_incomplete(changes))
        errors = {**changes.failures, **dict.fromkeys(changes.untried_ids, "it was not tried")}
        self.instances: list[dict[str, Any]] = []
        for step in steps:
            profile = step.after
            if step.instance_id in errors:
                profile = None if step.instance_id in changes.detached_ids else step.before
            self.instances.append({**replace(step, after=profile).to_dict(), "error": errors.get(step.instance_id)})
        self.changed = any(instance["changed"] for instance in self.instances)


def _incomplete(changes: _Changes) -> str:
    """Return the sentence with one reason for all instances that have it, and how far the others are."""
    ids_by_reason: dict[str, list[str]] = {}
    for instance_id, reason in changes.failures.items():
        ids_by_reason.setdefault(reason, []).append(instance_id)
    reasons = list_items([f"{list_items(ids)}: {reason}" for reason, ids in ids_by_reason.items()], "; ")
    profile = changes.steps[0].after
    task = f"attach the instance profile {profile} to" if profile else "detach the instance profile from"
    total, untried_ids = len(changes.steps), changes.untried_ids
    if total == 1:
        return f"Failed to {task} {reasons}."
    count = total - len(changes.failures) - len(untried_ids)
    rest_clause = f", not tried: {list_items(untried_ids)}" if untried_ids else ""
    return (
        f"Failed to {task} {reasons}. {count} of {total} instances were changed{rest_clause}; run again for the rest."
    )


def _change_error(step: Step, exc: Exception) -> _ChangeError:
    code, reason = error_code(exc), aws_reason(exc, "ec2")
    message = str(exc).lower().replace(" ", "")
    if code == "InvalidParameterValue" and "iaminstanceprofile" in message:
        reason = f"EC2 does not see an instance profile {step.after} with a role in it"
        advice = "create it, or raise wait_timeout if it is fresh"
        return _ChangeError(f"{reason}; {advice}", is_retryable=True, is_instance_specific=False)
    if code == "IncorrectState" and "identityprofile" in message:  # the same in other words
        return _ChangeError(reason, is_retryable=True, is_instance_specific=False)
    if code == "IncorrectInstanceState":
        return _ChangeError(f"{reason}; run again when it is", is_retryable=True, is_instance_specific=True)
    denied = code == "UnauthorizedOperation"
    if denied and step.after and "perform:" not in message:  # AWS names no action
        reason += ", and iam:PassRole for the role of the profile"
    # A permission may depend on the tags of an instance; that to pass the role is the same for all.
    is_instance_specific = code in _INSTANCE_ERROR_CODES or (denied and "passrole" not in message)
    return _ChangeError(reason, is_retryable=False, is_instance_specific=is_instance_specific)
