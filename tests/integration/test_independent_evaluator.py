# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Policies are judged as an evaluator that others wrote judges them, and every difference is explained with its source.

The other one is @cloud-copilot/iam-simulate, see iam_simulate. Where it and AWS's documentation do not agree, or where
the documentation does not say enough to be certain, the difference stands below, and the answer here is that of the
page, or unknown.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.near_miss import Target
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.permission_check import check_policies
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.policy_evaluation import Policy
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.request_context import (
    RequestContext,
    Values,
    login_context,
)
from policy_cases import CONTEXTS, GIVEN, NOW, RESOURCE, ROLE, PolicyCase, all_cases

ROOT = Path(__file__).parents[2]
CASES = all_cases()
PAGES = "https://docs.aws.amazon.com/IAM/latest/UserGuide/"
OPEN, CLOSED, UNKNOWN, REFUSED = "open", "closed", "unknown", "refused"
TAG = "aws:PrincipalTag/"


@dataclass(frozen=True)
class Difference:
    """A reason why both evaluators may differ."""

    about: frozenset[str]  # the cases that it explains
    applies: bool | None  # to the statement; None for unknown
    reason: str
    source: str  # where AWS says so

    def explains(self, case: PolicyCase, ours: str) -> bool:
        return self.about <= case.about and ours == self.answer(case)

    def answer(self, case: PolicyCase) -> str:
        if self.applies is None:
            return UNKNOWN
        return OPEN if self.applies is case.name.startswith("Allow ") else CLOSED


def difference(*about: str, applies: bool | None, reason: str, page: str) -> Difference:
    return Difference(frozenset(about), applies, reason, PAGES + page)


RESOURCE_PAGE = "reference_policies_elements_resource.html"
VARIABLES_PAGE = "reference_policies_variables.html"
NOT_RESOURCE = (
    "NotResource has every resource but those that match. An ARN that names another service or Region, or whose"
    " wildcards do not reach beyond colons, matches in no way; the other evaluator takes one with fewer than six parts"
    " for one that is neither in nor out."
)
LITERAL = (
    "In a document without Version 2012-10-17 what looks like a variable is text. The other evaluator does not look at"
    " the version."
)
DIFFERENCES = [
    difference(
        "missing context",
        applies=None,
        reason="The value of the key, or whether it is there, is not known before the login; the other one takes it for"
        " absent.",
        page="reference_policies_condition-keys.html",
    ),
    difference(
        "segment end",
        applies=None,
        reason="The page says that an asterisk at the end of a segment can match beyond colons, and not when it does."
        " The other one keeps it within the segment.",
        page=RESOURCE_PAGE,
    ),
    difference(
        "short",
        applies=None,
        reason="No page says how ARNs with fewer than six parts are read. The other one fills them up with asterisks.",
        page="reference-arns.html",
    ),
    difference(
        "type",
        applies=None,
        reason="A wildcard in the type of the resource is not allowed, and the page does not say what it does.",
        page="reference-arns.html",
    ),
    difference(
        "service",
        applies=None,
        reason="A wildcard in the service is not allowed, and the page does not say what it does.",
        page=RESOURCE_PAGE,
    ),
    difference(
        "case",
        applies=None,
        reason="The page says that the names of IAM users are case sensitive, and does not speak of Regions and"
        " services. The other one ignores their case.",
        page=RESOURCE_PAGE,
    ),
    difference(
        "head",
        applies=None,
        reason="Variables can stand in the part of the ARN that identifies the resource, its end; the page does not say"
        " what they do elsewhere.",
        page=RESOURCE_PAGE,
    ),
    difference(
        "vague action",
        applies=None,
        reason="Wildcards can stand in the name of an action; the page has none in the service. The other one refuses"
        " them.",
        page="reference_policies_elements_action.html",
    ),
    difference(
        "both",
        applies=None,
        reason="An absent key makes ForAnyValue false, says one page, and IfExists true, says another.",
        page="reference_policies_condition-single-vs-multi-valued-context-keys.html",
    ),
    difference(
        "malformed",
        applies=None,
        reason="The page has no such operator, and IAM takes no policy with it.",
        page="reference_policies_elements_condition_operators.html",
    ),
    difference(
        "left out", "crossing", applies=True, reason=NOT_RESOURCE, page="reference_policies_elements_notresource.html"
    ),
    difference(
        "left out", "trailing", applies=True, reason=NOT_RESOURCE, page="reference_policies_elements_notresource.html"
    ),
    difference(
        "left out",
        "short of others",
        applies=True,
        reason=NOT_RESOURCE,
        page="reference_policies_elements_notresource.html",
    ),
    difference("literal", "named", applies=False, reason=LITERAL, page="reference_policies_elements_version.html"),
    difference("literal", "left out", applies=True, reason=LITERAL, page="reference_policies_elements_version.html"),
    difference(
        "left out",
        "no value",
        applies=True,
        reason="In NotResource too, a resource with a variable that has no value matches no resource, so all are in.",
        page=f"{VARIABLES_PAGE}#policy-vars-no-value",
    ),
    difference(
        "negated",
        "no value",
        applies=True,
        reason="Inverted operators match a variable that has no value.",
        page=f"{VARIABLES_PAGE}#policy-vars-no-value",
    ),
]


