# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Policies for two evaluators to judge, made by rule: every shape of a statement, with every effect it can have."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

ACCOUNT = "123456789012"
PREFIX = f"arn:aws:rds-db:eu-west-1:{ACCOUNT}:dbuser:"
ID = "db-ABCDEFGHIJKLMNOPQRSTUVWXYZ"
RESOURCE = f"{PREFIX}{ID}/app"
NOW = "2026-06-01T12:00:00Z"
ROLE, USER, GIVEN = "role", "user", "given"
# What a login by a role and by a user has, and what an evaluator is given to try the operators on.
CONTEXTS = {
    ROLE: {
        "aws:PrincipalArn": f"arn:aws:iam::{ACCOUNT}:role/teams/app-rds",
        "aws:PrincipalAccount": ACCOUNT,
        "aws:PrincipalType": "AssumedRole",
        "aws:PrincipalIsAWSService": "false",
        "aws:PrincipalTag/team": "orders",
        "aws:PrincipalTag/user": "app",
        "aws:CurrentTime": NOW,
    },
    USER: {
        "aws:PrincipalArn": f"arn:aws:iam::{ACCOUNT}:user/people/app",
        "aws:PrincipalAccount": ACCOUNT,
        "aws:PrincipalType": "User",
        "aws:PrincipalIsAWSService": "false",
        "aws:username": "app",
        "aws:userid": "AIDAEXAMPLEEXAMPLE000",
        "aws:PrincipalTag/team": "orders",
        "aws:CurrentTime": NOW,
    },
    GIVEN: {
        "aws:PrincipalArn": f"arn:aws:iam::{ACCOUNT}:role/teams/app-rds",
        "aws:PrincipalTag/team": "orders",
        "aws:MultiFactorAuthAge": "300",
        "aws:CurrentTime": NOW,
        "aws:SecureTransport": "true",
        "aws:SourceIp": "10.1.2.3",
        "aws:TagKeys": ["Team", "Stage"],
    },
}
PRINCIPALS = {
    ROLE: f"arn:aws:sts::{ACCOUNT}:assumed-role/app-rds/i-0123456789abcdef0",
    USER: f"arn:aws:iam::{ACCOUNT}:user/people/app",
    GIVEN: f"arn:aws:sts::{ACCOUNT}:assumed-role/app-rds/i-0123456789abcdef0",
}


@dataclass(frozen=True)
class PolicyCase:
    """Policies of a principal, and C(about): the groups of shapes that the case belongs to."""

    name: str
    policies: list[dict]
    about: frozenset[str] = frozenset()
    boundary: dict | None = None
    principal: str = ROLE
    context: dict = field(default_factory=dict)

    def shown(self) -> dict:
        """Return it as the other evaluator reads it."""
        return {
            "policies": self.policies,
            "boundary": self.boundary,
            "principal": PRINCIPALS[self.principal],
            "resource": RESOURCE,
            "account": ACCOUNT,
            "context": self.context or CONTEXTS[self.principal],
        }


def statement(effect: str = "Allow", **more) -> dict:
    elements = {"Effect": effect, "Action": "rds-db:connect", "Resource": RESOURCE, **more}
    return {key: value for key, value in elements.items() if value is not None}


def document(*statements: dict, version: str | None = "2012-10-17") -> dict:
    return {**({"Version": version} if version else {}), "Statement": list(statements)}


ALLOW = document(statement())


def effects(name: str, about: set[str], principal: str = ROLE, version: str | None = "2012-10-17", **more):
    """The same elements in a statement that allows, and in one that denies what another allows."""
    allow, deny = (document(statement(effect, **more), version=version) for effect in ("Allow", "Deny"))
    yield PolicyCase(f"Allow {name}", [allow], frozenset(about), principal=principal)
    yield PolicyCase(f"Deny {name}", [ALLOW, deny], frozenset(about), principal=principal)


