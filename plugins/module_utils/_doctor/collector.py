# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Collect the evidence for logins, each thing once for all of them. Private to this collection."""

from __future__ import annotations

from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.client import connect
from ansible_collections.dbops.rds_iam.plugins.module_utils._doctor import auth_log, aws_reader
from ansible_collections.dbops.rds_iam.plugins.module_utils._doctor.diagnosis import is_proven
from ansible_collections.dbops.rds_iam.plugins.module_utils._doctor.evidence import LoginEvidence, Unreadable


def _is_puzzling(login: dict) -> bool:
    return not is_proven(login["result"], login["expect"])


class EvidenceCollector:
    """Reads what the puzzling logins need."""

    def __init__(self, module, hosts, databases, logins):
        self.hosts, self.databases = hosts, databases
        wanted = [login for login in logins if _is_puzzling(login)]
        rds = connect(module, "rds") if wanted else None
        names = dict.fromkeys(login["database"] for login in wanted)
        self.read = {name: aws_reader.read_database(rds, databases[name]) for name in names}
        self.arns = sorted({arn for arn in map(self.arn, wanted) if arn})
        records = {
            name: one["database"] for name, one in self.read.items() if not isinstance(one["database"], Unreadable)
        }
        self.resource_ids = {record["resource_id"]: name for name, record in records.items()}
        ids = sorted({hosts[login["host"]]["instance_id"] for login in wanted} - {None, ""})
        self.instances = aws_reader.read_instances(connect(module, "ec2"), ids) if ids else {}
        self.roles, self.known = (aws_reader.Roles(connect(module, "iam")) if ids else None), {}
        self.logs = self.read_logs(module, wanted)

    def read_logs(self, module, wanted: list[dict]) -> dict:
        """The logs of databases that export them and have refused a login, by the name of the database."""
        times = {}
        for login in wanted:
            record = self.read[login["database"]]["database"]
            exported = not isinstance(record, Unreadable) and auth_log.LOG in record["log_exports"]
            skew = (self.hosts[login["host"]]["info"] or {}).get("clock_skew")
            when = auth_log.tried_at(login["result"] or {}, skew)
            if exported and when and login["result"].get("verdict") == "denied":
                times.setdefault(login["database"], []).append(when)
        client = connect(module, "logs") if times else None
        return {name: aws_reader.read_log(client, self.read[name]["database"], times[name]) for name in times}

    def arn(self, login: dict) -> str | None:
        record = self.read[login["database"]]["database"]
        return None if isinstance(record, Unreadable) else f"{record['connect_arn_prefix']}/{login['user']}"

    def instance(self, instance_id: str | None):
        if not instance_id or isinstance(self.instances, Unreadable):
            return self.instances if instance_id else None
        return self.instances.get(instance_id) or Unreadable(f"there is no EC2 instance {instance_id} in this region")

    def role(self, instance):
        profile = getattr(instance, "profile", None)
        if not profile:
            return None
        if profile not in self.known:
            self.known[profile] = self.roles.read(profile, self.arns)
        return self.known[profile]

    def case(self, login: dict) -> LoginEvidence:
        given = {"client": login["host"], "name": login["database"], "user": login["user"], "expect": login["expect"]}
        if not _is_puzzling(login):
            return LoginEvidence(**given, database=Unreadable(""), login=login["result"])
        host = self.hosts[login["host"]]
        instance, read = self.instance(host["instance_id"]), self.read[login["database"]]
        return LoginEvidence(
            **given,
            **read,
            login=login["result"],
            login_error=login["error"],
            host=_host_facts(host["info"], read["database"]),
            instance=instance,
            role=self.role(instance),
            account=login["account"],
            resource_ids=self.resource_ids,
            refusals=self.logs.get(login["database"]),
        )


def _host_facts(info: dict | None, record):
    """What the host says, with how far it came to this database."""
    if not info or "credentials" not in info:
        return Unreadable((info or {}).get("msg") or "the host was not asked")
    targets = info.get("targets") or []
    endpoint = None if isinstance(record, Unreadable) else record["endpoint"]
    return {**info, "target": next((target for target in targets if target["endpoint"] == endpoint), None)}
