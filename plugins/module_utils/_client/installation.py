# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a client needs to log in with IAM: what is there is used, and what is missing is installed. Private."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field

from ansible_collections.dbops.rds_iam.plugins.module_utils._client import libraries, packages
from ansible_collections.dbops.rds_iam.plugins.module_utils._client.apt import Apt
from ansible_collections.dbops.rds_iam.plugins.module_utils._client.dnf import Dnf
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.client_program import find_client_programs
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError
from ansible_collections.dbops.rds_iam.plugins.module_utils._venv import VENV

# Where servers are that a PATH need not name.
_SERVER_PATH = "/usr/sbin:/usr/libexec:/usr/local/sbin:/usr/local/mysql/bin"


def find_client() -> str:
    """Return the client program that rds-mysql finds, or an empty string."""
    return next(iter(find_client_programs()), "")


def find_server() -> str:
    """Return the program of a database server, or an empty string."""
    path = f"{os.environ.get('PATH', '')}:{_SERVER_PATH}"
    return shutil.which("mariadbd", path=path) or shutil.which("mysqld", path=path) or ""


@dataclass(frozen=True)
class ClientOptions:
    """The options of the module rds_iam_client."""

    client: str
    client_packages: list[str]
    library_packages: list[str]
    server_packages: list[str]
    program_python: str


@dataclass
class Installation:
    """One run of the module."""

    options: ClientOptions
    run: packages.Run
    check_mode: bool
    state: libraries.LibraryState = field(init=False)
    installed: list[str] = field(default_factory=list)
    makes_venv: bool = False

    def complete(self) -> dict:
        """Install what is missing; return what the module returns. Raises RdsIamError."""
        self.inspect_libraries()
        server = self.server()
        is_lacking = self.state.is_lacking
        self.install(self.wanted(server))
        if is_lacking:
            self.complete_libraries()
        if not self.check_mode:
            self.check()
            server = self.server()
        return {
            "changed": bool(self.installed or self.makes_venv),
            "client": find_client(),
            "installed": self.installed,
            "virtual_environment": VENV if self.makes_venv else "",
            "server": server,
        }

    def inspect_libraries(self) -> None:
        self.state = libraries.inspect(self.run, self.options.program_python)
        if self.state.old_driver:
            raise RdsIamError(
                f"{self.state.old_driver} on {self.options.client} is too old, and comes before any other: put 1.0.2 or"
                " later in its place, or remove it."
            )

    def server(self) -> str:
        """Say where the server comes from: packages, others, none."""
        if not self.options.server_packages:
            return "none"
        if not self.manager().missing(self.options.server_packages):
            return "packages"
        return "others" if find_server() else "none"

    def wanted(self, server: str) -> dict[str, list[str]]:
        """Return the packages to install, by what they are for."""
        wanted = {}
        if not find_client():
            wanted["client"] = self.options.client_packages
            if not wanted["client"]:
                raise RdsIamError(
                    f"There is no mysql or mariadb client on {self.options.client}, and dbops.rds_iam.mysql_client does"
                    " not know the packages of its distribution: set mysql_client_packages to those of a client, and"
                    " mysql_client_python_packages to those of PyMySQL and botocore if it has them."
                )
        if self.state.is_lacking:
            of_system = libraries.is_of_the_system() and self.options.library_packages
            wanted["libraries"] = of_system or libraries.venv_packages()
        if server == "none":
            wanted["server"] = self.options.server_packages
        return {purpose: names for purpose, names in wanted.items() if names}

    def install(self, wanted: dict[str, list[str]]) -> None:
        if wanted:
            self.installed += packages.install(self.manager(), wanted, self.options.client, self.check_mode)

    def complete_libraries(self) -> None:
        """Make the virtual environment where no packages have given the libraries to the Python that Ansible uses."""
        if self.check_mode:
            self.makes_venv = not (libraries.is_of_the_system() and self.options.library_packages)
            return
        self.inspect_libraries()
        if self.state.is_lacking:
            self.install({"libraries": libraries.venv_packages()})
            libraries.make_venv(self.run, self.options.client)
            self.makes_venv = True
            self.inspect_libraries()

    def manager(self) -> packages.Manager:
        if shutil.which("apt-get") and shutil.which("dpkg-query"):
            return Apt(self.run, self.check_mode)
        if shutil.which("dnf") and shutil.which("rpm"):
            return Dnf(self.run)
        raise RdsIamError(
            f"Something is missing on {self.options.client}, which has neither apt nor dnf, and dbops.rds_iam knows no"
            " other package manager; install there a mysql or mariadb client, and PyMySQL and botocore for the Python"
            " that Ansible uses."
        )

    def check(self) -> None:
        """Raise RdsIamError where something is still missing."""
        if not find_client():
            raise RdsIamError(
                f"There is no mysql or mariadb client on {self.options.client}, although"
                f" {', '.join(self.options.client_packages)} is installed; set mysql_client_packages to packages that"
                " have one, and see that it is on the PATH of root."
            )
        if self.state.is_lacking:
            raise RdsIamError(
                f"PyMySQL or botocore on {self.options.client} cannot be imported, although they are installed; remove"
                f" {VENV} there and run again."
            )
