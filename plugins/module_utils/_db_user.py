# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From the wanted and the current database accounts to SQL statements. Pure, and private to this collection.

All statements are written for a session with sql_mode NO_BACKSLASH_ESCAPES, where doubling is all the quoting there is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import groupby

from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError
from ansible_collections.dbops.rds_iam.plugins.module_utils._policy import check_user_name

PLUGIN = "AWSAuthenticationPlugin"
AUTH_STRING = "RDS"
# Without NO_AUTO_CREATE_USER, which MySQL has dropped, a GRANT to an account that is gone makes one without a password.
SESSION_MODE = (
    "SET SESSION sql_mode = IF(VERSION() REGEXP '^5[.]|MariaDB', 'NO_BACKSLASH_ESCAPES,NO_AUTO_CREATE_USER',"
    " 'NO_BACKSLASH_ESCAPES')"
)
GRANT_OPTION = "GRANT OPTION"
ALL = "ALL"

_IDENTIFIED = f"IDENTIFIED WITH {PLUGIN} AS '{AUTH_STRING}'"
_TOGETHER = 100  # accounts in one statement

_SYSTEM_ACCOUNTS = {"root", "public", "rds_superuser_role"}
_SYSTEM_PREFIXES = ("mysql.", "mariadb.", "rdsadmin", "rdsrepladmin", "rdsproxyadmin", "rdstopmgr")
_NAME_LENGTH = 64  # of a database, a table or a column
_HOST = re.compile(r"[a-z0-9_.:/%-]{1,255}")

# What ALL stands for below the global level, those that exist on MariaDB only included.
_TABLE_PRIVILEGES = {
    "SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "REFERENCES", "INDEX", "ALTER", "CREATE VIEW",
    "SHOW VIEW", "TRIGGER", "DELETE HISTORY",
}  # fmt: skip
_DATABASE_PRIVILEGES = _TABLE_PRIVILEGES | {
    "CREATE TEMPORARY TABLES", "LOCK TABLES", "EXECUTE", "CREATE ROUTINE", "ALTER ROUTINE", "EVENT",
    "SHOW CREATE ROUTINE",
}  # fmt: skip
_MARIADB_PRIVILEGES = {"DELETE HISTORY", "SHOW CREATE ROUTINE"}
_COLUMN_PRIVILEGES = {"SELECT", "INSERT", "UPDATE", "REFERENCES"}

# Names that a server takes in GRANT but shows under another name.
_ALIASES = {
    "ALL PRIVILEGES": ALL,
    "CREATE TEMPORARY TABLE": "CREATE TEMPORARY TABLES",
    "DELETE VERSIONING ROWS": "DELETE HISTORY",
}

Level = "tuple[str, str]"  # (database, table), "" for all of them, since "*" is a name too
Privileges = "dict[tuple[str, str], frozenset[str]]"


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


