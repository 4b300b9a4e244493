# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The places where tokens and passwords must not be, while things run and afterwards."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest
from ansible_collections.dbops.rds_iam.plugins.module_utils._token import signer

TOKEN = re.compile(r"X-Amz-Signature=[0-9a-f]{20}|X-Amz-Security-Token=\w")
# Neither of them finds itself among the processes or in a log: it does not hold the text that is looked for.
PROCESSES = r"""
for process in /proc/[0-9]*; do
    tr '\0' ' ' < $process/cmdline; echo
    tr '\0' '\n' < $process/environ
done 2>/dev/null
"""
FILES = """
find /tmp /var/tmp /dev/shm /run /etc /var/log -xdev -type f -newer /tmp/before -size -1000k \\
    -exec grep -l 'X-Amz-Signatur[e]' {} + 2>/dev/null
"""


@pytest.fixture(scope="module", autouse=True)
def site(lab):
    lab.good("site.yml")
    yield
    lab.good("teardown.yml")


def secrets(lab):
    return [database["master_password"] for database in lab.databases.values()]


def check_no_secret(lab, shown: dict[str, str]) -> None:
    for where, text in shown.items():
        assert not TOKEN.search(text), where
        for secret in secrets(lab):
            assert secret not in text, where


def test_the_most_verbose_run_shows_no_secret(lab, tmp_path):
    log = tmp_path / "ansible.log"
    lab.sql("orders", "DROP USER app@'%'")  # so that there is something to do
    run = lab.playbook("site.yml", "-vvvvvv", "--diff", ANSIBLE_LOG_PATH=str(log))
    assert run.status == 0
    shown = {"output": run.output, "log": log.read_text()}
    for name in ("syslog", "messages", "auth.log", "user.log"):
        path = Path("/var/log") / name
        if path.exists():
            shown[name] = path.read_text(errors="replace")
    check_no_secret(lab, shown)


def test_the_most_verbose_doctor_shows_no_secret(lab, tmp_path):
    """All logins fail, so that all accounts are looked at: with a password that is a variable, and a managed one."""
    log = tmp_path / "ansible.log"
    lab.aws("iam").delete_role_policy(RoleName="rds-iam-lab", PolicyName="rds-iam-connect")
    for database in lab.databases:
        lab.sql(database, "ALTER USER app@'%' ACCOUNT LOCK")
    run = lab.playbook("doctor.yml", "-vvvvvv", ANSIBLE_LOG_PATH=str(log))
    assert run.status != 0
    for database in lab.databases:
        assert f"the account 'app'@'%' of {database} is locked" in run.output
    check_no_secret(lab, {"output": run.output, "log": log.read_text()})
    for database in lab.databases:
        lab.sql(database, "ALTER USER app@'%' ACCOUNT UNLOCK")
    lab.good("site.yml", "--tags", "step5")
    lab.good("doctor.yml")


def test_the_most_verbose_access_map_shows_no_secret(lab, tmp_path):
    """It logs in as the master user, and writes two files."""
    log, place = tmp_path / "ansible.log", tmp_path / "map"
    run = lab.good("report.yml", "-vvvvvv", "-e", f"rds_iam_report_directory={place}", ANSIBLE_LOG_PATH=str(log))
    shown = {path.name: path.read_text() for path in place.iterdir()}
    assert all("'app'@'%'" in text.replace("&#39;", "'") for text in shown.values()), "the accounts were read"
    check_no_secret(lab, {"output": run.output, "log": log.read_text(), **shown})


@pytest.fixture(params=["client1", "client2"])
def client(request):
    """One of each family."""
    return request.param


@pytest.mark.parametrize("arguments", ["orders -e", "orders -u app -e"])
def test_rds_mysql_logs_in(lab, client, arguments):
    process = lab.ssh(client, f"{lab.wrapper(client)} {arguments} 'select current_user()'")
    assert process.returncode == 0, process.stderr
    assert "app@%" in process.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("", "name the database"),
        ("nowhere -e 'select 1'", "no database 'nowhere'"),
        ("orders --skip-ssl -e 'select 1'", "is not taken"),
        ("orders -h elsewhere -e 'select 1'", "is not taken"),
        ("orders --ssl-ca=/tmp/x -e 'select 1'", "is not taken"),
        ("orders -pfoo -e 'select 1'", "is not taken"),
        ("orders -u report -e 'select 1'", "Access denied"),
    ],
)
def test_rds_mysql_refuses(lab, arguments, words):
    process = lab.ssh("client1", f"{lab.wrapper('client1')} {arguments}")
    assert process.returncode != 0
    assert words in process.stderr
    assert "Traceback" not in process.stderr


def test_nobody_else_sees_the_token_of_rds_mysql(lab, client):
    """While somebody is logged in, an ordinary user looks at every process, and root at every new file."""
    nobody, root = f"{lab.sudo}{lab.as_nobody} sh -c", f"{lab.sudo}sh -c"
    look = f"{nobody} {lab.quote(PROCESSES)}; echo FILES:; {root} {lab.quote(FILES)}"
    # The client is logged in once it has answered, and stays as long as its input is open.
    answered = "for turn in $(seq 300); do test -s /tmp/answer && break; sleep 0.1; done"
    session = f"{{ echo 'select current_user();'; {answered}; {{ {look}; }} >&2; }}"
    session += f" | {lab.wrapper(client)} orders --unbuffered > /tmp/answer"
    process = lab.ssh(client, f"rm -f /tmp/answer; touch /tmp/before; {session}; cat /tmp/answer")
    assert "app@%" in process.stdout, process.stderr
    processes, _line, files = process.stderr.partition("FILES:\n")
    assert "--no-defaults" in processes, "the arguments of the client were seen"
    assert not TOKEN.search(processes)
    assert files == ""


def test_the_program_on_the_host_signs_with_the_file_of_the_collection(lab):
    process = lab.ssh("client1", f"cat {lab.wrapper('client1')}")
    assert inspect.getsource(signer.sign) in process.stdout
