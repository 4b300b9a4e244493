# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A MariaDB server per database, with accounts and rights as on RDS and the lab's AWSAuthenticationPlugin."""

from __future__ import annotations

import hashlib
import os
import pwd
import re
import shutil
import subprocess
from pathlib import Path

from errors import LabError, run
from processes import die_with_parent
from state import State, write_secret

SERVER_USER = "mysql"
PLUGIN_SOURCE = Path(__file__).with_name("plugin") / "awsauth.c"
LOCAL_ACCOUNTS = {("root", "localhost"), ("mariadb.sys", "localhost")}
# What the master user of RDS for MariaDB has: everything but SUPER, FILE, SHUTDOWN and their like.
MASTER_PRIVILEGES = (
    "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, RELOAD, PROCESS, REFERENCES, INDEX, ALTER, SHOW DATABASES, "
    "CREATE TEMPORARY TABLES, LOCK TABLES, EXECUTE, REPLICATION SLAVE, BINLOG MONITOR, SLAVE MONITOR, CREATE VIEW, "
    "SHOW VIEW, CREATE ROUTINE, ALTER ROUTINE, CREATE USER, EVENT, TRIGGER"
)
LOG_SIZE = "--innodb-log-file-size=8M"
SAMPLE = [
    "CREATE DATABASE app",
    "CREATE TABLE app.orders (id INT PRIMARY KEY AUTO_INCREMENT, item VARCHAR(64) NOT NULL, amount INT NOT NULL)",
    "INSERT INTO app.orders (item, amount) VALUES ('chair', 4), ('table', 1), ('lamp', 2)",
]


def program(name: str) -> str:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin") or ""


def version() -> str:
    printed = run("read MariaDB's version", [program("mariadbd"), "--no-defaults", "--version"])
    found = re.search(r"Ver (\d+\.\d+\.\d+)", printed)
    if not found:
        raise LabError(f"Failed to read MariaDB's version: {printed.strip()}")
    return found[1]


def server_user(state: State) -> str:
    """The unprivileged user of the servers, or root where that user cannot pass the directories above the state's."""
    try:
        pwd.getpwnam(SERVER_USER)
        reached = subprocess.run(["test", "-x", state.root], user=SERVER_USER, check=False).returncode == 0
    except KeyError:
        reached = False
    return SERVER_USER if reached else "root"


def compile_plugin(cache: Path) -> Path:
    """The plugin of this source, from the cache or compiled now."""
    source = PLUGIN_SOURCE.read_bytes()
    built = cache / f"awsauth-{hashlib.sha256(source).hexdigest()[:12]}.so"
    if not built.exists():
        cache.mkdir(parents=True, exist_ok=True)
        unfinished = built.with_suffix(f".{os.getpid()}")
        options = ["-shared", "-fPIC", "-O2", "-Wall", "-Wextra"]
        run("compile the server plugin", [program("cc"), *options, "-o", unfinished, PLUGIN_SOURCE])
        unfinished.rename(built)
    return built


def template(cache: Path, server_version: str) -> Path:
    """A data directory as MariaDB installs it, from the cache or made now."""
    made = cache / f"mariadb-{server_version}"
    if not made.exists():
        unfinished = cache / f"mariadb-{server_version}.{os.getpid()}"
        run(
            "make the template of the data directory",
            [
                *(program("mariadb-install-db"), "--no-defaults", "--user=root", f"--datadir={unfinished}"),
                *("--auth-root-authentication-method=socket", "--auth-root-socket-user=root", "--skip-test-db"),
                LOG_SIZE,
            ],
        )
        unfinished.rename(made)
    return made


def prepare(
    state: State, database: dict, data: Path, plugin: Path, certificate: tuple[bytes, bytes], user: str
) -> None:
    """Everything that the server of this database reads, in its own directory and owned by its user."""
    place = state.database(database["identifier"])
    account = pwd.getpwnam(user)
    owner = (account.pw_uid, account.pw_gid)
    place.mkdir(mode=0o700)
    shutil.copytree(data, place / "data")
    for directory in ("plugins", "tmp"):
        (place / directory).mkdir(mode=0o700)
    shutil.copy(plugin, place / "plugins" / "awsauth.so")
    for path in (place, *place.rglob("*")):
        os.chown(path, *owner)
    write_secret(place / "server.pem", certificate[0], owner)
    write_secret(place / "server.key", certificate[1], owner)


def start(state: State, database: dict, user: str, environment: dict) -> subprocess.Popen:
    place = state.database(database["identifier"])
    command = [
        *(program("mariadbd"), "--no-defaults", f"--datadir={place}/data", f"--tmpdir={place}/tmp"),
        *(f"--socket={place}/mysqld.sock", f"--pid-file={place}/mysqld.pid"),
        *(f"--bind-address={database['server_address']}", f"--port={database['port']}", "--skip-name-resolve"),
        *(f"--plugin-dir={place}/plugins", "--plugin-load-add=awsauth.so"),
        *(f"--ssl-cert={place}/server.pem", f"--ssl-key={place}/server.key", "--tls-version=TLSv1.2,TLSv1.3"),
        *("--require-secure-transport=ON", f"--general-log-file={place}/general.log", "--skip-log-bin"),
        # A rehearsal needs neither speed under load nor data that survive a power cut.
        *("--innodb-buffer-pool-size=16M", LOG_SIZE, "--innodb-flush-method=nosync"),
        *("--aria-pagecache-buffer-size=1M", "--key-buffer-size=1M", "--performance-schema=OFF"),
    ]
    if user == "root":
        command.append("--user=root")
    with state.log(database["identifier"]).open("ab") as log:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=place,
            env={**environment, "AWSAUTH_SOCKET": str(state.verifier)},
            user=user,
            group=pwd.getpwnam(user).pw_gid,
            extra_groups=[],
            preexec_fn=die_with_parent,
        )


def set_up(state: State, database: dict) -> None:
    """The accounts of RDS and a little data. Raises PyMySQL's OperationalError until the server answers."""
    import pymysql

    socket = str(state.database(database["identifier"]) / "mysqld.sock")
    with pymysql.connect(unix_socket=socket, user="root", autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT user, host FROM mysql.user")
        for account in set(cursor.fetchall()) - LOCAL_ACCOUNTS:
            cursor.execute("DROP USER %s@%s", account)
        cursor.execute("CREATE USER rdsadmin@localhost IDENTIFIED VIA mysql_native_password USING 'invalid'")
        cursor.execute("GRANT ALL PRIVILEGES ON *.* TO rdsadmin@localhost WITH GRANT OPTION")
        # A hash, so that the password is in no statement.
        master = (database["master_username"], "%")
        identified = "IDENTIFIED VIA mysql_native_password USING %s"
        cursor.execute(f"CREATE USER %s@%s {identified}", (*master, _native_hash(database["master_password"])))
        cursor.execute(f"GRANT {MASTER_PRIVILEGES} ON *.* TO %s@%s WITH GRANT OPTION", master)
        for statement in SAMPLE:
            cursor.execute(statement)
        cursor.execute("SET GLOBAL general_log = ON")


def _native_hash(password: str) -> str:
    return "*" + hashlib.sha1(hashlib.sha1(password.encode()).digest()).hexdigest().upper()
