# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A site as the variables of its hosts, with results of rds_iam_ping that look as the module documents them."""

from __future__ import annotations

import pytest
from ansible_collections.dbops.rds_iam.plugins.module_utils._site import (
    conclusion,
    inventory,
    login_plan,
    outcomes,
    run_state,
)

ROLE = "app-rds"
REGION = "eu-west-1"
ACCOUNT = "123456789012"


class Site:
    """Clients and databases of one run. What a test sets decides how their logins end."""

    role = ROLE

    @staticmethod
    def signer(**changes) -> dict:
        usual = {"source": "iam-role", "principal": ROLE, "role_name": ROLE, "is_expected": True, "error": None}
        return {**usual, **changes}

    @staticmethod
    def row(name: str, host: str = "%", **changes) -> dict:
        usual = {"plugin": "AWSAuthenticationPlugin", "iam": True, "locked": False, "expired": False}
        return {"name": name, "host": host, **usual, "require": "SSL", "managed": True, **changes}

    def __init__(self, clients=("app1", "app2"), databases=("orders", "billing"), in_play=None, limit=""):
        self.groups = {"rds_clients": list(clients), "rds_databases": list(databases)}
        self.hosts = {client: {"iam_role_name": ROLE, "instance_id": f"i-{client}"} for client in clients}
        accounts = [{"name": "app"}, {"name": "report"}]
        for database in databases:
            self.hosts[database] = {"db_users_accounts": accounts, "iam_role_users": ["app"]}
            self.hosts[database]["db_users_result"] = {"user_rows": [self.row("app"), self.row("report")]}
        self.in_play = list(in_play) if in_play is not None else [*clients, *databases]
        self.limit, self.run = limit, {"has_step": True, "logs_in": True}
        self.signers: dict[str, dict] = {}
        self.answers: dict[tuple, dict] = {}  # what differs from the expected verdict, by client, database and user
        self.changes: dict[str, dict] = {}  # what differs in the records of databases, by name
        self.unread: set[str] = set()
        self.given: list[tuple] = []  # each login that was tried, in order

    @property
    def matrix(self):
        left_out = [{"item": name, "failed": True, "msg": "there is none"} for name in self.unread]
        return inventory.login_matrix(self.hosts, self.groups, self.in_play, left_out, self.limit)

    @property
    def records(self) -> list[dict]:
        usual = {"region": REGION, "account_id": ACCOUNT, "engine": "mysql", "engine_version": "8.0.36"}
        return [
            {**self.place(name), "name": name, **usual, "iam_auth_enabled": True, **self.changes.get(name, {})}
            for name in self.groups["rds_databases"]
            if name not in self.unread
        ]

    def place(self, name: str) -> dict:
        return {"endpoint": f"{name}.example.com", "port": 3306}

    def state(self, lost=()):
        return run_state.gather(self.hosts, self.matrix, self.records, {}, lost)

    def plan(self) -> dict[str, list[dict]]:
        return login_plan.next_logins(self.matrix, self.state())

    def answer(self, client: str, database: str, user: str, expected: str) -> dict:
        signed = self.signers.get(client, self.signer())
        usual = {"verdict": expected, "expected": expected, "as_expected": True, "client_host": "10.0.1.5"}
        if expected == "allowed":
            usual.update(current_user=f"{user}@%", tls_version="TLSv1.3")
        else:
            usual.update(failed_at="login")
        if signed["is_expected"] is False:
            usual = {"verdict": "not_tried", "expected": expected, "as_expected": False, "msg": "Others sign here."}
            usual["failed_at"] = "credentials"
        changes = self.answers.get((client, database, user), {})
        login = {**self.place(database), "user": user, "signer": signed, **usual, **changes}
        login["as_expected"] = login["verdict"] == expected
        return login

    def try_all(self) -> Site:
        """Try the logins, round after round, as the playbooks do."""
        while True:
            plan = self.plan()
            if not plan:
                return self
            for client, databases in plan.items():
                self.try_round(client, databases)

    def try_round(self, client: str, databases: list[dict]) -> None:
        logins = []
        for database in databases:
            name = database["name"]
            logins += [self.answer(client, name, user, "allowed") for user in database["users"]]
            logins += [self.answer(client, name, user, "denied") for user in database["denied"]]
            tried = [(client, name, user) for user in [*database["users"], *database["denied"]]]
            self.given += tried
        result = {"logins": logins, "signer": self.signers.get(client, self.signer())}
        rounds = self.hosts[client].setdefault("_rds_iam_rounds", [])
        rounds.append({"databases": databases, "result": result})

    def outcomes(self, lost=()) -> dict[tuple, outcomes.Outcome]:
        found = list(outcomes.outcomes(self.matrix, self.state(lost), self.run))
        return {(one.client, one.login.database, one.login.user): one for one in found}

    def report(self, diagnoses=None, lost=(), **options) -> dict:
        host = self.in_play[0]
        return conclusion.report(self.matrix, self.state(lost), self.run, diagnoses or {}, host, **options)


@pytest.fixture
def make_site():
    return Site


@pytest.fixture
def site():
    return Site()