# Resources, by how much AWS says of them.
PLAIN = (
    *(RESOURCE, f"{PREFIX}{ID}/*", f"{PREFIX}*/app", f"{PREFIX}{ID}/a?p", f"{PREFIX}{ID}/app?", f"{PREFIX}*", "*"),
    *(
        f"{PREFIX}{ID}/*p",
        f"{PREFIX}{ID}/a*p",
        f"{PREFIX}db-*/app",
        f"{PREFIX}*/*",
        f"{PREFIX}{ID}*",
        f"{PREFIX}?*/app",
    ),
    *(f"{PREFIX}{ID}/App", f"{PREFIX}{ID.lower()}/app", f"{PREFIX}{ID}/report", f"{PREFIX}{ID}", f"{PREFIX}{ID}/"),
    *(f"{PREFIX}*/*/app", f"{PREFIX}{ID}/app/*", f"{PREFIX}db-OTHER/app", f"{PREFIX}orders/app", f"{PREFIX}*app"),
    f"arn:aws:rds-db:eu-west-1:*:dbuser:{ID}/app",
    f"arn:aws:rds-db:*:{ACCOUNT}:dbuser:{ID}/app",
    f"arn:aws:rds-db:*:*:dbuser:{ID}/app",
    f"arn:aws:rds-db:eu-*:{ACCOUNT}:dbuser:*/app",
    f"arn:aws:rds-db:eu-west-?:{ACCOUNT}:dbuser:*/app",
    f"arn:aws:rds-db:eu-*-1:1*2:dbuser:{ID}/app",
    f"arn:*:rds-db:eu-west-1:{ACCOUNT}:dbuser:{ID}/app",
    f"arn:aws:rds-db:us-east-1:{ACCOUNT}:dbuser:{ID}/app",
    f"arn:aws:rds-db:eu-west-1:210987654321:dbuser:{ID}/app",
    f"arn:aws-cn:rds-db:eu-west-1:{ACCOUNT}:dbuser:{ID}/app",
    f"arn:aws:rds-db:eu-west-1::dbuser:{ID}/app",
    f"arn:aws:rds:eu-west-1:{ACCOUNT}:dbuser:{ID}/app",
    f"arn:aws:rds-db:eu-west-1:{ACCOUNT}:dbuser/{ID}/app",
    f"arn:aws:rds-db:eu-west-1:{ACCOUNT}:db:{ID}/app",
    f"arn:aws:rds-db:eu-west-1:{ACCOUNT}:*",
    "arn:aws:rds-db:*:*:*",
    "arn:aws:rds-db:*:*:dbuser:*/*",
)
TRAILING = (
    "arn:aws:rds-db:eu-west-1:*",
    "arn:aws:rds-db:*",
    "arn:aws:rds-db:eu-west-1:1*",
    "arn:aws:rds-db:us-east-1:*",
)
CROSSING = (
    "arn:aws:rds-db:eu-west-1:*/app",
    "arn:aws:rds-db:eu-west-1:1*/app",
    f"arn:aws:rds-db:eu*r:{ID}/app",
    f"arn:aws:rds-db:?*1:dbuser:{ID}/app",
)
SEGMENT_END = (
    f"arn:aws:rds-db:eu*:dbuser:{ID}/app",
    f"arn:aws:rds-db:*:{ID}/app",
    f"arn:aws:*:dbuser:{ID}/app",
    f"arn:aws:rds-db:*-west-1:1*:{ID}/app",
)
SHORT = ("arn:aws:rds-db", "arn:aws:rds-db:eu-west-1", f"arn:aws:rds-db:eu-west-1:{ACCOUNT}")
SHORT_OF_OTHERS = ("arn:aws:s3", "arn:aws:rds-db:us-east-1")
TYPE = (
    f"arn:aws:rds-db:eu-west-1:{ACCOUNT}:*/app",
    f"arn:aws:rds-db:eu-west-1:{ACCOUNT}:db*:{ID}/app",
    f"arn:aws:rds-db:eu-west-1:{ACCOUNT}:db?ser:{ID}/app",
    f"arn:aws:rds-db:eu-west-1:{ACCOUNT}:dbuser*",
)
SERVICE = (f"arn:aws:rds*:eu-west-1:{ACCOUNT}:dbuser:{ID}/app", f"arn:aws:*:*:{ACCOUNT}:dbuser:{ID}/app")
CASE = (f"arn:aws:rds-db:EU-WEST-1:{ACCOUNT}:dbuser:{ID}/app", f"arn:aws:RDS-DB:eu-west-1:{ACCOUNT}:dbuser:{ID}/app")
RESOURCES = {
    "plain": PLAIN,
    "trailing": TRAILING,
    "crossing": CROSSING,
    "segment end": SEGMENT_END,
    "short": SHORT,
    "short of others": SHORT_OF_OTHERS,
    "type": TYPE,
    "service": SERVICE,
    "case": CASE,
}


