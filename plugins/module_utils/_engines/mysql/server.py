# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What plans for database users need to know of a server and of the login to it. Pure, private to this collection."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property

from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.login_privileges import LoginPrivileges
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.ownership import MARK, MARK_KEY, MARK_VALUE
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.privilege_plan import (
    Capabilities,
    Grant,
    Statement,
    plan_privileges,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.privileges import Privileges


@dataclass(frozen=True)
class Traits:
    """What differs between servers.

    C(attributes): it keeps attributes of database users. C(literal): wildcards in names of databases are none.
    """

    mariadb: bool = False
    attributes: bool = False
    lower_case: bool = False
    literal: bool = False


@dataclass(frozen=True)
class Server:
    """A server, and what the login to it may do there."""

    host: str = ""  # its name in messages
    login_user: str = ""
    traits: Traits = Traits()
    login: LoginPrivileges = field(default_factory=LoginPrivileges)
    _plans: dict = field(default_factory=dict, compare=False, repr=False)

    @cached_property
    def capabilities(self) -> Capabilities:
        may_reload = self.login.holds("RELOAD") or self.login.holds("FLUSH_PRIVILEGES")
        return Capabilities(self.login.may_grant, may_reload, self.traits.literal)

    def plan_privileges(self, before: Privileges, after: Privileges) -> list[Statement]:
        """Return what plan_privileges() does for this server; users that are alike have the same plan."""
        key = frozenset(before.items()), frozenset(after.items())
        if key not in self._plans:
            self._plans[key] = plan_privileges(before, after, self.capabilities)
        return self._plans[key]

    @property
    def attribute(self) -> str:
        """The end of CREATE USER that marks users as created by this collection, where the server has such."""
        return f"ATTRIBUTE '{json.dumps({MARK_KEY: MARK_VALUE})}'" if self.traits.attributes else ""

    def mark(self, who: str) -> str:
        """Return the statement that marks users, where CREATE USER cannot, and the login may send it."""
        mark = Grant((MARK, ""), frozenset({"REFERENCES"}))
        if self.traits.attributes or not self.login.may_grant(mark.level, "REFERENCES"):
            return ""
        return mark.sql(who)
