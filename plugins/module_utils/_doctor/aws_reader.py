# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read what RDS, EC2, IAM and CloudWatch Logs know about logins. Private to this collection."""

from __future__ import annotations

from datetime import datetime

from ansible_collections.dbops.rds_iam.plugins.module_utils._aws import ec2, iam, rds
from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.errors import aws_error, error_code
from ansible_collections.dbops.rds_iam.plugins.module_utils._doctor import auth_log
from ansible_collections.dbops.rds_iam.plugins.module_utils._doctor.evidence import Role, Unreadable
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.ec2_trust import trusts_ec2
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.policy_document import CONNECT
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.policy_evaluation import Policy
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.request_context import RequestContext
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.simulation import Simulation, read_results
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.trust import role_context

try:
    from botocore.exceptions import BotoCoreError, ClientError
except ImportError:
    BotoCoreError = ClientError = None  # AnsibleAWSModule says so when it starts


def _reason(exc: RdsIamError) -> str:
    return str(exc).rstrip(".")


def read_database(client, params: dict) -> dict:
    """What Case wants to know of a database: record, missing, unsupported, and the ids of the members of a cluster."""
    found = {"database": Unreadable("it is not in the region that was asked"), "missing": "", "unsupported": ""}
    try:
        record = found["database"] = rds.describe(client, *rds.kind_of(params))
        if not record["iam_auth_enabled"]:
            rds.check_support(client, record)
        if record["kind"] == "cluster":
            members = rds.INSTANCE.describe(
                client, Filters=[{"Name": "db-cluster-id", "Values": [record["identifier"]]}]
            )
            found["member_resource_ids"] = tuple(member["DbiResourceId"] for member in members)
    except rds.DatabaseNotFoundError as exc:
        found["missing"] = str(exc)
    except rds.UnsupportedError as exc:
        found["unsupported"] = str(exc)
    except RdsIamError as exc:
        if isinstance(found["database"], Unreadable):
            found["database"] = Unreadable(_reason(exc))
    except (ClientError, BotoCoreError):
        pass  # the members only help to name a mistake
    return found


def read_instances(client, instance_ids: list[str]) -> dict | Unreadable:
    try:
        return ec2.read(client, instance_ids)
    except RdsIamError as exc:
        return Unreadable(_reason(exc))


def read_log(client, record: dict, times: list[datetime]) -> list[auth_log.Refusal] | Unreadable:
    """What RDS has logged of the IAM logins to a database that were refused at about these times."""
    group, (start, end) = auth_log.group(record), auth_log.window(times)
    arguments = {"startTime": int(start.timestamp() * 1000), "endTime": int(end.timestamp() * 1000)}
    try:
        pages = client.get_paginator("filter_log_events").paginate(logGroupName=group, **arguments)
        return auth_log.parse([event for page in pages for event in page["events"]])
    except (ClientError, BotoCoreError) as exc:
        if error_code(exc) == "ResourceNotFoundException":  # the first line makes the log group
            return []
        return Unreadable(_reason(aws_error(f"read the log group {group}", exc, "logs")))


class Roles:
    """The roles behind instance profiles."""

    def __init__(self, client):
        self.client = client

    def read(self, profile: str, arns: list[str]) -> Role | Unreadable | None:
        """The role in an instance profile, with what IAM says of these database users; None for no role."""
        try:
            doing = f"read the instance profile {profile}"
            answer = iam.get(self.client, "get_instance_profile", doing, InstanceProfileName=profile)
            roles = answer["InstanceProfile"]["Roles"]
            if not roles:
                return None
            name = roles[0]["RoleName"]
            raw = iam.get(self.client, "get_role", f"read the IAM role {name}", RoleName=name)["Role"]
        except RdsIamError as exc:
            return Unreadable(_reason(exc))
        context = role_context(raw)
        simulated = self._simulated(raw, arns, context)
        return Role(name, trusts_ec2(raw["AssumeRolePolicyDocument"]), self._policies(raw), simulated, context)

    def _policies(self, role: dict) -> list[Policy] | Unreadable:
        name, doing = role["RoleName"], f"list the policies of the IAM role {role['RoleName']}"
        try:
            inline = iam.get_items(self.client, "list_role_policies", "PolicyNames", doing, RoleName=name)
            operation, key = "list_attached_role_policies", "AttachedPolicies"
            attached = iam.get_items(self.client, operation, key, doing, RoleName=name)
        except RdsIamError as exc:
            return Unreadable(_reason(exc))
        policies = [self._inline(name, one) for one in inline]
        policies += [self._managed(one["PolicyArn"]) for one in attached]
        boundary = (role.get("PermissionsBoundary") or {}).get("PermissionsBoundaryArn")
        return [*policies, self._managed(boundary, boundary=True)] if boundary else policies

    def _inline(self, role: str, name: str) -> Policy:
        doing = f"read the policy {name} of the IAM role {role}"
        try:
            found = iam.get(self.client, "get_role_policy", doing, RoleName=role, PolicyName=name)
        except RdsIamError as exc:
            return Policy(name, None, reason=_reason(exc))
        return Policy(name, found["PolicyDocument"])

    def _managed(self, arn: str, boundary: bool = False) -> Policy:
        name, doing = arn.rsplit("/", 1)[-1], f"read the policy {arn}"
        try:
            version = iam.get(self.client, "get_policy", doing, PolicyArn=arn)["Policy"]["DefaultVersionId"]
            found = iam.get(self.client, "get_policy_version", doing, PolicyArn=arn, VersionId=version)
        except RdsIamError as exc:
            return Policy(name, None, boundary, _reason(exc))
        return Policy(name, found["PolicyVersion"]["Document"], boundary)

    def _simulated(self, role: dict, arns: list[str], context: RequestContext | None = None) -> dict[str, Simulation]:
        """What IAM itself says, where it may be asked, with what is known of a login by the role.

        Whether RDS sends aws:RequestedRegion with a login is not documented; it is given, since conditions on it are
        those of Region locks, which IAM otherwise judges as if there were no Region.
        """
        context = context or role_context(role)
        region = {"ContextKeyName": "aws:RequestedRegion", "ContextKeyType": "string"}
        decisions = {}
        for name in dict.fromkeys(arn.split(":")[3] for arn in arns):
            given = [*context.entries(), {**region, "ContextKeyValues": [name]}]
            try:
                results = iam.get_items(
                    self.client,
                    "simulate_principal_policy",
                    "EvaluationResults",
                    "simulate",
                    PolicySourceArn=role["Arn"],
                    ActionNames=[CONNECT],
                    ResourceArns=[arn for arn in arns if arn.split(":")[3] == name],
                    ContextEntries=given,
                )
            except RdsIamError:
                return {}
            decisions.update(read_results(results, context))
        return decisions