def of_resources() -> Iterator[PolicyCase]:
    for about, resources in RESOURCES.items():
        for resource in resources:
            yield from effects(f"Resource {resource}", {"resource", about}, Resource=resource)
            left_out = {"resource", "left out", about}
            yield from effects(f"NotResource {resource}", left_out, Resource=None, NotResource=resource)
    several = [f"{PREFIX}{ID}/report", f"{PREFIX}*/a*", f"{PREFIX}{ID}/root"]
    yield from effects("several resources", {"resource"}, Resource=several)
    yield from effects("several that are left out", {"resource"}, Resource=None, NotResource=several)


ACTIONS = (
    *("rds-db:connect", "RDS-DB:Connect", "rds-db:*", "rds-db:con*", "rds-db:Con?ect", "rds-db:*t", "*"),
    *("rds:*", "rds:connect", "rds-db:describe", "rds-db:connec", "s3:*", ["s3:*", "rds-db:connect"]),
)
VAGUE_ACTIONS = ("rds*:connect", "r*", "*:*", "*:connect")


def of_actions() -> Iterator[PolicyCase]:
    for action in (*ACTIONS, *VAGUE_ACTIONS):
        about = {"action", *({"vague action"} if action in VAGUE_ACTIONS else ())}
        yield from effects(f"Action {action}", about, Action=action)
        yield from effects(f"NotAction {action}", about, Action=None, NotAction=action)


TEXT = ("StringEquals", "StringEqualsIgnoreCase", "StringLike")
NEGATED_TEXT = ("StringNotEquals", "StringNotEqualsIgnoreCase", "StringNotLike")
SETS = ("", "ForAllValues:", "ForAnyValue:")
KEYS = {
    "known": "aws:PrincipalTag/team",
    "absent": "aws:username",
    "never sent": "aws:SourceVpce",
    "other": "aws:PrincipalTag/absent",
}
TEXT_VALUES = ("orders", "ORDERS", "ord*", ["billing", "orders"], "billing", ["billing", "b*"], "o?ders", "${*}rders")


def of_text_conditions() -> Iterator[PolicyCase]:
    """Every operator on texts, with every set operator, with and without IfExists, on each sort of key."""
    for base, prefix, suffix in itertools.product((*TEXT, *NEGATED_TEXT), SETS, ("", "IfExists")):
        for kind, key in KEYS.items():
            for value in TEXT_VALUES if kind == "known" else ("orders", ["billing", "orders"]):
                operator = f"{prefix}{base}{suffix}"
                about = {"condition", kind, *({"both"} if prefix == "ForAnyValue:" and suffix else ())}
                yield from effects(f"{operator} {key} {value}", about, Condition={operator: {key: value}})


