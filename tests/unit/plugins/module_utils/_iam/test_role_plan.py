# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.ec2_trust import TRUST_POLICY
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.role_plan import plan_present
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.role_state import Request, State

OURS = "dbops.rds_iam"
ORDERS = "arn:aws:rds-db:eu-west-1:123456789012:dbuser:db-ORDERS"
ELSEWHERE = "arn:aws:rds-db:us-east-1:123456789012:dbuser:db-ORDERS/app"
DATABASES = [{"identifier": "orders", "connect_arn_prefix": ORDERS, "users": ["app"]}]
REQUEST = Request("app", "app", "connect", frozenset(["role", "policy"]), databases=DATABASES)
NOTHING = State(None, None, None)


def statement(*resources, **more):
    return {
        "Sid": "RdsIamConnect",
        "Effect": "Allow",
        "Action": "rds-db:connect",
        "Resource": list(resources),
        **more,
    }


def document(*statements):
    return {"Version": "2012-10-17", "Statement": list(statements)}


def role(managed_by=OURS, trust=None, boundary=""):
    tags = {"ManagedBy": managed_by} if managed_by else {}
    return {
        "name": "app",
        "arn": "arn:role",
        "path": "/",
        "trust_policy": trust or TRUST_POLICY,
        "permissions_boundary": boundary,
        "tags": tags,
        "managed_by": managed_by,
    }


def profile(managed_by=OURS, holds="app"):
    return {"name": "app", "arn": "arn:profile", "path": "/", "role_name": holds, "tags": {}, "managed_by": managed_by}


COMPLETE = State(role(), profile(), document(statement(f"{ORDERS}/app")))
LAMBDA = document({"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"})


def outcomes(plan):
    return {outcome.kind: outcome.outcome for outcome in plan.outcomes}


def test_from_nothing():
    plan = plan_present(REQUEST, NOTHING)
    assert plan.calls == ["create_role", "create_instance_profile", "add_role_to_instance_profile", "put_policy"]
    assert set(outcomes(plan).values()) == {"created"} and plan.changed_parts == ["role", "policy"]
    assert plan.after.policy == COMPLETE.policy
    assert plan.after.role["tags"] == plan.after.instance_profile["tags"] == {"ManagedBy": OURS}


def test_nothing_to_do():
    plan = plan_present(REQUEST, COMPLETE)
    assert (plan.calls, plan.changed_parts, plan.notes, plan.refusals) == ([], [], [], {})
    assert plan.after == COMPLETE and set(outcomes(plan).values()) == {"unchanged"}


@pytest.mark.parametrize(("part", "calls"), [("role", 3), ("policy", 1)])
def test_one_part(part, calls):
    plan = plan_present(replace(REQUEST, parts=frozenset([part])), NOTHING)
    assert len(plan.calls) == calls and plan.changed_parts == [part]


def test_a_run_that_was_killed_is_completed():
    plan = plan_present(REQUEST, State(role(), None, None))
    assert plan.calls == ["create_instance_profile", "add_role_to_instance_profile", "put_policy"]
    plan = plan_present(REQUEST, State(role(), profile(holds=""), None))
    assert plan.calls == ["add_role_to_instance_profile", "put_policy"]


def test_a_role_of_ours_is_repaired():
    request = replace(REQUEST, permissions_boundary="arn:boundary")
    plan = plan_present(request, replace(COMPLETE, role=role(trust=LAMBDA)))
    assert plan.calls == ["set_trust_policy", "set_permissions_boundary"]
    assert plan.after.role["trust_policy"] == TRUST_POLICY
    # What others added to the trust policy, and a boundary that nobody asks for, stay.
    both = document(*TRUST_POLICY["Statement"], *LAMBDA["Statement"])
    plan = plan_present(REQUEST, replace(COMPLETE, role=role(trust=both, boundary="arn:boundary")))
    assert plan.calls == []


def test_a_role_of_somebody_else_stays_as_it_is():
    request = replace(REQUEST, permissions_boundary="arn:boundary")
    for managed_by in (None, "terraform"):
        foreign = State(role(managed_by), profile(managed_by), None)
        plan = plan_present(request, foreign)
        assert plan.calls == ["put_policy"] and plan.changed_parts == ["policy"]
        assert (plan.after.role, plan.after.instance_profile) == (foreign.role, foreign.instance_profile)


