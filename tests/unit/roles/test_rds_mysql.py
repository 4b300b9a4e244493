# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The program rds-mysql, on a host whose Python for it is another version than that of the libraries."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def program(venv: Path) -> str:
    """The program for no database, with its libraries in this place."""
    text = (ROOT / "roles/connect/templates/rds-mysql.j2").read_text()
    token = (ROOT / "plugins/module_utils/_token.py").read_text()
    body = text.split("\n\n", 2)[2]
    start, end = body.index("{% for"), body.index("{% endfor %}")
    body = body[:start] + body[end + len("{% endfor %}") :]
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
