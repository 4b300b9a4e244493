# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the role keeps of an inline policy that it does not purge."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROLE = Path(__file__).parents[3] / "roles/iam_role"
APP = "arn:aws:rds-db:eu-west-1:123456789012:dbuser:db-ABC/app"


def allow(resource=APP, **more):
    return {"Effect": "Allow", "Action": "rds-db:connect", "Resource": resource, **more}


POLICIES = [
    (allow(), [APP]),
    ([allow([APP]), allow("arn:aws-cn:rds-db:*", Action=["rds-db:connect"])], [APP, "arn:aws-cn:rds-db:*"]),
    ([allow("*"), allow(["*", APP]), allow("arn:*")], [APP]),
    ([allow(Effect="Deny"), allow("*", Action="logs:PutLogEvents"), allow(Action="rds:StopDBInstance")], []),
    ([allow(Condition={"IpAddress": {"aws:SourceIp": "192.0.2.1"}})], []),
    ([{"Effect": "Allow", "Action": "rds-db:connect", "NotResource": APP}], []),
    ([{"Effect": "Allow", "NotAction": "rds-db:connect", "Resource": APP}], []),
]


def test_only_what_is_allowed_on_database_users(tmp_path):
    documents = [{"Version": "2012-10-17", "Statement": statements} for statements, _kept in POLICIES]
    task = {
        "ansible.builtin.debug": {"msg": "{{ _iam_role_policy_kept | to_json }}"},
        "vars": {"iam_role_policy_purge": False, "_iam_role_read": {"policy": {"document": "{{ item }}"}}},
        "loop": documents,
    }
    play = {"hosts": "localhost", "gather_facts": False, "vars_files": [str(ROLE / "vars/main.yml")], "tasks": [task]}
    (tmp_path / "play.yml").write_text(json.dumps([play]))
    command = [Path(sys.executable).parent / "ansible-playbook", tmp_path / "play.yml"]
    environment = {**os.environ, "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default", "ANSIBLE_NOCOLOR": "1"}
    environment["ANSIBLE_CALLBACK_RESULT_FORMAT"] = "json"
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [line.split('"msg": ', 1)[1] for line in done.stdout.splitlines() if '"msg": ' in line]
    assert [json.loads(json.loads(line)) for line in lines] == [kept for _statements, kept in POLICIES]
