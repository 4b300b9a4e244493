# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plan the SQL statements for database users. Pure, and private to this collection."""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby

from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.database_user import (
    AUTH_STRING,
    PLUGIN,
    DatabaseUser,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.desired_users import DesiredUser
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.privilege_plan import (
    Grant,
    Revoke,
    Statement,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.server import Server

_IDENTIFIED = f"IDENTIFIED WITH {PLUGIN} AS '{AUTH_STRING}'"
# MariaDB lets what a user logs in with expire as if it were a password, and nobody can change a token. MySQL does not,
# and refuses the words for this plugin (error 3671).
_NO_EXPIRY = "PASSWORD EXPIRE NEVER"
_TOGETHER = 100  # users in one statement


def plan(item: DesiredUser, existing: DatabaseUser | None, server: Server, *, created: bool = False) -> list[str]:
    """Return the statements that take one database user from what it is to what it should be.

    What it is to have is granted first; what takes something away from it comes after that. C(created) says that it
    exists since this run has created it.
    """
    account, who = item.account, str(item.account)
    if not item.present:
        return [f"DROP USER {who}"] if existing else []
    if existing is None:
        return _create([item], server)
    changes = [change.sql(who) for change in privilege_changes(item, existing, server)]
    first_revoke = next((number for number, sql in enumerate(changes) if sql.startswith("REVOKE")), len(changes))
    statements = [f"ALTER USER {who} ACCOUNT LOCK"] if item.locked and not existing.locked else []
    statements += [server.mark(who)] if created and not existing.managed and server.mark(who) else []
    statements += [*changes[:first_revoke], *_alter(account, existing), *changes[first_revoke:]]
    if item.locked is False and existing.locked:
        statements.append(f"ALTER USER {who} ACCOUNT UNLOCK")
    return statements


def _alter(account: DatabaseUser, existing: DatabaseUser) -> list[str]:
    """Return what changes how a user logs in."""
    changes = []
    # An expired one is good again only with what it logs in with set anew.
    if not existing.is_iam or existing.auth_string != AUTH_STRING or (existing.expires and existing.expired):
        changes.append(_IDENTIFIED)
    if bool(existing.tls) != bool(account.tls):  # X509 and SPECIFIED demand more than SSL, and stay
        changes.append("REQUIRE SSL" if account.tls else "REQUIRE NONE")
    if existing.expires:
        changes.append(_NO_EXPIRY)
    statements = [f"ALTER USER {account} {' '.join(changes)}"] if changes else []
    if existing.factors > 1:
        factors = " ".join(f"DROP {number} FACTOR" for number in range(2, existing.factors + 1))
        statements.append(f"ALTER USER {account} {factors}")
    return statements


def privilege_changes(item: DesiredUser, existing: DatabaseUser | None, server: Server) -> list[Statement]:
    """Return the statements about privileges in a plan, in order."""
    if not item.present or item.account.privileges is None:
        return []
    before = existing.privileges if existing else {}
    return server.plan_privileges(before or {}, item.account.privileges)


def takes_away(item: DesiredUser, existing: DatabaseUser | None, server: Server) -> bool:
    """Return whether a plan takes something away that sessions which are open may go on with."""
    if existing is None or not item.present:
        return not item.present
    if not existing.is_iam or existing.factors > 1 or (item.locked and not existing.locked):
        return True
    kept = {(change.level, name) for change in _of(Grant, item, existing, server) for name in change.names}
    revoked = {(change.level, name) for change in _of(Revoke, item, existing, server) for name in change.names}
    return bool(revoked - kept)


def _of(kind: type, item: DesiredUser, existing: DatabaseUser | None, server: Server) -> list:
    return [change for change in privilege_changes(item, existing, server) if isinstance(change, kind)]


def batch(items: list[DesiredUser], current: dict) -> list[list[DesiredUser]]:
    """Return neighbours that are to go, or are new and alike, in groups.

    They share their statements, since a server writes to disk after each.
    """

    def shared(numbered):
        number, item = numbered
        if item.present and item.account.key in current:
            return item.account.key
        alike = (item.account.tls, item.account.privileges, item.locked) if item.present else None
        return number // _TOGETHER, alike

    return [[item for _number, item in group] for _key, group in groupby(enumerate(items), shared)]


def plan_batch(items: list[DesiredUser], server: Server) -> list[str]:
    """Return the statements of plan() for several database users that share them."""
    if not items[0].present:
        return [f"DROP USER {', '.join(str(item.account) for item in items)}"]
    return _create(items, server)


def _create(items: list[DesiredUser], server: Server) -> list[str]:
    """Return the statements that make users who are alike; the first one makes them."""
    item, who = items[0], ", ".join(str(one.account) for one in items)
    identified = ", ".join(f"{one.account} {_IDENTIFIED}" for one in items)
    parts = [f"CREATE USER {identified} REQUIRE {'SSL' if item.account.tls else 'NONE'}"]
    parts += [_NO_EXPIRY] if server.traits.mariadb else []
    parts += ["ACCOUNT LOCK"] if item.locked else []
    parts += [server.attribute] if server.attribute else []
    mark = server.mark(who)
    changes = [change.sql(who) for change in privilege_changes(item, None, server)]
    return [" ".join(parts), *([mark] if mark else []), *changes]


def predicted(item: DesiredUser, existing: DatabaseUser | None) -> DatabaseUser | None:
    """Return the database user as it will be once the plan has run."""
    if not item.present:
        return None
    account = item.account
    held = existing.privileges if existing else {}
    return replace(
        account,
        tls=existing.tls if existing and existing.tls and account.tls else account.tls,
        privileges=held if account.privileges is None else account.privileges,
        locked=bool(item.locked) if item.locked is not None or not existing else existing.locked,
    )
