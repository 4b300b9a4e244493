# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The MariaDB server of the machine's distribution."""

from __future__ import annotations

from pathlib import Path

from cached import made_once
from errors import program, run

# What the master user of RDS for MariaDB has: everything but SUPER, FILE, SHUTDOWN and their like.
MASTER_PRIVILEGES = (
    "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, RELOAD, PROCESS, REFERENCES, INDEX, ALTER, SHOW DATABASES, "
    "CREATE TEMPORARY TABLES, LOCK TABLES, EXECUTE, REPLICATION SLAVE, BINLOG MONITOR, SLAVE MONITOR, CREATE VIEW, "
    "SHOW VIEW, CREATE ROUTINE, ALTER ROUTINE, CREATE USER, EVENT, TRIGGER"
)


def master_statements(master: str) -> list[str]:
    """Give the master user its privileges."""
    return [f"GRANT {MASTER_PRIVILEGES} ON *.* TO '{master}'@'%' WITH GRANT OPTION"]


LOG_SIZE = "--innodb-log-file-size=8M"


def command(cache: Path) -> list[str]:
    """The server program, with the options that only MariaDB has."""
    return [program("mariadbd"), "--no-defaults", LOG_SIZE, "--aria-pagecache-buffer-size=1M"]


def template(cache: Path, version: str, *options: str) -> Path:
    """A data directory as MariaDB installs it, from the cache or made now. Options do not matter to it."""

    def make(place: Path) -> None:
        run(
            "make the template of the data directory",
            [
                *(program("mariadb-install-db"), "--no-defaults", "--user=root", f"--datadir={place}"),
                *("--auth-root-authentication-method=socket", "--auth-root-socket-user=root", "--skip-test-db"),
                LOG_SIZE,
            ],
        )

    return made_once(cache / f"mariadb-{version}", make)