# By operator: the key, values that match what the context gives, and values that do not.
OTHERS = {
    "ArnEquals": ("aws:PrincipalArn", [f"arn:aws:iam::{ACCOUNT}:role/teams/*"], ["arn:aws:iam::*:user/*"]),
    "ArnLike": ("aws:PrincipalArn", [f"arn:*:iam::{ACCOUNT}:*", "arn:aws:iam::1*:role/*s"], ["arn:aws:iam::2*:role/*"]),
    "NumericEquals": ("aws:MultiFactorAuthAge", ["300", "300.0"], ["299"]),
    "NumericLessThan": ("aws:MultiFactorAuthAge", ["301", "3000"], ["300", "-5"]),
    "NumericLessThanEquals": ("aws:MultiFactorAuthAge", ["300"], ["299.5"]),
    "NumericGreaterThan": ("aws:MultiFactorAuthAge", ["299.5"], ["300"]),
    "NumericGreaterThanEquals": ("aws:MultiFactorAuthAge", ["300"], ["301"]),
    "DateEquals": ("aws:CurrentTime", [NOW, "2026-06-01T14:00:00+02:00"], ["2026-06-01"]),
    "DateLessThan": ("aws:CurrentTime", ["2027-01-01", "2026-06-01T12:00:01Z"], [NOW, "2020-01-01T00:00:00Z"]),
    "DateLessThanEquals": ("aws:CurrentTime", [NOW], ["2026-06-01T11:59:59Z"]),
    "DateGreaterThan": ("aws:CurrentTime", ["2020-01-01", "2026-06-01T11:59:59Z"], [NOW]),
    "DateGreaterThanEquals": ("aws:CurrentTime", [NOW], ["2027-01-01T00:00:00Z"]),
    "Bool": ("aws:SecureTransport", ["true"], ["false"]),
    "IpAddress": ("aws:SourceIp", ["10.0.0.0/8", "10.1.2.3"], ["192.168.0.0/16", "10.1.2.4", "2001:db8::/32"]),
}
NEGATED = {"ArnEquals": "ArnNotEquals", "ArnLike": "ArnNotLike", "NumericEquals": "NumericNotEquals"}
NEGATED |= {"DateEquals": "DateNotEquals", "IpAddress": "NotIpAddress"}
SEVERAL = ("Team", "Sta*", ["Team", "Stage"], ["Team", "Stage", "Owner"], "Owner", ["Owner", "Cost"])


def of_other_conditions() -> Iterator[PolicyCase]:
    """Operators on dates, numbers, addresses and ARNs, on keys that are given for this, and not for logins."""
    for base, (key, met, missed) in OTHERS.items():
        for operator in filter(None, (base, NEGATED.get(base), f"{base}IfExists")):
            for value in (*met, *missed, [*missed, met[0]], *([missed] if len(missed) > 1 else ())):
                yield from effects(
                    f"{operator} {key} {value}", {"condition"}, GIVEN, Condition={operator: {key: value}}
                )
    for prefix, base, value in itertools.product(SETS[1:], (*TEXT[::2], *NEGATED_TEXT[::2]), SEVERAL):
        condition = {f"{prefix}{base}": {"aws:TagKeys": value}}
        yield from effects(f"{prefix}{base} aws:TagKeys {value}", {"condition"}, GIVEN, Condition=condition)


def of_null_and_several() -> Iterator[PolicyCase]:
    for key, value in itertools.product(KEYS.values(), ("true", "false", True)):
        yield from effects(f"Null {key} {value}", {"condition"}, Condition={"Null": {key: value}})
    team, away = {"aws:PrincipalTag/team": "orders"}, {"aws:PrincipalTag/team": "billing"}
    account, vpc = {"aws:PrincipalAccount": ACCOUNT}, {"aws:SourceVpc": "vpc-1"}
    for name, condition in {
        "no operator": {},
        "no key": {"StringEquals": {}},
        "two keys that hold": {"StringEquals": {**team, **account}},
        "two keys, one holds": {"StringEquals": {**team, "aws:PrincipalAccount": "210987654321"}},
        "two operators that hold": {"StringEquals": team, "StringNotEquals": vpc},
        "two operators, one holds": {"StringEquals": away, "StringNotEquals": vpc},
        "in other letters": {"stringequals": {"AWS:principaltag/TEAM": "orders"}},
        "Deny of AWS's example for addresses": {
            "NotIpAddress": {"aws:SourceIp": ["192.0.2.0/24", "203.0.113.0/24"]},
            "Bool": {"aws:PrincipalIsAWSService": "false"},
        },
        "an operator of no kind": {"StringSounds": team},
    }.items():
        about = {"condition", *({"malformed"} if name == "an operator of no kind" else ())}
        yield from effects(name, about, Condition=condition)


