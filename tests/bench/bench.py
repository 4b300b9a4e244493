# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Measure this collection against what one would use in its place, in one run: C(make bench).

Prints a Markdown table. Only the ratios are worth comparing between machines. Runs inside a lab with one database and
one client; the ways that are compared take turns, and the best of each is what counts.
"""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
from pathlib import Path

import pymysql
from measure import BIN, NO_LIMIT, ROOT, Table, timed

DIRECTORY = Path(__file__).parent
STATE = Path(os.environ["LAB_STATE"])
INFO = json.loads((STATE / "lab.json").read_text())
TOKEN = DIRECTORY / "tokens.py"
ACCOUNTS = "dbops.rds_iam.rds_iam_db_user"
KEYS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "t" * 400}


def cold_tokens(table, rounds=10):
    commands = {way: [sys.executable, TOKEN, way] for way in ("collection", "boto3", "hmac")}
    commands["cli"] = [BIN / "aws", "rds", "generate-db-auth-token", "--region", "eu-west-1", "--port", "3306"]
    commands["cli"] += ["--hostname", "orders.cabcdefghijk.eu-west-1.rds.amazonaws.com", "--username", "app"]
    best = dict.fromkeys(commands, NO_LIMIT)
    for _round in range(rounds):
        for way, command in commands.items():
            best[way] = min(best[way], timed(command, **KEYS)[0])
    method = f"whole process, best of {rounds}, seconds"
    table.add("cold token, and boto3's client", best["collection"], best["boto3"], 0.55, method)
    table.add("cold token, and the AWS CLI", best["collection"], best["cli"], 0.4, method)
    table.add("cold token, and the bare HMAC", best["collection"], best["hmac"], NO_LIMIT, method)


def warm_tokens(table):
    command = [sys.executable, TOKEN, "warm"]
    output = subprocess.run(command, env={**os.environ, **KEYS}, stdout=subprocess.PIPE, text=True, check=True).stdout
    best = {way: 1e6 * value for way, value in json.loads(output).items()}
    method = "one process, best of 15 rounds of 200, microseconds"
    table.add("warm token, and boto3's client", best["collection"], best["boto3"], 0.8, method)
    table.add("warm token, and the bare HMAC", best["collection"], best["hmac"], NO_LIMIT, method)


def questions() -> int:
    """Count the statements that the database has had."""
    database = INFO["databases"][0]
    login = {"user": database["master_username"], "password": database["master_password"]}
    context = ssl.create_default_context(cafile=INFO["ca_file"])
    with (
        pymysql.connect(host=database["endpoint"], port=database["port"], ssl=context, **login) as admin,
        admin.cursor() as cursor,
    ):
        cursor.execute("SHOW GLOBAL STATUS LIKE 'Questions'")
        return int(cursor.fetchone()[1])


def calls(since: int) -> int:
    with (STATE / "api.jsonl").open() as stream:
        stream.seek(since)
        return len(list(stream))


def measure(command) -> tuple[float, int]:
    """Return seconds and AWS calls of a command."""
    since = (STATE / "api.jsonl").stat().st_size
    return timed(command)[0], calls(since)


def site(table, rounds=3):
    site_command = [BIN / "ansible-playbook", ROOT / "playbooks/site.yml"]
    peers = [BIN / "ansible-playbook", DIRECTORY / "peers.yml", "-e", "account_id=123456789012"]
    results = {"collection": [], "peers": []}
    # The first run of each makes its own role; the profile is handed over in between, as each wants its own.
    for _round in range(rounds):
        for way, command in (("collection", site_command), ("peers", peers)):
            extra = ["-e", "role_attachment_replace=true"] if way == "collection" else []
            measure([*command, *extra])
            results[way].append(measure([*command, *extra]))
    best = {way: (min(run[0] for run in runs), max(run[1] for run in runs)) for way, runs in results.items()}
    method = f"nothing to change, one database, one client, best of {rounds}"
    table.add("the nine steps again, seconds", best["collection"][0], best["peers"][0], 1.0, method)
    table.add("the nine steps again, AWS calls", best["collection"][1], best["peers"][1], 1.0, method)


def doctor(table, rounds=5):
    """A login that its policy does not allow, which the doctor finds out after all other checks."""
    playbooks, path = ROOT / "playbooks", STATE / "bench-ping.yml"
    include = {"name": "dbops.rds_iam.connect", "tasks_from": "logins"}
    databases = {"connect_databases": "{{ _rds_iam_connect_databases }}"}
    play = {"hosts": "rds_clients", "become": True, "gather_facts": False}
    play["vars_files"] = str(playbooks / "vars/databases.yml")
    play["tasks"] = [{"ansible.builtin.include_role": include, "vars": databases}]
    path.write_text(json.dumps([{"import_playbook": str(playbooks / "databases.yml")}, play]))
    best, failed = {"doctor": NO_LIMIT, "ping": NO_LIMIT}, 2
    timed([BIN / "ansible-playbook", playbooks / "site.yml", "-e", "role_attachment_replace=true"])
    timed([BIN / "aws", "iam", "delete-role-policy", "--role-name", "rds-iam-lab", "--policy-name", "rds-iam-connect"])
    for _round in range(rounds):
        best["doctor"] = min(best["doctor"], timed([BIN / "ansible-playbook", playbooks / "doctor.yml"], failed)[0])
        best["ping"] = min(best["ping"], timed([BIN / "ansible-playbook", path])[0])
    timed([BIN / "ansible-playbook", playbooks / "site.yml", "--tags", "step5"])
    method = f"reading the database and trying the login, and saying why it fails, seconds, best of {rounds}"
    table.add("the doctor for one login, and the ping alone", best["doctor"], best["ping"], 2, method)


def account_tasks(names: list[str]) -> dict[str, dict]:
    """Return the task that makes these accounts, and the loop that one would use in its place."""
    database, ca_file = INFO["databases"][0], INFO["ca_file"]
    login = {
        "login_host": database["endpoint"],
        "login_user": database["master_username"],
        "login_password": database["master_password"],
    }
    privileges = {"app.*": ["SELECT", "INSERT"]}
    return {
        "collection": {
            ACCOUNTS: {
                **login,
                "ca_file": ca_file,
                "users": [{"name": name, "privileges": privileges} for name in names],
            }
        },
        "loop": {
            "ansible.mysql.mysql_user": {
                **login,
                "ca_cert": ca_file,
                "check_hostname": True,
                "column_case_sensitive": True,
                "name": "{{ item }}",
                "host": "%",
                "plugin": "AWSAuthenticationPlugin",
                "plugin_hash_string": "RDS",
                "tls_requires": {"SSL": None},
                "priv": "app.*:SELECT,INSERT",
            },
            "loop": names,
            "no_log": True,
        },
    }


def users(table, count=200):
    names = [f"bench{number}" for number in range(count)]
    tasks = account_tasks(names)
    paths = {way: write_playbook(f"bench-{way}.yml", task) for way, task in tasks.items()}
    dropped = [{"name": name, "state": "absent"} for name in names]
    drop = write_playbook("bench-drop.yml", {ACCOUNTS: {**tasks["collection"][ACCOUNTS], "users": dropped}})
    best = {}
    # One run of the loop starts 200 modules, so what disturbs one of them does not count for much.
    for way, rounds in (("collection", 3), ("loop", 1)):
        for _round in range(rounds):
            for run in ("new", "again"):
                before = questions()
                took, _output = timed([BIN / "ansible-playbook", paths[way]])
                sent = questions() - before
                best[way, run] = min(best.get((way, run), (NO_LIMIT, 0)), (took, sent))
            timed([BIN / "ansible-playbook", drop])
    for run, condition in (("new", "none of them is there"), ("again", "all of them are there")):
        (seconds, statements), (loop_seconds, loop_statements) = best["collection", run], best["loop", run]
        subject = f"{count} accounts and a loop over mysql_user, {run}"
        method = f"best of 3, and one run of the loop; {condition}"
        table.add(f"{subject}, seconds", seconds, loop_seconds, 1 / 50, method)
        table.add(f"{subject}, SQL statements", statements, loop_statements, NO_LIMIT, method)


def write_playbook(name: str, task: dict) -> Path:
    """Write a playbook of one task, which holds the master password."""
    path = STATE / name
    path.touch(0o600)
    path.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": [task]}]))
    return path


def main():
    table = Table()
    cold_tokens(table)
    warm_tokens(table)
    site(table)
    doctor(table)
    users(table)
    return 0 if table.show() else 1


if __name__ == "__main__":
    sys.exit(main())
