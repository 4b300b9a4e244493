# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which statement lets a role or user connect as a database user, or keeps it from that. Pure, private here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from ansible_collections.dbops.rds_iam.plugins.module_utils._links import BROKEN, OK, UNKNOWN, Link

ACTION = "rds-db:connect"
# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAMDBAuth.html, limitations
_UNSUPPORTED_KEYS = {
    *("aws:referer", "aws:sourceip", "aws:sourcevpc", "aws:sourcevpce", "aws:useragent", "aws:vpcsourceip"),
}
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html
# Those of *, ? and $ are these characters.
_VARIABLE = re.compile(r"\$\{([^}*?$][^}]*)\}")
_PIECE = re.compile(r"\$\{([*?$])\}|([*?])|(.)", re.S)
_WILD = {"*": ".*", "?": "."}
_REPAIR = "let the role dbops.rds_iam.iam_role write the policy (dbops.rds_iam.site --tags step5)"


@dataclass(frozen=True)
class Policy:
    """A policy of the role; without a document it could not be read, and C(reason) says why."""

    name: str
    document: dict | None
    boundary: bool = False
    reason: str = ""

    def __str__(self) -> str:
        return f"the permissions boundary {self.name}" if self.boundary else f"the policy {self.name}"


@dataclass(frozen=True)
class Target:
    """What the role asks for, and what a near miss may be mistaken about."""

    arn: str
    identifier: str
    member_resource_ids: tuple[str, ...] = ()


def judge(target: Target, who: str, policies: list[Policy], simulated: str | None) -> Link:
    """The link between a role or user and a database user. C(simulated) is what IAM itself says, if it was asked."""
    identity = [policy for policy in policies if not policy.boundary]
    found = [(policy, one) for policy in policies for one in statements(policy)]
    unread = [policy for policy in policies if policy.document is None]
    denied = [(p, s) for p, s in found if s.get("Effect") == "Deny" and applies(s, target.arn)]
    for policy, statement in denied:
        if not open_keys(statement, target.arn) or simulated == "explicitDeny":
            return _broken(
                f"{named(policy, statement)} denies {ACTION} on {target.arn} to {who}",
                f"take the database user out of that Deny of {policy}",
            )
    if simulated == "explicitDeny":
        return _broken(
            f"IAM says that a Deny, which is in no policy of {who}, keeps it from {target.arn}",
            "have that Deny changed in the policies of the organization",
        )
    allowing = [(p, s) for p, s in found if s.get("Effect") == "Allow" and applies(s, target.arn)]
    granted, doubts = [(p, s) for p, s in allowing if not p.boundary], denied
    for boundary in (policy for policy in policies if policy.boundary and policy.document is not None):
        within = [(p, s) for p, s in allowing if p is boundary]
        if granted and not within:
            return _broken(
                f"{boundary} of {who} does not allow {ACTION} on {target.arn}",
                f"add {ACTION} to that boundary, or set iam_role_permissions_boundary to another",
            )
        if all(open_keys(statement, target.arn) for _policy, statement in within):
            doubts = doubts + within
    return _judge_granted(target, who, granted, doubts, unread, simulated) or _near_miss(target, who, identity)


