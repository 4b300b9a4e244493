# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tests of many hosts and databases at once. They run inside a lab of their own: C(make integration) starts them there.

With C(SOAK) in the environment, as C(make soak) sets it, what is otherwise a sample is done in full.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from driver import BIN, ROOT, Lab, Run, state_of_the_lab

ROLE = "rds-iam-lab"


class Fleet(Lab):
    """A lab of many clients and databases, of which a test says whether it left all logins proven."""

    proven = False
    role = ROLE
    soak = "SOAK" in os.environ

    def converge(self, *arguments: str, **environment: str) -> Run:
        """The run after which every login is proven."""
        run = self.good("site.yml", *arguments, **environment)
        logins = self.logins()
        assert f"{logins} of {logins} logins were tried, and all are proven: " in run.output
        self.proven = True
        return run

    def logins(self) -> int:
        """Count the logins of each database: one as app for each client, one as report for the role of all of them."""
        return (len(self.clients) + 1) * len(self.databases)

    def nothing_to_do(self) -> None:
        run = self.converge()
        assert set(run.changed.values()) == {0}, run.output

    def teardown(self) -> None:
        self.proven = False
        self.good("teardown.yml")

    def profiles(self) -> dict[str, str]:
        """The instance profile of each client that has one."""
        names = {client["instance_id"]: name for name, client in self.clients.items()}
        associations = [item for item in self.associations(*self.clients) if item["State"] == "associated"]
        profiles = {
            names[item["InstanceId"]]: item["IamInstanceProfile"]["Arn"].rpartition("/")[2] for item in associations
        }
        assert len(profiles) == len(associations)
        return profiles

    def inventory(self, path: Path) -> dict:
        command = [BIN / "ansible-inventory", "-i", path, "--list"]
        return json.loads(subprocess.run(command, cwd=ROOT, text=True, capture_output=True, check=True).stdout)

    def root(self, client: str, command: str) -> str:
        """Return what a command of root prints on a client."""
        process = self.ssh(client, f"{self.sudo}sh -c {self.quote(command)}")
        assert process.returncode == 0, process.stderr
        return process.stdout


def pytest_exception_interact(node) -> None:
    """Nobody knows what a test that failed has left."""
    fleet = getattr(node, "funcargs", {}).get("fleet")
    if fleet:
        fleet.proven = False


@pytest.fixture(scope="session")
def fleet() -> Fleet:
    return Fleet(state_of_the_lab())


@pytest.fixture
def proven(fleet) -> None:
    """Every login is proven before the test."""
    if not fleet.proven:
        fleet.converge()


@pytest.fixture
def more(fleet, tmp_path):
    """Makes options that add hosts, or variables of hosts, to the inventory of the lab."""

    def more(databases=None, clients=None) -> list[str]:
        groups = {"rds_databases": databases or {}, "rds_clients": clients or {}}
        file = tmp_path / "more.json"
        file.write_text(json.dumps({"all": {"children": {name: {"hosts": hosts} for name, hosts in groups.items()}}}))
        return ["-i", fleet.info["inventory"], "-i", str(file)]

    return more
