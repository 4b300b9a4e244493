# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file systems that the clients share: a minimal system for each family of Linux, and what can be installed in it.

Made once and kept in the cache. Clients have no way out of the lab: what they can install is what its repository holds.
"""

from __future__ import annotations

import hashlib
import html
import os
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from cached import make_once
from errors import LabError, run

RECIPE = 2  # raise it when this file makes another tree
INSTALLED = ["python3", "openssh-server", "sudo", "ca-certificates", "iproute2", "procps", "mount"]
LIBRARIES = ["botocore", "PyMySQL"]
DPKG_OPTIONS = ["force-unsafe-io", "path-exclude=/usr/share/doc/*", "path-exclude=/usr/share/man/*"]
SPACE = 1 << 30  # bytes that making a tree takes at most
USER = "ec2-user"
USER_ID = 1000
REPOSITORY_HOST = "10.77.0.1"
REPOSITORY_PORT = 8000
URL = f"http://{REPOSITORY_HOST}:{REPOSITORY_PORT}"

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

# Runs a command in the tree while its repository is served at the address that it has in a lab.
WITH_REPOSITORY = """\
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
shift 3
chroot "$@"
"""


@dataclass(frozen=True)
class BaseTree:
    """The tree of a family and its repository, which clients see below the name of the family."""

    place: Path
    family: str

    @property
    def root(self) -> Path:
        return self.place / "root"

    @property
    def repositories(self) -> Path:
        return self.place / "repositories"

    @property
    def repository(self) -> Path:
        return self.repositories / self.family

    @property
    def contents(self) -> Path:
        return self.place / "contents"

    def describe(self) -> str:
        """Return a digest of all files by name, kind, size and time: another one if some were lost or changed."""
        digest = hashlib.sha256()
        for top in (self.root, self.repositories):
            for directory, below, files in os.walk(top):
                below.sort()
                for name in sorted(files):
                    path = os.path.join(directory, name)
                    status = os.lstat(path)
                    line = (os.path.relpath(path, self.place), status.st_mode, status.st_size, status.st_mtime_ns)
                    digest.update(repr(line).encode())
        return digest.hexdigest()

    def is_whole(self) -> bool:
        return self.contents.exists() and self.contents.read_text() == self.describe()

    def run(self, task: str, command: list) -> str:
        """Run a command in the tree, as in a client that reaches its repository."""
        isolated = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private"]
        script = ["sh", "-c", WITH_REPOSITORY, "sh", REPOSITORY_HOST, self.repositories, REPOSITORY_PORT, self.root]
        return run(task, [*isolated, *script, *command])


def prepare(cache: Path, family, say) -> BaseTree:
    """Return the tree of this family in the cache; make it if it is not there or not whole."""
    release = machine_release()
    common = (RECIPE, release, INSTALLED, LIBRARIES, DPKG_OPTIONS, SSHD_CONFIG, CONFIGURE, URL)
    recipe = hashlib.sha256(repr((common, family.RECIPE)).encode()).hexdigest()[:12]
    base = BaseTree(cache / f"base-{family.NAME}-{release}-{recipe}", family.NAME)

    def is_whole() -> bool:
        whole = base.is_whole()
        if not whole:
            say(f"The file system of the {family.NAME} clients in {base.place} is damaged, so it is made again")
        return whole

    def make(place: Path) -> None:
        _check_means(cache, family)
        say(f"Making the file system of the {family.NAME} clients ({release}), once; it is kept in {cache}")
        unfinished = BaseTree(place, family.NAME)
        try:
            _make(unfinished, release, family)
            unfinished.contents.write_text(unfinished.describe())
        except (LabError, OSError) as exc:
            raise LabError(
                f"The file system of the {family.NAME} clients could not be made: {str(exc).rstrip('.')}; it needs"
                f" the apt sources and the Python package index of this machine, and room in {cache}."
            ) from None

    make_once(base.place, make, is_whole)
    return base


def _check_means(cache: Path, family) -> None:
    if not shutil.which("mmdebstrap"):
        raise LabError("The lab needs mmdebstrap to make its clients: apt-get install mmdebstrap.")
    # Asked for beforehand: apt does not come back from a disk that fills up under it.
    free = shutil.disk_usage(cache).free
    if free < SPACE:
        raise LabError(
            f"The file system of the {family.NAME} clients needs {SPACE >> 20} MB in {cache}, where"
            f" {free >> 20} MB are free; free more, or name another directory in LAB_CACHE."
        )


def machine_release() -> str:
    fields = dict(re.findall(r'^(\w+)="?([^"\n]*)"?$', Path("/etc/os-release").read_text(), re.M))
    codename = fields.get("VERSION_CODENAME")
    if not codename or not Path("/etc/apt").is_dir():
        raise LabError("The lab's clients are made from Debian or Ubuntu packages, and this machine is neither.")
    return codename


def machine_sources(release: str) -> list[Path]:
    """Return the machine's own apt sources for its release; those of other vendors do not name it."""
    apt = Path("/etc/apt")
    parts = [file for file in sorted(apt.glob("sources.list.d/*")) if file.suffix in (".list", ".sources")]
    files = [apt / "sources.list", *parts]
    sources = [file for file in files if file.is_file() and re.search(rf"\b{release}\b", file.read_text())]
    if not sources:
        raise LabError(f"No file in /etc/apt names an apt source for {release}: the lab's clients are made from it.")
    return sources


def _make(base: BaseTree, release: str, family) -> None:
    packages = base.place / "packages"
    for directory in (base.repository, packages):
        directory.mkdir(parents=True)
    network = base.place / "apt.conf"
    network.write_text(run("read apt's settings", ["apt-config", "dump", "Acquire"]))
    run(
        "install the packages",
        [
            *("unshare", "--mount", "--propagation", "private"),
            *("mmdebstrap", "--mode=root", "--variant=apt", f"--include={','.join(INSTALLED + family.INSTALLED)}"),
            *(f"--aptopt={network}", "--aptopt=APT::Install-Recommends false"),
            *(f"--dpkgopt={option}" for option in DPKG_OPTIONS),
            f"--customize-hook={family.download(packages)}",
            *(release, base.root, *machine_sources(release)),
        ],
    )
    run("configure the tree", ["chroot", base.root, "sh", "-c", CONFIGURE, "sh", USER, USER_ID])
    (base.root / "etc/ssh/sshd_config").write_text(SSHD_CONFIG)
    _serve_libraries(base)
    family.finish(base, packages)
    shutil.rmtree(packages)


def _serve_libraries(base: BaseTree) -> None:
    """Make a Python package index of the libraries that clients may install with pip."""
    ask = "import sys; print('%d.%d' % sys.version_info[:2])"
    version = run("ask the tree for its Python", ["chroot", base.root, "python3", "-c", ask]).strip()
    index = base.repository / "simple"
    index.mkdir()
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    options = ["--only-binary", ":all:", "--python-version", version, "--dest", index]
    run("fetch the Python libraries", [*pip, *options, *LIBRARIES])
    for wheel in sorted(index.glob("*.whl")):
        project = index / re.sub(r"[-_.]+", "-", wheel.name.split("-")[0]).lower()
        project.mkdir()
        wheel.rename(project / wheel.name)
        link = html.escape(wheel.name)
        (project / "index.html").write_text(f'<!DOCTYPE html><a href="{link}">{link}</a>\n')
    (base.root / "etc/pip.conf").write_text(
        f"[global]\nindex-url = {URL}/{base.family}/simple/\ntrusted-host = {REPOSITORY_HOST}\n"
    )
