# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Debian package of MySQL's own client, named as Ubuntu names it, since Debian itself has only MariaDB's."""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path

import mysql
from errors import run
from unpacked import loader

PACKAGE = "mysql-client"
HOME = "usr/lib/mysql-client"
CONTROL = """\
Package: {package}
Version: {version}
Architecture: {architecture}
Maintainer: dbops.rds_iam contributors
Conflicts: virtual-mysql-client, virtual-mysql-client-core
Provides: virtual-mysql-client, virtual-mysql-client-core
Description: MySQL database client of Debian's unstable release, with its own libraries
"""
LAUNCHER = '#!/bin/sh\nexec /{home}/{loader} --library-path /{home} --argv0 mysql /{home}/mysql "$@"\n'
RECIPE = CONTROL, LAUNCHER


def add(repository: Path) -> None:
    """Put the package into a repository that has none of this name; nothing where there is no Debian mirror."""
    if any(repository.glob(f"{PACKAGE}_*.deb")):
        return
    with tempfile.TemporaryDirectory() as place:
        unpacked, root = Path(place, "unpacked"), Path(place, "root")
        try:
            mysql.unpack("mysql-client-core", unpacked)
        except mysql.NoMirrorError:
            return
        _lay_out(unpacked, root)
        run(f"build the package {PACKAGE}", ["dpkg-deb", "--root-owner-group", "--build", root, repository])


def _lay_out(unpacked: Path, root: Path) -> None:
    home = root / HOME
    for directory in (home, root / "usr/bin", root / "DEBIAN"):
        directory.mkdir(parents=True, mode=0o755)
    program_loader, *search = loader(unpacked)
    program = unpacked / "usr/bin/mysql"
    libraries = re.findall(
        r"=> (/\S+)", run("list the libraries of mysql", [program_loader, *search, "--list", program])
    )
    for file in (program, program_loader, *libraries):
        shutil.copy(file, home)
    launcher = root / "usr/bin/mysql"
    launcher.write_text(LAUNCHER.format(home=HOME, loader=Path(program_loader).name))
    launcher.chmod(0o755)
    printed = run("read the version of mysql", [program_loader, *search, program, "--no-defaults", "--version"])
    architecture = run("read the architecture", ["dpkg", "--print-architecture"]).strip()
    version = re.search(r"Ver (\S+)", printed)[1]
    control = CONTROL.format(package=PACKAGE, version=version, architecture=architecture)
    (root / "DEBIAN/control").write_text(control)
