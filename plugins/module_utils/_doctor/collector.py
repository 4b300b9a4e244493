# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Collect the evidence for logins, each thing once for all of them. Private to this collection."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, TypedDict

from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.client import connect
from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.ec2 import Instance
from ansible_collections.dbops.rds_iam.plugins.module_utils._doctor import auth_log, aws_reader
from ansible_collections.dbops.rds_iam.plugins.module_utils._doctor.diagnosis import is_proven
from ansible_collections.dbops.rds_iam.plugins.module_utils._doctor.evidence import (
    ClientFacts,
    LoginEvidence,
    Role,
    Unreadable,
    UserPlan,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._host.results import HostFacts, LoginResult, TargetFacts

if TYPE_CHECKING:
    from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule


class LoginOption(TypedDict):
    """An entry of the option logins of rds_iam_doctor."""

    client: str
    database: str
    user: str
    expect: str
    login_result: LoginResult | None
    error: str
    user_plan: UserPlan | None


class ClientOption(TypedDict):
    """An entry of the option clients of rds_iam_doctor."""

    name: str
    instance_id: str | None
    host_facts: HostFacts | None


def _needs_evidence(login: LoginOption) -> bool:
    return not is_proven(login["login_result"], login["expect"])


class EvidenceCollector:
    """Reads the facts for all logins that are not proven by their results, when it is made.

    clients, databases: the options of rds_iam_doctor, by the names in C(logins)
    """

    def __init__(
        self,
        module: AnsibleAWSModule,
        clients: dict[str, ClientOption],
        databases: dict[str, dict[str, Any]],
        logins: list[LoginOption],
    ) -> None:
        self._clients = clients
        unproven = [login for login in logins if _needs_evidence(login)]
        rds = connect(module, "rds") if unproven else None
        names = dict.fromkeys(login["database"] for login in unproven)
        self._databases = {name: aws_reader.read_database(rds, databases[name]) for name in names}
        self._records = {
            name: database.record
            for name, database in self._databases.items()
            if not isinstance(database.record, Unreadable)
        }
        self._arns = sorted(
            {
                f"{self._records[login['database']]['connect_arn_prefix']}/{login['user']}"
                for login in unproven
                if login["database"] in self._records
            }
        )
        self._database_names = {record["resource_id"]: name for name, record in self._records.items()}
        ids = sorted({clients[login["client"]]["instance_id"] or "" for login in unproven} - {""})
        self._instances = aws_reader.read_instances(connect(module, "ec2"), ids) if ids else {}
        self._role_reader = aws_reader.RoleReader(connect(module, "iam")) if ids else None
        self._roles: dict[str, Role | Unreadable | None] = {}  # by instance profile
        self._targets = {
            name: _first_by_endpoint((clients[name]["host_facts"] or {}).get("targets") or [])
            for name in dict.fromkeys(login["client"] for login in unproven)
        }
        self._logs = self._read_logs(module, unproven)

    def _read_logs(
        self, module: AnsibleAWSModule, unproven: list[LoginOption]
    ) -> dict[str, auth_log.RefusalLog | Unreadable]:
        """Return the logs of the databases that export them and have refused a login, by the name of the database."""
        times: dict[str, list[datetime]] = {}
        for login in unproven:
            record, result = self._records.get(login["database"]), login["login_result"] or {}
            skew = (self._clients[login["client"]]["host_facts"] or {}).get("clock_skew")
            time = auth_log.time_of_login(result, skew)
            if record and auth_log.LOG in record["log_exports"] and time and result.get("verdict") == "denied":
                times.setdefault(login["database"], []).append(time)
        client = connect(module, "logs") if times else None
        return {name: aws_reader.read_log(client, self._records[name], times[name]) for name in times}

    def _instance(self, instance_id: str | None) -> Instance | Unreadable | None:
        if not instance_id:
            return None
        if isinstance(self._instances, Unreadable):
            return self._instances
        return self._instances.get(instance_id) or Unreadable(f"there is no EC2 instance {instance_id} in this region")

    def _role(self, instance: Instance | Unreadable | None) -> Role | Unreadable | None:
        profile = instance.profile if isinstance(instance, Instance) else None
        if not profile or not self._role_reader:
            return None
        if profile not in self._roles:
            self._roles[profile] = self._role_reader.read(profile, self._arns)
        return self._roles[profile]

    def collect(self, login: LoginOption) -> LoginEvidence:
        """Return the evidence for a login; one that is proven by its result needs no more."""
        client, name, user, expect = login["client"], login["database"], login["user"], login["expect"]
        if not _needs_evidence(login):
            return LoginEvidence(client, Unreadable(""), name, user, expect, login=login["login_result"])
        option, database = self._clients[client], self._databases[name]
        instance = self._instance(option["instance_id"])
        return LoginEvidence(
            client=client,
            database=database.record,
            name=name,
            user=user,
            expect=expect,
            absence=database.absence,
            support_error=database.support_error,
            login=login["login_result"],
            login_error=login["error"],
            host=self._client_facts(option, name),
            instance=instance,
            role=self._role(instance),
            user_plan=login["user_plan"],
            member_resource_ids=database.member_resource_ids,
            database_names=self._database_names,
            refusals=self._logs.get(name),
        )

    def _client_facts(self, option: ClientOption, database: str) -> ClientFacts | Unreadable:
        """Return the facts about a client, with its way to this database."""
        facts = option["host_facts"]
        if not facts or "credentials" not in facts:
            return Unreadable((facts or {}).get("msg") or "the host was not asked")
        record = self._records.get(database)
        endpoint = record["endpoint"] if record else None
        return {**facts, "target": self._targets[option["name"]].get(endpoint or "")}


def _first_by_endpoint(targets: list[TargetFacts]) -> dict[str, TargetFacts]:
    return {target["endpoint"]: target for target in reversed(targets)}
