# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A database user as the server has it. Pure, and private to this collection."""

from __future__ import annotations

from dataclasses import dataclass, field

from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.privileges import (
    Privileges,
    quote,
    show_level,
)

PLUGIN = "AWSAuthenticationPlugin"
AUTH_STRING = "RDS"

UserKey = tuple[str, str]  # name and host part, which no two users of a server share


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
    has_iam_alternative: bool = False  # IAM is one of its other factors, or of several ways to log in
    is_role: bool = False
    restrictions: frozenset[tuple[str, str]] = frozenset()  # (database, privilege) of partial revokes of MySQL
    expires: bool = False  # what it logs in with can expire, as a password of MariaDB does
    expired: bool = False
    managed: bool = False  # it bears the mark of what this collection created
    privileges: Privileges | None = field(default_factory=dict)  # None: not managed, or not read

    @property
    def key(self) -> UserKey:
        return self.name, self.host

    @property
    def is_iam(self) -> bool:
        return self.plugin.lower() == PLUGIN.lower() and self.factors == 1

    @property
    def takes_tokens(self) -> bool:
        """Return whether IAM has a part in its logins, alone or not."""
        return self.has_iam_alternative or self.plugin.lower() == PLUGIN.lower()

    @property
    def login_method(self) -> str:
        """Return the name of its plugin, or words for several."""
        return self.plugin if self.factors == 1 else "several factors"

    @property
    def require(self) -> str:
        """Return what it requires of a connection, in the words of CREATE USER."""
        return {"": "NONE", "ANY": "SSL"}.get(self.tls, self.tls)

    def __str__(self) -> str:
        return f"{quote(self.name)}@{quote(self.host)}"

    def to_diff(self) -> dict[str, object]:
        """Return the attributes that a diff shows; C(as), the authentication string, only where it is no hash."""
        attributes: dict[str, object] = {
            "plugin": self.plugin,
            "as": self.auth_string if self.is_iam else "(not shown)",
            "require": self.require,
        }
        if self.locked:
            attributes["locked"] = True
        if self.expires:
            attributes["expires"] = True
        if self.privileges is not None:
            attributes["privileges"] = {show_level(level): sorted(names) for level, names in self.privileges.items()}
        return attributes