VARIABLES = (
    *("${aws:username}", "${aws:PrincipalTag/user}", "${aws:PrincipalTag/absent}", "${aws:PrincipalTag/absent, 'app'}"),
    *("${aws:PrincipalTag/absent, 'root'}", "${aws:PrincipalTag/user, 'root'}", "a${aws:PrincipalTag/absent, 'p'}p"),
    *("${aws:PrincipalTag/USER}", "${aws:userid}", "${*}", "${?}pp", "app${$}", "*${aws:username}", "${aws:SourceIp}"),
    *("${aws:username}*", "${aws:PrincipalAccount}", "${aws:PrincipalTag/team}", "$", "${", "${}"),
)
# Those that have no value for a principal. Keys are case-insensitive.
NO_VALUE = {
    ROLE: ("aws:username}", "aws:PrincipalTag/absent}", "aws:SourceIp}", "${}"),
    USER: ("aws:PrincipalTag/user}", "aws:PrincipalTag/USER}", "aws:PrincipalTag/absent}", "aws:SourceIp}", "${}"),
}


def of_variable(variable: str, principal: str) -> set[str]:
    about = {"variable"}
    if any(name in variable for name in NO_VALUE[principal]):
        about.add("no value")
    if variable == "${aws:userid}" and principal == ROLE:  # it has the name of the session in it
        about.add("missing context")
    return about


def of_variables() -> Iterator[PolicyCase]:
    for variable, principal in itertools.product(VARIABLES, (ROLE, USER)):
        for version in ("2012-10-17", "2008-10-17", None):
            about = {"literal"} if version != "2012-10-17" else of_variable(variable, principal)
            more = {"principal": principal, "version": version}
            name = f"{variable} for a {principal}, version {version}"
            yield from effects(f"Resource {name}", {*about, "named"}, Resource=f"{PREFIX}{ID}/{variable}", **more)
            without = f"{PREFIX}{ID}/{variable}"
            yield from effects(f"NotResource {name}", {*about, "left out"}, Resource=None, NotResource=without, **more)
    for operator, variable, principal in itertools.product(
        ("StringEquals", "StringNotEquals", "StringLike", "StringNotLikeIfExists", "ArnLike"), VARIABLES, (ROLE, USER)
    ):
        key = "aws:PrincipalArn" if operator == "ArnLike" else "aws:PrincipalTag/team"
        value = f"arn:aws:iam::{ACCOUNT}:*/{variable}" if operator == "ArnLike" else variable
        about = {*of_variable(variable, principal), "condition", *({"negated"} if "Not" in operator else ())}
        name = f"{operator} {variable} for a {principal}"
        yield from effects(name, about, principal, Condition={operator: {key: value}})
    head = f"arn:aws:rds-db:eu-west-1:${{aws:PrincipalAccount}}:dbuser:{ID}/app"
    yield from effects("a variable before the fifth colon", {"head"}, Resource=head)


