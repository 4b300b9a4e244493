# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The MariaDB server of the machine's distribution: the one that is installed, or else unpacked into the cache.

Its package is not installed for the lab, since it takes the place of another server that the machine may have.
"""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import base_tree
import unpacked
from cached import make_once
from errors import program, run

PACKAGE = "mariadb-server-core"
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
# Programs of other packages that mariadb-install-db looks for, and does not need without option files and host names.
UNUSED = ("my_print_defaults", "resolveip")


def command(cache: Path) -> list[str]:
    """The server program, with the options that only MariaDB has."""
    limits = [LOG_SIZE, "--aria-pagecache-buffer-size=1M"]
    if _is_installed():
        return [program("mariadbd"), "--no-defaults", *limits]
    root = _fetched(cache)
    share = f"{root}/usr/share/mysql"
    places = [f"--lc-messages-dir={share}", f"--character-sets-dir={share}/charsets"]
    return [*unpacked.loader(root), f"{root}/usr/sbin/mariadbd", "--no-defaults", *places, *limits]


def template(cache: Path, version: str, *options: str) -> Path:
    """A data directory as MariaDB installs it, from the cache or made now. Options do not matter to it."""

    def make(place: Path) -> None:
        started, environment = [program("mariadb-install-db"), "--no-defaults"], dict(os.environ)
        if not _is_installed():
            root = _fetched(cache)
            started = ["sh", f"{root}/usr/bin/mariadb-install-db", "--no-defaults", "--force", f"--basedir={root}/usr"]
            environment["MYSQLD_BOOTSTRAP"] = str(_launcher(root))
        run(
            "make the template of the data directory",
            [
                *(*started, "--user=root", f"--datadir={place}"),
                *("--auth-root-authentication-method=socket", "--auth-root-socket-user=root", "--skip-test-db"),
                LOG_SIZE,
            ],
            env=environment,
        )

    return make_once(cache / f"mariadb-{version}", make)


def _is_installed() -> bool:
    return bool(program("mariadbd") and program("mariadb-install-db"))


def _fetched(cache: Path) -> Path:
    """The unpacked packages of the server, from the cache or fetched now."""
    release = base_tree.machine_release()

    def fetch(place: Path) -> None:
        print(f"Fetching MariaDB, once; it is kept in {cache}", flush=True)
        sources = base_tree.machine_sources(release)
        unpacked.unpack(PACKAGE, place, {source.name: source.read_text() for source in sources})
        for name in UNUSED:
            _write_program(place / "usr/bin" / name, "")

    return make_once(cache / f"mariadb-server-{release}", fetch)


def _launcher(root: Path) -> Path:
    """A program that starts the server of the unpacked packages."""
    started = shlex.join([*unpacked.loader(root), f"{root}/usr/sbin/mariadbd"])
    launcher = root / "mariadbd"
    _write_program(launcher, f'exec {started} "$@"\n')
    return launcher


def _write_program(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}")
    path.chmod(0o755)
