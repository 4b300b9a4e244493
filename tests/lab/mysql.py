# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""MySQL of Debian's unstable release, unpacked into the cache: the machine's own packages stay as they are."""

from __future__ import annotations

import re
from pathlib import Path

import unpacked
from cached import make_once
from errors import LabError, run
from unpacked import loader

PACKAGE = "mysql-server-core"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
DEBIAN = re.compile(r"(?:^URIs:|^deb\b.*?)\s(\w+://\S+/debian/?)(?:\s|$)", re.M)
# What the master user of RDS for MySQL has from 8.0.36 on, by rds_superuser_role (RDS guide, "Master user account
# privileges" and "Role-based privilege model"). MySQL 9 has two privileges in the place of SET_USER_ID: with both, the
# DEFINER of an object can be dropped without a word. On 8.4 RDS gives only the first (RDS guide, "Dynamic privileges").
ROLE = "rds_superuser_role"
MASTER_PRIVILEGES = (
    "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, RELOAD, PROCESS, REFERENCES, INDEX, ALTER, SHOW DATABASES, "
    "CREATE TEMPORARY TABLES, LOCK TABLES, EXECUTE, REPLICATION SLAVE, REPLICATION CLIENT, CREATE VIEW, "
    "SHOW VIEW, CREATE ROUTINE, ALTER ROUTINE, CREATE USER, EVENT, TRIGGER, "
    "CREATE ROLE, DROP ROLE, APPLICATION_PASSWORD_ADMIN, ROLE_ADMIN, XA_RECOVER_ADMIN, "
    "SET_ANY_DEFINER, ALLOW_NONEXISTENT_DEFINER"
)


def master_statements(master: str) -> list[str]:
    """Give the master user its privileges, all of them by a role that is in effect at each login."""
    return [
        f"CREATE ROLE {ROLE}",
        f"GRANT {MASTER_PRIVILEGES} ON *.* TO {ROLE} WITH GRANT OPTION",
        f"GRANT {ROLE} TO '{master}'@'%' WITH ADMIN OPTION",
        f"SET DEFAULT ROLE {ROLE} TO '{master}'@'%'",
    ]


class NoMirrorError(LabError):
    """There is no mirror from which this machine can fetch MySQL."""


def command(cache: Path) -> list[str]:
    """Return the command of the server with the options that only MySQL has; fetch it if the cache does not hold it."""
    root = _fetch_packages(cache)
    return [
        *(*loader(root), f"{root}/usr/sbin/mysqld", "--no-defaults"),
        *(f"--basedir={root}/usr", f"--lc-messages-dir={root}/usr/share/mysql"),
        *(f"--character-sets-dir={root}/usr/share/mysql/charsets", "--secure-file-priv=NULL", "--mysqlx=OFF"),
        "--innodb-redo-log-capacity=8M",
    ]


def template(cache: Path, version: str, *options: str) -> Path:
    """Return a data directory as MySQL makes it, root without a password, from the cache or made now."""

    def make(place: Path) -> None:
        initialize = ["--user=root", f"--datadir={place}", "--initialize-insecure"]
        run("make the template of MySQL's data directory", [*command(cache), *initialize, *options])

    return make_once(cache / "-".join(["mysql", version, *options]), make)


def _fetch_packages(cache: Path) -> Path:
    """Return the unpacked packages of the server, from the cache or fetched now."""

    def fetch(place: Path) -> None:
        print(f"Fetching MySQL, once; it is kept in {cache}", flush=True)
        unpack(PACKAGE, place)

    return make_once(cache / "mysql-sid", fetch)


def unpack(package: str, root: Path) -> None:
    """Fetch a package of Debian's unstable release and what it depends on, and unpack them in a new directory."""
    unpacked.unpack(package, root, {"sid.list": f"deb [signed-by={KEYRING}] {_mirror()} sid main\n"})


def _mirror() -> str:
    apt = Path("/etc/apt")
    for file in (apt / "sources.list", *sorted(apt.glob("sources.list.d/*"))):
        match = DEBIAN.search(file.read_text()) if file.is_file() else None
        if match and KEYRING.exists():
            return match[1]
    raise NoMirrorError(
        "The lab's MySQL comes from Debian's unstable release, and no apt source of this machine is a Debian mirror:"
        " use --engine mariadb."
    )
