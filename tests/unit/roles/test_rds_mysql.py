# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The program rds-mysql, on a host whose Python for it is another version than that of the libraries."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def program(venv: Path, databases: str = "") -> str:
    """The program for no database, or for these, with its libraries in this place."""
    text = (ROOT / "roles/connect/templates/rds-mysql.j2").read_text()
    token = (ROOT / "plugins/module_utils/_token.py").read_text()
    body = text.split("\n\n", 2)[2]
    start, end = body.index("{% for"), body.index("{% endfor %}")
    body = body[:start] + databases + body[end + len("{% endfor %}") :]
    place = 'VENV = "/opt/dbops-rds-iam"'
    assert token.count(place) == 1
    return token.replace(place, f"VENV = {str(venv)!r}") + body


def test_goes_on_with_the_python_that_has_botocore(tmp_path):
    script, python = tmp_path / "rds-mysql", tmp_path / "venv/bin/python3"
    script.write_text(program(tmp_path / "venv"))
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\necho "$@"\n')
    python.chmod(0o755)
    # Without its site-packages, this Python has no botocore.
    command = [sys.executable, "-S", script, "orders", "-e", "select 1"]
    done = subprocess.run(command, text=True, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (0, f"{script} orders -e select 1\n"), done.stderr
    python.unlink()
    done = subprocess.run(command, text=True, capture_output=True, check=False)
    assert done.returncode != 0
    assert "no database 'orders'" in done.stderr


REFUSED = (
    *("--plugin-dir=/tmp/p", "--plugin-d=/tmp/p", "--pl=/tmp/p", "--default-auth=a", "--default-a=a", "--default_a=a"),
    *("--ssl", "--skip-ssl", "--loose_ssl_ca=x", "--tl=TLSv1", "--ho=h", "--host=h", "--po=1", "--so=/s"),
    "--prot=PIPE",
    *("--defaults-file=/f", "--no-defaults", "--login-path=l", "--pas=x", "--password", "--dns-srv-name=d", "--dns=d"),
    *("-psecret", "-hh", "-P1", "-S/s", "-Bpsecret", "-NBhh", "--"),
)
TAKEN = (
    *("-e", "-eshow", "-Bte", "-Dshop", "-BDphp", "-BN", "-v", "--batch", "--pager=less", "--safe-updates", "--html"),
    *("--default-character-set=utf8mb4", "--skip-column-names", "--init-command=x", "--prompt=p", "-- a comment"),
    *("select 1-p", "--enable-cleartext-plugin"),
)


@pytest.mark.parametrize(("arguments", "answer"), [(REFUSED, "is not taken"), (TAKEN, "does not exist")])
def test_arguments_do_not_decide_where_the_token_goes(tmp_path, arguments, answer):
    """An argument that is taken leads to the next check, which there is for the CA file."""
    database = {"endpoint": "h", "port": 3306, "region": "eu-west-1", "ca_file": str(tmp_path / "none"), "user": "app"}
    names = {"__name__": "rds_mysql"}
    exec(compile(program(tmp_path, f"'orders': {database}"), "rds-mysql", "exec"), names)
    answers = {}
    for argument in arguments:
        sys.argv = ["rds-mysql", "orders", argument]
        with pytest.raises(SystemExit) as ended:
            names["main"]()
        answers[argument] = str(ended.value)
    assert {argument: text for argument, text in answers.items() if answer not in text} == {}
