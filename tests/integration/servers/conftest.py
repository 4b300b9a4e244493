# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real database servers for tests of accounts, without the AWS side: nobody logs in with a token here."""

from __future__ import annotations

import contextlib
import io
import json
import re
import socket
import subprocess
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from unittest import mock

import certificates
import database
import mysql
import pymysql
import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.testing import patch_module_args
from ansible_collections.dbops.rds_iam.plugins.modules import rds_iam_db_user
from cryptography.hazmat.primitives.asymmetric import rsa
from driver import free_port
from processes import end

CHECKOUT = Path(__file__).resolve().parents[3]
CACHE = CHECKOUT / ".cache/lab"
NAME = "orders.cabcdefghijk.eu-west-1.rds.amazonaws.com"
MASTER, PASSWORD = "admin", "the-master-password"
PLUGIN = "AWSAuthenticationPlugin"
MARK = "GRANT REFERENCES ON `ManagedBy=dbops.rds_iam`.*"  # of what the module made, where users have no attributes
CHANGE = re.compile(r"\b(?:Query|Execute)\s+((?:CREATE|ALTER|DROP|GRANT|REVOKE|RENAME|INSERT|UPDATE|DELETE)\b.*)")


@dataclass
class Server:
    """A running server and the module that is pointed at it."""

    engine: str
    place: Path
    port: int
    ca_file: Path
    name = NAME
    master = MASTER
    password = PASSWORD

    @cached_property
    def root(self) -> pymysql.connections.Connection:
        """A session of root, which all statements share: to open one for each takes longer than the statements."""
        return pymysql.connect(
            unix_socket=str(self.place / "mysqld.sock"),
            user="root",
            autocommit=True,
            ssl_disabled=True,
            charset="utf8mb4",
        )

    @property
    def is_mysql(self) -> bool:
        return self.engine == "mysql"

    def sql(self, *statements: str) -> list[tuple]:
        """Statements as root, over the socket; the rows of the last one."""
        with self.root.cursor() as cursor:
            for statement in ("SET SESSION sql_mode = 'NO_BACKSLASH_ESCAPES'", *statements):
                cursor.execute(statement)
            return list(cursor.fetchall())

    def run(self, users: list, *, fails: bool = False, check: bool = False, **options) -> dict:
        """The module, as Ansible would run it.

        Adds `sent`, the changing statements that the server logged, and `warned`, the warnings.
        """
        defaults = {
            "login_host": NAME,
            "login_port": self.port,
            "login_user": MASTER,
            "login_password": PASSWORD,
            "connect_host": "127.0.0.1",
            "ca_file": str(self.ca_file),
            "_ansible_check_mode": check,
            "_ansible_diff": True,
        }
        log = self.place / "general.log"
        before = log.stat().st_size
        output, warned = io.StringIO(), []
        with (
            patch_module_args({**defaults, **options, "users": users}),
            contextlib.redirect_stdout(output),
            pytest.raises(SystemExit),
            mock.patch.object(AnsibleModule, "warn", lambda _self, text: warned.append(text)),
        ):
            rds_iam_db_user.main()
        result = {**json.loads(output.getvalue()), "warned": " ".join(warned)}
        assert result.get("failed", False) == fails, result.get("msg")
        assert PASSWORD not in json.dumps({**result, "invocation": None})
        with log.open("rb") as stream:
            stream.seek(before)
            result["sent"] = CHANGE.findall(stream.read().decode(errors="replace"))
        return result

    def settled(self, users: list) -> dict:
        """Run it; then run it again, which must find and send nothing."""
        first = self.run(users)
        again = self.run(users)
        assert (again["changed"], again["sent"]) == (False, []), again["users"]
        return first

    def account(self, name: str, host: str = "%") -> tuple | None:
        """Plugin, authentication string, ssl_type and lock of an account as the server's own statement shows them."""
        if (name, host) not in self.accounts():
            return None
        [(text,)] = self.sql(f"SHOW CREATE USER {quote(name)}@{quote(host)}")
        match = re.search(r"IDENTIFIED (?:WITH|VIA) '?(\w+)'?(?: (?:AS|USING) '([^']*)')?(?: REQUIRE (\w+))?", text)
        return match[1], match[2], match[3] or "NONE", "ACCOUNT LOCK" in text

    def accounts(self) -> set[tuple[str, str]]:
        return set(self.sql("SELECT user, host FROM mysql.user"))

    def drop(self, accounts) -> None:
        roles = [quote(name) for name, host in accounts if not host]
        users = [f"{quote(name)}@{quote(host)}" for name, host in accounts if host]
        self.sql(*(f"DROP {kind} {', '.join(who)}" for kind, who in (("ROLE", roles), ("USER", users)) if who))

    def grants(self, name: str, host: str = "%") -> set[str]:
        """SHOW GRANTS, without what only says that the account exists, who made it, and how it logs in."""
        rows = self.sql(f"SHOW GRANTS FOR {quote(name)}@{quote(host)}")
        grantee = " TO " + "@".join("`" + part.replace("`", "``") + "`" for part in (name, host))
        grants = {
            re.sub(r" (IDENTIFIED (VIA|BY)|REQUIRE) .*?(?=$| WITH)", "", row[0].replace(grantee, "")) for row in rows
        }
        return grants - {"GRANT USAGE ON *.*", MARK}

    def comparable(self, name: str) -> set[tuple]:
        """The same without the order of privileges and columns, which depends on when each was granted."""
        return {
            tuple(sorted(re.findall(r"\([^)]*\)|`[^`]*`|[\w*]+|,", _sorted_columns(grant))))
            for grant in self.grants(name)
        }

    def by_hand(self, privileges: dict) -> set[tuple]:
        """Return what SHOW GRANTS says of a new user to whom root gives these privileges."""
        statements = ["DROP USER IF EXISTS twin@'%'", "CREATE USER twin@'%'"]
        for level, names in privileges.items():
            on = ".".join(part if part == "*" else f"`{part}`" for part in level.split("."))
            listed = ", ".join(name for name in names if name != "GRANT OPTION") or "USAGE"
            option = " WITH GRANT OPTION" if "GRANT OPTION" in names else ""
            statements.append(f"GRANT {listed} ON {on} TO twin@'%'{option}")
        self.sql(*statements)
        return self.comparable("twin")

    def questions(self) -> int:
        return int(self.sql("SHOW GLOBAL STATUS LIKE 'Questions'")[0][1])


