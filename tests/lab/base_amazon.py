# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The family with dnf and rpm: says that it is Amazon Linux 2023, and installs packages of Amazon's names.

The programs are those of the machine's own release, in rpm packages that are made of its Debian packages. As in Amazon
Linux, python3 can make virtual environments, and there is no package of PyMySQL.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from base_tree import URL, BaseTree
from errors import run

NAME = "amazon"
INSTALLED = ["dnf", "rpm", "createrepo-c", "python3-venv"]
# The rpm package, the Debian package that it is made of with all that this needs, and the rpm package that it needs.
PACKAGES = [
    ("mariadb105", "mariadb-client", ""),
    ("mariadb105-server", "mariadb-server", "mariadb105"),
]

OS_RELEASE = """\
NAME="Amazon Linux"
VERSION="2023"
ID="amzn"
ID_LIKE="fedora"
VERSION_ID="2023"
PLATFORM_ID="platform:al2023"
PRETTY_NAME="Amazon Linux 2023"
CPE_NAME="cpe:2.3:o:amazon:amazon_linux:2023"
"""

REPOSITORY = f"""\
[amazonlinux]
name=Amazon Linux 2023 repository
baseurl={URL}/{NAME}
gpgcheck=0
"""

SYSTEM_RELEASE = """\
Name: system-release
Version: 2023
Release: 1
Summary: Amazon Linux release files
License: MIT
Provides: system-release(releasever) = 2023
Provides: /bin/sh
%description
%{summary}.
%files
"""

PACKAGE = """\
Name: {name}
Version: {version}
Release: 1
Summary: The programs of {package}
License: GPL-2.0-only
AutoReqProv: no
{requires}
%description
%{{summary}}.
%install
cp -a /build/{name}/. %{{buildroot}}
{script}
%files -f /build/{name}.files
"""

# What the package of the server does besides unpacking files. A new server is as insecure as MariaDB makes it.
SERVER_SCRIPT = """\
%post
getent group mysql > /dev/null || groupadd --system mysql
getent passwd mysql > /dev/null || useradd --system --gid mysql --home-dir /var/lib/mysql --shell /bin/false mysql
install -d -o mysql -g mysql /var/lib/mysql /run/mysqld
ln -sf mariadb.cnf /etc/mysql/my.cnf
printf '[client]\\nuser=root\\nsocket=/run/mysqld/mysqld.sock\\n' > /etc/mysql/debian.cnf
[ -d /var/lib/mysql/mysql ] || mariadb-install-db --user=mysql > /dev/null\
"""

# In the rpm macros: the database in its usual place, and packages made fast and of just the files that are given.
MACROS = """\
%_dbpath /var/lib/rpm
%_build_id_links none
%_binary_payload w1.gzdio
%debug_package %{nil}
%__os_install_post %{nil}
"""

# Runs in the tree: after it no program of Debian's package manager is left, nor what tells Debian from others.
BUILD = """\
set -eu
mkdir -p /var/lib/rpm /build/repository
cd /build
rpmbuild --quiet -bb --define '_rpmdir /build/repository' *.spec
rpm --install repository/*/system-release-*.rpm
createrepo_c --quiet repository
ln -s dnf /usr/bin/yum
rm -rf /etc/apt /etc/debian_version /var/lib/apt /var/cache/apt /usr/bin/apt* /usr/bin/dpkg*
"""
RECIPE = (1, INSTALLED, PACKAGES, OS_RELEASE, REPOSITORY, SYSTEM_RELEASE, PACKAGE, SERVER_SCRIPT, MACROS, BUILD)


def download(packages: Path) -> str:
    """Return the hook of mmdebstrap that downloads a directory of Debian packages for each rpm package."""
    fetch = 'apt-get clean && apt-get install -y --download-only {0} && cp -r "$1/var/cache/apt/archives" "{1}"'
    steps = [fetch.format(package, packages / name) for name, package, _requires in PACKAGES]
    return 'export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"; ' + " && ".join(steps)


def finish(base: BaseTree, packages: Path) -> None:
    build = base.root / "build"
    build.mkdir()
    for name, package, requires in PACKAGES:
        _specify(build, packages, name, package, requires)
    (build / "system-release.spec").write_text(SYSTEM_RELEASE)
    (base.root / "etc/rpm").mkdir(exist_ok=True)
    (base.root / "etc/rpm/macros").write_text(MACROS)
    run("make the rpm packages", ["chroot", base.root, "sh", "-c", BUILD])
    for path in (build / "repository").iterdir():
        shutil.move(path, base.repository)
    shutil.rmtree(build)
    (base.root / "etc/os-release").unlink()
    (base.root / "etc/os-release").symlink_to("../usr/lib/os-release")
    (base.root / "usr/lib/os-release").write_text(OS_RELEASE)
    (base.root / "etc/system-release").write_text("Amazon Linux release 2023 (Amazon Linux)\n")
    (base.root / "etc/yum.repos.d").mkdir()
    (base.root / "etc/yum.repos.d/amazonlinux.repo").write_text(REPOSITORY)
    base.run("read the lab's own package lists", ["dnf", "--quiet", "makecache"])


def _specify(build: Path, packages: Path, name: str, package: str, requires: str) -> None:
    """Lay out the files of an rpm package and write its specification."""
    payload = build / name
    payload.mkdir()
    required_packages = {path.name for path in (packages / requires).glob("*.deb")} if requires else set()
    for archive in sorted((packages / name).glob("*.deb")):
        if archive.name not in required_packages:
            run(f"unpack {archive.name}", ["dpkg-deb", "--extract", archive, payload])
    for directory in ("usr/share/doc", "usr/share/man"):
        shutil.rmtree(payload / directory, ignore_errors=True)
    for directory in ("bin", "sbin", "lib"):  # which are links to those below usr
        if (payload / directory).exists():
            shutil.copytree(payload / directory, payload / "usr" / directory, symlinks=True, dirs_exist_ok=True)
            shutil.rmtree(payload / directory)
    [archive] = (packages / name).glob(f"{package}_*.deb")
    version = run("read the version", ["dpkg-deb", "--field", archive, "Version"]).strip()
    files = [path for path in payload.rglob("*") if path.is_symlink() or not path.is_dir()]
    (build / f"{name}.files").write_text("".join(f'"/{path.relative_to(payload)}"\n' for path in sorted(files)))
    (build / f"{name}.spec").write_text(
        PACKAGE.format(
            name=name,
            package=package,
            version=version.split(":")[-1].split("-")[0],
            requires=f"Requires: {requires}" if requires else "",
            script=SERVER_SCRIPT if requires else "",
        )
    )
