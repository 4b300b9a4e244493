# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Measure site.yml on fleets of several sizes, each in a lab of its own: python tests/bench/fleet.py STATE_DIRECTORY.

Prints a Markdown table. The first run is from nothing; the second has nothing to change, and its cost for each further
client is compared with that of a play which does nothing but the same number of pings.
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from measure import BIN, NO_LIMIT, ROOT, Table, timed

CLIENTS, DATABASES = (1, 5, 20), (1, 5)
LAB = ROOT / "tests/lab/lab"
SITE = [BIN / "ansible-playbook", ROOT / "playbooks/site.yml"]
CALLBACKS = ROOT / "tests/integration/site/callbacks"
ON_THE_CONTROLLER = re.compile(r"ansible\.builtin\.(assert|debug|set_fact|validate_argument_spec|(include|import)_\w+)")
STATEMENT = re.compile(r" (?:Query|Execute)\t")
AGAIN = 2  # the best of so many runs


@dataclass
class Measurement:
    """One run of site.yml."""

    seconds: float
    calls: int
    statements: int
    tasks: int  # that a client ran, as Ansible counts them
    sent_tasks: int  # those of them that were sent to the client


class Fleet:
    """A lab of one size."""

    def __init__(self, state: Path, clients: int, databases: int):
        self.state = state
        timed([LAB, "up", "--state", state, "--clients", clients, "--databases", databases])
        self.info = json.loads((state / "lab.json").read_text())

    def play(self, command, **environment) -> float:
        return timed([LAB, "exec", "--state", self.state, "--", *command], **environment)[0]

    def logs(self) -> tuple[int, int]:
        """Count the AWS calls and the statements so far."""
        calls = len((self.state / "api.jsonl").read_text().splitlines())
        logs = [Path(database["general_log"]).read_text(errors="replace") for database in self.info["databases"]]
        return calls, sum(len(STATEMENT.findall(log)) for log in logs)

    def site(self) -> Measurement:
        before = self.logs()
        results = self.state / "results"
        results.write_text("")
        callback = {"ANSIBLE_CALLBACK_PLUGINS": str(CALLBACKS), "ANSIBLE_CALLBACKS_ENABLED": "results"}
        seconds = self.play(SITE, RESULTS=str(results), **callback)
        calls, statements = (after - start for after, start in zip(self.logs(), before))
        # The last client: what is done once for all of them is done by the first.
        last = self.info["clients"][-1]["name"]
        tasks = [task for task in map(json.loads, results.read_text().splitlines()) if task["host"] == last]
        on_client = [task for task in tasks if "_ansible_delegated_vars" not in task["result"]]
        sent = sum(not ON_THE_CONTROLLER.fullmatch(task["action"]) for task in on_client)
        return Measurement(seconds, calls, statements, len(tasks), sent)

    def pings(self, tasks: int) -> float:
        path = self.state / "pings.yml"
        play = {"hosts": "rds_clients", "become": True, "gather_facts": False, "tasks": [{"ping": {}}] * tasks}
        path.write_text(json.dumps([play]))
        return self.play([BIN / "ansible-playbook", path])


@dataclass
class Size:
    """The figures of a lab with so many clients and databases."""

    first: Measurement
    second: Measurement
    pings: float  # as many as tasks
    few_pings: float  # as many as tasks that were sent to the client


def measure(state: Path, clients: int, databases: int) -> Size:
    fleet = Fleet(state, clients, databases)
    first, again, pings, few_pings = fleet.site(), [], [], []
    for _round in range(AGAIN):
        again.append(fleet.site())
        pings.append(fleet.pings(again[-1].tasks))
        few_pings.append(fleet.pings(again[-1].sent_tasks))
    timed([LAB, "down", "--state", state])
    return Size(first, min(again, key=lambda run: run.seconds), min(pings), min(few_pings))


def show(sizes: dict[tuple[int, int], Size]) -> None:
    print("| clients | databases | run | seconds | AWS calls | SQL statements | tasks per client | sent to it |")
    print("|---|---|---|---|---|---|---|---|")
    for (clients, databases), size in sizes.items():
        for run in ("first", "second"):
            figure = getattr(size, run)
            counts = f"{figure.calls} | {figure.statements} | {figure.tasks} | {figure.sent_tasks}"
            print(f"| {clients} | {databases} | {run} | {figure.seconds:.1f} | {counts} |")
    print()


def main(state: Path) -> int:
    sizes = {(clients, databases): measure(state, clients, databases) for databases in DATABASES for clients in CLIENTS}
    show(sizes)
    table, added = Table(), CLIENTS[-1] - CLIENTS[0]
    for databases in DATABASES:
        small, large = sizes[CLIENTS[0], databases], sizes[CLIENTS[-1], databases]
        seconds = (large.second.seconds - small.second.seconds) / added
        method = f"second run with {CLIENTS[-1]} clients less that with {CLIENTS[0]}, seconds, best of {AGAIN}"
        counted = f"{databases} database{'s' if databases > 1 else ''}"
        subject = f"each further client, {counted}, and as many pings as"
        table.add(f"{subject} tasks", seconds, (large.pings - small.pings) / added, 1.5, method)
        table.add(f"{subject} tasks sent to it", seconds, (large.few_pings - small.few_pings) / added, NO_LIMIT, method)
    return 0 if table.show() else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
