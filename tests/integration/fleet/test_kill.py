# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The end of ansible-playbook by C(kill -9), at any moment: the next run converges, and nothing is left behind."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import secrets
import signal
import subprocess

from driver import BIN, ROOT

# Seconds into a task, at most, for the moment of the end.
INTO_A_TASK = 1.5


def run_and_kill(playbook: str, task: int, pause: float) -> None:
    """The whole process group, so much time after the task of this number has begun."""
    process = subprocess.Popen(
        [BIN / "ansible-playbook", ROOT / "playbooks" / playbook],
        cwd=ROOT,
        env={**os.environ, "ANSIBLE_NOCOLOR": "1"},
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    with process:
        begun = 0
        for line in process.stdout:
            begun += line.startswith("TASK [")
            if begun == task:
                break
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(pause)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def files(fleet) -> dict[str, list[str]]:
    """Return the files where the roles write, on each client."""
    found = {}
    for client in fleet.clients:
        places = [os.path.dirname(path) for path in (fleet.bundle(client), fleet.wrapper(client))]
        found[client] = fleet.root(client, f"ls -A {' '.join(places)}").split()
    return found


def roles_and_profiles(fleet) -> tuple[set[str], set[str]]:
    iam = fleet.aws("iam")
    roles = {role["RoleName"] for role in iam.list_roles()["Roles"]}
    return roles, {profile["InstanceProfileName"] for profile in iam.list_instance_profiles()["InstanceProfiles"]}


def everything(fleet) -> dict:
    return {
        "files": files(fleet),
        "accounts": {identifier: fleet.accounts(identifier) for identifier in fleet.databases},
        "roles and profiles": roles_and_profiles(fleet),
        "attached": fleet.profiles(),
    }


def test_kill(fleet, proven):
    """In full each moment from nothing; as a sample, one after the other.

    What Ansible may leave is a directory of its own with a file that it was about to copy, and that is no secret.
    """
    seed = os.environ.get("SEED") or secrets.token_hex(4)
    print(f"SEED={seed} repeats this.")
    chance = random.Random(seed)
    before = everything(fleet)
    fleet.teardown()
    tasks = fleet.converge().output.count("\nTASK [")

    moments = 30 if fleet.soak else 3
    # One in each part of the run, so that they are spread over the whole of it.
    times = [1 + int((part + chance.random()) * tasks / moments) for part in chance.sample(range(moments), moments)]
    for ends in [[task] for task in times] if fleet.soak else [times]:
        run_and_kill("teardown.yml", chance.randint(1, tasks // 2), chance.uniform(0, INTO_A_TASK))
        fleet.teardown()
        for task in ends:
            pause = chance.uniform(0, INTO_A_TASK)
            print(f"kill -9, {pause:.2f} s after the beginning of task {task} of {tasks}")
            run_and_kill("site.yml", task, pause)
        fleet.converge()
        assert everything(fleet) == before
        for identifier, user in itertools.product(fleet.databases, ("app", "report")):
            assert "ACCOUNT LOCK" not in fleet.sql(identifier, f"SHOW CREATE USER {user}@'%'")[0][0]
        fleet.nothing_to_do()
