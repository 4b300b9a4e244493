# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find the statement that looks most as if it allowed a login, and its mistake. Pure, private to this collection."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.pattern_index import ResourceShape, read_shape
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.patterns import glob_matches
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.policy_document import CONNECT
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.policy_evaluation import Permissions
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.resources import ResourcePattern
from ansible_collections.dbops.rds_iam.plugins.module_utils._text import list_items

_PARTS = ("partition", "service", "region", "account")
_WRONG_PART = {
    "partition": "is for the partition {value}, and the database is in {expected}",
    "service": "names a resource of {value}, and logins are authorised on those of rds-db",
    "region": "is for the region {value}, and the database is in {expected}",
    "account": "is for the account {value}, and the database is in {expected}",
}
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
    def prefix(self) -> str:
        """Return what the ARNs of the users of the database begin with, without the slash."""
        return self.arn.partition("/")[0]

    @property
    def user(self) -> str:
        return self.arn.partition("/")[2]


@dataclass(frozen=True)
class Mistake:
    """The mistake of a resource that does not name a target.

    C(count) is the number of problems, and C(text) tells the first of them. C(means_database) tells that it names the
    database of the target in a wrong way, as by its identifier.
    """

    count: int
    text: str
    names_user: bool = False
    means_database: bool = False


def describe_near_miss(target: Target, permissions: Permissions) -> str:
    """Return the likeliest statement and its mistake, or that none names the user; empty where there is nothing to say.

    C(permissions) do not allow to connect as the target.
    """
    resources = permissions.allowed_resources
    databases = (target.resource_id, target.identifier, *target.member_resource_ids)
    candidates = [resources[position] for position in permissions.pattern_index.candidates(target.arn, databases)]
    mistakes = [(_find_mistake_of_pattern(target, pattern), statement) for statement, pattern in candidates]
    mistakes_on_user = [pair for pair in mistakes if pair[0].names_user]
    if mistakes_on_user:
        mistake, statement = min(mistakes_on_user, key=lambda pair: (pair[0].count, not pair[0].means_database))
        return f"{statement} {mistake.text}"
    users = permissions.pattern_index.users_on(target.prefix)
    if len(users.names) == 1:
        return f"{resources[users.position][0]} names the user {users.names[0]}, and not {target.user}"
    if users.names:
        listing = list_items(users.names, limit=_MAX_USERS)
        return f"no statement names the user {target.user}; on this database they name {listing}"
    if permissions.rds_api_statement:
        return f"{permissions.rds_api_statement} allows actions that begin with rds:, and {CONNECT} is none of them"
    return _describe_only_mistake(target, permissions)


def _describe_only_mistake(target: Target, permissions: Permissions) -> str:
    """Return the mistake of a resource that names neither the user nor the database, if there is only one resource."""
    if not permissions.allowed_resources:
        return ""
    if len(permissions.allowed_resources) == 1:
        statement, pattern = permissions.allowed_resources[0]
        return f"{statement} {_find_mistake_of_pattern(target, pattern).text}"
    return f"no statement names the user {target.user}"


def _find_mistake_of_pattern(target: Target, pattern: ResourcePattern) -> Mistake:
    if pattern.empty_variable:
        reason = f"{pattern.empty_variable} has no value for this principal, so it matches nothing"
        return Mistake(1, f"names {pattern.text}, and {reason}", names_user=True)
    return find_mistake(target, pattern.glob)


def find_mistake(target: Target, resource: str) -> Mistake:
    """Return the mistake of a resource, in which V(*) stands for variables that are not known."""
    if glob_matches(resource, target.arn):
        text = f"names {resource}, and an asterisk within a part of an ARN stands for nothing beyond the next colon"
        return Mistake(1, text, names_user=True)
    shape = read_shape(resource)
    if shape is None:
        return Mistake(_MANY_PROBLEMS, f"names {resource}, which is not the ARN of a database user")
    problems = [*_find_wrong_parts(target, shape.head), *_find_wrong_shape(target, shape)]
    problems += filter(None, [_find_wrong_database(target, shape.database)])
    if not glob_matches(shape.user, target.user):
        problems.append(_describe_wrong_user(shape.user, target.user))
    return Mistake(
        len(problems),
        problems[0] if problems else f"names {resource}",
        names_user=glob_matches(shape.user.lower(), target.user.lower()),
        means_database=bool(_describe_misnaming(target, shape.database)),
    )


def _find_wrong_parts(target: Target, parts: Iterable[str]) -> list[str]:
    """Return the problems of the parts of an ARN before the resource."""
    _arn, *target_parts, _resource = target.arn.split(":", 5)
    return [
        _WRONG_PART[name].format(value=part or "none", expected=target_part)
        for name, part, target_part in zip(_PARTS, parts, target_parts)
        if not glob_matches(part, target_part)
    ]


def _find_wrong_shape(target: Target, shape: ResourceShape) -> list[str]:
    resource = f"dbuser:{target.resource_id}/{target.user}"
    if shape.kind not in ("dbuser", "*"):
        return [f"names {shape.name}, and it must be {resource}"]
    if (shape.first_separator, shape.second_separator) in ((":", "/"), ("", ""), (":", "")):
        return []
    lack = "a colon before the resource id" if shape.first_separator != ":" else "a slash before the user"
    return [f"names {shape.name}, without {lack}; it must be {resource}"]


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
