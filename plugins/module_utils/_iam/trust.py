# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who may assume a role by its trust policy. Pure, and private to this collection."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ansible_collections.dbops.rds_iam.plugins.module_utils._iam import conditions
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.policy_evaluation import (
    Policy,
    about,
    statements,
    texts,
)
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
    every,
    negated,
    some,
    unknown,
)

EC2 = ("ec2.amazonaws.com", "ec2.amazonaws.com.cn")
# How each kind of principal assumes a role.
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html
_ASSUMES = {"Service": "sts:assumerole", "AWS": "sts:assumerole", "Federated": "sts:assumerolewithwebidentity"}
# Who assumes the role gives the values of these, and so can meet a condition on them.
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_iam-condition-keys.html
_CHOSEN = ("sts:externalid", "sts:rolesessionname", "sts:sourceidentity", "saml:aud", "aws:multifactorauthpresent")
_MEETING, _AVOIDING = (RequestContext(dict.fromkeys(_CHOSEN, state)) for state in (MET, AVOIDED))
# What IAM puts in place of a user or role that was deleted.
_GONE = re.compile(r"A[A-Z]{2}A[A-Z0-9]{12,}")
_ACCOUNT = re.compile(r"(\d{12})|arn:[^:]*:iam::(\d{12}):root")


@dataclass(frozen=True)
class Trustee:
    """A principal in a trust policy, and whether it may assume the role. Its kind is Service, AWS or Federated."""

    kind: str
    name: str
    truth: Truth


def trustees(document: dict) -> list[Trustee]:
    """Return the principals that may assume a role, or may do so under conditions that are not known here."""
    granted = {}
    policy = Policy("trust", document)
    for statement in statements(policy):
        if statement.get("Effect") != "Allow":
            continue
        for kind, name in _principals(statement):
            truth = _granted(statement, kind, name, policy)
            granted[kind, name] = some((granted.get((kind, name), NO), truth))
    denying = [statement for statement in statements(policy) if statement.get("Effect") == "Deny"]
    judged = (
        Trustee(kind, name, every((truth, *(negated(_denied(deny, kind, name, policy)) for deny in denying))))
        for (kind, name), truth in granted.items()
    )
    return [trustee for trustee in judged if trustee.truth.possible]


def _principals(statement: dict) -> list[tuple[str, str]]:
    principal = statement.get("Principal")
    if "NotPrincipal" in statement:
        return [("AWS", "*")]
    if not isinstance(principal, dict):
        return [("AWS", str(principal))] if principal else []
    return [(kind, name) for kind in principal for name in texts(principal, kind)]


def _assumes(kind: str, name: str) -> tuple[str]:
    """Return the action with which a principal assumes a role."""
    return ("sts:assumerolewithsaml",) if ":saml-provider/" in name else (_ASSUMES[kind],)


def _granted(statement: dict, kind: str, name: str, policy: Policy) -> Truth:
    if kind not in _ASSUMES or (kind == "AWS" and _GONE.fullmatch(name)):
        return NO
    narrower = unknown("who NotPrincipal leaves") if "NotPrincipal" in statement else YES
    return every((about(statement, _assumes(kind, name)), _condition(statement, _MEETING, policy), narrower))


def _denied(statement: dict, kind: str, name: str, policy: Policy) -> Truth:
    """Tell whether a Deny keeps all of a principal from assuming the role, all of an account if that is it."""
    if "NotPrincipal" in statement:
        named = unknown("who NotPrincipal leaves")
    else:
        named = YES if any(_has(denied, kind, name) for denied in _principals(statement)) else NO
    return every((named, about(statement, _assumes(kind, name)), _condition(statement, _AVOIDING, policy)))


def _has(denied: tuple[str, str], kind: str, name: str) -> bool:
    if denied == (kind, name) or denied[1] == "*":
        return True
    account, own = _ACCOUNT.fullmatch(denied[1]), name.split(":")[4:5]
    return denied[0] == kind == "AWS" and account is not None and [account[1] or account[2]] in (own, [name])


def _condition(statement: dict, context: RequestContext, policy: Policy) -> Truth:
    variables = policy.document.get("Version") == "2012-10-17"
    return every(part.truth for part in conditions.evaluate(statement.get("Condition"), context, variables))


def trusts_ec2(document: dict) -> bool:
    """Tell whether the trust policy of a role lets EC2 assume it, or may let it do so."""
    return any(trustee.kind == "Service" and trustee.name in EC2 for trustee in trustees(document))


def may_tag_sessions(document: dict) -> bool:
    """Tell whether who assumes a role may give the session tags, which count as tags of the principal."""
    listed = statements(Policy("trust", document))
    return any(about(raw, ("sts:tagsession",)).possible for raw in listed if raw.get("Effect") == "Allow")


def role_context(raw: dict) -> RequestContext:
    """Return what is known of a login with a role as GetRole and GetAccountAuthorizationDetails describe it."""
    trust, tags = raw.get("AssumeRolePolicyDocument"), raw.get("Tags")
    # Tags of a session count as those of the role, and stand in place of them.
    known = tags is not None and isinstance(trust, dict) and not may_tag_sessions(trust)
    named = {tag["Key"]: tag["Value"] for tag in tags or []} if known else None
    return login_context("role", raw.get("RoleName", ""), raw.get("Arn", ""), tags=named)
