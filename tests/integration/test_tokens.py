# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""For one frozen moment, four programs make one token: our module, our lookup, boto3 and the AWS CLI."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent
MOMENT = "2026-01-02 03:04:05"
HOST = "orders.cabcdefghijk.eu-west-1.rds.amazonaws.com"
BOTO3 = (
    "import boto3, sys; host, port, user, region = sys.argv[1:];"
    "print(boto3.client('rds', region_name=region).generate_db_auth_token(host, int(port), user))"
)
CREDENTIALS = {
    "key": {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret/with+signs="},
    "session": {
        "AWS_ACCESS_KEY_ID": "ASIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_SESSION_TOKEN": "session//token++==" * 50,
    },
}


def frozen(environment, *command):
    """The output of a command for which the clock stands still."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "ANSIBLE_"))}
    own |= {"TZ": "UTC", "AWS_EC2_METADATA_DISABLED": "true", "ANSIBLE_LOCALHOST_WARNING": "false", **environment}
    own |= {"PATH": f"{BIN}{os.pathsep}{own['PATH']}", "AWS_CONFIG_FILE": os.devnull}
    command = ["faketime", "-f", MOMENT, *command]
    process = subprocess.run(command, env=own, text=True, capture_output=True, check=False, stdin=subprocess.DEVNULL)
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout


def ansible(environment, module, arguments):
    output = frozen(environment, str(BIN / "ansible"), "localhost", "-o", "-m", module, "-a", json.dumps(arguments))
    return json.loads(output.split("=>", 1)[1])


@pytest.mark.parametrize("credentials", sorted(CREDENTIALS))
@pytest.mark.parametrize(("port", "user"), [(3306, "app"), (1150, "we ird/+%=user")])
def test_one_token(credentials, port, user):
    environment = CREDENTIALS[credentials]
    expected = frozen(environment, sys.executable, "-c", BOTO3, HOST, str(port), user, "eu-west-1").strip()
    cli = [sys.executable, "-m", "awscli", "rds", "generate-db-auth-token", "--region", "eu-west-1"]
    cli += ["--hostname", HOST, "--port", str(port), "--username", user]
    assert frozen(environment, *cli).strip() == expected

    module = ansible(environment, "dbops.rds_iam.rds_auth_token", {"endpoint": HOST, "port": port, "user": user})
    assert module["token"] == expected
    assert module["expires_at"] == "2026-01-02T03:19:05Z"

    lookup = f"{{{{ lookup('dbops.rds_iam.rds_auth_token', '{HOST}', port={port}, user='{user}') }}}}"
    assert ansible(environment, "ansible.builtin.debug", {"msg": lookup})["msg"] == expected


def test_a_profile_and_a_region(tmp_path):
    """The endpoint of a global database names no region."""
    (tmp_path / "credentials").write_text("[other]\naws_access_key_id=AKIDEXAMPLE\naws_secret_access_key=secret\n")
    environment = {"AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials")}
    endpoint = "orders.global-cabc1.global.rds.amazonaws.com"
    boto3 = [sys.executable, "-c", BOTO3, endpoint, "3306", "app", "eu-central-1"]
    expected = frozen({**environment, "AWS_PROFILE": "other"}, *boto3).strip()
    options = {"endpoint": endpoint, "user": "app", "region": "eu-central-1", "profile": "other"}
    assert ansible(environment, "dbops.rds_iam.rds_auth_token", options)["token"] == expected
    call = f"lookup('dbops.rds_iam.rds_auth_token', '{endpoint}', user='app', region='eu-central-1', profile='other')"
    assert ansible(environment, "ansible.builtin.debug", {"msg": f"{{{{ {call} }}}}"})["msg"] == expected
