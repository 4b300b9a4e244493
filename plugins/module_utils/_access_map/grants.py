# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who may log in where, from what AWS and the servers say. Pure, and private to this collection."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.rds_record import FLAG, title
from ansible_collections.dbops.rds_iam.plugins.module_utils._checks import BROKEN, OK, UNKNOWN, Link
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.near_miss import Target
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.permission_check import judge_permissions
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.policy_evaluation import Permissions, Policy, Statement
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.request_context import RequestContext, login_context
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.resources import is_pattern
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.trust import EC2, Trustee
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.truth import YES
from ansible_collections.dbops.rds_iam.plugins.module_utils._text import listed

_STATES = {OK: "open", BROKEN: "closed", UNKNOWN: "unknown"}
# The engines whose users this collection reads; aurora is the name of Aurora MySQL version 1.
_READ = ("mysql", "mariadb", "aurora-mysql", "aurora")
# The engines that rds-db:connect is not for.
# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Concepts.RDS_Fea_Regions_DB-eng.Feature.IamDatabaseAuthentication.html
# Neptune has its own actions, and DocumentDB its own way:
# https://docs.aws.amazon.com/neptune/latest/userguide/iam-auth.html
# https://docs.aws.amazon.com/documentdb/latest/developerguide/iam-identity-auth.html
_WITHOUT_LOGINS = re.compile(r"(custom-)?(oracle|sqlserver|db2)\b.*|neptune|docdb")


@dataclass(frozen=True)
class Credentials:
    """With what an IAM user can sign. A thing is None where it was not read, for the reason in C(unread)."""

    active_keys: int | None = None
    console_password: bool | None = None
    unread: str = "its access keys were not read"


@dataclass(frozen=True)
class Principal:
    """An IAM role or user, with all policies that count for it."""

    kind: str  # role or user
    name: str
    arn: str
    policies: list[Policy]
    trustees: list[Trustee] | None = field(default_factory=list)  # who may assume the role; None: not read
    profiles: list[str] = field(default_factory=list)
    credentials: Credentials = Credentials()
    context: RequestContext | None = None

    def __str__(self) -> str:
        return f"the IAM {self.kind} {self.name}"

    @cached_property
    def permissions(self) -> Permissions:
        return Permissions(self.policies, self.context or login_context(self.kind, self.name, self.arn))

    @property
    def connecting(self) -> list[Statement]:
        """The statements that let it connect as some database user, whatever takes that away again."""
        return self.permissions.allowing

    @property
    def trusts(self) -> list[str]:
        return [one.name for one in self.trustees or []]


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

    @property
    def takes_iam_logins(self) -> bool:
        """Whether rds-db:connect is for its engine."""
        return not _WITHOUT_LOGINS.fullmatch(self.record["engine"])

    @property
    def is_managed(self) -> bool:
        """Whether the collection handles its engine."""
        return self.record["engine"] in _READ

    @cached_property
    def iam_users(self) -> list[str]:
        return list(dict.fromkeys(one["name"] for one in self.accounts or [] if one["iam"]))

    def target(self, user: str, known: Mapping[str, str] | None = None) -> Target:
        pattern = self.accounts is None and is_pattern(user)
        return Target(f"{self.prefix}/{user}", self.record["identifier"], self.members, known or {}, pattern)


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
    """Return all of them; C(hosts) is None where the EC2 instances could not be read."""
    databases = [database for database in databases if database.takes_iam_logins]
    region = databases[0].record["region"] if databases else ""
    found = []
    for principal in principals:
        holder = _holder(principal, hosts, region)
        for database in databases:
            for user in _candidates(principal, database):
                target = database.target(user)
                if principal.permissions.reach(target.arn, target.is_pattern):
                    permission = judge_permissions(target, str(principal), principal.permissions)
                    links = [_flag(database), holder, permission, _account(database, user)]
                    found.append(Grant(principal, database, user, links))
    return found


def _candidates(principal: Principal, database: Database) -> list[str]:
    """The users that are worth a look: those that exist, and those that the statements name."""
    named = {}
    for statement in principal.connecting:
        if "NotResource" in statement.raw:
            named["*"] = None
        named.update(dict.fromkeys(statement.resources.users(database.prefix)))
    if not named:
        return []
    if database.accounts is None:
        return list(named)
    return list(dict.fromkeys([*database.iam_users, *(name for name in named if not is_pattern(name))]))


def _flag(database: Database) -> Link:
    record, what = database.record, f"IAM database authentication of the {title(database.record)}"
    pending = record["pending"].get(FLAG)
    waiting = "" if pending is None else f", and a change to {'on' if pending else 'off'} is pending"
    if record["iam_auth_enabled"]:
        return Link("flag", OK, f"{what} is on{waiting}")
    return Link("flag", BROKEN, f"{what} is off{waiting}")


