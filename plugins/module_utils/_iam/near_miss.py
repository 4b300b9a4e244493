# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The statement that looks most as if it allowed a login, and what is wrong with it. Pure, private here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.patterns import glob_matches
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.policy_evaluation import (
    ACTION,
    Permissions,
    Statement,
    statements,
    texts,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.resources import ResourcePattern

_PARTS = ("partition", "service", "region", "account")
_WRONG_PART = {
    "partition": "is for the partition {found}, and the database is in {wanted}",
    "service": "names a resource of {found}, and logins are authorised on those of rds-db",
    "region": "is for the region {found}, and the database is in {wanted}",
    "account": "is for the account {found}, and the database is in {wanted}",
}
_SHAPE = re.compile(r"(?P<kind>[^:/]*)(?P<first>[:/]?)(?P<id>[^:/]*)(?P<second>[:/]?)(?P<user>.*)", re.S)
_LISTED = 3


@dataclass(frozen=True)
class Target:
    """The database user that somebody would connect as, and what a policy may confuse the database with.

    C(known) has the names of the databases of this run by their resource ids. With C(is_pattern) the user is a pattern,
    since the users of the database were not read.
    """

    arn: str
    identifier: str
    member_resource_ids: tuple[str, ...] = ()
    known: Mapping[str, str] = field(default_factory=dict)
    is_pattern: bool = False

    @property
    def resource_id(self) -> str:
        return self.arn.split(":", 6)[-1].partition("/")[0]

    @property
    def user(self) -> str:
        return self.arn.partition("/")[2]


@dataclass(frozen=True)
class Mistake:
    """What a resource names in place of a target: how many things are wrong, and the first of them.

    C(means_database) tells that it names this database in a wrong way, as by its identifier.
    """

    count: int
    text: str
    names_user: bool = False
    names_database: bool = False
    means_database: bool = False
    found_user: str = ""


def near_miss(target: Target, permissions: Permissions) -> str:
    """Return what the likeliest statement is and does instead, or that none names the user; empty without any."""
    mistakes = [
        (_of_pattern(target, pattern), statement)
        for statement in permissions.allowing
        for pattern in statement.resources.all
    ]
    of_this_user = [(mistake, statement) for mistake, statement in mistakes if mistake.names_user]
    if of_this_user:
        mistake, statement = min(of_this_user, key=lambda pair: (pair[0].count, not pair[0].means_database))
        return f"{statement} {mistake.text}"
    fitting = [(mistake, statement) for mistake, statement in mistakes if mistake.names_database and mistake.found_user]
    others = list(dict.fromkeys(mistake.found_user for mistake, _statement in fitting))
    if len(others) == 1:
        return f"{fitting[0][1]} names the user {others[0]}, and not {target.user}"
    if others:
        more = f" and {len(others) - _LISTED} more" if len(others) > _LISTED else ""
        return (
            f"no statement names the user {target.user}; on this database they name {', '.join(others[:_LISTED])}{more}"
        )
    return _of_another_action(permissions) or _the_only_one(target, mistakes)


def _of_another_action(permissions: Permissions) -> str:
    for policy in permissions.policies:
        for statement in statements(policy):
            if policy.boundary or statement.get("Effect") != "Allow":
                continue
            if any(action.lower().startswith("rds:") for action in texts(statement, "Action")):
                sid = statement.get("Sid")
                named = f"the statement {sid} of {policy}" if sid else f"a statement of {policy}"
                return f"{named} allows actions that begin with rds:, and {ACTION} is none of them"
    return ""


def _the_only_one(target: Target, mistakes: list[tuple[Mistake, Statement]]) -> str:
    """Return what a resource does that names neither the user nor the database, if it is the only one."""
    if not mistakes:
        return ""
    if len(mistakes) == 1:
        mistake, statement = mistakes[0]
        return f"{statement} {mistake.text}"
    return f"no statement names the user {target.user}"


def _of_pattern(target: Target, pattern: ResourcePattern) -> Mistake:
    if pattern.void_variable:
        why = (
            f"names {pattern.text}, and {pattern.void_variable} has no value for this principal, so it matches nothing"
        )
        return Mistake(1, why, names_user=True)
    return find_mistake(target, pattern.widened)


def find_mistake(target: Target, resource: str) -> Mistake:
    """Return what is wrong with a resource, in which V(*) stands for variables that are not known."""
    _arn, *parts, rest = (*resource.split(":", 5), *[""] * 6)[:6]
    if glob_matches(resource, target.arn):
        why = f"names {resource}, and an asterisk within a part of an ARN stands for nothing beyond the next colon"
        return Mistake(1, why, names_user=True)
    if not resource.startswith("arn:") or not rest:
        return Mistake(9, f"names {resource}, which is not the ARN of a database user")
    shape = _SHAPE.fullmatch(rest)
    of_parts, of_database = _wrong_parts(target, parts), _wrong_database(target, shape["id"])
    problems = [*of_parts, *_wrong_shape(target, shape), *([of_database] if of_database else [])]
    if not glob_matches(shape["user"], target.user):
        problems.append(_wrong_user(shape["user"], target.user))
    return Mistake(
        len(problems),
        problems[0] if problems else f"names {resource}",
        names_user=glob_matches(shape["user"].lower(), target.user.lower()),
        names_database=not of_parts and not of_database,
        means_database=_means(target, shape["id"]),
        found_user=shape["user"],
    )


def _wrong_parts(target: Target, parts: list[str]) -> list[str]:
    """Return what is wrong with the parts of an ARN before the resource."""
    _arn, *wanted_parts, _resource = target.arn.split(":", 5)
    return [
        _WRONG_PART[name].format(found=part or "none", wanted=wanted)
        for name, part, wanted in zip(_PARTS, parts, wanted_parts)
        if not glob_matches(part, wanted)
    ]


def _means(target: Target, found: str) -> bool:
    named = (target.identifier.lower(), target.resource_id.lower())
    return found.lower() in named or found in target.member_resource_ids


def _wrong_shape(target: Target, shape: re.Match) -> list[str]:
    wanted = f"dbuser:{target.resource_id}/{target.user}"
    if shape["kind"] not in ("dbuser", "*"):
        return [f"names {shape[0]}, and it must be {wanted}"]
    if (shape["first"], shape["second"]) in ((":", "/"), ("", ""), (":", "")):
        return []
    where = "before the resource id" if shape["first"] != ":" else "before the user"
    sign = "a colon" if shape["first"] != ":" else "a slash"
    return [f"names {shape[0]}, without {sign} {where}; it must be {wanted}"]


def _wrong_user(found: str, wanted: str) -> str:
    if found.lower() == wanted.lower():
        return f"names the user {found}, and case counts: the user is {wanted}"
    return f"names the user {found or 'without a name'}, and not {wanted}"


def _wrong_database(target: Target, found: str) -> str:
    """Return what is wrong with a resource id; empty if nothing is."""
    wanted = target.resource_id
    if glob_matches(found, wanted):
        return ""
    if found.lower() == target.identifier.lower():
        return f"names the database by its identifier {found}, and must name it by its resource id {wanted}"
    if found in target.member_resource_ids:
        return f"names {found}, which is a member of the cluster, and logins are authorised on the cluster {wanted}"
    if found.lower() == wanted.lower():
        return f"names {found}, and case counts: the resource id is {wanted}"
    if found in target.known:
        return f"names the database {target.known[found]} ({found}), and not {target.identifier}, which is {wanted}"
    if found.startswith("prx-"):
        return f"names {found}, which is an RDS Proxy, and the resource id of {target.identifier} is {wanted}"
    if not re.fullmatch(r"(db|cluster)-[A-Z0-9]+", found):
        return f"names {found or 'no database'}, which is no resource id; that of {target.identifier} is {wanted}"
    return (
        f"names the resource id {found}, and that of {target.identifier} is {wanted}; {found} may be another database,"
        " or this one before it was restored or made again"
    )
