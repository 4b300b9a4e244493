# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plan which instance profile each EC2 instance gets or loses. Pure, and private to this collection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.ec2 import Instance
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError
from ansible_collections.dbops.rds_iam.plugins.module_utils._text import list_items

ENDED = frozenset({"shutting-down", "terminated"})  # states of an instance
_STOPPED = frozenset({"stopping", "stopped"})


@dataclass(frozen=True)
class Target:
    """The instance profile that instances get, or lose; C(replace) allows to take another one away."""

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
    def is_stopped(self) -> bool:
        return self.state in _STOPPED

    def to_dict(self) -> dict[str, Any]:
        """Return the step as the module ec2_role_attachment returns it."""
        return {
            "instance_id": self.instance_id,
            "state": self.state,
            "before": self.before,
            "after": self.after,
            "changed": self.changed,
        }


class RefusedError(RdsIamError):
    """Something stands against the change, and nothing was changed; C(instances) has the steps that were planned."""

    def __init__(self, refusals: list[str], steps: list[Step]) -> None:
        super().__init__(f"No instance was changed: {'; '.join(refusals)}.")
        self.instances = [step.to_dict() for step in steps]


def plan(instance_ids: list[str], instances: dict[str, Instance], target: Target, region: str) -> list[Step]:
    """Return one step for each instance.

    C(instances) has those that exist, by id. Raises RefusedError, with all that stands against attaching the profile.
    """
    steps = [_step(instance_id, instances.get(instance_id), target) for instance_id in instance_ids]
    refusals = _refusals(steps, target, region) if target.present else []
    if refusals:
        raise RefusedError(refusals, steps)
    return steps


def _step(instance_id: str, instance: Instance | None, target: Target) -> Step:
    before = instance.profile if instance else None
    other_profile = None if before == target.profile else before
    after = target.profile if target.present else other_profile
    return Step(instance_id, instance.state if instance else None, before, after)


def _refusals(steps: list[Step], target: Target, region: str) -> list[str]:
    refusals = []
    unknown_ids = [step.instance_id for step in steps if step.state is None]
    if unknown_ids:
        refusals.append(f"there is no instance {list_items(unknown_ids)} in {region}, so check the ids and the region")
    ended_ids = [step.instance_id for step in steps if step.state in ENDED]
    if ended_ids:
        refusals.append(f"{list_items(ended_ids)} is terminated or shutting down, so leave it out")
    conflicts = [step for step in steps if step.state not in ENDED and step.before not in (None, target.profile)]
    if conflicts and not target.replace:
        holders = list_items([f"{step.instance_id} ({step.before})" for step in conflicts])
        refusals.append(
            f"another instance profile is attached to {holders}, so set replace to true to have {target.profile}"
            " in its place, or give the role of the other one the policy"
        )
    return refusals
