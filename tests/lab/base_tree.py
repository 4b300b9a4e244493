# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file system that all clients share: a minimal system of the machine's own release, and an apt repository for it.

Made once and kept in the cache. Clients have no way out of the lab: what they can install is what the repository holds.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import mysql_client_package
from errors import LabError, run

RECIPE = 1  # raise it when this file makes another tree
INSTALLED = ["python3", "python3-apt", "openssh-server", "sudo", "ca-certificates", "iproute2", "procps", "mount"]
INSTALLABLE = [
    "mariadb-client",
    "default-mysql-client",
    "mysql-client",
    "python3-pymysql",
    "python3-botocore",
    "mariadb-server",
]
DPKG_OPTIONS = ["force-unsafe-io", "path-exclude=/usr/share/doc/*", "path-exclude=/usr/share/man/*"]
USER = "ec2-user"
USER_ID = 1000
REPOSITORY_HOST = "10.77.0.1"
REPOSITORY_PORT = 8000

SSHD_CONFIG = """\
HostKey /etc/ssh/ssh_host_ed25519_key
PermitRootLogin no
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
UseDNS no
PrintMotd no
PidFile none
Subsystem sftp internal-sftp
"""

# Runs in the tree before it is finished, with the user's name and id.
CONFIGURE = """\
set -eu
useradd --create-home --shell /bin/bash --uid "$2" "$1"
usermod --password '*' "$1"
install -d -m 700 -o "$1" -g "$1" "/home/$1/.ssh"
echo "$1 ALL=(ALL) NOPASSWD: ALL" > /etc/sudoers.d/lab
chmod 440 /etc/sudoers.d/lab
rm -f /etc/ssh/ssh_host_* /etc/apt/apt.conf.d/99mmdebstrap /etc/apt/sources.list.d/* /etc/resolv.conf
touch /etc/resolv.conf
# Without an init system a package starts its service only where a policy says so.
printf '#!/bin/sh\nexit 0\n' > /usr/sbin/policy-rc.d
chmod 755 /usr/sbin/policy-rc.d
"""

# Reads the package lists from the repository at the address that it has in a lab, in a network of its own.
READ_LISTS = """\
set -eu
ip link set lo up
ip address add "$1/32" dev lo
cd "$2"
python3 -m http.server --bind "$1" "$3" > /dev/null 2>&1 &
tries=50
until python3 -c 'import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])))' "$1" "$3" 2> /dev/null
do
    tries=$((tries - 1))
    [ "$tries" -gt 0 ]
    sleep 0.1
done
mount -t proc proc "$4/proc"
chroot "$4" apt-get -q update
"""


@dataclass(frozen=True)
class BaseTree:
    """Where the tree and its repository are."""

    root: Path
    repository: Path


def prepare(cache: Path, say) -> BaseTree:
    """The tree in the cache, made now if it is not there."""
    release = _release()
    own = RECIPE, mysql_client_package.RECIPE
    recipe = repr((own, release, INSTALLED, INSTALLABLE, SSHD_CONFIG, CONFIGURE, REPOSITORY_HOST, REPOSITORY_PORT))
    place = cache / f"base-{release}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "base.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.exists():
            if not shutil.which("mmdebstrap"):
                raise LabError("The lab needs mmdebstrap to make its clients: apt-get install mmdebstrap.")
            say(f"Making the clients' file system ({release}), once; it is kept in {cache}")
            unfinished = place.with_suffix(".new")
            shutil.rmtree(unfinished, ignore_errors=True)
            _make(unfinished, release)
            unfinished.rename(place)
    return BaseTree(place / "root", place / "repository")


def _release() -> str:
    fields = dict(re.findall(r'^(\w+)="?([^"\n]*)"?$', Path("/etc/os-release").read_text(), re.M))
    codename = fields.get("VERSION_CODENAME")
    if not codename or not Path("/etc/apt").is_dir():
        raise LabError("The lab's clients are made from Debian or Ubuntu packages, and this machine is neither.")
    return codename


def _sources(release: str) -> list[Path]:
    """The machine's own apt sources for its release; those of other vendors do not name it."""
    apt = Path("/etc/apt")
    more = [file for file in sorted(apt.glob("sources.list.d/*")) if file.suffix in (".list", ".sources")]
    files = [apt / "sources.list", *more]
    found = [file for file in files if file.is_file() and re.search(rf"\b{release}\b", file.read_text())]
    if not found:
        raise LabError(f"No file in /etc/apt names an apt source for {release}: the lab's clients are made from it.")
    return found


def _make(place: Path, release: str) -> None:
    root, repository = place / "root", place / "repository"
    repository.mkdir(parents=True)
    network = place / "apt.conf"
    network.write_text(run("read apt's settings", ["apt-config", "dump", "Acquire"]))
    download = (
        'export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"; '
        f'apt-get install -y --download-only $(apt-cache --generate pkgnames | grep -Fx {_patterns(INSTALLABLE)}) && '
        f'cp "$1"/var/cache/apt/archives/*.deb "{repository}"'
    )
    run(
        "make the clients' file system",
        [
            *("unshare", "--mount", "--propagation", "private"),
            *("mmdebstrap", "--quiet", "--mode=root", "--variant=apt", f"--include={','.join(INSTALLED)}"),
            *(f"--aptopt={network}", "--aptopt=APT::Install-Recommends false"),
            *(f"--dpkgopt={option}" for option in DPKG_OPTIONS),
            *(f"--customize-hook={download}", release, root, *_sources(release)),
        ],
    )
    mysql_client_package.add(repository)
    _index(repository)
    run("configure the clients' file system", ["chroot", root, "sh", "-c", CONFIGURE, "sh", USER, USER_ID])
    (root / "etc/ssh/sshd_config").write_text(SSHD_CONFIG)
    (root / "etc/apt/sources.list").write_text(f"deb [trusted=yes] http://{REPOSITORY_HOST}:{REPOSITORY_PORT} ./\n")
    isolated = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private"]
    script = ["sh", "-c", READ_LISTS, "sh", REPOSITORY_HOST, repository, REPOSITORY_PORT, root]
    run("read the lab's own package lists", [*isolated, *script])


def _patterns(names: list[str]) -> str:
    return " ".join(f"-e {name}" for name in names)


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
