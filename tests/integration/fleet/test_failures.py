# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Some hosts and databases fail and the others complete; the end of the run says what is not proven, and why."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import signal
import subprocess
from pathlib import Path

from driver import ROOT
from faults import Fault, Proxy

THEIRS = "theirs"
# Where no SSH server listens.
DOWN = {"ansible_port": 1}
NOWHERE = {"nowhere": {"db_instance_identifier": "nowhere", "db_users_accounts": [{"name": "app"}]}}
NOT_FOUND = 400, "InvalidInstanceID.NotFound", "The instance does not exist."


def reasons(run) -> dict[tuple[str, str, str], str]:
    """Return the reason why each login (client, database, user) is not proven, from the last sentence and the table."""
    assert run.status != 0
    match = re.search(
        r'"msg": "\d+ of \d+ logins were tried.* (\d+) of \d+ logins (?:is|are) not proven: (.*)\."', run.output
    )
    assert match, run.output
    reasons = {}
    for clause in re.split(r"; (?=\w+ to \w+ as )", match[2]):
        logins, _colon, reason = clause.partition(": ")
        for login in re.findall(r"(\w+) to (\w+) as (\w+)", logins):
            reasons[login] = reason
    assert len(reasons) == int(match[1])
    assert set(reasons) == set(re.findall(r"(\w+) +(\w+) +(\w+) .*NOT PROVEN", run.output))
    return reasons


def server(lab, identifier: str) -> int:
    """The process of a database server."""
    place = str(lab.state / "databases" / identifier).encode()
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if b"--datadir=" + place + b"/data" in (entry / "cmdline").read_bytes().split(b"\0"):
                return int(entry.name)
    raise LookupError(identifier)


@contextlib.contextmanager
def silent(lab, identifier: str):
    """The server of a database takes connections and says nothing."""
    os.kill(server(lab, identifier), signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server(lab, identifier), signal.SIGCONT)


def product(clients, databases) -> set[tuple[str, str, str]]:
    """The logins as app of each client, and those as report of the first client, which is denied for all of them."""
    return set(itertools.product(clients, databases, ["app"])) | {
        (client, database, "report") for client in sorted(clients)[:1] for database in databases
    }


def test_everything_at_once(fleet, more):
    """From nothing. The first client has a profile of somebody else: of the first host Ansible makes the most."""
    if fleet.proven:
        fleet.teardown()
    fleet.aws("iam").create_instance_profile(InstanceProfileName=THEIRS)
    fleet.attach("client1", THEIRS)
    fleet.sql("db3", "CREATE USER app@'%' IDENTIFIED BY 'Passw0rd-of-old' REQUIRE SSL")
    with silent(fleet, "orders"):
        run = fleet.playbook("site.yml", *more(NOWHERE, {"client3": DOWN}))

    why = reasons(run)
    broken = {("client1", THEIRS), ("client3", "Connection refused")}
    healthy = set(fleet.clients) - {client for client, _word in broken}
    databases = set(fleet.databases) - {"orders", "db3"}
    logins = set(itertools.product(fleet.clients, [*fleet.databases, "nowhere"], ["app"]))
    # The first client that has not failed is denied for all.
    logins |= {(min(healthy), database, "report") for database in fleet.databases}
    assert set(why) == logins - product(healthy, databases)
    for client, word in broken:
        assert all(word in why[client, database, "app"] for database in databases)
    for client in fleet.clients:
        assert "There is no DB instance nowhere" in why[client, "nowhere", "app"]
        assert "timed out" in why[client, "orders", "app"]
        assert "set convert" in why[client, "db3", "app"]
    assert {"client1", "client3", "orders", "db3", "nowhere"} <= run.failed
    assert fleet.profiles() == {"client1": THEIRS, **dict.fromkeys(healthy, fleet.role)}

    # Repaired, the next run does the rest, and only that.
    fleet.detach("client1")
    fleet.aws("iam").delete_instance_profile(InstanceProfileName=THEIRS)
    fleet.sql("db3", "DROP USER app@'%'")
    with fleet.calls() as calls:
        run = fleet.converge()
    assert fleet.changing(calls) == ["ec2:AssociateIamInstanceProfile"] * len(broken)
    done = {host for host, changed in run.changed.items() if changed}
    assert done == {"client1", "client3", "orders", "db3"}
    fleet.nothing_to_do()


def test_every_client_is_down(fleet, more, proven):
    """All hosts of a play have failed, where Ansible ends a run."""
    with fleet.calls() as calls:
        why = reasons(fleet.playbook("site.yml", *more(clients=dict.fromkeys(fleet.clients, DOWN))))
    assert set(why) == product(fleet.clients, fleet.databases)
    assert all("Connection refused" in reason for reason in why.values())
    assert fleet.changing(calls) == []


def test_one_instance_does_not_take_the_profile(fleet, proven):
    """It is the failure of its host, and not of the others that the same call was for."""
    fleet.detach("client2", "client4")
    with Proxy(fleet.info["endpoint_url"]) as proxy, proxy.failing(Fault("AssociateIamInstanceProfile", NOT_FOUND)):
        run = fleet.playbook("site.yml", AWS_ENDPOINT_URL=proxy.url)
    [failed] = {client for client, _database, _user in reasons(run)}
    assert failed in ("client2", "client4")
    assert f"{failed} is without the instance profile" in run.output
    with fleet.calls() as calls:
        fleet.converge()
    assert fleet.changing(calls) == ["ec2:AssociateIamInstanceProfile"]


def test_the_master_password_is_in_no_file(fleet, more, proven):
    """Not even while the module waits for a server, on hosts for which Ansible writes its modules to files."""
    files = more(clients={client: {"ansible_pipelining": False} for client in fleet.clients})
    command = ["ansible-playbook", ROOT / "playbooks/site.yml", "--tags", "step3", *files]
    seen = set()
    with silent(fleet, "orders"), subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) as run:
        while run.poll() is None:
            seen.update(fleet.ssh("client1", "find ~/.ansible/tmp -type f -printf '%f\\n'").stdout.split())
    assert run.returncode != 0
    # It has no password, and says what the host has.
    assert seen <= {"AnsiballZ_rds_iam_client_info.py"}
