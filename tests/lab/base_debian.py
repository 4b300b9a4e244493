# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The family with apt: the machine's own release, and a flat apt repository of the packages that the roles install."""

from __future__ import annotations

import hashlib
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import mysql_client_package
from base_tree import URL, BaseTree

NAME = "debian"
INSTALLED = ["python3-apt"]
INSTALLABLE = [
    "mariadb-client",
    "default-mysql-client",
    "mysql-client",
    "python3-pymysql",
    "python3-botocore",
    "python3-venv",
    "mariadb-server",
    "default-mysql-server",
    "mysql-server",
]
RECIPE = (1, INSTALLED, INSTALLABLE, mysql_client_package.RECIPE)  # raise the number when this file makes another tree


def download(packages: Path) -> str:
    """Return the hook of mmdebstrap that downloads the packages of the repository, as far as the release has them."""
    patterns = " ".join(f"-e {name}" for name in INSTALLABLE)
    return (
        'export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"; '
        f"apt-get install -y --download-only $(apt-cache --generate pkgnames | grep -Fx {patterns}) && "
        f'cp "$1"/var/cache/apt/archives/*.deb "{packages}"'
    )


def finish(base: BaseTree, packages: Path) -> None:
    for package in packages.iterdir():
        package.rename(base.repository / package.name)
    mysql_client_package.add(base.repository)
    _index(base.repository)
    (base.root / "etc/apt/sources.list").write_text(f"deb [trusted=yes] {URL}/{NAME} ./\n")
    base.run("read the lab's own package lists", ["apt-get", "-q", "update"])


def _index(repository: Path) -> None:
    """Make a flat apt repository of the packages in this directory."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        paragraphs = pool.map(_paragraph, sorted(repository.glob("*.deb")))
        packages = "\n".join(paragraphs).encode()
    (repository / "Packages").write_bytes(packages)
    digest = hashlib.sha256(packages).hexdigest()
    (repository / "Release").write_text(f"Suite: lab\nSHA256:\n {digest} {len(packages)} Packages\n")


def _paragraph(package: Path) -> str:
    fields = subprocess.run(["dpkg-deb", "--field", package], stdout=subprocess.PIPE, text=True, check=True).stdout
    digest = hashlib.sha256(package.read_bytes()).hexdigest()
    return f"{fields}Filename: ./{package.name}\nSize: {package.stat().st_size}\nSHA256: {digest}\n"
