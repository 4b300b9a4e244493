# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write a trust policy for EC2, and tell whether another one trusts EC2. Pure, and private to this collection."""

from __future__ import annotations

from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.policy_document import (
    VERSION,
    PolicyDocument,
    StatementElement,
    statements,
    texts,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.policy_evaluation import has_action
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.trust import principals, trustees
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.truth import (
    NO,
    YES,
    Truth,
    all_of,
    any_of,
    negate,
    unknown,
)

# AWS documents the second one for the Regions in China.
EC2_SERVICES = ("ec2.amazonaws.com", "ec2.amazonaws.com.cn")

TRUST_POLICY: PolicyDocument = {
    "Version": VERSION,
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


def trusts_ec2(document: PolicyDocument) -> bool:
    """Tell whether the trust policy of a role lets EC2 assume it, or may do so under conditions.

    Conditions are evaluated. A statement for C(*) is not taken as one for EC2.
    """
    return any(trustee.kind == "Service" and trustee.name in EC2_SERVICES for trustee in trustees(document))


def ec2_may_assume(document: PolicyDocument) -> bool | None:
    """Tell whether a trust policy lets EC2 assume the role; None where that depends on more than the policy.

    So it does with conditions, which are not evaluated, and with C(*), NotPrincipal and NotAction. A Deny outweighs an
    Allow, as IAM evaluates them.
    """
    truths = {
        effect: any_of(_is_about_ec2(raw) for raw in statements(document) if raw.get("Effect") == effect)
        for effect in ("Allow", "Deny")
    }
    return all_of((truths["Allow"], negate(truths["Deny"]))).value


def other_principals(document: PolicyDocument) -> list[str]:
    """Return whom the trust policy lets assume the role besides EC2: services, accounts, ARNs, providers and C(*)."""
    allow_statements = (statement for statement in statements(document) if statement.get("Effect") == "Allow")
    names = dict.fromkeys(name for statement in allow_statements for _kind, name in principals(statement))
    return [name for name in names if name not in EC2_SERVICES]


def _is_about_ec2(statement: StatementElement) -> Truth:
    """Tell whether a statement is about EC2 and sts:AssumeRole."""
    action = has_action(statement, "sts:assumerole") if "Action" in statement else unknown("NotAction")
    condition = unknown("Condition") if statement.get("Condition") else YES
    return all_of((_names_ec2(statement), action, condition))


def _names_ec2(statement: StatementElement) -> Truth:
    principal = statement.get("Principal")
    if principal is None or principal == "*":
        return unknown("Principal")
    services = texts(principal, "Service") if isinstance(principal, dict) else []
    return NO if set(EC2_SERVICES).isdisjoint(services) else YES