@pytest.mark.parametrize(
    ("state", "part", "words"),
    [
        (State(role(None, LAMBDA), None, None), "role", "its trust policy does not let ec2.amazonaws.com assume it"),
        (State(role(), profile(holds="web"), None), "role", "already holds the role web"),
        (State(role(), profile("terraform", ""), None), "role", "was not created by dbops.rds_iam, and holds no role"),
        (State(role(), profile(None, ""), None), "role", "was not created by dbops.rds_iam, and holds no role"),
        (
            State(role(), profile(), document({**statement("*"), "Sid": "Theirs"})),
            "policy",
            "The inline policy connect of the IAM role app was not written by dbops.rds_iam, or was changed since",
        ),
        (
            State(role(), profile(), document(statement(f"{ORDERS}/app", Condition={"Bool": {"aws:Mfa": "true"}}))),
            "policy",
            "set iam_role_policy_name to another name",
        ),
    ],
)
def test_refusals(state, part, words):
    plan = plan_present(REQUEST, state)
    assert set(plan.refusals) == {part} and words in plan.refusals[part]
    assert "put_policy" not in plan.calls or part != "policy"


def test_without_databases_no_policy_is_written():
    assert "There are no databases" in plan_present(replace(REQUEST, databases=[]), NOTHING).refusals["policy"]


def test_what_others_need_stays_and_is_named():
    state = replace(COMPLETE, policy=document(statement(ELSEWHERE, f"{ORDERS}/report")))
    plan = plan_present(REQUEST, state)
    assert plan.after.policy == document(statement(f"{ORDERS}/app", ELSEWHERE))
    [note] = plan.notes
    assert f"also allows {ELSEWHERE}, which are of no database of this run" in note
    assert "run once with iam_role_policy_purge=true" in note
    plan = plan_present(replace(REQUEST, policy_purge=True), state)
    assert plan.after.policy == COMPLETE.policy and plan.notes == []


def test_a_long_list_is_cut():
    arns = [f"{ELSEWHERE}{number:02}" for number in range(12)]
    [note] = plan_present(REQUEST, replace(COMPLETE, policy=document(statement(*arns)))).notes
    assert f"{ELSEWHERE}09 and 2 more, which" in note


def test_the_last_user_goes():
    nobody = replace(REQUEST, databases=[{**DATABASES[0], "users": []}])
    plan = plan_present(nobody, COMPLETE)
    assert (plan.calls, plan.after.policy, outcomes(plan)["policy"]) == (["delete_policy"], None, "removed")
    kept = {**statement("*"), "Sid": "Theirs"}
    plan = plan_present(nobody, replace(COMPLETE, policy=document(statement(f"{ORDERS}/app"), kept)))
    assert (plan.calls, plan.after.policy, outcomes(plan)["policy"]) == (["put_policy"], document(kept), "changed")
    plan = plan_present(nobody, replace(COMPLETE, policy=None))
    assert (plan.calls, outcomes(plan)["policy"]) == ([], "missing")


def sized(characters):
    """A policy of so many characters, of which white space does not count."""
    text = document({"Effect": "Allow", "Action": "s3:*", "Resource": "x  y"})
    fill = characters - sum(not character.isspace() for character in str(text)) + len("x")
    text["Statement"][0]["Resource"] = "x" * fill + "  y"
    return text


def test_the_size_of_all_inline_policies_counts_no_white_space():
    own = sum(not character.isspace() for character in str(COMPLETE.policy))
    empty = replace(COMPLETE, policy=None)
    assert plan_present(REQUEST, empty, {"large": sized(10_240 - own)}).refusals == {}
    refusal = plan_present(REQUEST, empty, {"large": sized(10_241 - own)}).refusals["policy"]
    assert (
        f"would have 10241 characters without white space, {10_241 - own} of them in the policies of others" in refusal
    )
    assert plan_present(REQUEST, COMPLETE, {"large": sized(20_000)}).refusals == {}, "nothing is written"


def test_a_policy_that_is_too_large_alone():
    users = [f"user{number:04}" for number in range(200)]
    request = replace(REQUEST, databases=[{**DATABASES[0], "users": users}])
    assert "The policy for 200 pairs of database and user has" in plan_present(request, NOTHING).refusals["policy"]
