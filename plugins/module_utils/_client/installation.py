# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Install the packages and libraries that a client lacks to log in with IAM. Private to this collection."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.dbops.rds_iam.plugins.module_utils._client import libraries, packages
from ansible_collections.dbops.rds_iam.plugins.module_utils._client.apt import Apt
from ansible_collections.dbops.rds_iam.plugins.module_utils._client.dnf import Dnf
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.client_program import find_client_programs
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError
from ansible_collections.dbops.rds_iam.plugins.module_utils._venv import VENV

# Where servers are that a PATH need not name.
_SERVER_PATH = "/usr/sbin:/usr/libexec:/usr/local/sbin:/usr/local/mysql/bin"


def install_client(module: AnsibleModule) -> dict[str, Any]:
    """Do what the module rds_iam_client does, and return its result. Raises RdsIamError."""

    def run(command: list[str], environment: dict[str, str] | None = None) -> tuple[int, str, str]:
        return module.run_command(command, environ_update=environment or {})

    options = ClientOptions(**module.params)
    result = Installation(options, run, module.check_mode).complete()
    if result["server"] == "others":
        module.warn(
            f"{options.client} has a database server, {find_server()}, that is not of the packages"
            f" {', '.join(options.server_packages)}, so these were not installed, and it was left as it is."
        )
    if result["changed"]:
        additions = [*result["installed"], *filter(None, [result["virtual_environment"]])]
        result["diff"] = {"before": "", "after": "".join(f"{name}\n" for name in additions)}
    return result


def find_client() -> str:
    """Return the client program that rds-mysql finds, or an empty string."""
    return next(iter(find_client_programs()), "")


def find_server() -> str:
    """Return the program of a database server, or an empty string."""
    path = f"{os.environ.get('PATH', '')}:{_SERVER_PATH}"
    return shutil.which("mariadbd", path=path) or shutil.which("mysqld", path=path) or ""


@dataclass(frozen=True)
class ClientOptions:
    """The options of the module rds_iam_client, which documents them."""

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

    def complete(self) -> dict[str, Any]:
        """Install all that is missing, and return the result of the module but for the diff. Raises RdsIamError."""
        self.inspect_libraries()
        server = self.server_origin()
        is_lacking = self.state.is_lacking
        self.install(self.missing_packages(server))
        if is_lacking:
            self.complete_libraries()
        if not self.check_mode:
            self.check()
            server = self.server_origin()
        return {
            "changed": bool(self.installed or self.makes_venv),
            "client_program": find_client(),
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

    def server_origin(self) -> str:
        """Return C(packages) for a server of the packages in the options, C(others) for another one, or C(none)."""
        if not self.options.server_packages:
            return "none"
        if not self.manager().find_missing(self.options.server_packages):
            return "packages"
        return "others" if find_server() else "none"

    def missing_packages(self, server: str) -> dict[str, list[str]]:
        """Return the packages to install, by their purpose."""
        requirements = {}
        if not find_client():
            requirements["client"] = self.options.client_packages
            if not requirements["client"]:
                raise RdsIamError(
                    f"There is no mysql or mariadb client on {self.options.client}, and dbops.rds_iam.db_client does"
                    " not know the packages of its distribution: set db_client_packages to those of a client, and"
                    " db_client_python_packages to those of PyMySQL and botocore if it has them."
                )
        if self.state.is_lacking:
            system_packages = libraries.is_of_the_system() and self.options.library_packages
            requirements["libraries"] = system_packages or libraries.venv_packages()
        if server == "none":
            requirements["server"] = self.options.server_packages
        return {purpose: names for purpose, names in requirements.items() if names}

    def install(self, requirements: dict[str, list[str]]) -> None:
        if requirements:
            self.installed += packages.install(self.manager(), requirements, self.options.client, self.check_mode)

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
        """Raise RdsIamError where a client or a library is still missing."""
        if not find_client():
            raise RdsIamError(
                f"There is no mysql or mariadb client on {self.options.client}, although"
                f" {', '.join(self.options.client_packages)} is installed; set db_client_packages to packages that"
                " have one, and see that it is on the PATH of root."
            )
        if self.state.is_lacking:
            raise RdsIamError(
                f"PyMySQL or botocore on {self.options.client} cannot be imported, although they are installed; remove"
                f" {VENV} there and run again."
            )
