# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Make the calls that create, repair and remove a role, its instance profile and its policy. Private.

IAM does not show everywhere at once what it has made: a call that needs it is tried again for a while. And a call whose
answer was lost is repeated by botocore, and finds its own work.
"""

from __future__ import annotations

import json
from typing import Callable

from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.errors import aws_error, error_code
from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.managed_by import COLLECTION, TAGS
from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.polling import attempts
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.role_plan import Plan
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.role_reader import read_instance_profile, read_role
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.role_state import Request, State

try:
    from botocore.exceptions import BotoCoreError, ClientError
except ImportError:
    BotoCoreError = ClientError = None  # AnsibleAWSModule says so when it starts

_SETTLING = 60.0  # seconds for which a call is tried again
_NOT_SEEN = ("NoSuchEntity", "ConcurrentModification")
_STILL_USED = ("DeleteConflict", "ConcurrentModification")
_DESCRIPTION = "EC2 instances that log in to RDS databases with IAM tokens"


def apply(client, request: Request, plan: Plan) -> None:
    """Make the calls of a plan. Raises RdsIamError with the attribute C(changed), whether some were made."""
    writer = _Writer(client, request, plan.after)
    for number, call in enumerate(plan.calls):
        try:
            getattr(writer, call)()
        except RdsIamError as exc:
            exc.changed = number > 0
            raise


class _Writer:
    """The calls by the names that a plan has for them."""

    def __init__(self, client, request: Request, after: State):
        self.client, self.after = client, after
        self.role, self.profile, self.policy = (
            request.role_name,
            request.instance_profile_name,
            request.policy_name,
        )
        self.path = request.path

    def create_role(self) -> None:
        role = self.after.role
        boundary = role["permissions_boundary"]
        self._call(
            f"create the IAM role {self.role}",
            self.client.create_role,
            done=("EntityAlreadyExists",),
            RoleName=self.role,
            Path=self.path,
            Description=_DESCRIPTION,
            AssumeRolePolicyDocument=json.dumps(role["trust_policy"]),
            Tags=TAGS,
            **({"PermissionsBoundary": boundary} if boundary else {}),
        )
        self._check_made("IAM role", self.role, read_role(self.client, self.role))

    def create_instance_profile(self) -> None:
        self._call(
            f"create the instance profile {self.profile}",
            self.client.create_instance_profile,
            done=("EntityAlreadyExists",),
            InstanceProfileName=self.profile,
            Path=self.path,
            Tags=TAGS,
        )
        self._check_made("instance profile", self.profile, read_instance_profile(self.client, self.profile))

    def _check_made(self, thing: str, name: str, found: dict | None) -> None:
        """Refuse to go on with what somebody else has made in the same moment; None is what IAM does not show yet."""
        if found and found["managed_by"] != COLLECTION:
            raise RdsIamError(
                f"Failed to create the {thing} {name}: somebody else has created it at the same time; run again, or"
                " give another name."
            )

    def set_trust_policy(self) -> None:
        self._call(
            f"repair the trust policy of the IAM role {self.role}",
            self.client.update_assume_role_policy,
            RoleName=self.role,
            PolicyDocument=json.dumps(self.after.role["trust_policy"]),
        )

    def set_permissions_boundary(self) -> None:
        self._call(
            f"set the permissions boundary of the IAM role {self.role}",
            self.client.put_role_permissions_boundary,
            RoleName=self.role,
            PermissionsBoundary=self.after.role["permissions_boundary"],
        )

    def add_role_to_instance_profile(self) -> None:
        doing = f"add the IAM role {self.role} to the instance profile {self.profile}"
        names = {"InstanceProfileName": self.profile, "RoleName": self.role}
        try:
            self._call(doing, self.client.add_role_to_instance_profile, **names)
        except RdsIamError:
            if self._role_in_profile() != self.role:
                raise

    def _role_in_profile(self) -> str:
        """Return the role that an earlier try, whose answer was lost, may have added, or somebody else."""
        for _attempt in attempts(_SETTLING):
            found = read_instance_profile(self.client, self.profile)
            if not found or found["role_name"]:
                break
        return found["role_name"] if found else ""

    def put_policy(self) -> None:
        self._call(
            f"write the inline policy {self.policy} of the IAM role {self.role}",
            self.client.put_role_policy,
            RoleName=self.role,
            PolicyName=self.policy,
            PolicyDocument=json.dumps(self.after.policy),
        )

    def delete_policy(self) -> None:
        doing = f"delete the inline policy {self.policy} of the IAM role {self.role}"
        names = {"RoleName": self.role, "PolicyName": self.policy}
        self._remove(doing, self.client.delete_role_policy, **names)

    def remove_role_from_instance_profile(self) -> None:
        doing = f"remove the IAM role {self.role} from the instance profile {self.profile}"
        names = {"InstanceProfileName": self.profile, "RoleName": self.role}
        self._remove(doing, self.client.remove_role_from_instance_profile, **names)

    def delete_instance_profile(self) -> None:
        doing = f"delete the instance profile {self.profile}"
        self._remove(doing, self.client.delete_instance_profile, InstanceProfileName=self.profile)

    def delete_role(self) -> None:
        self._remove(f"delete the IAM role {self.role}", self.client.delete_role, RoleName=self.role)

    def _remove(self, doing: str, call: Callable, **names) -> None:
        self._call(doing, call, done=("NoSuchEntity",), passing=_STILL_USED, **names)

    def _call(self, doing: str, call: Callable, done: tuple = (), passing: tuple = _NOT_SEEN, **options) -> None:
        """Make a call, again while it fails with a code that is C(passing); one of C(done) is as good as success."""
        failure = None
        for _attempt in attempts(_SETTLING):
            try:
                call(**options)
                return
            except (BotoCoreError, ClientError) as exc:
                if error_code(exc) in done:
                    return
                failure = aws_error(doing, exc, "iam")
                if error_code(exc) not in passing:
                    break
        raise failure
