# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plan the SQL statements for database users. Pure, and private to this collection."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import replace
from itertools import groupby

from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.database_user import (
    AUTH_STRING,
    PLUGIN,
    DatabaseUser,
    UserKey,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.desired_users import DesiredUser
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.privilege_plan import (
    Grant,
    Revoke,
    Statement,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.privileges import Level
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.server import Server

_IDENTIFIED = f"IDENTIFIED WITH {PLUGIN} AS '{AUTH_STRING}'"
# MariaDB lets what a user logs in with expire as if it were a password, and nobody can change a token. MySQL does not,
# and refuses the words for this plugin (error 3671).
_NO_EXPIRY = "PASSWORD EXPIRE NEVER"
_BATCH_SIZE = 100  # users in one statement


def plan(
    desired_user: DesiredUser, existing_user: DatabaseUser | None, server: Server, *, created: bool = False
) -> list[str]:
    """Return the statements that take one database user from what it is to what it should be.

    What it is to have is granted first; what takes something away from it comes after that.

    existing_user: None where the server does not have it
    created: it exists since this run has created it
    """
    user = desired_user.user
    if not desired_user.present:
        return [f"DROP USER {user}"] if existing_user else []
    if existing_user is None:
        return _create([desired_user], server)
    changes = [change.sql(str(user)) for change in privilege_changes(desired_user, existing_user, server)]
    first_revoke = next((number for number, sql in enumerate(changes) if sql.startswith("REVOKE")), len(changes))
    statements = [f"ALTER USER {user} ACCOUNT LOCK"] if desired_user.locked and not existing_user.locked else []
    mark = server.mark(str(user)) if created and not existing_user.managed else ""
    statements += [mark] if mark else []
    statements += [*changes[:first_revoke], *_alter(user, existing_user), *changes[first_revoke:]]
    if desired_user.locked is False and existing_user.locked:
        statements.append(f"ALTER USER {user} ACCOUNT UNLOCK")
    return statements


def _alter(user: DatabaseUser, existing_user: DatabaseUser) -> list[str]:
    """Return what changes how a user logs in."""
    changes = []
    expired = existing_user.expires and existing_user.expired
    # An expired one is good again only with what it logs in with set anew.
    if not existing_user.is_iam or existing_user.auth_string != AUTH_STRING or expired:
        changes.append(_IDENTIFIED)
    if bool(existing_user.tls) != bool(user.tls):  # X509 and SPECIFIED demand more than SSL, and stay
        changes.append("REQUIRE SSL" if user.tls else "REQUIRE NONE")
    if existing_user.expires:
        changes.append(_NO_EXPIRY)
    statements = [f"ALTER USER {user} {' '.join(changes)}"] if changes else []
    if existing_user.factors > 1:
        factors = " ".join(f"DROP {number} FACTOR" for number in range(2, existing_user.factors + 1))
        statements.append(f"ALTER USER {user} {factors}")
    return statements


def privilege_changes(desired_user: DesiredUser, existing_user: DatabaseUser | None, server: Server) -> list[Statement]:
    """Return the statements about privileges in a plan, in order."""
    if not desired_user.present or desired_user.user.privileges is None:
        return []
    privileges = existing_user.privileges if existing_user else None
    return server.plan_privileges(privileges or {}, desired_user.user.privileges)


def takes_away(desired_user: DesiredUser, existing_user: DatabaseUser | None, server: Server) -> bool:
    """Return whether a plan takes something away that sessions which are open may go on with."""
    if existing_user is None or not desired_user.present:
        return not desired_user.present
    locks = desired_user.locked and not existing_user.locked
    if not existing_user.is_iam or existing_user.factors > 1 or locks:
        return True
    granted_privileges: set[tuple[Level, str]] = set()
    revoked_privileges: set[tuple[Level, str]] = set()
    for change in privilege_changes(desired_user, existing_user, server):
        if isinstance(change, Grant):
            granted_privileges |= {(change.level, name) for name in change.names}
        elif isinstance(change, Revoke):
            revoked_privileges |= {(change.level, name) for name in change.names}
    return bool(revoked_privileges - granted_privileges)


def batch(desired_users: list[DesiredUser], existing_keys: Container[UserKey]) -> list[list[DesiredUser]]:
    """Return neighbours that are to go, or are new and alike, in groups, and each of the others alone.

    Those of a group share their statements, since a server writes to disk after each.
    """

    def group_key(numbered_user: tuple[int, DesiredUser]) -> object:
        number, desired_user = numbered_user
        user = desired_user.user
        if desired_user.present and user.key in existing_keys:
            return user.key
        properties = (user.tls, user.privileges, desired_user.locked) if desired_user.present else None
        return number // _BATCH_SIZE, properties

    return [[user for _number, user in group] for _key, group in groupby(enumerate(desired_users), group_key)]


def plan_batch(desired_users: list[DesiredUser], server: Server) -> list[str]:
    """Return the statements of plan() for database users of one group, none of which exists or none of which stays."""
    if not desired_users[0].present:
        return [f"DROP USER {', '.join(str(desired_user.user) for desired_user in desired_users)}"]
    return _create(desired_users, server)


def _create(desired_users: list[DesiredUser], server: Server) -> list[str]:
    """Return the statements that make users who are alike; the first one makes them."""
    template, users = desired_users[0], [str(desired_user.user) for desired_user in desired_users]
    identifications = ", ".join(f"{user} {_IDENTIFIED}" for user in users)
    parts = [f"CREATE USER {identifications} REQUIRE {'SSL' if template.user.tls else 'NONE'}"]
    parts += [_NO_EXPIRY] if server.traits.mariadb else []
    parts += ["ACCOUNT LOCK"] if template.locked else []
    parts += [server.attribute] if server.attribute else []
    grantees = ", ".join(users)
    mark = server.mark(grantees)
    changes = [change.sql(grantees) for change in privilege_changes(template, None, server)]
    return [" ".join(parts), *([mark] if mark else []), *changes]


def predict(desired_user: DesiredUser, existing_user: DatabaseUser | None) -> DatabaseUser | None:
    """Return the database user as it will be once the plan has run, or None where it is to go."""
    if not desired_user.present:
        return None
    user = desired_user.user
    if existing_user is None:
        privileges = {} if user.privileges is None else user.privileges
        return replace(user, privileges=privileges, locked=bool(desired_user.locked))
    return replace(
        user,
        tls=existing_user.tls if existing_user.tls and user.tls else user.tls,
        privileges=existing_user.privileges if user.privileges is None else user.privileges,
        locked=existing_user.locked if desired_user.locked is None else desired_user.locked,
    )
