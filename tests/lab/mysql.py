# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A MySQL server of Debian's unstable release, unpacked into the cache: the machine's own packages stay as they are."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from pathlib import Path

from errors import LabError, run

PACKAGE = "mysql-server-core"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
DEBIAN = re.compile(r"(?:^URIs:|^deb\b.*?)\s(\w+://\S+/debian/?)(?:\s|$)", re.M)
LOG_SIZE = "--innodb-redo-log-capacity=8M"


class NoMirror(LabError):
    """This machine has nowhere to fetch MySQL from."""


# apt with a state of its own, in which no package is installed.
APT = """\
Dir::Etc "{place}/etc";
Dir::Etc::SourceList "{place}/etc/sources.list";
Dir::Etc::SourceParts "-";
Dir::State "{place}/state";
Dir::State::Status "{place}/status";
Dir::Cache "{place}/cache";
Dir::Log "{place}/log";
Acquire::Check-Valid-Until "false";
APT::Sandbox::User "root";
APT::Install-Recommends "false";
"""


def fetch(cache: Path) -> Path:
    """The unpacked packages, from the cache or fetched now."""
    place = cache / "mysql-sid"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "mysql.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.exists():
            unfinished = cache / "mysql-sid.new"
            shutil.rmtree(unfinished, ignore_errors=True)
            _fetch(unfinished / "apt", unfinished)
            shutil.rmtree(unfinished / "apt")
            unfinished.rename(place)
    return place


def _mirror() -> str:
    apt = Path("/etc/apt")
    for file in (apt / "sources.list", *sorted(apt.glob("sources.list.d/*"))):
        found = DEBIAN.search(file.read_text()) if file.is_file() else None
        if found and KEYRING.exists():
            return found[1]
    raise NoMirror("MySQL comes from Debian's unstable release, and no apt source of this machine is a Debian mirror.")


def _fetch(apt: Path, root: Path) -> None:
    for directory in ("etc/preferences.d", "etc/apt.conf.d", "state/lists/partial", "cache/archives/partial", "log"):
        (apt / directory).mkdir(parents=True)
    (apt / "status").touch()
    (apt / "etc/sources.list").write_text(f"deb [signed-by={KEYRING}] {_mirror()} sid main\n")
    network = run("read apt's settings", ["apt-config", "dump", "Acquire"])
    (apt / "apt.conf").write_text(network + APT.format(place=apt))
    environment = {**os.environ, "APT_CONFIG": str(apt / "apt.conf"), "DEBIAN_FRONTEND": "noninteractive"}
    run("read the package lists of MySQL", ["apt-get", "-q", "update"], env=environment)
    run("fetch MySQL", ["apt-get", "-q", "install", "-y", "--download-only", PACKAGE], env=environment)
    for package in sorted((apt / "cache/archives").glob("*.deb")):
        run(f"unpack {package.name}", ["dpkg-deb", "--extract", package, root])


def command(root: Path) -> list[str]:
    """The server program with the libraries of its own release, and where its files are."""
    loader = next(root.glob("usr/lib*/**/ld-linux-*.so.*"), None)
    if not loader:
        raise LabError(f"The packages in {root} have no program loader; remove that directory to fetch them again.")
    return [
        *(str(loader), "--library-path", str(loader.parent), f"{root}/usr/sbin/mysqld", "--no-defaults"),
        *(f"--basedir={root}/usr", f"--lc-messages-dir={root}/usr/share/mysql"),
        *(f"--character-sets-dir={root}/usr/share/mysql/charsets", "--secure-file-priv=NULL", "--mysqlx=OFF"),
    ]


def template(cache: Path, root: Path, *options: str) -> Path:
    """A data directory as MySQL makes it, root without a password, from the cache or made now."""
    made = cache / "".join(["mysql-sid-data", *options])
    if not made.exists():
        unfinished = cache / f"{made.name}.{os.getpid()}"
        shutil.rmtree(unfinished, ignore_errors=True)
        place = ["--user=root", f"--datadir={unfinished}", LOG_SIZE, "--initialize-insecure"]
        run("make the template of MySQL's data directory", [*command(root), *place, *options])
        unfinished.rename(made)
    return made
