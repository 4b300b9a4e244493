# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The setup of a machine, which may have a server and a client of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
REFUSAL = "Installing mariadb-client would remove mysql-client-8.0 from this machine, so nothing was installed."
TOOLS = ("bash", "cat", "dirname", "env", "grep", "id", "mkdir", "tail")


def program(path, text):
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


@pytest.fixture
def setup(tmp_path):
    """Run setup.sh on a machine that has these programs, and whose apt refuses; return what it asked for and said."""
    tools, programs = tmp_path / "tests/tools", tmp_path / "bin"
    tools.mkdir(parents=True)
    programs.mkdir()
    shutil.copy(CHECKOUT / "tests/tools/setup.sh", tools)
    program(
        tools / "install-packages", f'echo "$@" > asked; echo Reading package lists...; echo "{REFUSAL}" >&2; exit 1'
    )
    for name in TOOLS:
        (programs / name).symlink_to(shutil.which(name))
    program(programs / "dpkg-query", "exit 1")
    program(programs / "sudo", 'shift; exec "$@"')

    def run(*there):
        for name in there:
            program(programs / name, "")
        process = subprocess.run(
            [tools / "setup.sh"], env={"PATH": str(programs)}, capture_output=True, text=True, check=False
        )
        assert process.returncode == 1
        return (tmp_path / "asked").read_text().split(), process.stderr

    return run


@pytest.mark.parametrize("client", ["mysql", "mariadb"])
def test_a_client_that_is_there_is_used(setup, client):
    asked, _said = setup(client)
    assert "openssh-server" in asked
    assert [name for name in asked if name.startswith(("mariadb", "mysql"))] == []


def test_no_server_is_installed_and_a_conflict_is_one_sentence(setup):
    asked, said = setup()
    assert [name for name in asked if name.startswith(("mariadb", "mysql"))] == ["mariadb-client"]
    assert said.splitlines()[1:] == [f"setup: {REFUSAL}"]


# Runs where the machine has no MariaDB: makes a data directory, and asks the server for its version.
SERVER = """
import subprocess, sys, time
from pathlib import Path

import pymysql

sys.path.insert(0, sys.argv[1])
import database
import mariadb

cache, place = Path(sys.argv[2]), Path(sys.argv[3])
command = mariadb.command(cache)
assert command[0].startswith(str(cache)), command
data = mariadb.template(cache, database.version(command))
options = [f"--datadir={data}", f"--socket={place}/s", "--skip-networking", "--user=root", f"--tmpdir={place}"]
process = subprocess.Popen([*command, *options], stderr=subprocess.DEVNULL)
try:
    while True:
        try:
            with pymysql.connect(unix_socket=f"{place}/s", user="root") as root, root.cursor() as cursor:
                cursor.execute("SELECT CONCAT(user, '@', host) FROM mysql.user WHERE plugin <> ''")
                print(sorted(row[0] for row in cursor.fetchall()))
                break
        except pymysql.err.OperationalError:
            assert process.poll() is None
            time.sleep(0.1)
finally:
    process.terminate()
    process.wait()
"""


def test_the_lab_brings_a_mariadb_of_its_own(tmp_path):
    """Unpacked into the cache, where the machine has none, or has MySQL in its place."""
    installed = [path for path in map(shutil.which, ("mariadbd", "mariadb-install-db", "mysqld")) if path]
    hide = "".join(f"mount --bind /dev/null {path}; " for path in installed)
    hidden = ["unshare", "--mount", "--propagation", "private", "sh", "-ec", f'{hide}exec "$@"', "sh"]
    if subprocess.run([*hidden, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("This machine allows no mounts.")
    cache = CHECKOUT / ".cache/lab-without-mariadb"
    for template in cache.glob("mariadb-[0-9]*"):
        shutil.rmtree(template)
    script = [sys.executable, "-B", "-c", SERVER, CHECKOUT / "tests/lab", cache, tmp_path]
    process = subprocess.run([*hidden, *script], env=os.environ, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stdout + process.stderr
    assert process.stdout.splitlines()[-1] == "['mariadb.sys@localhost', 'root@localhost']"
