# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read the facts of RDS, EC2, IAM and CloudWatch Logs about logins. Private to this collection."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ansible_collections.dbops.rds_iam.plugins.module_utils._aws import ec2, iam, rds
from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.botocore_errors import AWS_ERRORS
from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.errors import aws_error, error_code
from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.rds_record import DatabaseRecord
from ansible_collections.dbops.rds_iam.plugins.module_utils._doctor.auth_log import (
    RefusalLog,
    log_group,
    parse_events,
    window,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._doctor.evidence import DatabaseEvidence, Role, Unreadable
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.ec2_trust import trusts_ec2
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.policy_document import CONNECT
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.policy_evaluation import Policy
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.request_context import RequestContext
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.simulation import Simulation, read_results
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.trust import role_context

if TYPE_CHECKING:
    from botocore.client import BaseClient

_REGION = 3  # the index of the Region among the parts of an ARN


def _unreadable(exc: RdsIamError) -> Unreadable:
    return Unreadable(str(exc).rstrip("."))


def read_database(client: BaseClient, options: Mapping[str, Any]) -> DatabaseEvidence:
    """Return the facts that RDS tells about the database that options of rds_iam_doctor name."""
    try:
        record = rds.describe(client, *rds.kind_of(options))
    except rds.DatabaseNotFoundError as exc:
        return DatabaseEvidence(Unreadable("it is not in the region that was asked"), absence=str(exc))
    except RdsIamError as exc:
        return DatabaseEvidence(_unreadable(exc))
    try:
        if not record["iam_auth_enabled"]:
            rds.check_support(client, record)
    except rds.UnsupportedError as exc:
        return DatabaseEvidence(record, support_error=str(exc))
    except RdsIamError:  # whether it has support only helps to name the remedy
        return DatabaseEvidence(record)
    return DatabaseEvidence(record, member_resource_ids=_member_resource_ids(client, record))


def _member_resource_ids(client: BaseClient, record: DatabaseRecord) -> tuple[str, ...]:
    """Return the resource ids of the members of a cluster, which policies may name by mistake."""
    if record["kind"] != "cluster":
        return ()
    filters = [{"Name": "db-cluster-id", "Values": [record["identifier"]]}]
    try:
        return tuple(member["DbiResourceId"] for member in rds.INSTANCE.describe(client, Filters=filters))
    except AWS_ERRORS:  # they only help to name a mistake
        return ()


def read_instances(client: BaseClient, instance_ids: list[str]) -> dict[str, ec2.Instance] | Unreadable:
    try:
        return ec2.read(client, instance_ids)
    except RdsIamError as exc:
        return _unreadable(exc)


def read_log(client: BaseClient, record: DatabaseRecord, times: list[datetime]) -> RefusalLog | Unreadable:
    """Return the log of RDS on the IAM logins to a database that were refused at about these times."""
    group, (start, end) = log_group(record), window(times)
    arguments = {"startTime": int(start.timestamp() * 1000), "endTime": int(end.timestamp() * 1000)}
    try:
        pages = client.get_paginator("filter_log_events").paginate(logGroupName=group, **arguments)
        return RefusalLog(parse_events(event for page in pages for event in page["events"]))
    except AWS_ERRORS as exc:
        if error_code(exc) == "ResourceNotFoundException":  # the first line makes the log group
            return RefusalLog([])
        return _unreadable(aws_error(f"read the log group {group}", exc, "logs"))


class RoleReader:
    """Reads the roles in instance profiles."""

    def __init__(self, client: BaseClient) -> None:
        self.client = client

    def read(self, profile: str, arns: list[str]) -> Role | Unreadable | None:
        """Return the role in an instance profile; None where there is no role in it.

        arns: those of the database users for which IAM is to simulate the policies
        """
        try:
            task = f"read the instance profile {profile}"
            answer = iam.get(self.client, "get_instance_profile", task, InstanceProfileName=profile)
            roles = answer["InstanceProfile"]["Roles"]
            if not roles:
                return None
            name = roles[0]["RoleName"]
            raw = iam.get(self.client, "get_role", f"read the IAM role {name}", RoleName=name)["Role"]
        except RdsIamError as exc:
            return _unreadable(exc)
        context = role_context(raw)
        simulations = self.simulate(raw, arns, context)
        return Role(name, trusts_ec2(raw["AssumeRolePolicyDocument"]), self._policies(raw), simulations, context)

    def _policies(self, role: dict[str, Any]) -> list[Policy] | Unreadable:
        name, task = role["RoleName"], f"list the policies of the IAM role {role['RoleName']}"
        try:
            inline_names = iam.get_items(self.client, "list_role_policies", "PolicyNames", task, RoleName=name)
            attachments = iam.get_items(
                self.client, "list_attached_role_policies", "AttachedPolicies", task, RoleName=name
            )
        except RdsIamError as exc:
            return _unreadable(exc)
        policies = [self._inline_policy(name, policy_name) for policy_name in inline_names]
        policies += [self._managed_policy(attachment["PolicyArn"]) for attachment in attachments]
        boundary = (role.get("PermissionsBoundary") or {}).get("PermissionsBoundaryArn")
        return [*policies, self._managed_policy(boundary, is_boundary=True)] if boundary else policies

    def _inline_policy(self, role: str, name: str) -> Policy:
        task = f"read the policy {name} of the IAM role {role}"
        try:
            document = iam.get(self.client, "get_role_policy", task, RoleName=role, PolicyName=name)["PolicyDocument"]
        except RdsIamError as exc:
            return Policy(name, None, reason=_unreadable(exc).reason)
        return Policy(name, document)

    def _managed_policy(self, arn: str, is_boundary: bool = False) -> Policy:
        name, task = arn.rsplit("/", 1)[-1], f"read the policy {arn}"
        try:
            version = iam.get(self.client, "get_policy", task, PolicyArn=arn)["Policy"]["DefaultVersionId"]
            answer = iam.get(self.client, "get_policy_version", task, PolicyArn=arn, VersionId=version)
        except RdsIamError as exc:
            return Policy(name, None, is_boundary, _unreadable(exc).reason)
        return Policy(name, answer["PolicyVersion"]["Document"], is_boundary)

    def simulate(
        self, role: dict[str, Any], arns: list[str], context: RequestContext | None = None
    ) -> dict[str, Simulation]:
        """Return the simulations of IAM by the ARN of the database user; none where the simulator may not be asked.

        Whether RDS sends aws:RequestedRegion with a login is not documented; it is given, since conditions on it are
        those of Region locks, which IAM otherwise judges as if there were no Region.

        role: as GetRole returns it
        context: that of a login by the role; None to derive it
        """
        context = context or role_context(role)
        arns_by_region: dict[str, list[str]] = defaultdict(list)
        for arn in arns:
            arns_by_region[arn.split(":")[_REGION]].append(arn)
        simulations = {}
        for region, arns_in_region in arns_by_region.items():
            entry = {"ContextKeyName": "aws:RequestedRegion", "ContextKeyType": "string", "ContextKeyValues": [region]}
            try:
                results = iam.get_items(
                    self.client,
                    "simulate_principal_policy",
                    "EvaluationResults",
                    "simulate",
                    PolicySourceArn=role["Arn"],
                    ActionNames=[CONNECT],
                    ResourceArns=arns_in_region,
                    ContextEntries=[*context.entries(), entry],
                )
            except RdsIamError:
                return {}
            simulations.update(read_results(results, context))
        return simulations
