# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Evaluate the trust policy of a role, and predict its sessions. Pure, and private to this collection."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.tags import tag_values
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam import conditions
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.policy_document import (
    PolicyDocument,
    StatementElement,
    has_variables,
    statements,
    texts,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.policy_evaluation import has_action
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.request_context import (
    AVOIDED,
    MET,
    RequestContext,
    login_context,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.truth import (
    NO,
    YES,
    Truth,
    all_of,
    any_of,
    negate,
    unknown,
)

# The action with which each kind of principal assumes a role.
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html
_ACTIONS = {"Service": "sts:assumerole", "AWS": "sts:assumerole", "Federated": "sts:assumerolewithwebidentity"}
# The caller chooses the values of these, and so can meet a condition on them.
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_iam-condition-keys.html
_CHOSEN_KEYS = ("sts:externalid", "sts:rolesessionname", "sts:sourceidentity", "saml:aud", "aws:multifactorauthpresent")
_MEETING, _AVOIDING = (RequestContext(dict.fromkeys(_CHOSEN_KEYS, state)) for state in (MET, AVOIDED))
# The id that IAM puts in place of a user or role that was deleted.
_DELETED = re.compile(r"A[A-Z]{2}A[A-Z0-9]{12,}")
_ACCOUNT = re.compile(r"(\d{12})|arn:[^:]*:iam::(\d{12}):root")


@dataclass(frozen=True)
class Trustee:
    """A principal in a trust policy, and whether it may assume the role. Its kind is Service, AWS or Federated."""

    kind: str
    name: str
    truth: Truth


def trustees(document: PolicyDocument) -> list[Trustee]:
    """Return the principals that may assume a role, or may do so under conditions that are not known here."""
    truths: dict[tuple[str, str], Truth] = {}
    for statement in statements(document):
        if statement.get("Effect") != "Allow":
            continue
        for kind, name in principals(statement):
            truth = _is_allowed(statement, kind, name, document)
            truths[kind, name] = any_of((truths.get((kind, name), NO), truth))
    deny_statements = [statement for statement in statements(document) if statement.get("Effect") == "Deny"]
    candidates = []
    for (kind, name), truth in truths.items():
        if truth.possible:
            denials = (negate(_is_denied(statement, kind, name, document)) for statement in deny_statements)
            candidates.append(Trustee(kind, name, all_of((truth, *denials))))
    return [trustee for trustee in candidates if trustee.truth.possible]


def principals(statement: StatementElement) -> list[tuple[str, str]]:
    """Return kind and name of each principal of a statement. That of C(*) and of NotPrincipal is of the kind AWS."""
    principal = statement.get("Principal")
    if "NotPrincipal" in statement:
        return [("AWS", "*")]
    if not isinstance(principal, dict):
        return [("AWS", str(principal))] if principal else []
    return [(kind, name) for kind in principal for name in texts(principal, kind)]


def _has_assume_action(statement: StatementElement, kind: str, name: str) -> Truth:
    """Tell whether a statement is about the action with which a principal assumes a role."""
    return has_action(statement, "sts:assumerolewithsaml" if ":saml-provider/" in name else _ACTIONS[kind])


def _is_allowed(statement: StatementElement, kind: str, name: str, document: PolicyDocument) -> Truth:
    if kind not in _ACTIONS or (kind == "AWS" and _DELETED.fullmatch(name)):
        return NO
    principal = unknown("who NotPrincipal leaves") if "NotPrincipal" in statement else YES
    condition = _evaluate_condition(statement, _MEETING, document)
    return all_of((_has_assume_action(statement, kind, name), condition, principal))


def _is_denied(statement: StatementElement, kind: str, name: str, document: PolicyDocument) -> Truth:
    """Tell whether a Deny keeps all of a principal from assuming the role, all of an account if that is it."""
    if "NotPrincipal" in statement:
        principal = unknown("who NotPrincipal leaves")
    else:
        principal = YES if any(_includes(pair, kind, name) for pair in principals(statement)) else NO
    condition = _evaluate_condition(statement, _AVOIDING, document)
    return all_of((principal, _has_assume_action(statement, kind, name), condition))


def _includes(principal: tuple[str, str], kind: str, name: str) -> bool:
    """Tell whether a principal is another one, of this kind and name, or the account or all that it is in."""
    if principal == (kind, name) or principal[1] == "*":
        return True
    account, account_of_name = _ACCOUNT.fullmatch(principal[1]), name.split(":")[4:5]
    if account is None or not principal[0] == kind == "AWS":
        return False
    return [account[1] or account[2]] in (account_of_name, [name])


def _evaluate_condition(statement: StatementElement, context: RequestContext, document: PolicyDocument) -> Truth:
    parts = conditions.evaluate(statement.get("Condition"), context, has_variables(document))
    return all_of(part.truth for part in parts)


def may_tag_sessions(document: PolicyDocument) -> bool:
    """Tell whether who assumes a role may give the session tags, which count as tags of the principal."""
    allow_statements = (statement for statement in statements(document) if statement.get("Effect") == "Allow")
    return any(has_action(statement, "sts:tagsession").possible for statement in allow_statements)


def role_context(raw: dict[str, Any]) -> RequestContext:
    """Return the context of a login with a role as GetRole and GetAccountAuthorizationDetails describe it."""
    document, tags = raw.get("AssumeRolePolicyDocument"), raw.get("Tags")
    # Tags of a session count as those of the role, and stand in place of them.
    has_sure_tags = tags is not None and isinstance(document, dict) and not may_tag_sessions(document)
    values = tag_values(tags) if has_sure_tags else None
    return login_context("role", raw.get("RoleName", ""), raw.get("Arn", ""), tags=values)
