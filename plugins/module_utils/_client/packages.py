# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Install packages on a client without harm to those that are there. Private to this collection.

A package manager is asked first what it would do. It may add packages, and bring others up to date that the new ones
need so. A plan that removes, replaces or downgrades a package, changes one that is on hold, or upgrades a database
server, which restarts it, is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError
from ansible_collections.dbops.rds_iam.plugins.module_utils._text import one_line

# Runs a command, perhaps with more environment variables, and returns its status, output and errors.
Run = Callable[..., tuple[int, str, str]]
_SERVER = re.compile(r"(mysql|mariadb|percona)[\w.+-]*server|mysqld|mariadbd", re.I)
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")
_LONGEST_REASON = 600  # characters
REMEDIES = {
    "client": (
        "install the mysql or mariadb client that goes with the packages on this host, which is then used as it is, or"
        " set db_client_packages to one that does"
    ),
    "libraries": "set db_client_python_packages to [] to have PyMySQL and botocore in a virtual environment",
    "server": "leave out db_client_server, since IAM logins need no server",
}


@dataclass(frozen=True)
class Plan:
    """The changes that a package manager would make."""

    new: list[str] = field(default_factory=list)  # names of packages
    harm: dict[str, list[str]] = field(default_factory=dict)  # names of packages by the verb, such as remove
    error: str = ""  # why it can do nothing at all, a part of a sentence


class Manager(Protocol):
    """A package manager of a client."""

    is_refreshed: bool  # whether it has read anew what the repositories offer

    def find_missing(self, names: list[str]) -> list[str]:
        """Return those of the packages that are not installed."""

    def plan(self, names: list[str]) -> Plan:
        """Return the changes that installing the packages would make."""

    def install(self, names: list[str]) -> str:
        """Install the packages; return why that failed, if it did."""

    def refresh(self) -> None:
        """Read anew what the repositories offer."""


def find_harm(names: dict[str, list[str]]) -> dict[str, list[str]]:
    """Return those of the packages in a plan that it harms, by verb: of the upgraded ones only the database servers."""
    harm = {verb: packages for verb, packages in names.items() if verb not in ("install", "upgrade")}
    harm["upgrade the database server"] = [name for name in names["upgrade"] if _SERVER.search(name)]
    return {verb: sorted(set(packages)) for verb, packages in harm.items() if packages}


def clean_reason(text: str) -> str:
    """Return the output of a package manager as a part of a sentence, short and without credentials in addresses."""
    return one_line(_CREDENTIALS.sub("", text)[:_LONGEST_REASON])


def install(manager: Manager, requirements: dict[str, list[str]], client: str, check_mode: bool) -> list[str]:
    """Install those of the packages that are missing.

    C(requirements) are names of packages by their purpose, a key of C(REMEDIES); C(client) is the name of the host for
    messages. Returns the names of all new packages; in check mode of those that would be new. Raises RdsIamError,
    before anything is changed, where that cannot be done without harm.
    """
    missing = {purpose: manager.find_missing(names) for purpose, names in requirements.items()}
    missing = {purpose: names for purpose, names in missing.items() if names}
    names = [name for names in missing.values() for name in names]
    if not names:
        return []
    error = ""
    while True:
        plan = manager.plan(names)
        _check(plan, missing, client)
        if check_mode or not (plan.new or error):
            return plan.new
        error = manager.install(names)
        if not error:
            return plan.new
        if manager.is_refreshed:
            raise _refusal(Plan(error=error), missing, client)
        manager.refresh()  # the lists of an old image name files that the repository has no more


def _check(plan: Plan, missing: dict[str, list[str]], client: str) -> None:
    if plan.harm or plan.error:
        raise _refusal(plan, missing, client)


def _refusal(plan: Plan, missing: dict[str, list[str]], client: str) -> RdsIamError:
    names = ", ".join(name for names in missing.values() for name in names)
    remedies = "; or ".join(REMEDIES[purpose] for purpose in missing)
    if plan.harm:
        verbs = " and ".join(f"{verb} {', '.join(packages)}" for verb, packages in plan.harm.items())
        return RdsIamError(
            f"Installing {names} on {client} would {verbs}, which dbops.rds_iam does not do, so nothing was installed;"
            f" {remedies}."
        )
    return RdsIamError(f"{names} could not be installed on {client}: {plan.error}; {remedies}.")
