# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Start all of a lab and wait: python tests/lab/supervisor.py STATE_DIRECTORY. Its end is the end of the lab.

A lab is whole or it is not there: when one of the servers or clients ends, so does the supervisor.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import answers
import database
import hosts_namespaces
import hosts_plain
import inventory
import pymysql
from errors import LabError
from processes import MARK, die_with_parent
from state import State, write_json, write_secret

FORMS = {form.NAME: form for form in (hosts_namespaces, hosts_plain)}
SERVER = Path(__file__).with_name("aws") / "server.py"
SETTINGS = ("LAB_APPLY_SECONDS", "LAB_ATTACH_SECONDS", "LAB_CREDENTIAL_SECONDS")
START_SECONDS = 90
PAUSE = 0.05


class Supervisor:
    def __init__(self, state: State) -> None:
        self.state = state
        self.shape = json.loads(state.shape.read_text())
        self.hosts = FORMS[self.shape["form"]]
        self.children: dict[int, str] = {}
        self.deadline = time.monotonic() + START_SECONDS
        # Nothing of the caller's environment reaches a server, as credentials or proxies.
        self.environment = {
            **{name: os.environ[name] for name in SETTINGS if name in os.environ},
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "LC_ALL": "C.UTF-8",
            MARK: str(state.root),
        }

    def start(self) -> None:
        """Start everything and write the lab's description when all of it answers."""
        self.hosts.prepare(self.state, self.shape)
        for item in self.shape["databases"]:
            process = database.server_of(self.state, self.shape, item).start(
                self.shape["servers"][item["server"]]["command"],
                list(item["addresses"]),
                item["port"],
                self.state.log(item["identifier"]),
                {**self.environment, "AWSAUTH_SOCKET": str(self.state.verifier)},
            )
            self.children[process.pid] = f"database {item['identifier']}"
        clients = self.hosts.start_clients(self.state, self.shape, self.environment)
        for (process, _imds), client in zip(clients, self.shape["clients"]):
            self.children[process.pid] = client["name"]
        self._start_server([imds for _process, imds in clients])
        for item in self.shape["databases"]:
            self._set_up(item)
        self._until(self.state.server_ready.exists, "The lab's AWS side is not ready")
        self._until_all_answers()
        self._describe()

    def watch(self) -> None:
        """Wait until something of the lab ends."""
        while True:
            pid, status = os.waitpid(-1, 0)
            self._ended(pid, status)

    def _start_server(self, imds: list[dict]) -> None:
        write_json(self.state.plan, self._plan(imds))
        with self.state.log("aws").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-B", SERVER, self.state.plan],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.environment,
                cwd=self.state.root,
                preexec_fn=die_with_parent,
            )
        self.children[process.pid] = "the AWS side"

    def _plan(self, imds: list[dict]) -> dict:
        certificates = self.state.certificates
        web = {"certificate": str(certificates / "web.pem"), "key": str(certificates / "web.key")}
        repository = self.shape["repository"]
        return {
            **{key: self.shape[key] for key in ("region", "account_id", "admin", "api", "databases")},
            "verifier_socket": str(self.state.verifier),
            "api_log": str(self.state.root / "api.jsonl"),
            "ready_file": str(self.state.server_ready),
            "truststore": {**self.shape["truststore"], **web, "root": str(self.state.truststore)},
            "sts": {**self.shape["sts"], **web},
            "repository": {**repository, "root": str(self.state.repository)} if repository else None,
            "clients": [
                {"name": client["name"], "imds": address} for client, address in zip(self.shape["clients"], imds)
            ],
        }

    def _set_up(self, item: dict) -> None:
        server = database.server_of(self.state, self.shape, item)

        def is_set_up() -> bool:
            try:
                server.set_up(item["master_username"], item["master_password"])
            except pymysql.err.OperationalError:
                return False
            return True

        self._until(
            is_set_up, f"Database {item['identifier']} does not start, see {self.state.log(item['identifier'])}"
        )

    def _until(self, condition, problem: str) -> None:
        while not condition():
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid:
                self._ended(pid, status)
            if time.monotonic() > self.deadline:
                raise LabError(f"{problem} after {START_SECONDS} seconds.")
            time.sleep(PAUSE)

    def _until_all_answers(self) -> None:
        while True:
            problems = answers.find_problems(self.state, self.shape)
            if not problems:
                return
            if time.monotonic() > self.deadline:
                raise LabError(" ".join(problems))
            time.sleep(PAUSE)

    def _ended(self, pid: int, status: int) -> None:
        name = self.children.get(pid)
        if name:
            logs = self.state.log("x").parent
            code = os.waitstatus_to_exitcode(status)
            raise LabError(f"The lab ended because {name} ended (status {code}): see the logs in {logs}.")

    def _describe(self) -> None:
        seed = json.loads(self.state.seed.read_text())
        shape = self.shape
        lab = {key: shape[key] for key in ("form", "endpoint_url", "region", "account_id", "admin", "truststore_url")}
        lab["ca_file"] = str(self.state.truststore / "global" / "global-bundle.pem")
        lab["inventory"] = str(self.state.inventory)
        lab["databases"] = [
            {**item, "resource_id": seed["databases"][item["identifier"]]["resource_id"]} for item in shape["databases"]
        ]
        lab["clients"] = [{**item, "instance_id": seed["clients"][item["name"]]} for item in shape["clients"]]
        # JSON is YAML, and Ansible reads an inventory of this name as YAML.
        write_json(self.state.inventory, inventory.build(self.state, lab, self.hosts))
        write_json(self.state.lab, lab)


def main() -> int:
    state = State(Path(sys.argv[1]))
    try:
        supervisor = Supervisor(state)
        supervisor.start()
        supervisor.watch()
    except LabError as exc:
        state.lab.unlink(missing_ok=True)
        write_secret(state.failure, f"{exc}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
