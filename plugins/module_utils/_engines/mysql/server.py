# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Describe a server and the login to it, as plans for database users need it. Pure, private to this collection."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property

from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.login_privileges import LoginPrivileges
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.ownership import MARK, MARK_KEY, MARK_VALUE
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.privilege_plan import (
    Grant,
    Means,
    Statement,
    plan_privileges,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.privileges import Privileges


@dataclass(frozen=True)
class Traits:
    """The differences between servers."""

    mariadb: bool = False
    attributes: bool = False  # it keeps attributes of database users
    lower_case: bool = False  # it keeps the names of databases and tables in lower case
    literal: bool = False  # wildcards in names of databases are none


@dataclass(frozen=True)
class Server:
    """A server, and the privileges of the login to it."""

    host: str = ""  # its name in messages
    login_user: str = ""
    traits: Traits = Traits()
    login: LoginPrivileges = field(default_factory=LoginPrivileges)
    _plans: dict[tuple[object, object], list[Statement]] = field(default_factory=dict, compare=False, repr=False)

    @cached_property
    def means(self) -> Means:
        may_reload = self.login.holds("RELOAD") or self.login.holds("FLUSH_PRIVILEGES")
        return Means(self.login.may_grant, may_reload, self.traits.literal)

    def plan_privileges(self, before: Privileges, after: Privileges) -> list[Statement]:
        """Return the statements for new privileges on this server; users that are alike have the same plan."""
        key = frozenset(before.items()), frozenset(after.items())
        if key not in self._plans:
            self._plans[key] = plan_privileges(before, after, self.means)
        return self._plans[key]

    @property
    def attribute(self) -> str:
        """Return the end of CREATE USER that marks users as created by this collection; empty without attributes."""
        return f"ATTRIBUTE '{json.dumps({MARK_KEY: MARK_VALUE})}'" if self.traits.attributes else ""

    def mark(self, user: str) -> str:
        """Return the statement that marks a user, where CREATE USER cannot, and the login may send it; else empty.

        user: the database user as SQL has it
        """
        mark = Grant((MARK, ""), frozenset({"REFERENCES"}))
        if self.traits.attributes or not self.login.may_grant(mark.level, "REFERENCES"):
            return ""
        return mark.sql(user)
