# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find the database users that must stay as they are. Pure, and private to this collection."""

from __future__ import annotations

from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql import privileges as mysql_privileges
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.database_user import DatabaseUser
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.desired_users import DesiredUser
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.ownership import MARK
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.refusals import Problem
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.server import Server


def find_conflicts(items: list[DesiredUser], current: dict, server: Server) -> list[Problem]:
    """Return what must not be touched and is asked for; C(current) has the users of the server by name and host."""
    roles = {account.name for account in current.values() if account.role}
    found = (_conflict(item, current.get(item.account.key), roles, server) for item in items)
    return [problem for problem in found if problem]


def _conflict(item: DesiredUser, existing: DatabaseUser | None, roles: set[str], server: Server) -> Problem | None:
    name, where = item.account, server.host
    if name.name == server.login_user:
        clause = f"{name.name} is the user of this login to {where} (the master user)"
        return Problem(clause, "it is not touched, so take it from the list")
    # A login that may not do everything in some databases passes that on with what it grants.
    restrictions = {one for one in existing.restrictions if not server.login.lacks(*one)} if existing else ()
    if restrictions and item.present and name.privileges is not None:
        clause = (
            f"The account {name} of {where} has partial revokes, which cannot be compared with a list of privileges"
        )
        return Problem(clause, "lift them, or leave its privileges out")
    if existing and "SYSTEM_USER" in _names(existing) and not server.login.holds("SYSTEM_USER"):
        return Problem(f"The account {name} of {where} has SYSTEM_USER, and {server.login_user} has not", _BY_HAND)
    if existing and existing.is_iam:
        return None
    if name.name in roles and (existing or item.present):
        clause = f"{where} has a role with the name of the account {name}, and roles are not touched"
        return Problem(clause, "choose another name for the account, or drop the role first", conflict=True)
    if existing and not item.present:
        clause = (
            f"The account {name} of {where} logs in with {existing.logs_in_with}, so it is not an IAM account, and is"
            " not dropped"
        )
        return Problem(clause, "drop it by hand if nobody needs it", conflict=True)
    if existing and not item.convert:
        clause = f"The account {name} of {where} exists and logs in with {existing.logs_in_with}"
        advice = "to take that away and let it log in with IAM, set convert for it"
        return Problem(clause, advice, conflict=True)
    return None


_BY_HAND = "change it as a user who has it"


def _names(account: DatabaseUser) -> set[str]:
    levels = (account.privileges or {}).values()
    return {mysql_privileges.base_name(name) for names in levels for name in names}


def why_kept(item: DesiredUser, existing: DatabaseUser | None) -> str:
    """Return why a user that is to go stays where only those are dropped that this collection created, or nothing."""
    if item.present or existing is None:
        return ""
    if not existing.managed:
        return f"it does not bear the mark {MARK}, so it was there before, or something else made it"
    if not existing.is_iam:
        return f"it logs in with {existing.logs_in_with} by now"
    return ""
