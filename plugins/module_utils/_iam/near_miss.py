# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find the statement that looks most as if it allowed a login, and its mistake. Pure, private to this collection."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.patterns import glob_matches
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.policy_document import CONNECT, statements, texts
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.policy_evaluation import (
    Permissions,
    Statement,
    describe,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.resources import ResourcePattern
from ansible_collections.dbops.rds_iam.plugins.module_utils._text import list_items

_PARTS = ("partition", "service", "region", "account")
_WRONG_PART = {
    "partition": "is for the partition {value}, and the database is in {expected}",
    "service": "names a resource of {value}, and logins are authorised on those of rds-db",
    "region": "is for the region {value}, and the database is in {expected}",
    "account": "is for the account {value}, and the database is in {expected}",
}
_SHAPE = re.compile(r"(?P<kind>[^:/]*)(?P<first>[:/]?)(?P<id>[^:/]*)(?P<second>[:/]?)(?P<user>.*)", re.S)
_MAX_USERS = 3  # the most users that a sentence lists
_MANY_PROBLEMS = 9  # more than a resource can have that is the ARN of a database user


@dataclass(frozen=True)
class Target:
    """The database user to connect as, and what a policy may confuse the database with.

    C(database_names) has the names of the databases of this run by their resource ids. With C(is_pattern) the user is a
    pattern, since the users of the database were not read.
    """

    arn: str
    identifier: str
    member_resource_ids: tuple[str, ...] = ()
    database_names: Mapping[str, str] = field(default_factory=dict)
    is_pattern: bool = False

    @property
    def resource_id(self) -> str:
        return self.arn.split(":", 6)[-1].partition("/")[0]

    @property
    def user(self) -> str:
        return self.arn.partition("/")[2]


@dataclass(frozen=True)
class Mistake:
    """The mistake of a resource that does not name a target.

    C(count) is the number of problems, and C(text) tells the first of them. C(means_database) tells that it names the
    database of the target in a wrong way, as by its identifier; C(user) is the one that it names.
    """

    count: int
    text: str
    names_user: bool = False
    names_database: bool = False
    means_database: bool = False
    user: str = ""


def describe_near_miss(target: Target, permissions: Permissions) -> str:
    """Return the likeliest statement and its mistake, or that none names the user; empty where there is nothing to say.

    C(permissions) do not allow to connect as the target.
    """
    mistakes = [
        (_find_mistake_of_pattern(target, pattern), statement)
        for statement in permissions.allow_statements
        for pattern in statement.resources.patterns
    ]
    mistakes_on_user = [pair for pair in mistakes if pair[0].names_user]
    if mistakes_on_user:
        mistake, statement = min(mistakes_on_user, key=lambda pair: (pair[0].count, not pair[0].means_database))
        return f"{statement} {mistake.text}"
    mistakes_on_database = [pair for pair in mistakes if pair[0].names_database and pair[0].user]
    users = list(dict.fromkeys(mistake.user for mistake, _statement in mistakes_on_database))
    if len(users) == 1:
        return f"{mistakes_on_database[0][1]} names the user {users[0]}, and not {target.user}"
    if users:
        listing = list_items(users, limit=_MAX_USERS)
        return f"no statement names the user {target.user}; on this database they name {listing}"
    return _describe_other_action(permissions) or _describe_only_mistake(target, mistakes)


def _describe_other_action(permissions: Permissions) -> str:
    for policy in permissions.policies:
        for statement in statements(policy.document):
            if policy.boundary or statement.get("Effect") != "Allow":
                continue
            if any(action.lower().startswith("rds:") for action in texts(statement, "Action")):
                name = describe(policy, statement)
                return f"{name} allows actions that begin with rds:, and {CONNECT} is none of them"
    return ""


def _describe_only_mistake(target: Target, mistakes: list[tuple[Mistake, Statement]]) -> str:
    """Return the mistake of a resource that names neither the user nor the database, if there is only one resource."""
    if not mistakes:
        return ""
    if len(mistakes) == 1:
        mistake, statement = mistakes[0]
        return f"{statement} {mistake.text}"
    return f"no statement names the user {target.user}"


def _find_mistake_of_pattern(target: Target, pattern: ResourcePattern) -> Mistake:
    if pattern.empty_variable:
        reason = f"{pattern.empty_variable} has no value for this principal, so it matches nothing"
        return Mistake(1, f"names {pattern.text}, and {reason}", names_user=True)
    return find_mistake(target, pattern.glob)


def find_mistake(target: Target, resource: str) -> Mistake:
    """Return the mistake of a resource, in which V(*) stands for variables that are not known."""
    _arn, *parts, name = (*resource.split(":", 5), *[""] * 6)[:6]
    if glob_matches(resource, target.arn):
        text = f"names {resource}, and an asterisk within a part of an ARN stands for nothing beyond the next colon"
        return Mistake(1, text, names_user=True)
    shape = _SHAPE.fullmatch(name)
    if not resource.startswith("arn:") or not name or shape is None:
        return Mistake(_MANY_PROBLEMS, f"names {resource}, which is not the ARN of a database user")
    part_problems, database_problem = _find_wrong_parts(target, parts), _find_wrong_database(target, shape["id"])
    problems = [*part_problems, *_find_wrong_shape(target, shape), *([database_problem] if database_problem else [])]
    if not glob_matches(shape["user"], target.user):
        problems.append(_describe_wrong_user(shape["user"], target.user))
    return Mistake(
        len(problems),
        problems[0] if problems else f"names {resource}",
        names_user=glob_matches(shape["user"].lower(), target.user.lower()),
        names_database=not part_problems and not database_problem,
        means_database=bool(_describe_misnaming(target, shape["id"])),
        user=shape["user"],
    )


def _find_wrong_parts(target: Target, parts: list[str]) -> list[str]:
    """Return the problems of the parts of an ARN before the resource."""
    _arn, *target_parts, _resource = target.arn.split(":", 5)
    return [
        _WRONG_PART[name].format(value=part or "none", expected=target_part)
        for name, part, target_part in zip(_PARTS, parts, target_parts)
        if not glob_matches(part, target_part)
    ]


def _find_wrong_shape(target: Target, shape: re.Match[str]) -> list[str]:
    resource = f"dbuser:{target.resource_id}/{target.user}"
    if shape["kind"] not in ("dbuser", "*"):
        return [f"names {shape[0]}, and it must be {resource}"]
    if (shape["first"], shape["second"]) in ((":", "/"), ("", ""), (":", "")):
        return []
    missing = "a colon before the resource id" if shape["first"] != ":" else "a slash before the user"
    return [f"names {shape[0]}, without {missing}; it must be {resource}"]


def _describe_wrong_user(user: str, target_user: str) -> str:
    if user.lower() == target_user.lower():
        return f"names the user {user}, and case counts: the user is {target_user}"
    return f"names the user {user or 'without a name'}, and not {target_user}"


def _find_wrong_database(target: Target, resource_id: str) -> str:
    """Return the problem of a resource id; empty if there is none."""
    if glob_matches(resource_id, target.resource_id):
        return ""
    return _describe_misnaming(target, resource_id) or _describe_other_database(target, resource_id)


def _describe_misnaming(target: Target, name: str) -> str:
    """Return how a name names the database of the target in place of its resource id; empty if it does not."""
    resource_id = target.resource_id
    if name.lower() == target.identifier.lower():
        return f"names the database by its identifier {name}, and must name it by its resource id {resource_id}"
    if name in target.member_resource_ids:
        return f"names {name}, which is a member of the cluster, and logins are authorised on the cluster {resource_id}"
    if name.lower() == resource_id.lower():
        return f"names {name}, and case counts: the resource id is {resource_id}"
    return ""


def _describe_other_database(target: Target, name: str) -> str:
    resource_id = target.resource_id
    if name in target.database_names:
        database = target.database_names[name]
        return f"names the database {database} ({name}), and not {target.identifier}, which is {resource_id}"
    if name.startswith("prx-"):
        return f"names {name}, which is an RDS Proxy, and the resource id of {target.identifier} is {resource_id}"
    if not re.fullmatch(r"(db|cluster)-[A-Z0-9]+", name):
        return f"names {name or 'no database'}, which is no resource id; that of {target.identifier} is {resource_id}"
    return (
        f"names the resource id {name}, and that of {target.identifier} is {resource_id}; {name} may be another"
        " database, or this one before it was restored or made again"
    )
