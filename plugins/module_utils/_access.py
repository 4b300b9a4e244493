# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who may log in where, from what AWS and the servers say. Pure, and private to this collection."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

from ansible_collections.dbops.rds_iam.plugins.module_utils._database import FLAG, title
from ansible_collections.dbops.rds_iam.plugins.module_utils._links import BROKEN, OK, UNKNOWN, Link
from ansible_collections.dbops.rds_iam.plugins.module_utils._permission import (
    Policy,
    Target,
    about_connect,
    applies,
    judge,
    matches,
    statements,
    texts,
    widened,
)

_STATES = {OK: "open", BROKEN: "closed", UNKNOWN: "unknown"}


@dataclass(frozen=True)
class Principal:
    """An IAM role or user, with all policies that count for it."""

    kind: str  # role or user
    name: str
    arn: str
    policies: list[Policy]
    trusts: list[str] = field(default_factory=list)  # who may assume the role
    profiles: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return f"the IAM {self.kind} {self.name}"

    @cached_property
    def connecting(self) -> list[tuple[Policy, dict]]:
        """The statements that let it connect as some database user, whatever takes that away again."""
        return [
            (policy, statement)
            for policy in self.policies
            for statement in statements(policy)
            if not policy.boundary and statement.get("Effect") == "Allow" and about_connect(statement)
        ]


@dataclass(frozen=True)
class Host:
    """An EC2 instance that has an instance profile."""

    instance_id: str
    name: str
    state: str
    profile: str


@dataclass(frozen=True)
class Database:
    """A DB cluster, or a DB instance that is in none."""

    name: str
    record: dict
    members: tuple[str, ...] = ()  # the resource ids of the instances in a cluster
    accounts: list[dict] | None = None  # None: not seen, for this reason
    unseen: str = "the inventory does not have this database"
    given: bool = False  # whether the user named it

    @property
    def prefix(self) -> str:
        return self.record["connect_arn_prefix"]

    @cached_property
    def iam_users(self) -> list[str]:
        return list(dict.fromkeys(one["name"] for one in self.accounts or [] if one["iam"]))

    def target(self, user: str) -> Target:
        return Target(f"{self.prefix}/{user}", self.record["identifier"], self.members)


@dataclass(frozen=True)
class Grant:
    """That some statement lets a principal connect as a database user, and what the other links say."""

    principal: Principal
    database: Database
    user: str  # or a pattern with * and ?, where the accounts were not seen
    links: list[Link]

    @property
    def state(self) -> str:
        states = {link.state for link in self.links}
        return _STATES[next((state for state in (BROKEN, UNKNOWN) if state in states), OK)]

    def link(self, name: str) -> Link:
        return next(link for link in self.links if link.name == name)

    def shown(self) -> dict:
        # Where all hold, the holder says who can log in.
        deciding = (link for link in self.links if link.state != OK and _STATES[link.state] == self.state)
        decisive = next(deciding, self.link("holder"))
        return {
            "principal": self.principal.arn,
            "database": self.database.name,
            "user": self.user,
            "state": self.state,
            "reason": decisive.text,
            "links": [{"name": link.name, "state": link.state, "text": link.text} for link in self.links],
        }


def grants(principals: list[Principal], databases: list[Database], hosts: list[Host] | None) -> list[Grant]:
    """All of them; C(hosts) is None where the EC2 instances could not be read."""
    found = []
    for principal in principals:
        holder = _holder(principal, hosts)
        for database in databases:
            for user in _candidates(principal, database):
                target = database.target(user)
                if any(applies(statement, target.arn) for _policy, statement in principal.connecting):
                    permission = judge(target, str(principal), principal.policies, None)
                    links = [_flag(database), holder, permission, _account(database, user)]
                    found.append(Grant(principal, database, user, links))
    return found


def _candidates(principal: Principal, database: Database) -> list[str]:
    """The users that are worth a look: those that exist, and those that the statements name."""
    named = {}
    for _policy, statement in principal.connecting:
        if "NotResource" in statement:
            named["*"] = None
        for resource in texts(statement, "Resource"):
            named.update(dict.fromkeys(user_patterns(resource, database.prefix)))
    if not named:
        return []
    if database.accounts is None:
        return list(named)
    return list(dict.fromkeys([*database.iam_users, *(name for name in named if not is_pattern(name))]))


def user_patterns(resource: str, prefix: str) -> Iterator[str]:
    """The user, or pattern of users, that a resource of a statement names on the database with this prefix."""
    resource = widened(resource)
    head, slash, user = resource.partition("/")
    if slash and matches(head, prefix):
        yield user
    elif resource.endswith("*") and matches(resource, f"{prefix}/"):
        yield "*"


def is_pattern(text: str) -> bool:
    return "*" in text or "?" in text


def _flag(database: Database) -> Link:
    record, what = database.record, f"IAM database authentication of the {title(database.record)}"
    pending = record["pending"].get(FLAG)
    waiting = "" if pending is None else f", and a change to {'on' if pending else 'off'} is pending"
    if record["iam_auth_enabled"]:
        return Link("flag", OK, f"{what} is on{waiting}")
    return Link("flag", BROKEN, f"{what} is off{waiting}")


def _holder(principal: Principal, hosts: list[Host] | None) -> Link:
    if principal.kind == "user":
        return Link("holder", OK, f"{principal} signs with keys of its own")
    others = [one for one in principal.trusts if not one.startswith("ec2.amazonaws.com")]
    holding = [host for host in hosts or [] if host.profile in principal.profiles]
    if holding:
        return Link("holder", OK, f"EC2 instances have it: {', '.join(host.name for host in holding)}")
    if others:
        return Link("holder", OK, f"{', '.join(others)} may assume it")
    if hosts is None and principal.profiles:
        return Link("holder", UNKNOWN, "the EC2 instances could not be read")
    return Link("holder", BROKEN, f"no EC2 instance has {principal}, and nobody else may assume it")


def _account(database: Database, user: str) -> Link:
    if database.accounts is None:
        return Link("account", UNKNOWN, f"the accounts of {database.name} were not seen: {database.unseen}")
    found = [one for one in database.accounts if one["name"] == user]
    usable = [one for one in found if one["iam"] and not one["locked"]]
    if usable:
        shown = ", ".join(f"'{one['name']}'@'{one['host']}'" for one in usable)
        return Link("account", OK, f"{database.name} has {shown} for IAM logins")
    if not found:
        return Link("account", BROKEN, f"{database.name} has no account {user}")
    if any(one["iam"] for one in found):
        return Link("account", BROKEN, f"the account {user} of {database.name} is locked")
    return Link("account", BROKEN, f"the account {user} of {database.name} logs in with {found[0]['plugin']}")
