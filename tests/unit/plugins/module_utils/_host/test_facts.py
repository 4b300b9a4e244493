# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The clients of a host, by programs that answer as clients of all ages do."""

from __future__ import annotations

import socket
import subprocess
import threading

import pytest
from ansible_collections.dbops.rds_iam.plugins.module_utils._host import facts, metadata_service

MARIADB = "mariadb  Ver 15.1 Distrib 10.11.19-MariaDB, for debian-linux-gnu (x86_64) using  EditLine wrapper"
CLIENTS = {
    "mariadb 10": ("mariadb", MARIADB, "", 0, ("MariaDB", "10.11.19", None)),
    "mariadb 11": (
        *("mariadb", "mariadb from 11.8.3-MariaDB, client 15.2 for debian-linux-gnu (x86_64)", "", 0),
        ("MariaDB", "11.8.3", None),
    ),
    "mysql 8": ("mysql", "mysql  Ver 8.0.46 for Linux on x86_64", "", 0, ("MySQL", "8.0.46", None)),
    "mysql 5.5": (
        *("mysql", "mysql  Ver 14.14 Distrib 5.5.62, for Linux (x86_64)"),
        *("mysql: unknown variable 'ssl-mode=VERIFY_IDENTITY'", 7),
        ("MySQL", "5.5.62", "mysql: unknown variable 'ssl-mode=VERIFY_IDENTITY'"),
    ),
    "one that does not say why": (
        *("mysql", "mysql  Ver 14.14 Distrib 5.5.62, for Linux (x86_64)", "", 2),
        ("MySQL", "5.5.62", "it ends with the status 2"),
    ),
    "one that complains and ends well": (
        *("mariadb", MARIADB, "mariadb: unknown option '--ssl-verify-server-cert'", 0),
        ("MariaDB", "10.11.19", "mariadb: unknown option '--ssl-verify-server-cert'"),
    ),
}


def run(command):
    done = subprocess.run(command, text=True, capture_output=True, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("client", CLIENTS)
def test_programs(client, tmp_path, monkeypatch):
    name, said, complaint, status, expected = CLIENTS[client]
    program = tmp_path / name
    script = f'echo "{said}"\n[ "$1" = --version ] || {{ printf "%s" "{complaint}" >&2; exit {status}; }}\n'
    program.write_text(f"#!/bin/sh\n{script}")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    [found] = facts.find_programs(run)
    assert (found["family"], found["version"], found["error"]) == expected
    assert (found["path"], found["options"]) == (str(program), facts.OPTIONS[expected[0]])


def test_a_program_with_two_names_is_one(tmp_path, monkeypatch):
    (tmp_path / "mariadb").write_text(f'#!/bin/sh\necho "{MARIADB}"\n')
    (tmp_path / "mariadb").chmod(0o755)
    (tmp_path / "mysql").symlink_to("mariadb")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert [one["path"] for one in facts.find_programs(run)] == [str(tmp_path / "mariadb")]


def test_another_program_answers_as_the_metadata_service(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer():
            connection, _address = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"220 ready\r\n")

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", f"http://127.0.0.1:{server.getsockname()[1]}")
        found = metadata_service.read_metadata()
        thread.join()
    assert "220 ready" in found["error"] and found["instance_id"] is None
