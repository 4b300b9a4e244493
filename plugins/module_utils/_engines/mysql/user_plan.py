# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From the wanted and the current database users to SQL statements. Pure, and private to this collection."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from itertools import groupby

from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql import privileges as mysql_privileges
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.ownership import MARK, is_mark
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.privilege_plan import (
    Grant,
    Revoke,
    Statement,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.privileges import (
    Dialect,
    Privileges,
    quote,
    show_level,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.refusals import Problem
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.server import Server
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.user_names import check_user_name
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError

PLUGIN = "AWSAuthenticationPlugin"
AUTH_STRING = "RDS"

_IDENTIFIED = f"IDENTIFIED WITH {PLUGIN} AS '{AUTH_STRING}'"
# MariaDB lets what a user logs in with expire as if it were a password, and nobody can change a token. MySQL does not,
# and refuses the words for this plugin (error 3671).
_NO_EXPIRY = "PASSWORD EXPIRE NEVER"
_TOGETHER = 100  # users in one statement

_SYSTEM_ACCOUNTS = {"root", "public", "rds_superuser_role"}
_SYSTEM_PREFIXES = ("mysql.", "mariadb.", "rdsadmin", "rdsrepladmin", "rdsproxyadmin", "rdstopmgr")
_HOST = re.compile(r"[a-z0-9_.:/%-]{1,255}")


@dataclass(frozen=True)
class Account:
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


@dataclass(frozen=True)
class Wanted:
    """What the user asks for one database user. C(locked) is None where the lock is not managed."""

    account: Account
    present: bool = True
    convert: bool = False
    locked: bool | None = None
    force_drop: bool = False
    kill_sessions: bool = False


def wanted(users: list[dict]) -> list[Wanted]:
    """Check the users that a task gives, offline, and return what it asks for each."""
    result = [_wanted(user) for user in users]
    seen = set()
    for item in result:
        if item.account.key in seen:
            raise RdsIamError(f"The account {item.account} is given twice; give every account once.")
        seen.add(item.account.key)
    return result


def is_system(name: str) -> bool:
    """Whether an account belongs to the server or to RDS."""
    return name.lower() in _SYSTEM_ACCOUNTS or name.lower().startswith(_SYSTEM_PREFIXES)


def _wanted(user: dict) -> Wanted:
    name, host = user["name"], (user.get("host") or "%").lower()  # servers keep hosts in lower case
    check_user_name(name)
    mysql_privileges.check_text("database user name", name)
    if not _HOST.fullmatch(host):
        raise RdsIamError(
            f"{host!r} is not the host part of an account (asked for {name}); write a name, an address or a network,"
            " with % for any part."
        )
    if is_system(name):
        raise RdsIamError(f"The account {name} belongs to the server or to RDS; this module does not touch it.")
    privileges = user.get("privileges")
    if privileges is not None:
        privileges = mysql_privileges.parse(privileges)
        if any(is_mark(level[0]) for level in privileges):
            raise RdsIamError(f"Privileges on the database {MARK} are the mark of this collection (asked for {name}).")
    tls = "" if user.get("require_ssl") is False else "ANY"
    return Wanted(
        Account(name, host, tls=tls, privileges=privileges),
        present=user.get("state") != "absent",
        convert=bool(user.get("convert")),
        locked=user.get("locked"),
        force_drop=bool(user.get("force_drop")),
        kill_sessions=bool(user.get("kill_sessions")),
    )


def on_server(items: list[Wanted], dialect: Dialect, where: str) -> tuple[list[Wanted], list[Problem]]:
    """Return the same database users with privileges as this server names them, and what it does not have."""
    result, problems = [], []
    for item in items:
        if item.account.privileges is not None:
            privileges, wrong = dialect.resolve(item.account.privileges)
            item = replace(item, account=with_privileges(item.account, privileges))  # noqa: PLW2901
            clauses = (f"{where} {clause} (asked for {item.account})" for clause in wrong)
            problems += [Problem(clause, "SHOW PRIVILEGES lists those that it has") for clause in clauses]
        result.append(item)
    return result, problems


def with_privileges(account: Account, privileges: Privileges) -> Account:
    return replace(account, privileges=privileges)


def find_conflicts(items: list[Wanted], current: dict, server: Server) -> list[Problem]:
    """Return what must not be touched and is asked for; C(current) has the users of the server by name and host."""
    roles = {account.name for account in current.values() if account.role}
    found = (_conflict(item, current.get(item.account.key), roles, server) for item in items)
    return [problem for problem in found if problem]


def _conflict(item: Wanted, existing: Account | None, roles: set[str], server: Server) -> Problem | None:
    name, where = item.account, server.where
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


def _names(account: Account) -> set[str]:
    levels = (account.privileges or {}).values()
    return {mysql_privileges.base_name(name) for names in levels for name in names}


def why_kept(item: Wanted, existing: Account | None) -> str:
    """Return why a user that is to go stays where only those are dropped that this collection created, or nothing."""
    if item.present or existing is None:
        return ""
    if not existing.managed:
        return f"it does not bear the mark {MARK}, so it was there before, or something else made it"
    if not existing.is_iam:
        return f"it logs in with {existing.logs_in_with} by now"
    return ""


def plan(item: Wanted, existing: Account | None, server: Server, *, created: bool = False) -> list[str]:
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


def _alter(account: Account, existing: Account) -> list[str]:
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


def privilege_changes(item: Wanted, existing: Account | None, server: Server) -> list[Statement]:
    """Return the statements about privileges in a plan, in order."""
    if not item.present or item.account.privileges is None:
        return []
    before = existing.privileges if existing else {}
    return server.plan_privileges(before or {}, item.account.privileges)


def takes_away(item: Wanted, existing: Account | None, server: Server) -> bool:
    """Return whether a plan takes something away that sessions which are open may go on with."""
    if existing is None or not item.present:
        return not item.present
    if not existing.is_iam or existing.factors > 1 or (item.locked and not existing.locked):
        return True
    kept = {(change.level, name) for change in _of(Grant, item, existing, server) for name in change.names}
    revoked = {(change.level, name) for change in _of(Revoke, item, existing, server) for name in change.names}
    return bool(revoked - kept)


def _of(kind: type, item: Wanted, existing: Account | None, server: Server) -> list:
    return [change for change in privilege_changes(item, existing, server) if isinstance(change, kind)]


def together(items: list[Wanted], current: dict) -> list[list[Wanted]]:
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


def plan_together(items: list[Wanted], server: Server) -> list[str]:
    """Return the statements of plan() for several database users that share them."""
    if not items[0].present:
        return [f"DROP USER {', '.join(str(item.account) for item in items)}"]
    return _create(items, server)


def _create(items: list[Wanted], server: Server) -> list[str]:
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


def predicted(item: Wanted, existing: Account | None) -> Account | None:
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