def _holder(principal: Principal, hosts: list[Host] | None, region: str) -> Link:
    if principal.kind == "user":
        return _signing_user(principal)
    if principal.trustees is None:
        return Link("holder", UNKNOWN, f"the trust policy of {principal} was not read")
    ec2 = [one for one in principal.trustees if one.kind == "Service" and one.name in EC2]
    people = [one for one in principal.trustees if one.kind != "Service"]
    holding = [host.name for host in hosts or [] if host.profile in principal.profiles]
    if holding and YES in [one.truth for one in ec2]:
        return Link("holder", OK, f"EC2 instances have it: {', '.join(holding)}")
    certain = [one.name for one in people if one.truth == YES]
    if certain:
        return Link("holder", OK, f"{', '.join(certain)} may assume it")
    doubts = [_not_seen(one, principal, holding, hosts, region) for one in principal.trustees]
    if doubts:
        return Link("holder", UNKNOWN, "; ".join(doubts))
    return Link("holder", BROKEN, f"the trust policy of {principal} lets nobody assume it")


def _not_seen(trustee: Trustee, principal: Principal, holding: list[str], hosts: list[Host] | None, region: str) -> str:
    """Why it is not known whether a principal that may assume a role does so."""
    if trustee.truth != YES:
        also = f"; EC2 instances have it: {', '.join(holding)}" if holding and trustee.name in EC2 else ""
        keys = ", ".join(trustee.truth.missing)
        return f"{trustee.name} may assume it under conditions that cannot be judged ({keys}){also}"
    if trustee.name not in EC2:
        return f"{trustee.name} may assume it, and what has the role there was not looked at"
    if hosts is None:
        return "the EC2 instances could not be read"
    if not principal.profiles:
        return f"{trustee.name} may assume it, and it is in no instance profile, in which it could be put"
    return (
        f"no EC2 instance in {region} has {principal}; other Regions were not looked at, and instances may start later"
    )


def _signing_user(principal: Principal) -> Link:
    """Whether an IAM user has credentials to sign with.

    With a console password CloudShell gives credentials of the user:
    https://docs.aws.amazon.com/cloudshell/latest/userguide/welcome.html
    """
    credentials = principal.credentials
    if credentials.active_keys:
        keys = (
            "an active access key" if credentials.active_keys == 1 else f"{credentials.active_keys} active access keys"
        )
        return Link("holder", OK, f"{principal} has {keys}")
    if credentials.active_keys is None or credentials.console_password is None:
        return Link("holder", UNKNOWN, f"{principal}: {credentials.unread}")
    if credentials.console_password:
        text = f"{principal} has no active access key, but a console password, with which CloudShell gives credentials"
        return Link("holder", UNKNOWN, text)
    return Link("holder", BROKEN, f"{principal} has neither an active access key nor a console password")


def _account(database: Database, user: str) -> Link:
    """Whether the server lets the user in with a token.

    Of several accounts of one name the server takes the one whose host fits the client best
    (https://dev.mysql.com/doc/refman/8.4/en/connection-access.html), so where they differ it depends on the client.
    """
    if database.accounts is None:
        return Link("account", UNKNOWN, f"the accounts of {database.name} were not seen: {database.unseen}")
    rows = [one for one in database.accounts if one["name"] == user]
    anonymous = [one for one in database.accounts if one["name"] == "" and one["host"] != "%"]
    if not rows and not any(one["name"] == "" for one in database.accounts):
        return Link("account", BROKEN, f"{database.name} has no account {user}")
    obstacles = {_shown(one): _obstacle(one) for one in rows}
    usable = [row for row, obstacle in obstacles.items() if not obstacle.text]
    if rows and len(usable) == len(rows) and not anonymous:
        return Link("account", OK, f"{database.name} has {listed(usable)} for IAM logins")
    if rows and not usable and not anonymous and all(obstacle.is_certain for obstacle in obstacles.values()):
        reasons = [f"{row} {obstacle.text}" for row, obstacle in obstacles.items()]
        return Link("account", BROKEN, f"on {database.name} the account {listed(reasons, '; ')}")
    texts = [f"{row} {obstacle.text or 'takes IAM logins'}" for row, obstacle in obstacles.items()]
    texts += [f"{_shown(one)} may stand in its place" for one in anonymous or database.accounts if one["name"] == ""]
    which = "; which of them counts depends on the client's address" if len(texts) > 1 else ""
    return Link("account", UNKNOWN, f"on {database.name} {'; '.join(texts)}{which}")


def _shown(account: dict) -> str:
    return f"'{account['name']}'@'{account['host']}'"


@dataclass(frozen=True)
class Obstacle:
    """Why an account does not let a token in; C(text) is empty if it does."""

    text: str = ""
    is_certain: bool = True


def _obstacle(account: dict) -> Obstacle:
    if not account["iam"]:
        # IAM may be one of them.
        certain = account["plugin"] not in ("several plugins", "several factors")
        return Obstacle(f"logs in with {account['plugin']}", certain)
    if account["locked"]:
        return Obstacle("is locked")
    if account["require"] not in ("NONE", "SSL"):
        return Obstacle(
            f"requires a client certificate ({account['require']}), which a login with a token does not have"
        )
    if account.get("expired"):
        return Obstacle("has an expired password, and lets nobody do anything until it is changed")
    return Obstacle()