def quote(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def quote_name(text: str) -> str:
    return "`" + text.replace("`", "``") + "`"


def show_level(level: Level) -> str:
    return ".".join(part if re.fullmatch(r"[\w%$\\-]+", part) else _sql_part(part) for part in level)


def _sql_level(level: Level) -> str:
    return ".".join(_sql_part(part) for part in level)


def _sql_part(part: str) -> str:
    return quote_name(part) if part else "*"


def _check_text(what: str, text: str) -> None:
    """Refuse what a server cuts off, replaces with a question mark, or cannot hold, and so takes for another name."""
    if text != text.strip() or not text.isprintable() or max(text) > "\uffff":
        raise RdsIamError(
            f"The {what} {text!r} has spaces at an end, invisible characters, or ones that take four bytes; a server"
            " would take it for another name."
        )


def _check_name(what: str, text: str) -> str:
    _check_text(what, text)
    if len(text) > _NAME_LENGTH:
        raise RdsIamError(f"The {what} {text} has {len(text)} characters, and a server takes {_NAME_LENGTH}.")
    return text


def _unquote(text: str) -> str:
    return text[1:-1].replace("``", "`") if text.startswith("`") else text


def parse_level(text: str) -> Level:
    """Read the level of a privilege as GRANT writes it: C(*.*), C(app.*), C(app.orders), with backquotes or without."""
    part = r"(\*|`(?:[^`]|``)+`|[^`.*\s]+)"
    match = re.fullmatch(rf"{part}\.{part}", text.strip())
    if not match or (match[1] == "*" and match[2] != "*"):
        raise RdsIamError(
            f"{text!r} is not a level of privileges; write *.*, database.* or database.table,"
            " with backquotes around names that have dots in them."
        )
    parts = zip(("database", "table"), match.groups())
    return tuple("" if part == "*" else _check_name(what, _unquote(part)) for what, part in parts)


def parse_privilege(text: str) -> set[str]:
    """The one spelling of a privilege: upper case, single spaces; each column is a privilege of its own."""
    column = r"\s*(`(?:[^`]|``)+`|[^`,()\s]+)\s*"
    match = re.fullmatch(rf"\s*([A-Za-z_ ]+?)\s*(?:\(({column}(?:,{column})*)\))?\s*", str(text))
    if not match:
        raise RdsIamError(
            f"{text!r} is not a privilege; write SELECT, or SELECT (column, column), with backquotes around names that"
            " have spaces, commas or parentheses in them."
        )
    name = " ".join(match[1].upper().split())
    name = _ALIASES.get(name, name)
    if not match[2]:
        return {name}
    if name not in _COLUMN_PRIVILEGES:
        raise RdsIamError(f"{name} cannot be granted on columns; only {', '.join(sorted(_COLUMN_PRIVILEGES))} can.")
    return {column_privilege(name, _check_name("column", _unquote(found))) for found in re.findall(column, match[2])}


def column_privilege(name: str, column: str) -> str:
    return f"{name} ({quote_name(column)})"


def grantable(name: str) -> str:
    """A dynamic privilege of MySQL that its holder may pass on; each has a grant option of its own."""
    return f"{name} WITH {GRANT_OPTION}"


def is_dynamic(privilege: str) -> bool:
    """Whether MySQL calls it dynamic: it has underscores where the others have spaces."""
    return "_" in _base_name(privilege)


def _base_name(privilege: str) -> str:
    return privilege.split(" (", 1)[0].split(" WITH ", 1)[0]


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
    _check_text("database user name", name)
    if not _HOST.fullmatch(host):
        raise RdsIamError(
            f"{host!r} is not the host part of an account (asked for {name}); write a name, an address or a network,"
            " with % for any part."
        )
    if is_system(name):
        raise RdsIamError(f"The account {name} belongs to the server or to RDS; this module does not touch it.")
    privileges = user.get("privileges")
    if privileges is not None:
        privileges = _normal(privileges)
    tls = "" if user.get("require_ssl") is False else "ANY"
    account = Account(name, host, tls=tls, privileges=privileges)
    return Wanted(account, present=user.get("state") != "absent", convert=bool(user.get("convert")))


def _normal(given: dict) -> Privileges:
    result = {}
    for text, names in given.items():
        level = parse_level(text)
        if not isinstance(names, list) or not names:
            raise RdsIamError(f"The privileges on {show_level(level)} must be a list with at least one entry.")
        parsed = set().union(*(parse_privilege(name) for name in names)) - {"USAGE"}
        if ALL in parsed and level == ("", ""):
            raise RdsIamError(
                "ALL on *.* cannot be granted on RDS, where the master user does not have it; list the privileges."
            )
        if not level[1] and any("(" in name for name in parsed):
            raise RdsIamError(f"Privileges on columns need a table, and {show_level(level)} is not one.")
        _add(result, level, parsed)
    return {level: names for level, names in result.items() if names}


def _add(result: dict, level: Level, names: set) -> None:
    if level in result:
        raise RdsIamError(f"The privileges on {show_level(level)} are given twice; give every level once.")
    result[level] = frozenset(names)


@dataclass(frozen=True)
class Dialect:
    """How a server names privileges and levels, and which privileges the login can pass on."""

    privileges: frozenset[str]
    own: frozenset[str]
    lower_case: bool

    def known(self, level: Level) -> set[str]:
        """The privileges that can be granted on this level."""
        known = {_ALIASES.get(name.upper(), name.upper()) for name in self.privileges} - {"PROXY"}
        if not level[0]:
            return known
        return known & {*(_TABLE_PRIVILEGES if level[1] else _DATABASE_PRIVILEGES), GRANT_OPTION}


def on_server(items: list[Wanted], dialect: Dialect, where: str) -> list[Wanted]:
    """The same accounts with privileges as this server names them; one that it does not have is refused."""
    return [Wanted(_resolve(item.account, dialect, where), item.present, item.convert) for item in items]


def _resolve(account: Account, dialect: Dialect, where: str) -> Account:
    """Write privileges as this server shows them."""
    privileges = {}
    for level, given in (account.privileges or {}).items():
        names, known = set(given), dialect.known(level)
        if ALL in names:
            names |= known - {GRANT_OPTION} - (_MARIADB_PRIVILEGES - dialect.own)
            names.remove(ALL)
        if "BINLOG MONITOR" in known and "REPLICATION CLIENT" in names:  # MariaDB's name for it since 10.5
            names = names - {"REPLICATION CLIENT"} | {"BINLOG MONITOR"}
        unknown = sorted({_base_name(name) for name in names} - known)
        if unknown:
            raise RdsIamError(
                f"{where} has no privilege {', '.join(unknown)} that can be granted on {show_level(level)} (asked for"
                f" {account}), so nothing was changed; SHOW PRIVILEGES lists those that it has."
            )
        dynamic = {name for name in names if is_dynamic(name)}
        if dynamic and GRANT_OPTION in names:
            names = names - dynamic - ({GRANT_OPTION} if len(names) == len(dynamic) + 1 else set())
            names |= {grantable(name) for name in dynamic}
        _add(privileges, tuple(part.lower() for part in level) if dialect.lower_case else level, names)
    return account if account.privileges is None else with_privileges(account, privileges)


def _replace(account: Account, **changes) -> Account:
    return Account(**{**account.__dict__, **changes})


def with_privileges(account: Account, privileges: Privileges) -> Account:
    return _replace(account, privileges=privileges)


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
        statements += _plan_privileges(str(account), before, account.privileges)
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
    return [create, *_plan_privileges(who, {}, account.privileges or {})]


def _plan_privileges(who: str, before: Privileges, after: Privileges) -> list[str]:
    statements = []
    for level in sorted(before.keys() | after.keys()):
        have, want = before.get(level, frozenset()), after.get(level, frozenset())
        spelled = {name.lower(): name for name in have}  # columns have no case, but REVOKE wants the one of GRANT
        want = {spelled.get(name.lower(), name) for name in want}
        on = f"ON {_sql_level(level)}"
        # REVOKE GRANT OPTION leaves dynamic privileges of MySQL in disorder, so they go one by one, and come back.
        dynamic = {_base_name(name) for name in have - want if is_dynamic(name)}
        one_by_one = {name for name in have if _base_name(name) in dynamic}
        statements += [f"REVOKE {_base_name(name)} {on} FROM {who}" for name in sorted(one_by_one)]
        surplus = have - want - one_by_one
        if surplus:
            statements.append(f"REVOKE {', '.join(sorted(surplus))} {on} FROM {who}")
        # REVOKE SELECT takes SELECT (column) with it.
        missing = want - {name for name in have if _base_name(name) not in dynamic | surplus}
        dynamic = {name for name in missing if is_dynamic(name)}
        statements += [_grant(names, on, who) for names in (missing - dynamic, dynamic) if names]
    return statements


def _grant(names: set[str], on: str, who: str) -> str:
    suffix = f" WITH {GRANT_OPTION}"
    listed = sorted(name.removesuffix(suffix) for name in names - {GRANT_OPTION}) or ["USAGE"]
    option = suffix if any(name.endswith(GRANT_OPTION) for name in names) else ""
    return f"GRANT {', '.join(listed)} {on} TO {who}{option}"


def predicted(item: Wanted, existing: Account | None) -> Account | None:
    """The account as it will be once the plan has run."""
    if not item.present:
        return None
    account = item.account
    if existing and existing.tls and account.tls:
        account = _replace(account, tls=existing.tls)
    if account.privileges is None:
        account = _replace(account, privileges=existing.privileges if existing else {})
    return account