def _judge_granted(target, who, granted, doubts, unread, simulated) -> Link | None:
    """C(doubts) are the statements that may take it away again, as only AWS knows."""
    free = [(policy, statement) for policy, statement in granted if not open_keys(statement, target.arn)]
    hopeless = [(policy, statement, key) for policy, statement in granted for key in unsupported_keys(statement)]
    if granted and len({id(statement) for _policy, statement, _key in hopeless}) == len(granted):
        policy, statement, key = hopeless[0]
        return _broken(
            f"{named(policy, statement)} allows {ACTION} only under a condition on {key}, which RDS does not support"
            " for logins",
            f"take the condition out of that statement, or {_REPAIR}",
        )
    if (free and not doubts and not unread and simulated != "implicitDeny") or (granted and simulated == "allowed"):
        policy, statement = (free or granted)[0]
        return Link("permission", OK, f"{named(policy, statement)} allows {ACTION} on {target.arn}")
    if free and simulated == "implicitDeny":
        return _broken(
            f"{named(*free[0])} allows {ACTION} on {target.arn}, and IAM says that {who} is not allowed"
            " it all the same",
            "have the policies of the organization allow it",
        )
    if free and unread:
        return Link("permission", UNKNOWN, f"{unread[0]} of {who} may deny it: {unread[0].reason}")
    if granted:
        keys = ", ".join(sorted({key for _policy, one in granted + doubts for key in open_keys(one, target.arn)}))
        return Link("permission", UNKNOWN, f"it depends on conditions ({keys}) that only AWS can judge")
    if unread:
        return Link("permission", UNKNOWN, f"{unread[0]} of {who} may allow it: {unread[0].reason}")
    return None


def unsupported_keys(statement: dict) -> list[str]:
    return [key for key in condition_keys(statement) if key.lower() in _UNSUPPORTED_KEYS]


def _broken(text: str, repair: str) -> Link:
    return Link("permission", BROKEN, text, repair)


def named(policy: Policy, statement: dict) -> str:
    sid = statement.get("Sid")
    return f"the statement {sid} of {policy}" if sid else f"a statement of {policy}"


def statements(policy: Policy) -> list[dict]:
    found = (policy.document or {}).get("Statement", [])
    return [one for one in (found if isinstance(found, list) else [found]) if isinstance(one, dict)]


def trusted(document: dict) -> list[str]:
    """Who may assume a role by its trust policy: services, ARNs, account numbers and providers."""
    found = {}
    for statement in statements(Policy("trust", document)):
        principal = statement.get("Principal") or {} if statement.get("Effect") == "Allow" else {}
        for value in principal.values() if isinstance(principal, dict) else [principal]:
            found.update(dict.fromkeys(value if isinstance(value, list) else [value]))
    return list(found)


def texts(statement: dict, key: str) -> list[str]:
    value = statement.get(key, [])
    return [str(one) for one in (value if isinstance(value, list) else [value])]


def condition_keys(statement: dict) -> list[str]:
    blocks = statement.get("Condition") or {}
    return [key for block in blocks.values() if isinstance(block, dict) for key in block]


def open_keys(statement: dict, arn: str) -> list[str]:
    """What only AWS can judge of a statement that applies: its conditions, and the variables that make it apply."""
    matching = [one for key in ("Resource", "NotResource") for one in texts(statement, key) if matches(one, arn)]
    named_openly = "Resource" in statement and any(not variables(one) for one in matching)
    return condition_keys(statement) + [key for one in matching * (not named_openly) for key in variables(one)]


def variables(resource: str) -> list[str]:
    """The policy variables in a resource, as aws:username, which can stand for anything."""
    return [key.split(",")[0].strip() for key in _VARIABLE.findall(resource)]


def widened(resource: str) -> str:
    """A resource with * in place of its policy variables."""
    return _VARIABLE.sub("*", resource)


@cache
def _compiled(pattern: str) -> re.Pattern:
    pieces = _PIECE.findall(widened(pattern))
    return re.compile("".join(_WILD.get(wild) or re.escape(escaped or char) for escaped, wild, char in pieces), re.S)


def matches(pattern: str, text: str) -> bool:
    """Whether a pattern of IAM is met, or may be, if it has policy variables in it.

    Case counts in resources; actions are given in lower case.
    """
    return _compiled(pattern).fullmatch(text) is not None


def applies(statement: dict, arn: str) -> bool:
    """Whether a statement is about connecting as this database user."""
    return about_connect(statement) and _covers(statement, arn)


def about_connect(statement: dict) -> bool:
    """Whether a statement is about connecting as some database user."""
    if "NotAction" in statement:
        return not any(matches(action.lower(), ACTION) for action in texts(statement, "NotAction"))
    return any(matches(action.lower(), ACTION) for action in texts(statement, "Action"))


