# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian packages that are unpacked into the cache and run from there: the machine's own packages stay as they are."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from errors import LabError, run

# apt with a state of its own, in which no package is installed.
APT = """\
Dir::Etc "{place}/etc";
Dir::Etc::SourceList "{place}/etc/sources.list";
Dir::Etc::SourceParts "{place}/etc/sources.list.d";
Dir::Etc::TrustedParts "/etc/apt/trusted.gpg.d";
Dir::State "{place}/state";
Dir::State::Status "{place}/status";
Dir::Cache "{place}/cache";
Dir::Log "{place}/log";
Acquire::Check-Valid-Until "false";
APT::Update::Error-Mode "any";
APT::Sandbox::User "root";
APT::Install-Recommends "false";
"""
OF_ETC = ("preferences.d", "apt.conf.d", "sources.list.d")
OF_APT = ("state/lists/partial", "cache/archives/partial", "log")


def unpack(package: str, root: Path, sources: dict[str, str]) -> None:
    """Fetch a package and what it depends on, and unpack them in a new directory. Sources are files by their names."""
    apt = root / "apt"
    for directory in (*(f"etc/{name}" for name in OF_ETC), *OF_APT):
        (apt / directory).mkdir(parents=True)
    (apt / "status").touch()
    for name, text in sources.items():
        (apt / "etc/sources.list.d" / name).write_text(text)
    network = run("read apt's settings", ["apt-config", "dump", "Acquire"])
    (apt / "apt.conf").write_text(network + APT.format(place=apt))
    environment = {**os.environ, "APT_CONFIG": str(apt / "apt.conf"), "DEBIAN_FRONTEND": "noninteractive"}
    run(f"read the package lists for {package}", ["apt-get", "-q", "update"], env=environment)
    run(f"fetch {package}", ["apt-get", "-q", "install", "-y", "--download-only", package], env=environment)
    for file in sorted((apt / "cache/archives").glob("*.deb")):
        run(f"unpack {file.name}", ["dpkg-deb", "--extract", file, root])
    shutil.rmtree(apt)


def loader(root: Path) -> list[str]:
    """Return the command that runs a program of the unpacked packages with their own libraries."""
    program_loader = next((path for path in root.glob("**/ld-linux-*.so.*") if not path.is_symlink()), None)
    if not program_loader:
        raise LabError(f"The packages in {root} have no program loader; remove that directory to fetch them again.")
    libraries = [str(path) for top in ("lib", "usr/lib") for path in sorted((root / top).glob("*-linux-gnu"))]
    return [str(program_loader), "--library-path", ":".join(libraries)]
