# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Packages of other vendors on the clients of a lab: made there, installed, offered by a repository, and listed."""

from __future__ import annotations

import re

PROGRAM = "#!/bin/sh\necho mysql  Ver 8.0.36 for Linux\n"
# All that the role may install, and what its packages need of MariaDB and MySQL.
INSTALLED_BY_THE_ROLE = r"(default-)?(mysql|mariadb).*|python3-(pymysql|botocore)|libmariadb3"
VENDOR = r"vendor-.*"


class Host:
    """A client as root sees it. The subclasses know its package manager."""

    made = "/root/made"

    def __init__(self, lab, name: str):
        self.lab, self.name = lab, name

    def root(self, command: str, **options) -> str:
        process = self.lab.ssh(self.name, f"sudo sh -c {self.lab.quote(command)}", **options)
        assert process.returncode == 0, process.stdout + process.stderr
        return process.stdout

    def listed(self, command: str) -> dict[str, str]:
        return dict(line.split(" ", 1) for line in self.root(command).splitlines())

    def write(self, path: str, text: str, mode: str = "644") -> None:
        self.root(f"mkdir -p $(dirname {path}); cat > {path}; chmod {mode} {path}", input=text)

    def stop_server(self) -> None:
        self.root("[ ! -e /etc/init.d/mariadb ] || service mariadb stop; rm -rf /var/lib/mysql")

    def names(self, pattern: str) -> str:
        return " ".join(name for name in self.packages() if re.fullmatch(pattern, name.partition(":")[0]))


class Debian(Host):
    family = "debian"

    def packages(self) -> dict[str, str]:
        return self.listed("dpkg-query -W -f '${binary:Package} ${Version} ${db:Status-Abbrev}\\n'")

    def make(self, name: str, version: str = "1", *, program: str = "", postinst: str = "", **fields: str) -> str:
        """Make a package, with such fields in its description; return its file."""
        place, file = f"{self.made}/{name}", f"{self.made}/{name}_{version}.deb"
        self.root(f"rm -rf {place}; mkdir -p {place}")
        more = "".join(f"{field.replace('_', '-')}: {text}\n" for field, text in fields.items())
        head = f"Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: a vendor\n"
        self.write(f"{place}/DEBIAN/control", f"{head}{more}Description: of a vendor\n")
        if program:
            self.write(f"{place}/usr/{program}", PROGRAM, "755")
        if postinst:
            self.write(f"{place}/DEBIAN/postinst", f"#!/bin/sh\n{postinst}\n", "755")
        self.root(f"dpkg-deb --root-owner-group --build {place} {file}; rm -r {place}")
        return file

    def have(self, name: str, version: str = "1", **fields: str) -> None:
        """Install such a package."""
        self.root(f"dpkg --install {self.make(name, version, **fields)}")

    def offer(self, name: str, version: str = "1", **fields: str) -> None:
        """Have a repository offer such a package, besides the one of the lab."""
        self.make(name, version, **fields)
        self.root(
            f"cd {self.made}; for file in *.deb; do dpkg-deb --field $file; echo Filename: ./$file;"
            " echo Size: $(stat -c %s $file); echo SHA256: $(sha256sum $file | cut -d ' ' -f 1); echo; done > Packages;"
            f" echo 'deb [trusted=yes] file:{self.made} ./' > /etc/apt/sources.list.d/vendor.list; apt-get -q update"
        )

    def remove(self, pattern: str) -> None:
        """Remove the packages with such names, whatever needs them."""
        names = self.names(pattern)
        if names:
            self.root(f"DEBIAN_FRONTEND=noninteractive dpkg --purge --force-all {names}")

    def restore(self) -> None:
        """Leave nothing of the role and of the vendors."""
        self.stop_server()
        self.remove(f"{VENDOR}|{INSTALLED_BY_THE_ROLE}")
        self.root(f"rm -rf {self.made} /etc/apt/sources.list.d/vendor.list /etc/apt/apt.conf.d/99vendor /opt/*")
        self.root("rm -rf /var/lib/apt/lists/*; apt-get -q update")


class Amazon(Host):
    family = "amazon"

    def packages(self) -> dict[str, str]:
        return self.listed("rpm -qa --qf '%{NAME} %{VERSION}-%{RELEASE}\\n'")

    def make(self, name: str, version: str = "1", *, program: str = "", **fields: str) -> str:
        """Make a package, with such fields in its description; return its file."""
        more = "".join(f"{field}: {text}\n" for field, text in fields.items())
        head = f"Name: {name}\nVersion: {version}\nRelease: 1\nSummary: of a vendor\nLicense: none\nBuildArch: noarch\n"
        parts = [f"{head}{more}%description\nOf a vendor.\n"]
        if program:
            self.write(f"{self.made}/program", PROGRAM)
            parts += [f"%install\ninstall -D -m 755 {self.made}/program %{{buildroot}}/usr/{program}\n"]
        parts += [f"%files\n/usr/{program}\n" if program else "%files\n"]
        self.write(f"{self.made}/package.spec", "".join(parts))
        self.root(f"cd {self.made}; rpmbuild --quiet -bb --define '_rpmdir {self.made}' package.spec")
        return f"{self.made}/noarch/{name}-{version}-1.noarch.rpm"

    def have(self, name: str, version: str = "1", **fields: str) -> None:
        """Install such a package."""
        self.root(f"rpm --install --nodeps {self.make(name, version, **fields)}")

    def offer(self, name: str, version: str = "1", **fields: str) -> None:
        """Have a repository offer such a package, besides the one of the lab."""
        self.make(name, version, **fields)
        repository = f"[vendor]\nname=vendor\nbaseurl=file://{self.made}\ngpgcheck=0\n"
        self.write("/etc/yum.repos.d/vendor.repo", repository)
        self.root(f"createrepo_c --quiet {self.made}; dnf --quiet makecache --refresh")

    def remove(self, pattern: str) -> None:
        """Remove the packages with such names, whatever needs them."""
        names = self.names(pattern)
        if names:
            self.root(f"rpm --erase --nodeps {names}")

    def restore(self) -> None:
        """Leave nothing of the role and of the vendors."""
        self.stop_server()
        self.remove(f"{VENDOR}|{INSTALLED_BY_THE_ROLE}")
        self.root(f"rm -rf {self.made} /etc/yum.repos.d/vendor.repo /opt/*")


HOSTS = {"debian": (Debian, "client1"), "amazon": (Amazon, "client2")}
