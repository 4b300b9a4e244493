# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
import sys

import pytest
from ansible_collections.dbops.rds_iam.plugins.module_utils._client.inspection import inspect_client, read_program

LIBRARIES = '{"botocore.session": ["/usr/lib/botocore.py", []], "pymysql": ["/usr/lib/pymysql.py", [1, 1, 0]]}'
OLD_DRIVER = '{"botocore.session": ["/usr/lib/botocore.py", []], "pymysql": ["/usr/lib/pymysql.py", [0, 9, 3]]}'


@pytest.mark.parametrize(
    ("programs", "libraries", "missing"),
    [
        (["mariadb"], LIBRARIES, []),
        (["mysql"], LIBRARIES, []),
        ([], LIBRARIES, ["client_program"]),
        (["mysql"], "{}", ["libraries"]),
        # The role says that it must go.
        (["mysql"], OLD_DRIVER, ["libraries"]),
        ([], "{}", ["client_program", "libraries"]),
    ],
)
def test_what_is_missing(tmp_path, monkeypatch, programs, libraries, missing):
    for name in programs:
        (tmp_path / name).touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    state = inspect_client(lambda _command: (0, libraries, ""), sys.executable, str(tmp_path / "rds-mysql"))
    client = str(tmp_path / programs[0]) if programs else ""
    assert state == {"client_program": client, "missing": missing, "program": None}


def test_a_program(tmp_path):
    path = tmp_path / "rds-mysql"
    path.write_bytes(b"#!/usr/bin/python3 -I\n")
    path.chmod(0o755)
    assert read_program(str(path)) == {"checksum": hashlib.sha256(path.read_bytes()).hexdigest(), "mode": "0755"}


def test_what_is_no_program(tmp_path):
    (tmp_path / "target").touch()
    (tmp_path / "link").symlink_to(tmp_path / "target")
    for name in ("nothing", "link", "."):
        assert read_program(str(tmp_path / name)) is None