# What the lab's judge of logins does otherwise, and refuses to judge in a login, or what no policy of the lab has.
NOT_OF_THE_LAB = {
    *("variable", "literal", "head", "missing context", "both", "vague action", "malformed", "service"),
    *("crossing", "segment end", "short", "short of others", "type", "case", "trailing"),
}
# In a process of its own: what ministack is set to when it is imported, it is for good.
LAB = """
import json, sys
from ministack.core.iam_evaluator import EvalContext, evaluate, parse_policy_document
def decide(case):
    keys = {key.lower(): value for key, value in case["context"].items()}
    about = {"principal_arn": keys["aws:principalarn"], "principal_account": case["account"], "region": "eu-west-1"}
    about |= {"principal_type": "AssumedRole", "action": "rds-db:connect", "resource_arn": case["resource"]}
    layers = [[parse_policy_document(one) for one in case["policies"]]]
    layers += [[parse_policy_document(case["boundary"])]] if case["boundary"] else []
    return evaluate(EvalContext(**about, principal_keys=keys), *layers).decision
json.dump([decide(case) for case in json.load(sys.stdin)], sys.stdout)
"""


def context(case: PolicyCase) -> RequestContext:
    """Return the context of the login, or what the case gives to try an operator on."""
    keys = CONTEXTS[case.principal]
    if case.principal == GIVEN:
        return RequestContext(
            {key.lower(): Values((value,) if isinstance(value, str) else tuple(value)) for key, value in keys.items()}
        )
    tags = {key[len(TAG) :]: value for key, value in keys.items() if key.startswith(TAG)}
    return login_context(
        case.principal,
        keys.get("aws:username", ""),
        keys["aws:PrincipalArn"],
        keys.get("aws:userid"),
        None if "session tag" in case.about else tags,
        datetime.fromisoformat(NOW.replace("Z", "+00:00")),
    )


def judged_here(case: PolicyCase) -> str:
    policies = [Policy(f"policy{number}", document) for number, document in enumerate(case.policies)]
    policies += [Policy("boundary", case.boundary, boundary=True)] if case.boundary else []
    check = check_policies(Target(RESOURCE, "orders"), "the principal", policies, None, context(case))
    return {"passed": OPEN, "failed": CLOSED, "unknown": UNKNOWN}[check.status]


@pytest.fixture(scope="module")
def answers() -> dict[str, str]:
    """Return the answer of the other evaluator to each case, by name."""
    command = [ROOT / "tests/tools/iam-simulate"]
    given = json.dumps([case.shown() for case in CASES])
    process = subprocess.run(command, input=given, capture_output=True, text=True, timeout=300, check=False)
    assert process.returncode == 0, f"The other evaluator does not run:\n{process.stderr}"
    decisions = json.loads(process.stdout)
    assert [decision["ignored"] for decision in decisions if decision.get("ignored")] == [], (
        "it must know every key of the context"
    )
    words = {"Allowed": OPEN, "ImplicitlyDenied": CLOSED, "ExplicitlyDenied": CLOSED, None: REFUSED}
    return {case.name: words[one.get("decision")] for case, one in zip(CASES, decisions, strict=True)}


def test_the_cases_are_many_and_different():
    assert len({case.name for case in CASES}) == len(CASES) > 2000
    kinds = Counter(kind for case in CASES for kind in case.about)
    assert all(kinds[kind] >= 20 for kind in ("resource", "action", "condition", "variable", "boundary", "combination"))


def test_every_difference_is_explained(answers):
    ours = {case.name: judged_here(case) for case in CASES}
    different = [case for case in CASES if ours[case.name] != answers[case.name]]
    explained = {
        case.name: [difference for difference in DIFFERENCES if difference.explains(case, ours[case.name])]
        for case in different
    }
    unexplained = {name: (ours[name], answers[name]) for name, reasons in explained.items() if not reasons}
    assert unexplained == {}, "here, and there"
    assert [name for name, reasons in explained.items() if len(reasons) > 1] == [], "one reason for each"
    used = {reason for reasons in explained.values() for reason in reasons}
    assert [difference.reason for difference in DIFFERENCES if difference not in used] == [], "no reason for nothing"


def test_it_is_certain_wherever_the_context_is_complete(answers):
    """Unknown is the answer only for the kinds that are listed, which are a small part of all."""
    kinds = [difference.about for difference in DIFFERENCES if difference.applies is None]
    unknown = [case for case in CASES if judged_here(case) == UNKNOWN]
    assert [case.name for case in unknown if not any(about <= case.about for about in kinds)] == []
    assert len(unknown) < len(CASES) / 10


def test_the_lab_judges_alike():
    """The judge of the lab, which lets logins in, agrees where it judges at all."""
    cases = [case for case in CASES if case.principal == ROLE and not case.about & NOT_OF_THE_LAB]
    given = json.dumps([case.shown() for case in cases])
    process = subprocess.run([sys.executable, "-c", LAB], input=given, capture_output=True, text=True, check=True)
    theirs = {case.name: OPEN if one == "Allow" else CLOSED for case, one in zip(cases, json.loads(process.stdout))}
    assert len(cases) > 1000
    assert {case.name: one for case in cases if (one := theirs[case.name]) != judged_here(case)} == {}