def _sorted_columns(grant: str) -> str:
    return re.sub(r"\(([^)]*)\)", lambda match: f"({', '.join(sorted(match[1].split(', ')))})", grant)


def quote(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def addresses() -> list[str]:
    """The loopback as far as this machine has it."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return ["127.0.0.1"]
    return ["127.0.0.1", "::1"]


@contextlib.contextmanager
def running(engine: str, place: Path, *options: str):
    try:
        command = database.ENGINES[engine].command(CACHE)
    except mysql.NoMirrorError as exc:
        pytest.skip(str(exc))
    authority = certificates.make_authority("Root of the tests", rsa.generate_private_key(65537, 2048))
    real = database.Server(engine, place, "root")
    data = database.ENGINES[engine].template(CACHE, database.version(command), *options)
    real.prepare(data, database.compile_plugin(CACHE), authority.sign(NAME))
    (place / "ca.pem").write_bytes(authority.pem)
    server = Server(engine, place, free_port(), place / "ca.pem")
    log = place / "error.log"
    options = ("--character-set-server=utf8mb4", *options)
    process = real.start(command, addresses(), server.port, log, {"LC_ALL": "C.UTF-8"}, *options)
    try:
        set_up(real, process, log)
        yield server
    finally:
        end([process.pid], 10)
        process.wait()


def set_up(real: database.Server, process: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            real.set_up(MASTER, PASSWORD)
            return
        except pymysql.err.OperationalError:
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"The {real.engine} server did not start: {log.read_text()[-2000:]}")
            time.sleep(0.05)


@pytest.fixture(scope="session", params=["mariadb", "mysql"])
def shared_server(request, tmp_path_factory):
    with running(request.param, tmp_path_factory.mktemp(request.param) / "server") as server:
        yield server


@pytest.fixture
def start_server():
    """Start a server with options of its own, for as long as a with statement lasts."""
    return running


@pytest.fixture(params=["mariadb", "mysql"])
def lower_case_server(request, tmp_path):
    """One that keeps the names of databases and tables in lower case."""
    with running(request.param, tmp_path / "server", "--lower-case-table-names=1") as server:
        yield server


@pytest.fixture(params=["mariadb", "mysql"])
def new_server(request, tmp_path):
    """One that holds nothing but what its installation makes."""
    with running(request.param, tmp_path / "server") as server:
        server.sql("DROP DATABASE app", "DROP USER admin@'%', rdsadmin@localhost", f"DROP ROLE IF EXISTS {mysql.ROLE}")
        yield server


@pytest.fixture(params=["127.0.0.1", "::1"])
def address(request):
    """An address on which the server listens, too."""
    if request.param not in addresses():
        pytest.skip("This machine has no IPv6.")
    return request.param


@pytest.fixture
def server(shared_server):
    """The server of the session, with the accounts that it had at first."""
    before = shared_server.accounts()
    yield shared_server
    shared_server.drop(shared_server.accounts() - before)
