# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The policy decision on a database login. ministack evaluates; here is what it must not be asked to guess.

ministack treats what it does not know as "does not match", which lets a login through where the unknown thing stood
in a Deny. So a statement that is about this login and that the lab cannot judge refuses the login.
"""

from __future__ import annotations

import re

from ministack.core.iam_evaluator import (
    _CONDITION_OPS,
    EvalContext,
    ParsedStatement,
    PrincipalInfo,
    _action_matches,
    _resource_matches,
    evaluate,
    fnmatch_iam_cs,
)
from ministack.services import iam

ACTION = "rds-db:connect"

# Known and true for a database login. Not here, though ministack would fill them in: aws:SourceIp and
# aws:SecureTransport. RDS does not support aws:SourceIp, aws:SourceVpc(e), aws:UserAgent, aws:Referer for a login.
KNOWN_KEYS = {
    "aws:principalarn",
    "aws:principalaccount",
    "aws:principaltype",
    "aws:userid",
    "aws:username",
    "aws:currenttime",
    "aws:epochtime",
    "aws:tokenissuetime",
    "aws:requestedregion",
}
TAG_PREFIX = "aws:principaltag/"
KNOWN_OPERATORS = (set(_CONDITION_OPS) - {"ipaddress", "notipaddress", "binaryequals"}) | {"null"}
VALUE_FORMS = (
    ("date", re.compile(r"\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d))?|\d{9,11}")),
    ("numeric", re.compile(r"-?\d+(\.\d+)?")),
    ("arn", re.compile(r"[^:]*(:[^:]*){4}:.+")),
    ("bool", re.compile(r"(?i)true|false")),
    ("null", re.compile(r"(?i)true|false")),
)


class UndecidableError(Exception):
    """A statement applies to the login that the lab cannot evaluate."""


def decide(principal: PrincipalInfo, resource: str, region: str) -> str:
    """Return Allow, Deny or ImplicitDeny, as IAM would answer. Raises UndecidableError."""
    layers = [principal.policies, *principal.limits]
    for statement in (statement for layer in layers for document in layer for statement in document):
        check_statement(statement, ACTION, resource)
    context = EvalContext(
        principal_arn=_condition_arn(principal),
        principal_type=principal.type,
        principal_account=principal.account,
        action=ACTION,
        resource_arn=resource,
        region=region,
        principal_keys=principal.keys,
    )
    return evaluate(context, *layers).decision


def _condition_arn(principal: PrincipalInfo) -> str:
    """Return aws:PrincipalArn, which for a session of a role is the role, not the session."""
    if principal.type != "AssumedRole":
        return principal.arn
    role = iam._roles.get_scoped(principal.account, None, principal.arn.split("/")[1])
    return role["Arn"]


def check_statement(statement: ParsedStatement, action: str, resource: str) -> None:
    """Raise UndecidableError if the statement applies and cannot be evaluated."""
    name = f'statement "{statement.sid}"' if statement.sid else "a statement without Sid"
    if bool(statement.actions) == bool(statement.not_actions):
        raise UndecidableError(f"{name} has no usable Action")
    if not _action_matches(action, statement.actions, statement.not_actions):
        return
    patterns = [*statement.resources, *statement.not_resources]
    if any("${" in item for item in patterns):
        raise UndecidableError(f"{name} has a policy variable in its Resource")
    if any(fnmatch_iam_cs(resource, item) and not _stays_within_parts(resource, item) for item in patterns):
        raise UndecidableError(f"{name} has a wildcard in its Resource that reaches beyond a colon")
    if patterns and not _resource_matches(resource, statement.resources, statement.not_resources):
        return
    conditions = statement.conditions
    if not isinstance(conditions, dict):
        raise UndecidableError(f"{name} has a malformed Condition")
    for operator, block in conditions.items():
        _check_condition(name, operator, block)


def _stays_within_parts(resource: str, pattern: str) -> bool:
    """Tell whether wildcards stand for what is between colons, and an asterisk at the end for all that follows.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html
    """
    parts, patterns = resource.split(":", 6), pattern.split(":", 6)
    if len(patterns) < len(parts):
        if not pattern.endswith("*"):
            return False
        parts = [*parts[: len(patterns) - 1], ":".join(parts[len(patterns) - 1 :])]
    return len(parts) == len(patterns) and all(map(fnmatch_iam_cs, parts, patterns))


def _check_condition(name: str, operator: str, block) -> None:
    base = operator.lower().removesuffix("ifexists").removeprefix("forallvalues:").removeprefix("foranyvalue:")
    if base not in KNOWN_OPERATORS or (base == "null" and operator.lower() != "null"):
        raise UndecidableError(f"{name} has the condition operator {operator}")
    if not isinstance(block, dict) or not block:
        raise UndecidableError(f"{name} has a malformed Condition")
    form = next((form for prefix, form in VALUE_FORMS if base.startswith(prefix)), re.compile(r"(?s).*"))
    for key, expected in block.items():
        if key.lower() not in KNOWN_KEYS and not key.lower().startswith(TAG_PREFIX):
            raise UndecidableError(f"{name} has the condition key {key}")
        values = expected if isinstance(expected, list) else [expected]
        if not values or any("${" in str(value) or not form.fullmatch(str(value)) for value in values):
            raise UndecidableError(f"{name} has a value for {key} that the lab cannot compare")
