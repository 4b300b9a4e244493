# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From the wanted and the current database accounts to SQL statements. Pure, and private to this collection.

All statements are written for a session with sql_mode NO_BACKSLASH_ESCAPES, where doubling is all the quoting there is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError
from ansible_collections.dbops.rds_iam.plugins.module_utils._policy import check_user_name

PLUGIN = "AWSAuthenticationPlugin"
AUTH_STRING = "RDS"
SESSION_MODE = "SET SESSION sql_mode = 'NO_BACKSLASH_ESCAPES'"
GRANT_OPTION = "GRANT OPTION"
ALL = "ALL"

_SYSTEM_ACCOUNTS = {"root", "rdsadmin", "rdsrepladmin", "rdsproxyadmin", "PUBLIC"}
_SYSTEM_PREFIXES = ("mysql.", "mariadb.", "rds_")

# What ALL stands for below the global level; DELETE HISTORY and SHOW CREATE ROUTINE exist on MariaDB only.
_TABLE_PRIVILEGES = {
    "SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "REFERENCES", "INDEX", "ALTER", "CREATE VIEW",
    "SHOW VIEW", "TRIGGER", "DELETE HISTORY",
}  # fmt: skip
_DATABASE_PRIVILEGES = _TABLE_PRIVILEGES | {
    "CREATE TEMPORARY TABLES", "LOCK TABLES", "EXECUTE", "CREATE ROUTINE", "ALTER ROUTINE", "EVENT",
    "SHOW CREATE ROUTINE",
}  # fmt: skip
_COLUMN_PRIVILEGES = {"SELECT", "INSERT", "UPDATE", "REFERENCES"}

# Names that a server takes in GRANT but shows under another name.
_ALIASES = {
    "ALL PRIVILEGES": ALL,
    "CREATE TEMPORARY TABLE": "CREATE TEMPORARY TABLES",
    "DELETE VERSIONING ROWS": "DELETE HISTORY",
}

Level = "tuple[str, str]"  # (database, table), "*" for all of them
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
    privileges: Privileges | None = field(default_factory=dict)  # None: not managed

    @property
    def key(self) -> tuple[str, str]:
        return self.name, self.host

    @property
    def is_iam(self) -> bool:
        return self.plugin == PLUGIN

    def __str__(self) -> str:
        return f"{quote(self.name)}@{quote(self.host)}"

    def shown(self) -> dict:
        """The account for a diff."""
        result = {"plugin": self.plugin, "as": self.auth_string if self.is_iam else "(not shown)"}
        result["require"] = {"": "NONE", "ANY": "SSL"}.get(self.tls, self.tls)
        if self.locked:
            result["locked"] = True
        if self.privileges is not None:
            result["privileges"] = {show_level(level): sorted(self.privileges[level]) for level in self.privileges}
        return result


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
    return ".".join(part if re.fullmatch(r"[\w*%$\\-]+", part) else quote_name(part) for part in level)


def _sql_level(level: Level) -> str:
    return ".".join("*" if part == "*" else quote_name(part) for part in level)


def parse_level(text: str) -> Level:
    """Read the level of a privilege as GRANT writes it: C(*.*), C(app.*), C(app.orders), with backquotes or without."""
    part = r"(\*|`(?:[^`]|``)+`|[^`.*\s]+)"
    match = re.fullmatch(rf"{part}\.{part}", text.strip())
    if not match or (match[1] == "*" and match[2] != "*"):
        raise RdsIamError(
            f"{text!r} is not a level of privileges; write *.*, database.* or database.table,"
            " with backquotes around names that have dots in them."
        )
    return tuple(p[1:-1].replace("``", "`") if p.startswith("`") else p for p in match.groups())


def parse_privilege(text: str) -> str:
    """The one spelling of a privilege: upper case, single spaces, columns sorted."""
    match = re.fullmatch(r"\s*([A-Za-z_ ]+?)\s*(?:\((.+)\))?\s*", text, re.S)
    if not match:
        raise RdsIamError(f"{text!r} is not a privilege; write SELECT, or SELECT (column, column).")
    name = " ".join(match[1].upper().split())
    name = _ALIASES.get(name, name)
    if not match[2]:
        return name
    if name not in _COLUMN_PRIVILEGES:
        raise RdsIamError(f"{name} cannot be granted on columns; only {', '.join(sorted(_COLUMN_PRIVILEGES))} can.")
    columns = sorted({column.strip().strip("`").replace("``", "`") for column in match[2].split(",")})
    return column_privilege(name, columns)


def column_privilege(name: str, columns) -> str:
    return f"{name} ({', '.join(quote_name(column) for column in columns)})"


def _base_name(privilege: str) -> str:
    return privilege.split(" (", 1)[0]


def wanted(users: list[dict]) -> list[Wanted]:
    """Check the users that a task gives, offline, and turn them into accounts."""
    result = [_wanted(user) for user in users]
    seen = set()
    for item in result:
        if item.account.key in seen:
            raise RdsIamError(f"The account {item.account} is given twice; give every account once.")
        seen.add(item.account.key)
    return result


