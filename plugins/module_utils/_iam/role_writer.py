# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Make the calls that create, repair and remove a role, its instance profile and its policy. Private.

IAM does not show everywhere at once what it has created: a call that needs it is tried again for a while. And a call
whose answer was lost is repeated by botocore, and meets its own work.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Callable, cast

from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.botocore_errors import AWS_ERRORS
from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.errors import aws_error, error_code
from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.managed_by import COLLECTION, TAGS
from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.polling import attempts
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.role_plan import Plan
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.role_reader import read_instance_profile, read_role
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.role_state import (
    InstanceProfileRecord,
    Request,
    RoleRecord,
    State,
)

if TYPE_CHECKING:
    from botocore.client import BaseClient

_SETTLING = 60.0  # seconds for which a call is tried again
_NOT_VISIBLE_YET = ("NoSuchEntity", "ConcurrentModification")
_STILL_USED = ("DeleteConflict", "ConcurrentModification")
_DESCRIPTION = "EC2 instances that log in to RDS databases with IAM tokens"


def apply(client: BaseClient, request: Request, plan: Plan) -> None:
    """Make the calls of a plan. Raises RdsIamError, whose C(changed) says whether some were made."""
    writer = _Writer(client, request, plan.after)
    successful_calls = 0
    try:
        for call in plan.calls:
            getattr(writer, call)()
            successful_calls += 1
    except RdsIamError as exc:
        exc.changed = successful_calls > 0
        raise


class _Writer:
    """The calls by the names that a plan has for them."""

    def __init__(self, client: BaseClient, request: Request, after: State) -> None:
        self.client, self.after = client, after
        self.role, self.profile, self.policy = (
            request.role_name,
            request.instance_profile_name,
            request.policy_name,
        )
        self.path = request.path

    @property
    def _role_after(self) -> RoleRecord:
        """Return the role as the plan leaves it. Calls that need it are planned only where there is one."""
        return cast(RoleRecord, self.after.role)

    def create_role(self) -> None:
        boundary = self._role_after["permissions_boundary"]
        arguments = {
            "RoleName": self.role,
            "Path": self.path,
            "Description": _DESCRIPTION,
            "AssumeRolePolicyDocument": json.dumps(self._role_after["trust_policy"]),
            "Tags": TAGS,
            **({"PermissionsBoundary": boundary} if boundary else {}),
        }
        self._create(f"IAM role {self.role}", self.client.create_role, arguments)
        self._check_owner("IAM role", self.role, read_role(self.client, self.role))

    def create_instance_profile(self) -> None:
        arguments = {"InstanceProfileName": self.profile, "Path": self.path, "Tags": TAGS}
        self._create(f"instance profile {self.profile}", self.client.create_instance_profile, arguments)
        self._check_owner("instance profile", self.profile, read_instance_profile(self.client, self.profile))

    def _check_owner(self, title: str, name: str, record: RoleRecord | InstanceProfileRecord | None) -> None:
        """Refuse to go on with what somebody else created in the same moment; None is what IAM does not show yet."""
        if record and record["managed_by"] != COLLECTION:
            raise RdsIamError(
                f"Failed to create the {title} {name}: somebody else has created it at the same time; run again, or"
                " give another name."
            )

    def set_trust_policy(self) -> None:
        self._call(
            f"repair the trust policy of the IAM role {self.role}",
            self.client.update_assume_role_policy,
            {"RoleName": self.role, "PolicyDocument": json.dumps(self._role_after["trust_policy"])},
        )

    def set_permissions_boundary(self) -> None:
        self._call(
            f"set the permissions boundary of the IAM role {self.role}",
            self.client.put_role_permissions_boundary,
            {"RoleName": self.role, "PermissionsBoundary": self._role_after["permissions_boundary"]},
        )

    def add_role_to_instance_profile(self) -> None:
        task = f"add the IAM role {self.role} to the instance profile {self.profile}"
        arguments = {"InstanceProfileName": self.profile, "RoleName": self.role}
        try:
            self._call(task, self.client.add_role_to_instance_profile, arguments)
        except RdsIamError:
            if self._read_role_in_profile() != self.role:
                raise

    def _read_role_in_profile(self) -> str:
        """Return the role that an earlier try, whose answer was lost, may have added, or somebody else."""
        for _attempt in attempts(_SETTLING):
            profile = read_instance_profile(self.client, self.profile)
            if not profile or profile["role_name"]:
                break
        return profile["role_name"] if profile else ""

    def put_policy(self) -> None:
        document = json.dumps(self.after.policy)
        self._call(
            f"write the inline policy {self.policy} of the IAM role {self.role}",
            self.client.put_role_policy,
            {"RoleName": self.role, "PolicyName": self.policy, "PolicyDocument": document},
        )

    def delete_policy(self) -> None:
        task = f"delete the inline policy {self.policy} of the IAM role {self.role}"
        self._remove(task, self.client.delete_role_policy, {"RoleName": self.role, "PolicyName": self.policy})

    def remove_role_from_instance_profile(self) -> None:
        task = f"remove the IAM role {self.role} from the instance profile {self.profile}"
        arguments = {"InstanceProfileName": self.profile, "RoleName": self.role}
        self._remove(task, self.client.remove_role_from_instance_profile, arguments)

    def delete_instance_profile(self) -> None:
        task = f"delete the instance profile {self.profile}"
        self._remove(task, self.client.delete_instance_profile, {"InstanceProfileName": self.profile})

    def delete_role(self) -> None:
        self._remove(f"delete the IAM role {self.role}", self.client.delete_role, {"RoleName": self.role})

    def _create(self, title: str, call: Callable[..., object], arguments: Mapping[str, object]) -> None:
        self._call(f"create the {title}", call, arguments, success_codes=("EntityAlreadyExists",))

    def _remove(self, task: str, call: Callable[..., object], arguments: Mapping[str, object]) -> None:
        self._call(task, call, arguments, success_codes=("NoSuchEntity",), retry_codes=_STILL_USED)

    def _call(
        self,
        task: str,
        call: Callable[..., object],
        arguments: Mapping[str, object],
        success_codes: tuple[str, ...] = (),
        retry_codes: tuple[str, ...] = _NOT_VISIBLE_YET,
    ) -> None:
        """Make a call, again while it fails with one of C(retry_codes); one of C(success_codes) is a success."""
        for _attempt in attempts(_SETTLING):
            failure = _try(call, arguments)
            if failure is None or error_code(failure) in success_codes:
                return
            error = aws_error(task, failure, "iam")
            if error_code(failure) not in retry_codes:
                break
        raise error


def _try(call: Callable[..., object], arguments: Mapping[str, object]) -> Exception | None:
    """Make a call once, and return its failure."""
    try:
        call(**arguments)
    except AWS_ERRORS as exc:
        return exc
    return None
