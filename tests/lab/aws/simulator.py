# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""SimulatePrincipalPolicy as AWS answers it. ministack takes its own caller's context for that of the request.

The simulator has no context but the entries that it is given, and lists the keys of conditions without one; policies of
the organization it judges with the same context, and does not list their keys
(https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from xml.sax.saxutils import escape

from ministack.core import iam_evaluator
from ministack.core.responses import get_account_id
from ministack.services import iam, organizations

WORDS = {"Allow": "allowed", "Deny": "explicitDeny", None: "implicitDeny"}


@dataclass(frozen=True)
class Principal:
    """The policies of a role or user, as lists of statements."""

    identity: list
    boundary: list | None
    organization: list[list] | None  # for the root and for the account; None without an organization


def apply() -> None:
    iam._IAM_HANDLERS["SimulatePrincipalPolicy"] = simulate


def simulate(params):
    """Answer for each action and resource: the decision, the missing keys, and what boundary and organization say."""
    principal = _principal(iam._p(params, "PolicySourceArn"))
    if principal is None:
        return iam._error(404, "NoSuchEntity", "Unable to retrieve specified IAM entity.", ns="iam")
    context = _context(params)
    resources = _members(params, "ResourceArns") or ["*"]
    results = "".join(
        _result(principal, action, resource, context)
        for action in _members(params, "ActionNames")
        for resource in resources
    )
    return iam._xml(
        200,
        "SimulatePrincipalPolicyResponse",
        f"<SimulatePrincipalPolicyResult><EvaluationResults>{results}</EvaluationResults>"
        "<IsTruncated>false</IsTruncated></SimulatePrincipalPolicyResult>",
        ns="iam",
    )


def _principal(arn: str) -> Principal | None:
    account = get_account_id()
    kind, _slash, name = arn.rpartition(":")[2].partition("/")
    name = name.rpartition("/")[2]
    store = {"role": iam._roles, "user": iam._users}.get(kind, {})
    if name not in store:
        return None
    gather = {"role": iam_evaluator._gather_role_policies, "user": iam_evaluator._gather_user_policies}[kind]
    limits = iam_evaluator._permissions_boundary(store, name, account)
    boundary = [statement for layer in limits for document in layer for statement in document] if limits else None
    return Principal(
        [statement for document in gather(name, account) for statement in document], boundary, _organization(account)
    )


def _organization(account: str) -> list[list] | None:
    """Return the statements of service control policies on the root and on the account."""
    if "self" not in organizations._orgs:
        return None
    levels = [*organizations._roots, account]
    return [
        [
            statement
            for policy in organizations._policies.values()
            if policy["Type"] == "SERVICE_CONTROL_POLICY"
            and level in (organizations._attachments.get(policy["Id"]) or [])
            for statement in iam_evaluator.parse_policy_document(policy["_Content"])
        ]
        for level in levels
    ]


def _members(params, name: str) -> list[str]:
    return [iam._p(params, key) for key in params if key.startswith(f"{name}.member.")]


def _context(params) -> dict[str, list[str]]:
    """Return the values of the request, by the name of their key in lower case."""
    values = {}
    for key in params:
        entry = re.fullmatch(r"(ContextEntries\.member\.\d+)\.ContextKeyName", key)
        if entry:
            values[iam._p(params, key).lower()] = _members(params, f"{entry[1]}.ContextKeyValues")
    return values


def _decide(statements: list, action: str, resource: str, context: dict) -> str | None:
    effects = {statement.effect for statement in statements if _applies(statement, action, resource, context)}
    return "Deny" if "Deny" in effects else "Allow" if "Allow" in effects else None


def _applies(statement, action: str, resource: str, context: dict) -> bool:
    return (
        iam_evaluator._action_matches(action, statement.actions, statement.not_actions)
        and iam_evaluator._resource_matches(resource, statement.resources, statement.not_resources)
        and all(
            iam_evaluator._evaluate_single_condition(operator, _actual(context, key), _listed(expected))
            for operator, block in (statement.conditions or {}).items()
            for key, expected in block.items()
        )
    )


def _actual(context: dict, key: str):
    values = context.get(key.lower())
    return values[0] if values and len(values) == 1 else values


def _listed(expected) -> list[str]:
    return [str(value) for value in (expected if isinstance(expected, list) else [expected])]


def _missing(statements: list, context: dict) -> list[str]:
    """Return the keys of all conditions that have no value, also of statements about something else."""
    blocks = [block for statement in statements for block in (statement.conditions or {}).values()]
    keys = dict.fromkeys(key for block in blocks for key in block)
    return [key for key in keys if key.lower() not in context]


def _result(principal: Principal, action: str, resource: str, context: dict) -> str:
    layers = [principal.identity, *([] if principal.boundary is None else [principal.boundary])]
    decisions = [_decide(layer, action, resource, context) for layer in layers]
    by_level = [_decide(level, action, resource, context) for level in principal.organization or []]
    everything = [*decisions, *by_level]
    verdict = WORDS["Deny" if "Deny" in everything else None if None in everything else "Allow"]
    missing = _missing([statement for layer in layers for statement in layer], context)
    keys = "".join(f"<member>{escape(key)}</member>" for key in missing)
    boundary = _detail("PermissionsBoundary", "AllowedByPermissionsBoundary", decisions[1:])
    return (
        f"<member><EvalActionName>{escape(action)}</EvalActionName><EvalResourceName>{escape(resource)}"
        f"</EvalResourceName><EvalDecision>{verdict}</EvalDecision><MissingContextValues>{keys}</MissingContextValues>"
        f"{_detail('Organizations', 'AllowedByOrganizations', by_level)}{boundary}"
        f"<ResourceSpecificResults><member><EvalResourceName>{escape(resource)}</EvalResourceName><EvalResourceDecision>"
        f"{verdict}</EvalResourceDecision><MissingContextValues>{keys}</MissingContextValues>{boundary}"
        "</member></ResourceSpecificResults></member>"
    )


def _detail(name: str, member: str, decisions: list) -> str:
    if not decisions:
        return ""
    allowed = str(all(decision == "Allow" for decision in decisions)).lower()
    return f"<{name}DecisionDetail><{member}>{allowed}</{member}></{name}DecisionDetail>"
