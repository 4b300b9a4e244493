# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Measure the CPU time of the controller for the proof and for the doctor, by the number of logins, without a lab.

Prints a Markdown table. It calls the filters of the playbooks, and the code of the module rds_iam_doctor, for made-up
inventories, with answers of AWS from here.
"""

from __future__ import annotations

import gc
import importlib.util
import json
import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from types import SimpleNamespace

from ansible_collections.dbops.rds_iam.plugins.filter.site import FilterModule
from ansible_collections.dbops.rds_iam.plugins.module_utils._doctor import collector, report
from measure import ROOT

FILTERS = FilterModule().filters()
MAX_EXPONENT, MAX_SECONDS = 1.1, 60
RUN = {"has_step": True, "logs_in": True}
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)


def load_site():
    """Return the class Site of the unit tests, which tries logins as the playbooks do."""
    path = ROOT / "tests/unit/plugins/module_utils/_site/conftest.py"
    spec = importlib.util.spec_from_file_location("site_of_tests", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Site


Site = load_site()


@dataclass(frozen=True)
class Size:
    """The size of a fleet with one principal, which must log in to all databases as some of their users."""

    clients: int
    databases: int
    users: int
    denied: int

    @property
    def logins(self) -> int:
        return self.databases * (self.clients * self.users + self.denied)


SHAPES = {
    "all of the fleet grows": (Size(10, 10, 5, 10), Size(16, 15, 9, 16), Size(30, 25, 19, 30)),
    "most users must be denied": (Size(20, 10, 1, 40), Size(40, 20, 1, 80), Size(100, 50, 1, 200)),
}


class Fleet(Site):
    """A site of a size. With C(fails) no login has the verdict that is expected of it."""

    def __init__(self, size: Size, fails: bool):
        super().__init__(
            [f"app{number}" for number in range(size.clients)], [f"db{number}" for number in range(size.databases)]
        )
        self.fails = fails
        self.instance_ids = {name: f"i-{number:017x}" for number, name in enumerate(self.groups["rds_clients"])}
        self.users = [f"user{number}" for number in range(size.users)]
        self.denied = [f"other{number}" for number in range(size.denied)]
        accounts = [{"name": name} for name in (*self.users, *self.denied)]
        rows = [self.row(account["name"]) for account in accounts]
        plans = [
            {
                "item": {"name": row["name"]},
                "users": [{"name": row["name"], "host": "%", "statements": []}],
                "user_rows": [row],
                "iam_database_users_remaining": len(rows),
            }
            for row in rows
        ]
        for name in self.groups["rds_databases"]:
            self.hosts[name] = {
                "db_users_accounts": accounts,
                "iam_role_users": self.users,
                "_rds_iam_info": {"databases": [self.record(name)]},
                "db_users_result": {"user_rows": rows},
                "db_users_plan_result": {"results": plans},
            }
        for name, instance_id in self.instance_ids.items():
            self.hosts[name]["instance_id"] = instance_id

    def record(self, name: str) -> dict:
        return {
            **self.place(name),
            "region": "eu-west-1",
            "account_id": "123456789012",
            "engine": "mysql",
            "engine_version": "8.0.36",
            "iam_auth_enabled": True,
        }

    def answer(self, client: str, database: str, user: str, expected: str) -> dict:
        login = super().answer(client, database, user, expected)
        login["tried_at"] = f"{NOW:%Y-%m-%dT%H:%M:%SZ}"
        if self.fails and expected == "allowed":
            login |= {"verdict": "denied", "failed_at": "login", "msg": f"Access denied for user '{user}'."}
        elif self.fails:
            login |= {"verdict": "allowed", "current_user": f"{user}@%", "msg": "The server let it in."}
        login["as_expected"] = login["verdict"] == expected
        return login

    def try_round(self, client: str, databases: list[dict]) -> None:
        super().try_round(client, databases)
        if self.fails:
            self.hosts[client]["_rds_iam_rounds"][-1]["result"]["host"] = self.host_facts(client)

    def host_facts(self, client: str) -> dict:
        credentials = {**self.signer(), "expires_at": None, "expired": False, "metadata_disabled": False}
        program = {"path": "/usr/bin/mysql", "family": "MySQL", "version": "8.0.36", "options": [], "error": None}
        return {
            "clock_skew": 0.0,
            "instance_id": self.instance_ids[client],
            "metadata_error": None,
            "credentials": credentials,
            "ca_bundle": {},
            "programs": [program],
            "libraries": {"botocore": "1.40.0", "pymysql": "1.1.1"},
            "targets": [{**self.place(name), "failed_at": None, "msg": None} for name in self.groups["rds_databases"]],
        }


class AwsAnswers:
    """The answers of AWS about a fleet whose databases were restored after the policy was written.

    Its statement names the users that must log in by resource ids of before, and those that must not by the present
    ones. So the doctor looks for the likeliest mistake of every login that must be allowed.
    """

    def __init__(self, fleet: Fleet):
        names = fleet.groups["rds_databases"]
        arns = [self.arn(f"db-OLD{number}", user) for number, _name in enumerate(names) for user in fleet.users]
        self.allowed_arns = {self.arn(f"db-{name.upper()}", user) for name in names for user in fleet.denied}
        statement = {"Effect": "Allow", "Action": "rds-db:connect", "Resource": [*arns, *self.allowed_arns]}
        self.policy = {"Version": "2012-10-17", "Statement": [statement]}
        self.refusals = [
            {
                "timestamp": NOW.timestamp() * 1000,
                "message": f"[ERROR] Failed to authorize the connection request for user {user} because the caller"
                f" 'arn:aws:sts::123456789012:assumed-role/{fleet.role}/{instance_id}' is not authorized."
                " (Status Code: 403, Error Code: NotAuthorized)",
            }
            for instance_id in fleet.instance_ids.values()
            for user in fleet.users
        ]

    @staticmethod
    def arn(resource_id: str, user: str) -> str:
        return f"arn:aws:rds-db:eu-west-1:123456789012:dbuser:{resource_id}/{user}"

    def get_paginator(self, operation: str) -> SimpleNamespace:
        return SimpleNamespace(paginate=lambda **arguments: [getattr(self, operation)(**arguments)])

    def describe_db_instances(self, DBInstanceIdentifier: str) -> dict:  # noqa: N803 - as in the API
        name = DBInstanceIdentifier
        instance = {
            "DBInstanceIdentifier": name,
            "DBInstanceArn": f"arn:aws:rds:eu-west-1:123456789012:db:{name}",
            "DbiResourceId": f"db-{name.upper()}",
            "DBInstanceStatus": "available",
            "Endpoint": {"Address": f"{name}.example.com", "Port": 3306},
            "Engine": "mysql",
            "IAMDatabaseAuthenticationEnabled": True,
            "EnabledCloudwatchLogsExports": ["iam-db-auth-error"],
        }
        return {"DBInstances": [instance]}

    def describe_instances(self, Filters: list[dict]) -> dict:  # noqa: N803 - as in the API
        profile = {"Arn": f"arn:aws:iam::123456789012:instance-profile/{Site.role}"}
        instances = [
            {"InstanceId": instance_id, "State": {"Name": "running"}, "IamInstanceProfile": profile}
            for instance_id in Filters[0]["Values"]
        ]
        return {"Reservations": [{"Instances": instances}]}

    def get_instance_profile(self, **_arguments) -> dict:
        return {"InstanceProfile": {"Roles": [{"RoleName": Site.role}]}}

    def get_role(self, **_arguments) -> dict:
        trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "ec2.amazonaws.com"}}
        role = {"RoleName": Site.role, "Arn": f"arn:aws:iam::123456789012:role/{Site.role}"}
        return {"Role": {**role, "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [trust]}}}

    def list_role_policies(self, **_arguments) -> dict:
        return {"PolicyNames": ["rds-iam-connect"]}

    def list_attached_role_policies(self, **_arguments) -> dict:
        return {"AttachedPolicies": []}

    def get_role_policy(self, **_arguments) -> dict:
        return {"PolicyDocument": self.policy}

    def simulate_principal_policy(self, ResourceArns: list[str], **_arguments) -> dict:  # noqa: N803 - as in the API
        results = [
            {"EvalResourceName": arn, "EvalDecision": "allowed" if arn in self.allowed_arns else "implicitDeny"}
            for arn in ResourceArns
        ]
        return {"EvaluationResults": results}

    def filter_log_events(self, **_arguments) -> dict:
        return {"events": self.refusals}


class Stopwatch:
    """Sums up CPU seconds of this process."""

    def __init__(self):
        self.seconds = 0.0

    def time(self, function: Callable, *arguments):
        gc.freeze()  # what was there before is nothing for its garbage collection
        begin = time.process_time()
        result = function(*arguments)
        self.seconds += time.process_time() - begin
        return result


def measure(size: Size, fails: bool) -> tuple[float, float]:
    """Return the CPU seconds for the proof, and those that the doctor takes besides to diagnose and report."""
    fleet = Fleet(size, fails)
    hosts, groups, host = fleet.hosts, fleet.groups, fleet.in_play[0]
    answers = AwsAnswers(fleet)
    collector.connect = lambda _module, _service: answers
    gc.collect()
    proof, doctor = Stopwatch(), Stopwatch()
    databases = proof.time(FILTERS["readable_databases"], hosts, groups, [], ["mysql"])
    matrix = proof.time(FILTERS["login_matrix"], hosts, groups, fleet.in_play)
    while plan := proof.time(FILTERS["next_logins"], hosts, matrix, databases):
        for client, assigned in plan.items():
            proof.time(FILTERS["connect_logins"], assigned, "/etc/ssl/rds/global-bundle.pem")
            fleet.try_round(client, assigned)
            result = hosts[client]["_rds_iam_rounds"][-1]["result"]
            proof.time(FILTERS["connect_proof"], assigned, result, client, fleet.role, "")
    proof.time(FILTERS["databases_to_read"], hosts, matrix, databases)
    request = proof.time(FILTERS["login_diagnosis_request"], hosts, matrix, databases, RUN, fleet.in_play)
    if len(request["logins"]) != fails * size.logins:
        sys.exit(f"{len(request['logins'])} of {size.logins} logins are to be diagnosed")
    proof.time(FILTERS["login_report"], hosts, matrix, databases, RUN, host, fleet.in_play)

    request = doctor.time(FILTERS["login_diagnosis_request"], hosts, matrix, databases, RUN, fleet.in_play)
    request = json.loads(json.dumps(request))  # as the module has it
    options = {
        "logins": [{"login_result": None, "error": "", "user_plan": None, **login} for login in request["logins"]],
        "clients": [{"host_facts": None, **option} for option in request["clients"]],
        "databases": FILTERS["database_identifiers"](hosts, groups),
    }
    logins = doctor.time(report.diagnose_logins, SimpleNamespace(params=options))
    doctor.time(report.explain_failures, logins)
    diagnosis = {"logins": logins}
    doctor.time(FILTERS["login_report"], hosts, matrix, databases, RUN, host, fleet.in_play, {}, diagnosis, False)
    gc.unfreeze()
    return proof.seconds, doctor.seconds


def best_of(sizes: Sequence[Size], fails: bool, rounds: int = 5) -> list[tuple[float, ...]]:
    """Return the seconds for the proof by size, and those for the doctor; the sizes take turns."""
    runs = [[measure(size, fails) for size in sizes] for _round in range(rounds)]
    return [tuple(min(run[task] for run in of_size) for of_size in zip(*runs)) for task in (0, 1)]


def show(cells: list[str], seconds: tuple[float, ...], growth: float, has_limit: bool) -> bool:
    """Print a row of the table, and tell whether its limits hold.

    seconds: from the smallest fleet to the largest, which has C(growth) times the logins
    has_limit: whether the seconds of the largest fleet have one
    """
    exponent = math.log(seconds[-1] / seconds[0]) / math.log(growth)
    is_slow, is_steep = has_limit and seconds[-1] > MAX_SECONDS, exponent > MAX_EXPONENT
    cells += [f"{figure:.3g}" for figure in seconds]
    cells[-1] += " **over**" * is_slow
    cells += [str(MAX_SECONDS) * has_limit, f"{exponent:.2f}" + " **over**" * is_steep, f"{MAX_EXPONENT:g}"]
    print(f"| {' | '.join(cells)} |", flush=True)
    return not (is_slow or is_steep)


def main() -> int:
    counts = [f"{size.logins:,}" for size in next(iter(SHAPES.values()))]
    print(f"| fleet | logins | task | {' | '.join(counts)} | at most | exponent | at most |\n" + "|---" * 9 + "|")
    are_held = []
    for shape, sizes in SHAPES.items():
        growth = sizes[-1].logins / sizes[0].logins
        for fails, verdicts in ((False, "all proven"), (True, "all fail")):
            for task, seconds in zip(("proof", "doctor"), best_of(sizes, fails)):
                are_held.append(show([shape, verdicts, task], seconds, growth, fails))
    return 0 if all(are_held) else 1


if __name__ == "__main__":
    sys.exit(main())
