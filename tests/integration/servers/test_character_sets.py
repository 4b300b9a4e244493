# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names arrive as they were written, whatever character set a server gives a session, and with the oldest driver."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql import session
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError

OLDEST = Path(__file__).parents[3] / ".cache/pymysql/1.0.2"
NAME, DATABASE, TABLE, COLUMN = "jörg€", "größe", "tür", "länge"
# As Ansible runs a module, with its arguments on standard input.
RUN = """
import json, sys
from importlib import import_module
from ansible.module_utils.testing import patch_module_args
import pymysql
module = import_module("ansible_collections.dbops.rds_iam.plugins.modules." + sys.argv[1])
assert pymysql.__file__.startswith(sys.argv[2]), pymysql.__file__
with patch_module_args(json.load(sys.stdin)):
    module.main()
"""
SETTINGS = [
    ["--init-connect=SET NAMES latin1"],
    ["--init-connect=SET character_set_results = binary, character_set_connection = ucs2"],
    ["--skip-character-set-client-handshake", "--character-set-server=latin1", "--collation-server=latin1_bin"],
]


@pytest.fixture(params=SETTINGS, ids=lambda options: options[0].split("=")[-1])
def odd_server(request, tmp_path, start_server):
    with start_server("mariadb", tmp_path / "server", *request.param) as server:
        yield server


def run(server, module, **options):
    """Return the result of a module that runs with the oldest driver that hosts have."""
    login = {
        "login_host": server.name,
        "login_port": server.port,
        "login_user": server.master,
        "login_password": server.password,
        "connect_host": "127.0.0.1",
        "ca_file": str(server.ca_file),
    }
    process = subprocess.run(
        [sys.executable, "-c", RUN, module, str(OLDEST)],
        env={**os.environ, "PYTHONPATH": str(OLDEST), "PYTHONIOENCODING": "utf-8"},
        input=json.dumps({**login, **options}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in process.stderr + process.stdout, process.stderr + process.stdout
    result = json.loads(process.stdout.splitlines()[-1])
    assert not result.get("failed"), result.get("msg")
    return result


def test_names_arrive_as_they_were_written(odd_server):
    server = odd_server
    server.sql(
        "SET NAMES utf8mb4",
        f"CREATE DATABASE `{DATABASE}`",
        f"CREATE TABLE `{DATABASE}`.`{TABLE}` (`{COLUMN}` INT)",
        "CREATE USER 'müller'@'%' IDENTIFIED BY 'x'",
    )
    privileges = {f"{DATABASE}.*": ["INSERT"], f"{DATABASE}.{TABLE}": [f"SELECT ({COLUMN})"]}
    users = [{"name": NAME, "privileges": privileges}, {"name": "plain"}]
    assert run(server, "rds_iam_db_user", users=users)["changed"]
    assert not run(server, "rds_iam_db_user", users=users)["changed"]
    names = server.sql(
        "SET NAMES utf8mb4", "SELECT user FROM mysql.user WHERE user NOT IN ('root', 'admin', 'rdsadmin')"
    )
    assert {name for [name] in names} == {NAME, "plain", "müller", "mariadb.sys"}
    where = f"user = '{NAME}' AND db = '{DATABASE}'"
    assert server.sql("SET NAMES utf8mb4", f"SELECT insert_priv FROM mysql.db WHERE {where}") == [("Y",)]
    columns = server.sql("SET NAMES utf8mb4", f"SELECT table_name, column_name FROM mysql.columns_priv WHERE {where}")
    assert columns == [(TABLE, COLUMN)]
    listed = {user["name"] for user in run(server, "rds_iam_db_user_info")["users"]}
    assert {NAME, "müller"} < listed


class Connection:
    """Stands for a connection through a proxy: SET NAMES has no effect, or the answer is no text."""

    server_address = "orders:3306"

    def __init__(self, *answers):
        self.answers = list(answers)

    def cursor(self):
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        return None

    def execute(self, statement):
        self.statement = statement

    def fetchall(self):
        return () if self.statement.startswith("SET") else [self.answers.pop(0)]


def test_a_session_that_keeps_another_character_set_is_refused():
    with pytest.raises(RdsIamError, match="orders speaks latin1, utf8mb4 and utf8mb4 after SET NAMES utf8mb4"):
        session.prepare(Connection(("latin1", "utf8mb4", "utf8mb4", 0, 0, 0, 1)), "orders")


def test_an_answer_that_is_no_text_is_one_sentence():
    with pytest.raises(RdsIamError, match="The answer of orders:3306 cannot be read \\(UnicodeDecodeError"):
        session.rows(Connection((b"j\xf6rg",)), "SELECT 1")