def of_boundaries() -> Iterator[PolicyCase]:
    vpce = {"aws:SourceVpce": "vpce-1"}
    boundaries = {
        "of another service": statement(Action="s3:*", Resource="*"),
        "of all actions": statement(Action="*", Resource="*"),
        "of logins": statement(Action="rds-db:*", Resource=f"{PREFIX}*"),
        "of another user": statement(Resource=f"{PREFIX}{ID}/report"),
        "of all but IAM": statement(Action=None, NotAction=["iam:*"], Resource="*"),
        "of all but logins": statement(Action=None, NotAction="rds-db:*", Resource="*"),
        "that denies": statement("Deny", Action="*", Resource="*"),
        "under a condition that holds": statement(Condition={"StringEquals": {"aws:PrincipalTag/team": "orders"}}),
        "under a condition that does not": statement(Condition={"StringEquals": {"aws:PrincipalTag/team": "x"}}),
        "under a key that is never sent": statement(Condition={"StringEquals": vpce}),
        "under one that may be absent": statement(Condition={"StringEqualsIfExists": vpce}),
        "of another account": statement(Resource=RESOURCE.replace(ACCOUNT, "210987654321")),
    }
    identities = {"a policy": [ALLOW], "all actions": [document(statement(Action="*", Resource="*"))], "no policy": []}
    for (name, bound), (who, policies) in itertools.product(boundaries.items(), identities.items()):
        boundary = document(bound, *([statement(Action="*", Resource="*")] if bound["Effect"] == "Deny" else []))
        yield PolicyCase(f"{who} within a boundary {name}", policies, frozenset({"boundary"}), boundary)
        both = document(bound, statement(Resource=f"{PREFIX}{ID}/report"))
        yield PolicyCase(f"{who} within one {name}, and more", policies, frozenset({"boundary"}), both)


def of_combinations() -> Iterator[PolicyCase]:
    """Pairs of statements, in one policy and in two, and in either order."""
    shapes = {
        "a good one": statement(),
        "one for others": statement(Resource=f"{PREFIX}{ID}/report"),
        "one that never holds": statement(Condition={"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}),
        "a Deny of others": statement("Deny", Resource=f"{PREFIX}{ID}/root"),
        "a Deny of all": statement("Deny", Action="*", Resource="*"),
        "a Deny of all but this": statement("Deny", Resource=None, NotResource=RESOURCE),
        "a Deny that always holds": statement("Deny", Condition={"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}}),
        "a Deny that never holds": statement("Deny", Condition={"StringEquals": {"aws:SourceVpc": "vpc-1"}}),
        "a Deny of actions but some": statement(
            "Deny", Action=None, NotAction=["rds-db:connect", "s3:*"], Resource="*"
        ),
    }
    for (one, first), (other, second) in itertools.permutations(shapes.items(), 2):
        yield PolicyCase(f"{one}, {other}", [document(first, second)], frozenset({"combination"}))
        yield PolicyCase(f"{one}, and apart {other}", [document(first), document(second)], frozenset({"combination"}))
    yield PolicyCase("a statement that is no list", [{"Version": "2012-10-17", "Statement": statement()}])
    yield PolicyCase("no policy", [])


def of_missing_context() -> Iterator[PolicyCase]:
    """Conditions on keys whose value, or whose being there, is not known before the login."""
    conditions = {
        "aws:RequestedRegion": {"StringEquals": {"aws:RequestedRegion": "eu-west-1"}},
        "aws:PrincipalOrgID": {"StringEquals": {"aws:PrincipalOrgID": "o-example"}},
        "aws:SecureTransport": {"Bool": {"aws:SecureTransport": "true"}},
        "aws:ViaAWSService": {"Bool": {"aws:ViaAWSService": "false"}},
        "aws:ResourceTag/stage": {"StringNotEquals": {"aws:ResourceTag/stage": "prod"}},
        "aws:MultiFactorAuthPresent": {"BoolIfExists": {"aws:MultiFactorAuthPresent": "true"}},
        "aws:userid": {"StringLike": {"aws:userid": "AROAEXAMPLE:*"}},
        "a later aws:CurrentTime": {"DateLessThan": {"aws:CurrentTime": "2030-01-01T00:00:00Z"}},
    }
    for name, condition in conditions.items():
        yield from effects(f"a condition on {name}", {"missing context"}, Condition=condition)
    tag = f"{PREFIX}{ID}/${{aws:PrincipalTag/stage}}"
    yield from effects("a tag of the session", {"missing context", "session tag"}, Resource=tag)


def all_cases() -> list[PolicyCase]:
    makers = (of_resources, of_actions, of_text_conditions, of_other_conditions, of_null_and_several)
    makers += (of_variables, of_boundaries, of_combinations, of_missing_context)
    return [case for make in makers for case in make()]
