# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The master password is in no file, on the host that sends the SQL and on the controller, however that is reached.

Where Ansible would write a module to a file, the module is sent in another way, or not at all. All three entry points
of the role db_users are tried, and a module alone.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import threading
from pathlib import Path

import pytest
from ansible.plugins.connection import ssh
from driver import BIN, ROOT

HOST, DATABASE = "client1", "orders"
WITHOUT = {"ansible_pipelining": False, "ansible_ssh_pipelining": False}
PLAY = """
- name: Use the master password
  hosts: {database}
  gather_facts: false
  tasks:
    - name: Read the database
      dbops.rds_iam.rds_iam_auth_info:
        db_instance_identifier: "{{{{ inventory_hostname }}}}"
      register: rds
      delegate_to: localhost

    - name: Use the master password
      ansible.builtin.include_role:
        name: dbops.rds_iam.db_users
        tasks_from: {tasks}
      vars:
        db_users_database: "{{{{ rds.databases | first }}}}"
        db_users_delegate_to: {host}
        db_users_names: [app]
"""
MODULE = """
- name: Use the module alone
  hosts: {host}
  gather_facts: false
  tasks:
    - name: Read the users
      dbops.rds_iam.rds_iam_db_user_info:
        login_host: {endpoint}
        login_user: {user}
        login_password: "{{{{ hostvars['{database}'].db_users_login_password }}}}"
      async: 60
      poll: 5
"""


@pytest.fixture(scope="module", autouse=True)
def ready(lab):
    """The host has the driver and the CA bundle."""
    lab.good("site.yml", "--tags", "step2,step8", "--limit", f"{HOST},{DATABASE}")


@pytest.fixture(scope="session")
def connections(tmp_path_factory) -> dict[str, str]:
    """The environment with a connection that cannot pipeline: ssh of ansible-core, changed."""
    place = tmp_path_factory.mktemp("connections")
    source = Path(ssh.__file__).read_text()
    for before, after in (
        ("    name: ssh\n", "    name: no_pipelining\n"),
        ("transport = 'ssh'", "transport = 'no_pipelining'"),
        ("has_pipelining = True", "has_pipelining = False"),
    ):
        assert source.count(before) == 1, before
        source = source.replace(before, after)
    (place / "no_pipelining.py").write_text(source)
    return {"ANSIBLE_CONNECTION_PLUGINS": str(place)}


@pytest.fixture
def changed_hosts(tmp_path):
    """Arguments with these variables for the hosts that send SQL."""

    def changed_hosts(**variables) -> list[str]:
        path = tmp_path / "inventory.json"
        path.write_text(json.dumps({"rds_clients": {"hosts": {HOST: {**WITHOUT, **variables}}}}))
        return ["-i", str(path)]

    return changed_hosts


class Files:
    """Looks for a secret in files on a host and on the controller, again and again, until it is told to stop."""

    def __init__(self, lab, secret: str, *places: Path):
        self.lab, self.secret, self.places = lab, secret, places
        self.found: set[str] = set()
        self.modules: set[str] = set()
        self.ended = threading.Event()

    def look(self) -> None:
        # The pattern is no argument of a process. The file system of a host has no other large file in these places.
        command = f"{self.lab.sudo}grep -rlsF -f - /home /root /tmp /var/tmp"
        on_host = self.lab.ssh(HOST, command, input=self.secret + "\n").stdout
        self.found.update(f"{HOST}:{line}" for line in on_host.splitlines())
        self.modules.update(self.lab.ssh(HOST, "find ~/.ansible/tmp -name 'AnsiballZ*'").stdout.split())
        for place in self.places:
            command = ["grep", "-rlsF", "-f", "-", str(place)]
            process = subprocess.run(command, input=self.secret + "\n", text=True, capture_output=True, check=False)
            self.found.update(process.stdout.split())

    def watch(self) -> None:
        while not self.ended.is_set():
            self.look()

    @contextlib.contextmanager
    def watched(self):
        thread = threading.Thread(target=self.watch)
        thread.start()
        try:
            yield
        finally:
            self.ended.set()
            thread.join()
            self.look()


