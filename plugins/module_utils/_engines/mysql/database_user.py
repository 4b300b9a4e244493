# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A database user as the server has it. Pure, and private to this collection."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.privileges import (
    Privileges,
    quote,
    show_level,
)

PLUGIN = "AWSAuthenticationPlugin"
AUTH_STRING = "RDS"


@dataclass(frozen=True)
class DatabaseUser:
    """A database user, as it is or as it should be."""

    name: str
    host: str
    plugin: str = PLUGIN
    auth_string: str = AUTH_STRING
    tls: str = "ANY"  # as in mysql.user.ssl_type: "", ANY, X509 or SPECIFIED
    locked: bool = False
    factors: int = 1  # MySQL may ask for a second and a third
    iam_among: bool = False  # IAM is one of its other factors, or of several ways to log in
    role: bool = False
    restrictions: frozenset[tuple[str, str]] = frozenset()  # (database, privilege) of partial revokes of MySQL
    expires: bool = False  # what it logs in with can expire, as a password of MariaDB does
    expired: bool = False
    managed: bool = False  # it bears the mark of what this collection created
    privileges: Privileges | None = field(default_factory=dict)  # None: not managed

    @property
    def key(self) -> tuple[str, str]:
        return self.name, self.host

    @property
    def is_iam(self) -> bool:
        return self.plugin.lower() == PLUGIN.lower() and self.factors == 1

    @property
    def takes_tokens(self) -> bool:
        """Whether IAM has a part in its logins, alone or not."""
        return self.iam_among or self.plugin.lower() == PLUGIN.lower()

    @property
    def logs_in_with(self) -> str:
        return self.plugin if self.factors == 1 else "several factors"

    @property
    def require(self) -> str:
        """What it requires of a connection, in the words of CREATE USER."""
        return {"": "NONE", "ANY": "SSL"}.get(self.tls, self.tls)

    def __str__(self) -> str:
        return f"{quote(self.name)}@{quote(self.host)}"

    def shown(self) -> dict:
        """The account for a diff."""
        result = {"plugin": self.plugin, "as": self.auth_string if self.is_iam else "(not shown)"}
        result["require"] = self.require
        if self.locked:
            result["locked"] = True
        if self.expires:
            result["expires"] = True
        if self.privileges is not None:
            result["privileges"] = {show_level(level): sorted(self.privileges[level]) for level in self.privileges}
        return result


def with_privileges(account: DatabaseUser, privileges: Privileges) -> DatabaseUser:
    return replace(account, privileges=privileges)
