# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find the database users that must stay as they are. Pure, and private to this collection."""

from __future__ import annotations

from collections.abc import Mapping

from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.database_user import DatabaseUser, UserKey
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.desired_users import DesiredUser
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.ownership import MARK
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.preflight_checks import Problem
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.privileges import base_name
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.server import Server

_SYSTEM_USER = "SYSTEM_USER"


def find_conflicts(
    desired_users: list[DesiredUser], users: Mapping[UserKey, DatabaseUser], server: Server
) -> list[Problem]:
    """Return a problem for each desired user that must not be touched.

    users: all users of the server; those that are asked for, with their privileges
    """
    roles = {user.name for user in users.values() if user.is_role}
    problems = (
        _conflict(desired_user, users.get(desired_user.user.key), roles, server) for desired_user in desired_users
    )
    return [problem for problem in problems if problem]


def _conflict(
    desired_user: DesiredUser, existing_user: DatabaseUser | None, roles: set[str], server: Server
) -> Problem | None:
    user, present, database = desired_user.user, desired_user.present, server.host
    if user.name == server.login_user:
        clause = f"{user.name} is the user of this login to {database} (the master user)"
        return Problem(clause, "it is not touched, so take it from the list")
    if existing_user:
        problem = _privilege_conflict(desired_user, existing_user, server)
        if problem or existing_user.is_iam:
            return problem
    if user.name in roles and (existing_user or present):
        clause = f"{database} has a role with the name of the account {user}, and roles are not touched"
        return Problem(clause, "choose another name for the account, or drop the role first", conflict=True)
    if existing_user and not present:
        clause = (
            f"The account {user} of {database} logs in with {existing_user.login_method}, so it is not an IAM account,"
            " and is not dropped"
        )
        return Problem(clause, "drop it by hand if nobody needs it", conflict=True)
    if existing_user and not desired_user.convert:
        clause = f"The account {user} of {database} exists and logs in with {existing_user.login_method}"
        advice = "to take that away and let it log in with IAM, set convert for it"
        return Problem(clause, advice, conflict=True)
    return None


def _privilege_conflict(desired_user: DesiredUser, existing_user: DatabaseUser, server: Server) -> Problem | None:
    """Return the problem of a user whose privileges this login cannot change or compare."""
    user = desired_user.user
    # A login that may not do everything in some databases passes that on with what it grants.
    is_restricted = not all(server.login.lacks(database, name) for database, name in existing_user.restrictions)
    if is_restricted and desired_user.present and user.privileges is not None:
        clause = (
            f"The account {user} of {server.host} has partial revokes, which cannot be compared with a list of"
            " privileges"
        )
        return Problem(clause, "lift them, or leave its privileges out")
    levels = (existing_user.privileges or {}).values()
    privileges = {base_name(name) for names in levels for name in names}
    if _SYSTEM_USER in privileges and not server.login.holds(_SYSTEM_USER):
        clause = f"The account {user} of {server.host} has SYSTEM_USER, and {server.login_user} has not"
        return Problem(clause, "change it as a user who has it")
    return None


def reason_to_keep(desired_user: DesiredUser, existing_user: DatabaseUser | None) -> str:
    """Return why a user that is to go stays where only those are dropped that this collection created, or nothing."""
    if desired_user.present or existing_user is None:
        return ""
    if not existing_user.managed:
        return f"it does not bear the mark {MARK}, so it was there before, or something else made it"
    if not existing_user.is_iam:
        return f"it logs in with {existing_user.login_method} by now"
    return ""