@pytest.fixture
def run(lab, tmp_path):
    """Run a playbook while files are looked at; what it printed, and where the secret was found."""

    def run(text: str, *arguments: str, **environment: str) -> tuple[subprocess.CompletedProcess, Files]:
        play, controller = tmp_path / "play.yml", tmp_path / "controller"
        play.write_text(text)
        controller.mkdir(exist_ok=True)
        secret = lab.databases[DATABASE]["master_password"]
        files = Files(lab, secret, controller)
        own = {
            "ANSIBLE_LOCAL_TEMP": str(controller),
            "ANSIBLE_LOG_PATH": str(controller / "log"),
            "ANSIBLE_NOCOLOR": "1",
        }
        inventory = ["-i", os.environ.get("ANSIBLE_INVENTORY", str(lab.state / "inventory.yml"))]
        command = [BIN / "ansible-playbook", str(play), *inventory, *arguments]
        with files.watched():
            process = subprocess.run(
                command,
                cwd=ROOT,
                env={**os.environ, **own, **environment},
                text=True,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                check=False,
            )
        assert secret not in process.stdout
        assert files.found == set()
        return process, files

    return run


def play(tasks: str) -> str:
    return PLAY.format(tasks=tasks, host=HOST, database=DATABASE)


@pytest.mark.parametrize("tasks", ["main", "read", "plan"])
def test_it_is_handed_over_where_the_settings_speak_against_it(run, changed_hosts, tasks):
    """The settings are for hosts whose sudo wants a terminal, and no sudo is needed."""
    done, files = run(play(tasks), "-vvv", *changed_hosts())
    assert done.returncode == 0, done.stdout
    assert '"module_name": "dbops.rds_iam.rds_iam_db_user' not in done.stdout
    assert not any("rds_iam_db_user" in name for name in files.modules)
    assert "PUT" not in done.stdout or "AnsiballZ_rds_iam_db_user" not in done.stdout


# What keeps Ansible from pipelining, as variables of the host and environment, and the words about it.
REASONS = {
    "connection": ({"ansible_connection": "no_pipelining"}, {}, "the connection no_pipelining has no pipelining"),
    "kept files": ({}, {"ANSIBLE_KEEP_REMOTE_FILES": "1"}, "ANSIBLE_KEEP_REMOTE_FILES is set"),
    "become": ({"ansible_become": True, "ansible_become_method": "su"}, {}, "the become method su has no pipelining"),
    "terminal": ({"ansible_ssh_extra_args": "-tt"}, {}, "ssh is told to ask for a terminal"),
}


@pytest.mark.parametrize("reason", REASONS)
@pytest.mark.parametrize("tasks", ["main", "read", "plan"])
def test_nothing_is_sent_where_it_would_be_in_a_file(lab, run, changed_hosts, connections, tasks, reason):
    variables, environment, words = REASONS[reason]
    before = lab.accounts(DATABASE)
    done, files = run(play(tasks), "-vvv", *changed_hosts(**variables), **connections, **environment)
    # The access map and the doctor go on, and say what they could not see.
    assert (done.returncode != 0) == (tasks == "main")
    assert "login_password of dbops.rds_iam.rds_iam_db_user" in done.stdout
    assert f"would be in a file on {HOST}, since {words}, so nothing was sent there; " in done.stdout
    assert not any("rds_iam_db_user" in name for name in files.modules)
    assert lab.accounts(DATABASE) == before


def test_a_module_that_is_left_to_itself_is_a_file(lab, run, changed_hosts):
    database = lab.databases[DATABASE]
    text = MODULE.format(host=HOST, database=DATABASE, endpoint=database["endpoint"], user=database["master_username"])
    done, files = run(text, *changed_hosts())
    assert done.returncode != 0 and "async" in done.stdout
    assert not any("rds_iam_db_user" in name for name in files.modules)


@pytest.mark.parametrize("tasks", ["main", "read", "plan"])
def test_debug_output_has_no_password(run, changed_hosts, tasks):
    done, _files = run(play(tasks), "-vvvvvv", *changed_hosts(), ANSIBLE_DEBUG="1")
    assert done.returncode == 0, done.stdout
    assert re.search(
        r"done with _execute_module \(dbops\.rds_iam\.rds_iam_db_user.*'login_password': '\*+'", done.stdout
    )


def test_sudo_that_wants_a_terminal(lab, run, changed_hosts):
    """A user who sets become for these modules is told that they need none."""
    if not lab.sudo:
        pytest.skip("the lab's clients have no sudo")
    rule = "/etc/sudoers.d/requiretty"
    lab.ssh(HOST, f"echo 'Defaults requiretty' | sudo tee {rule}")
    try:
        done, _files = run(play("main"), *changed_hosts(ansible_become=True))
    finally:
        lab.ssh(HOST, f"script -qc 'sudo rm -f {rule}' /dev/null")
    assert "sudo wants a terminal for dbops.rds_iam.rds_iam_db_user, which it needs no root" in done.stdout
