# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The changes of the role db_client to a local server that is new, and to one that somebody uses."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

SCRIPT = Path(__file__).parents[3] / "roles/db_client/files/insecure.sql"
MODES = ["", "NO_BACKSLASH_ESCAPES", "ANSI_QUOTES,PIPES_AS_CONCAT", "NO_BACKSLASH_ESCAPES,ANSI_QUOTES"]
INSECURE = [
    "CREATE USER ''@localhost",
    "CREATE DATABASE IF NOT EXISTS test",
    "INSERT INTO mysql.db (host, db, user, select_priv) VALUES ('%', 'test', '', 'Y'), ('%', 'test\\_%', '', 'Y')",
    "FLUSH PRIVILEGES",
]
GRANTS = "DELETE FROM mysql.db WHERE user = '' AND db IN ('test', 'test\\\\_%'); FLUSH PRIVILEGES;"
# What an installation of MySQL does not make, and people do.
IN_USE = {
    "a table": ["CREATE TABLE test.precious (id INT)"],
    "a view": ["CREATE VIEW test.precious AS SELECT 1"],
    "a procedure": ["CREATE PROCEDURE test.precious() SELECT 1"],
    "an event": ["CREATE EVENT test.precious ON SCHEDULE EVERY 1 DAY DO SELECT 1"],
    "a database": ["CREATE DATABASE precious"],
    "an account": ["CREATE USER precious@localhost"],
    "a remote root": ["CREATE USER root@'10.%' IDENTIFIED BY 'x'"],
}
UNDO = {
    "a table": ["DROP TABLE test.precious"],
    "a view": ["DROP VIEW test.precious"],
    "a procedure": ["DROP PROCEDURE test.precious"],
    "an event": ["DROP EVENT test.precious"],
    "a database": ["DROP DATABASE precious"],
    "an account": ["DROP USER precious@localhost"],
    "a remote root": ["DROP USER root@'10.%'"],
}


def run(server, text):
    """Return what the client prints, called as the role calls it."""
    client = shutil.which("mariadb") or "mysql"
    command = [client, "--no-defaults", "--user=root", "--protocol=SOCKET", f"--socket={server.place}/mysqld.sock"]
    batch = ["--batch", "--raw", "--skip-column-names"]
    process = subprocess.run([*command, *batch], input=text, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    return process.stdout.splitlines()


def state(server):
    grants = server.sql("SELECT user, host, db FROM mysql.db ORDER BY 1, 2, 3")
    return grants, server.accounts(), server.sql("SHOW DATABASES")


def test_a_new_server_becomes_secure(new_server):
    plugin = ["INSTALL PLUGIN auth_socket SONAME 'auth_socket.so';"] if new_server.is_mysql else []
    plugin += ["ALTER USER 'root'@'localhost' IDENTIFIED WITH auth_socket;"] if new_server.is_mysql else []
    for mode in MODES:
        new_server.sql(f"SET GLOBAL sql_mode = '{mode}'")
        assert run(new_server, SCRIPT.read_text()) == plugin
        new_server.sql(*INSECURE)
        expected = ["DROP USER ''@'localhost';", "DROP DATABASE `test`;", GRANTS]
        assert run(new_server, SCRIPT.read_text()) == expected + plugin
        # The plugin is not among the files of the tests' MySQL.
        run(new_server, "\n".join(["SET SESSION sql_mode = '';", *expected]))
        assert run(new_server, SCRIPT.read_text()) == plugin
        assert ("", "localhost") not in new_server.accounts()


def test_a_server_that_is_in_use_is_not_changed(new_server):
    new_server.sql(*INSECURE)
    for mode in MODES:
        new_server.sql(f"SET GLOBAL sql_mode = '{mode}'")
        for kind, statements in IN_USE.items():
            new_server.sql(*statements)
            before = state(new_server)
            said = run(new_server, SCRIPT.read_text())
            assert len(said) >= 3 and all(line.startswith("-- ") for line in said), kind
            run(new_server, "\n".join(said))
            assert state(new_server) == before
            objects = 1 if "test.precious" in statements[0] else 0
            assert "-- the account ''@'localhost'" in said
            assert f"-- the database test, which holds {objects} tables and other objects" in said
            assert "-- the privileges of everybody on the database test" in said
            assert ("-- the account 'root'@'10.%'" in said) == (kind == "a remote root")
            new_server.sql(*UNDO[kind])
            assert run(new_server, SCRIPT.read_text())[0] == "DROP USER ''@'localhost';"
