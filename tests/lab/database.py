# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A database server, MariaDB or MySQL, with accounts and rights as on RDS and the lab's AWSAuthenticationPlugin."""

from __future__ import annotations

import hashlib
import os
import pwd
import re
import secrets
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import mariadb
import mysql
import pymysql
from cached import make_once
from errors import LabError, program, run
from processes import die_with_parent
from state import State, write_secret

ENGINES = {"mariadb": mariadb, "mysql": mysql}
SERVER_USER = "mysql"
PLUGIN_SOURCE = Path(__file__).with_name("plugin") / "awsauth.c"
LOCAL_ACCOUNTS = {"root", "mariadb.sys", "mysql.sys", "mysql.session", "mysql.infoschema"}
# The master user may not KILL sessions of others, and RDS has this procedure for it (RDS guide, "Ending a session or
# query"; the RDS tools of AWS have the same call).
RDS_KILL = """
    CREATE DEFINER=rdsadmin@localhost PROCEDURE mysql.rds_kill(IN thread BIGINT) READS SQL DATA DETERMINISTIC
    BEGIN
        IF EXISTS (SELECT 1 FROM information_schema.processlist WHERE id = thread AND user LIKE 'rds%admin') THEN
            SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'CANNOT KILL SESSION OF RDS';
        END IF;
        KILL thread;
    END"""
SAMPLE = [
    "CREATE DATABASE app",
    "CREATE TABLE app.orders (id INT PRIMARY KEY AUTO_INCREMENT, item VARCHAR(64) NOT NULL, amount INT NOT NULL)",
    "INSERT INTO app.orders (item, amount) VALUES ('chair', 4), ('table', 1), ('lamp', 2)",
]


def version(command: list[str]) -> str:
    """Return the version of the server that this command starts."""
    output = run("read the version of the database server", [*command, "--version"])
    match = re.search(r"Ver (\d+\.\d+\.\d+)", output)
    if not match:
        raise LabError(f"Failed to read the version of the database server: {output.strip()}")
    return match[1]


def server_user(*directories: Path) -> str:
    """Return the unprivileged user of the servers, or root where that user cannot pass these directories."""
    try:
        pwd.getpwnam(SERVER_USER)
        may_pass = all(
            subprocess.run(["test", "-x", directory], user=SERVER_USER, check=False).returncode == 0
            for directory in directories
        )
    except KeyError:
        may_pass = False
    return SERVER_USER if may_pass else "root"


def compile_plugin(cache: Path) -> Path:
    """Return the plugin of this source, from the cache or compiled now."""
    source = PLUGIN_SOURCE.read_bytes()
    options = ["-shared", "-fPIC", "-O2", "-Wall", "-Wextra"]

    def build(place: Path) -> None:
        run("compile the server plugin", [program("cc"), *options, "-o", place, PLUGIN_SOURCE])

    return make_once(cache / f"awsauth-{hashlib.sha256(source).hexdigest()[:12]}.so", build)


def server_of(state: State, shape: dict, item: dict) -> Server:
    """Return the server behind a database of the lab."""
    return Server(item["server"], state.database(item["identifier"]), shape["server_user"])


@dataclass(frozen=True)
class Server:
    """One server: its engine, the directory with all that it reads and writes, and the user that it runs as."""

    engine: str
    place: Path
    user: str

    @property
    def socket(self) -> Path:
        return self.place / "mysqld.sock"

    @property
    def general_log(self) -> Path:
        return self.place / "general.log"

    def prepare(self, data: Path, plugin: Path, certificate: tuple[bytes, bytes]) -> None:
        """Put all that the server reads into its own directory, owned by its user."""
        account = pwd.getpwnam(self.user)
        owner = (account.pw_uid, account.pw_gid)
        self.place.mkdir(mode=0o700)
        shutil.copytree(data, self.place / "data")
        for directory in ("plugins", "tmp"):
            (self.place / directory).mkdir(mode=0o700)
        shutil.copy(plugin, self.place / "plugins" / "awsauth.so")
        for path in (self.place, *self.place.rglob("*")):
            os.chown(path, *owner)
        write_secret(self.place / "server.pem", certificate[0], owner)
        write_secret(self.place / "server.key", certificate[1], owner)

    def start(
        self, command: list[str], addresses: list[str], port: int, log: Path, environment: dict, *options: str
    ) -> subprocess.Popen:
        """Start it with its engine's command, on all these addresses."""
        place = self.place
        command = [
            *(*command, f"--user={self.user}", f"--datadir={place}/data", f"--tmpdir={place}/tmp"),
            *(f"--socket={self.socket}", f"--pid-file={place}/mysqld.pid"),
            *(f"--bind-address={','.join(addresses)}", f"--port={port}", "--skip-name-resolve"),
            *(f"--plugin-dir={place}/plugins", "--plugin-load-add=awsauth.so"),
            *(f"--ssl-cert={place}/server.pem", f"--ssl-key={place}/server.key", "--tls-version=TLSv1.2,TLSv1.3"),
            *("--require-secure-transport=ON", f"--general-log-file={self.general_log}", "--skip-log-bin"),
            # A rehearsal needs neither speed under load nor data that survive a power cut.
            *("--innodb-buffer-pool-size=16M", "--innodb-flush-method=nosync", "--key-buffer-size=1M"),
            *("--performance-schema=OFF", *options),
        ]
        with log.open("ab") as stream:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                cwd=place,
                env=environment,
                user=self.user,
                group=pwd.getpwnam(self.user).pw_gid,
                extra_groups=[],
                preexec_fn=die_with_parent,
            )

    def set_up(self, master: str, password: str) -> None:
        """Make the accounts of RDS and a little data. Raises PyMySQL's OperationalError until the server answers."""
        socket = str(self.socket)
        with pymysql.connect(unix_socket=socket, user="root", autocommit=True) as root, root.cursor() as cursor:
            cursor.execute("SELECT user, host FROM mysql.user")
            for user, host in cursor.fetchall():
                if user not in LOCAL_ACCOUNTS or host != "localhost":
                    cursor.execute("DROP USER %s@%s", (user, host))
            # No statement is logged yet.
            cursor.execute("CREATE USER rdsadmin@localhost IDENTIFIED BY %s", (secrets.token_urlsafe(18),))
            cursor.execute("GRANT ALL PRIVILEGES ON *.* TO rdsadmin@localhost WITH GRANT OPTION")
            cursor.execute("CREATE USER %s@%s IDENTIFIED BY %s", (master, "%", password))
            for statement in (*ENGINES[self.engine].master_statements(master), RDS_KILL, *SAMPLE):
                cursor.execute(statement)
            cursor.execute("SET GLOBAL general_log = ON")