def _covers(statement: dict, arn: str) -> bool:
    if "NotResource" in statement:
        return not any(matches(one, arn) and not variables(one) for one in texts(statement, "NotResource"))
    return any(matches(resource, arn) for resource in texts(statement, "Resource"))


def _near_miss(target: Target, who: str, policies: list[Policy]) -> Link:
    """Nothing allows the login; the statement that looks most as if it should is named, with its mistake."""
    guesses = []
    for policy in policies:
        for statement in statements(policy):
            if statement.get("Effect") != "Allow":
                continue
            if about_connect(statement):
                for resource in texts(statement, "Resource"):
                    guesses.append((*mistake(target, resource), policy, statement))
            elif any(action.lower().startswith("rds:") for action in texts(statement, "Action")):
                why = f"allows actions that begin with rds:, and {ACTION} is none of them"
                guesses.append((1, why, policy, statement))
    nothing = f"no policy of {who} allows {ACTION} on {target.arn}"
    if not guesses:
        return _broken(nothing, _REPAIR)
    _likeness, why, policy, statement = max(guesses, key=lambda guess: guess[0])
    return _broken(f"{nothing}: {named(policy, statement)} {why}", _REPAIR)


_PARTS = ("partition", "service", "region", "account")
_WHY = {
    "partition": "is for the partition {found}, and the database is in {wanted}",
    "service": "names a resource of {found}, and logins are authorised on those of rds-db",
    "region": "is for the region {found}, and the database is in {wanted}",
    "account": "is for the account {found}, and the database is in {wanted}",
}
_SAME_USER = 10  # counts for more than all parts of an ARN together: other users are other people's business


def mistake(target: Target, resource: str) -> tuple[int, str]:
    """How like the wanted ARN a resource is, and the first thing that is wrong about it."""
    resource = widened(resource)
    _arn, *parts, kind, rest = (*resource.split(":", 6), *[""] * 7)[:7]
    _arn, *wanted, wanted_kind, wanted_rest = target.arn.split(":", 6)
    if not rest and not kind:
        return 0, f"names {resource}, which is not the ARN of a database user"
    resource_id, _slash, user = rest.partition("/")
    wanted_id, _slash, wanted_user = wanted_rest.partition("/")
    wrong = [name for name, mine, theirs in zip(_PARTS, parts, wanted) if not matches(mine, theirs)]
    likeness = len(_PARTS) - len(wrong) + (kind == wanted_kind) + matches(resource_id, wanted_id)
    likeness += _SAME_USER * (matches(user.lower(), wanted_user.lower()))
    likeness += resource_id.lower() in (target.identifier.lower(), wanted_id.lower())
    likeness += resource_id in target.member_resource_ids
    if wrong:
        found = dict(zip(_PARTS, parts))[wrong[0]] or "none"
        return likeness, _WHY[wrong[0]].format(found=found, wanted=dict(zip(_PARTS, wanted))[wrong[0]])
    if kind != wanted_kind:
        return likeness, f"names {kind}:{rest}, and it must be {wanted_kind}:{wanted_rest}"
    if not matches(resource_id, wanted_id):
        return likeness, _wrong_database(target, resource_id, wanted_id)
    return likeness, _wrong_user(user, wanted_user)


def _wrong_user(found: str, wanted: str) -> str:
    if found.lower() == wanted.lower():
        return f"names the user {found}, and case counts: the user is {wanted}"
    return f"names the user {found or 'without a name'}, and not {wanted}"


def _wrong_database(target: Target, found: str, wanted: str) -> str:
    if found.lower() == target.identifier.lower():
        return f"names the database by its identifier {found}, and must name it by its resource id {wanted}"
    if found in target.member_resource_ids:
        return f"names {found}, which is a member of the cluster, and logins are authorised on the cluster {wanted}"
    if found.lower() == wanted.lower():
        return f"names {found}, and case counts: the resource id is {wanted}"
    return (
        f"names the resource id {found}, and that of {target.identifier} is {wanted}; a database that was restored or"
        " made again has another one than before"
    )
