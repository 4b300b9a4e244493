# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Step 1 where RDS takes its time: in a lab of its own, in which a change takes longer than one wait."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLAY = [{"hosts": "rds_databases", "gather_facts": False, "roles": ["dbops.rds_iam.iam_auth"]}]


def lab(command, state, *arguments, **environment):
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        [ROOT / "tests/lab/lab", command, "--state", state, *arguments],
        env={**os.environ, "PATH": path, "ANSIBLE_NOCOLOR": "1", **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def slow():
    """The directory of a lab whose changes take 17 seconds, which is more than the 15 of one wait."""
    state = Path(tempfile.mkdtemp(prefix="lab"))
    up = lab("up", state, "--clients", "1", "--databases", "1", LAB_APPLY_SECONDS="17")
    assert up.returncode == 0, up.stdout
    (state / "play.json").write_text(json.dumps(PLAY))
    yield state
    lab("down", state)
    shutil.rmtree(state, ignore_errors=True)


def play(state, *options):
    return lab("exec", state, "--", "ansible-playbook", state / "play.json", *options)


def site(state):
    return lab("exec", state, "--", "ansible-playbook", ROOT / "playbooks/site.yml", "--tags", "step1")


def calls(state):
    return [json.loads(line)["action"] for line in (state / "api.jsonl").read_text().splitlines()]


def test_progress_is_seen_and_nothing_is_sent_twice(slow):
    first = site(slow)
    assert first.returncode == 0, first.stdout
    assert "FAILED - RETRYING: [orders -> localhost]: Wait until IAM database authentication is on" in first.stdout
    made = calls(slow)
    assert made.count("ModifyDBInstance") == 1

    again = site(slow)
    assert again.returncode == 0 and "changed=0" in again.stdout, again.stdout
    assert calls(slow)[len(made) :] == ["DescribeDBInstances"]


def test_time_is_up_and_another_run_goes_on(slow):
    options = "-e", "iam_auth_enabled=false"
    stopped = play(slow, *options, "-e", "iam_auth_wait_timeout=1")
    assert stopped.returncode != 0
    assert "of the DB instance orders is still not off when the time is up: the flag is on" in stopped.stdout
    assert "RETRYING" not in stopped.stdout
    assert play(slow, *options).returncode == 0
    assert "changed=0" in play(slow, *options).stdout