def _wanted(user: dict) -> Wanted:
    name, host = user["name"], user.get("host") or "%"
    check_user_name(name)
    if name != name.strip() or host != host.strip():
        raise RdsIamError(
            f"The account {quote(name)}@{quote(host)} has white space at an end, which a server cuts off; leave it out."
        )
    if any(ord(char) > 0xFFFF for char in name + host):  # stored as question marks, as an account of another name
        raise RdsIamError(
            f"The account {name}@{host} has a character in it (an emoji, say) that a server cannot keep in the name of"
            " an account; choose a name without it."
        )
    if name in _SYSTEM_ACCOUNTS or name.startswith(_SYSTEM_PREFIXES):
        raise RdsIamError(f"The account {name} belongs to the server or to RDS; this module does not touch it.")
    privileges = user.get("privileges")
    if privileges is not None:
        privileges = _normal({parse_level(level): names for level, names in privileges.items()})
    tls = "" if user.get("require_ssl") is False else "ANY"
    account = Account(name, host, tls=tls, privileges=privileges)
    return Wanted(account, present=user.get("state") != "absent", convert=bool(user.get("convert")))


def _normal(given: dict) -> Privileges:
    result = {}
    for level, names in given.items():
        if isinstance(names, str) or not names:
            raise RdsIamError(f"The privileges on {show_level(level)} must be a list with at least one entry.")
        parsed = {parse_privilege(name) for name in names} - {"USAGE"}
        if ALL in parsed and level == ("*", "*"):
            raise RdsIamError(
                "ALL on *.* cannot be granted on RDS, where the master user does not have it; list the privileges."
            )
        if level[1] == "*" and any("(" in name for name in parsed):
            raise RdsIamError(f"Privileges on columns need a table, and {show_level(level)} is not one.")
        if parsed:
            result[level] = frozenset(parsed)
    return result


def on_server(items: list[Wanted], server_privileges: set[str]) -> list[Wanted]:
    """The same accounts with privileges as this server names them; one that it does not have is refused."""
    server = {_ALIASES.get(name.upper(), name.upper()) for name in server_privileges} | {ALL}
    items = [Wanted(_resolve(item.account, server), item.present, item.convert) for item in items]
    for item in items:
        for level, names in (item.account.privileges or {}).items():
            unknown = sorted({_base_name(name) for name in names} - server)
            if unknown:
                raise RdsIamError(
                    f"The server has no privilege {', '.join(unknown)} (asked for {item.account} on"
                    f" {show_level(level)}); nothing was changed."
                )
    return items


def _resolve(account: Account, server: set[str]) -> Account:
    """Write privileges as this server shows them."""
    if account.privileges is None:
        return account
    privileges = {}
    for level, given in account.privileges.items():
        names = set(given)
        if ALL in names:
            every = _DATABASE_PRIVILEGES if level[1] == "*" else _TABLE_PRIVILEGES
            names = every & server | (names - {ALL})
        if "BINLOG MONITOR" in server and "REPLICATION CLIENT" in names:  # MariaDB's name for it since 10.5
            names = names - {"REPLICATION CLIENT"} | {"BINLOG MONITOR"}
        privileges[level] = frozenset(names)
    return _replace(account, privileges=privileges)


def _replace(account: Account, **changes) -> Account:
    return Account(**{**account.__dict__, **changes})


def with_privileges(account: Account, privileges: Privileges) -> Account:
    return _replace(account, privileges=privileges)


def check_conflicts(items: list[Wanted], current: dict, login_user: str) -> None:
    """Refuse what must not be touched, before the first statement."""
    for item in items:
        name, existing = item.account, current.get(item.account.key)
        if item.account.name == login_user:
            raise RdsIamError(f"{login_user} is the user of this login (the master user); it is not touched.")
        if existing is None or existing.is_iam:
            continue
        if not item.present:
            raise RdsIamError(
                f"The account {name} logs in with {existing.plugin}, so it is not an IAM account, and is not dropped."
            )
        if not item.convert:
            raise RdsIamError(
                f"The account {name} exists and logs in with {existing.plugin}; to take its password away and let it"
                " log in with IAM, set convert for it."
            )


def plan(item: Wanted, existing: Account | None) -> list[str]:
    """The statements that take one account from what it is to what it should be."""
    account = item.account
    if not item.present:
        return [f"DROP USER {account}"] if existing else []
    identified = f"IDENTIFIED WITH {PLUGIN} AS {quote(AUTH_STRING)}"
    require = "REQUIRE SSL" if account.tls else "REQUIRE NONE"
    if existing is None:
        statements = [f"CREATE USER {account} {identified} {require}"]
    elif not existing.is_iam or existing.auth_string != AUTH_STRING:
        statements = [f"ALTER USER {account} {identified} {require}"]
    elif bool(existing.tls) != bool(account.tls):  # X509 and SPECIFIED demand more than SSL, and stay
        statements = [f"ALTER USER {account} {require}"]
    else:
        statements = []
    if existing and existing.locked:
        statements.append(f"ALTER USER {account} ACCOUNT UNLOCK")
    if account.privileges is not None:
        before = existing.privileges if existing else {}
        statements += _plan_privileges(str(account), before, account.privileges)
    return statements


def _plan_privileges(who: str, before: Privileges, after: Privileges) -> list[str]:
    statements = []
    for level in sorted(before.keys() | after.keys()):
        have, want = before.get(level, frozenset()), after.get(level, frozenset())
        on = f"ON {_sql_level(level)}"
        if have - want:
            statements.append(f"REVOKE {', '.join(sorted(have - want))} {on} FROM {who}")
        missing = want - have
        if missing:
            names = sorted(missing - {GRANT_OPTION}) or ["USAGE"]
            option = f" WITH {GRANT_OPTION}" if GRANT_OPTION in missing else ""
            statements.append(f"GRANT {', '.join(names)} {on} TO {who}{option}")
    return statements


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
