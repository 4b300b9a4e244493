# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From the wanted and the current database accounts to SQL statements. Pure, and private to this collection."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from itertools import groupby

from ansible_collections.dbops.rds_iam.plugins.module_utils import _privileges
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError
from ansible_collections.dbops.rds_iam.plugins.module_utils._policy import check_user_name
from ansible_collections.dbops.rds_iam.plugins.module_utils._privileges import Dialect, Privileges, quote, show_level

PLUGIN = "AWSAuthenticationPlugin"
AUTH_STRING = "RDS"

_IDENTIFIED = f"IDENTIFIED WITH {PLUGIN} AS '{AUTH_STRING}'"
_TOGETHER = 100  # accounts in one statement

_SYSTEM_ACCOUNTS = {"root", "public", "rds_superuser_role"}
_SYSTEM_PREFIXES = ("mysql.", "mariadb.", "rdsadmin", "rdsrepladmin", "rdsproxyadmin", "rdstopmgr")
_HOST = re.compile(r"[a-z0-9_.:/%-]{1,255}")


@dataclass(frozen=True)
class Account:
    """A database account, as it is or as it should be."""

    name: str
    host: str
    plugin: str = PLUGIN
    auth_string: str = AUTH_STRING
    tls: str = "ANY"  # as in mysql.user.ssl_type: "", ANY, X509 or SPECIFIED
    locked: bool = False
    factors: int = 1  # MySQL may ask for a second and a third
    iam_among: bool = False  # IAM is one of its other factors, or of several ways to log in
    role: bool = False
    restricted: bool = False  # by partial revokes of MySQL
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
        if self.privileges is not None:
            result["privileges"] = {show_level(level): sorted(self.privileges[level]) for level in self.privileges}
        return result


class Conflict(RdsIamError):
    """Somebody else's account or role has the name of one that is asked for."""


@dataclass(frozen=True)
class Wanted:
    """What the user asks for one account."""

    account: Account
    present: bool = True
    convert: bool = False


def wanted(users: list[dict]) -> list[Wanted]:
    """Check the users that a task gives, offline, and turn them into accounts."""
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
    _privileges.check_text("database user name", name)
    if not _HOST.fullmatch(host):
        raise RdsIamError(
            f"{host!r} is not the host part of an account (asked for {name}); write a name, an address or a network,"
            " with % for any part."
        )
    if is_system(name):
        raise RdsIamError(f"The account {name} belongs to the server or to RDS; this module does not touch it.")
    privileges = user.get("privileges")
    if privileges is not None:
        privileges = _privileges.parse(privileges)
    tls = "" if user.get("require_ssl") is False else "ANY"
    account = Account(name, host, tls=tls, privileges=privileges)
    return Wanted(account, present=user.get("state") != "absent", convert=bool(user.get("convert")))


def on_server(items: list[Wanted], dialect: Dialect, where: str) -> list[Wanted]:
    """The same accounts with privileges as this server names them; one that it does not have is refused."""

    def resolved(account: Account) -> Account:
        if account.privileges is None:
            return account
        return with_privileges(account, dialect.resolve(account.privileges, str(account), where))

    return [replace(item, account=resolved(item.account)) for item in items]


def with_privileges(account: Account, privileges: Privileges) -> Account:
    return replace(account, privileges=privileges)


def check_conflicts(items: list[Wanted], current: dict, login_user: str, where: str) -> None:
    """Refuse what must not be touched, before the first statement."""
    roles = {account.name for account in current.values() if account.role}
    for item in items:
        name, existing = item.account, current.get(item.account.key)
        if item.account.name == login_user:
            raise RdsIamError(
                f"{login_user} is the user of this login to {where} (the master user); it is not touched, so take it"
                " from the list."
            )
        if existing and existing.restricted and item.present and item.account.privileges is not None:
            raise RdsIamError(
                f"The account {name} of {where} has partial revokes, which cannot be compared with a list of"
                " privileges; lift them, or leave its privileges out."
            )
        if existing and existing.is_iam:
            continue
        if item.account.name in roles and (existing or item.present):
            raise Conflict(
                f"{where} has a role with the name of the account {name}, and roles are not touched; choose another"
                " name for the account, or drop the role first."
            )
        if existing and not item.present:
            raise Conflict(
                f"The account {name} of {where} logs in with {existing.logs_in_with}, so it is not an IAM account, and"
                " is not dropped; drop it by hand if nobody needs it."
            )
        if existing and not item.convert:
            raise Conflict(
                f"The account {name} of {where} exists and logs in with {existing.logs_in_with}; to take that away and"
                " let it log in with IAM, set convert for it."
            )


def plan(item: Wanted, existing: Account | None) -> list[str]:
    """The statements that take one account from what it is to what it should be."""
    account = item.account
    if not item.present:
        return [f"DROP USER {account}"] if existing else []
    changes = []
    if existing is None or not existing.is_iam or existing.auth_string != AUTH_STRING:
        changes.append(_IDENTIFIED)
    if existing is None or bool(existing.tls) != bool(account.tls):  # X509 and SPECIFIED demand more than SSL, and stay
        changes.append("REQUIRE SSL" if account.tls else "REQUIRE NONE")
    statements = [f"{'ALTER' if existing else 'CREATE'} USER {account} {' '.join(changes)}"] if changes else []
    if existing and existing.factors > 1:
        factors = " ".join(f"DROP {number} FACTOR" for number in range(2, existing.factors + 1))
        statements.append(f"ALTER USER {account} {factors}")
    if existing and existing.locked:
        statements.append(f"ALTER USER {account} ACCOUNT UNLOCK")
    if account.privileges is not None:
        before = existing.privileges if existing else {}
        statements += _privileges.changes(str(account), before, account.privileges)
    return statements


def together(items: list[Wanted], current: dict) -> list[list[Wanted]]:
    """Neighbours that are to go, or are new and alike, share their statements: a server writes to disk after each."""

    def shared(numbered):
        number, item = numbered
        if item.present and item.account.key in current:
            return item.account.key
        alike = (item.account.tls, item.account.privileges) if item.present else None
        return number // _TOGETHER, alike

    return [[item for _number, item in group] for _key, group in groupby(enumerate(items), shared)]


def plan_together(items: list[Wanted]) -> list[str]:
    """The statements of plan() for several accounts that share them."""
    account, who = items[0].account, ", ".join(str(item.account) for item in items)
    if not items[0].present:
        return [f"DROP USER {who}"]
    identified = ", ".join(f"{item.account} {_IDENTIFIED}" for item in items)
    create = f"CREATE USER {identified} REQUIRE {'SSL' if account.tls else 'NONE'}"
    return [create, *_privileges.changes(who, {}, account.privileges or {})]


def predicted(item: Wanted, existing: Account | None) -> Account | None:
    """The account as it will be once the plan has run."""
    if not item.present:
        return None
    account = item.account
    if existing and existing.tls and account.tls:
        account = replace(account, tls=existing.tls)
    if account.privileges is None:
        account = replace(account, privileges=existing.privileges if existing else {})
    return account
