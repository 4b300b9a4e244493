# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who may assume a role, by its trust policy. Pure, and private to this collection."""

from __future__ import annotations

import fnmatch

# AWS documents the second one for the Regions in China.
EC2 = ("ec2.amazonaws.com", "ec2.amazonaws.com.cn")
ACTION = "sts:assumerole"

TRUST_POLICY = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


def ec2_may_assume(document: dict) -> bool | None:
    """Return whether the trust policy lets EC2 assume the role; None where that depends on more than the policy.

    So it does with conditions, NotPrincipal and NotAction. A Deny outweighs an Allow, as IAM evaluates them.
    """
    found = document.get("Statement", [])
    verdicts = {"Allow": [], "Deny": []}
    for statement in found if isinstance(found, list) else [found]:
        verdicts.get(statement.get("Effect"), []).append(_applies(statement))
    if True in verdicts["Deny"]:
        return False
    if True in verdicts["Allow"]:
        return None if None in verdicts["Deny"] else True
    return None if None in verdicts["Allow"] else False


def other_principals(document: dict) -> list[str]:
    """Return whom the trust policy lets assume the role besides EC2: services, accounts, ARNs, providers and C(*)."""
    found = document.get("Statement", [])
    principals = []
    for statement in found if isinstance(found, list) else [found]:
        if statement.get("Effect") == "Allow":
            named = statement.get("Principal", "*")
            for value in named.values() if isinstance(named, dict) else [named]:
                principals += _texts(value)
    return [principal for principal in dict.fromkeys(principals) if principal not in EC2]


def _applies(statement: dict) -> bool | None:
    """Return whether a statement is about EC2 and sts:AssumeRole; None where that cannot be told."""
    matches = [_names_ec2(statement), _names_action(statement)]
    if False in matches:
        return False
    return None if None in matches or statement.get("Condition") else True


def _names_ec2(statement: dict) -> bool | None:
    principal = statement.get("Principal")
    if principal is None or principal == "*":
        return None
    services = _texts(principal.get("Service", []) if isinstance(principal, dict) else [])
    return not set(EC2).isdisjoint(services)


def _names_action(statement: dict) -> bool | None:
    if "Action" not in statement:
        return None
    return any(fnmatch.fnmatchcase(ACTION, action.lower()) for action in _texts(statement["Action"]))


def _texts(value: object) -> list[str]:
    return [str(text) for text in (value if isinstance(value, list) else [value])]
