# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.ec2_trust import TRUST_POLICY
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.role_removal import needs_usage, plan_absent
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.role_state import (
    AttachedInstance,
    Request,
    State,
    Usage,
)

OURS = "dbops.rds_iam"
REQUEST = Request("app", "app", "connect", frozenset(["role", "policy"]), instance_ids=frozenset(["i-1", "i-2"]))
STATEMENT = {"Sid": "RdsIamConnect", "Effect": "Allow", "Action": "rds-db:connect", "Resource": ["arn:x/app"]}
POLICY = {"Version": "2012-10-17", "Statement": [STATEMENT]}
THEIRS = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
DENIED = "these credentials are not allowed ec2:DescribeInstances"
ALL = ["delete_policy", "remove_role_from_instance_profile", "delete_instance_profile", "delete_role"]


def role(managed_by=OURS):
    return {
        "name": "app",
        "arn": "arn:role",
        "path": "/",
        "trust_policy": TRUST_POLICY,
        "permissions_boundary": "",
        "tags": {},
        "managed_by": managed_by,
    }


def profile(managed_by=OURS, holds="app"):
    return {"name": "app", "arn": "arn:app", "path": "/", "role_name": holds, "tags": {}, "managed_by": managed_by}


STATE = State(role(), profile(), POLICY)
USAGE = Usage(inline_policies=["connect"], instance_profiles={"app": "arn:app"})


def carried(*instance_ids, region="eu-west-1", arn="arn:app", **more):
    return replace(USAGE, instances=[AttachedInstance(one, region, arn) for one in instance_ids], **more)


def seen(plan):
    return {outcome.kind: (outcome.outcome, outcome.reason) for outcome in plan.outcomes}


def stays(plan):
    return {kind for kind, (outcome, _why) in seen(plan).items() if outcome == "stays"}


def test_all_of_it():
    plan = plan_absent(REQUEST, STATE, USAGE)
    assert plan.calls == ALL and plan.notes == []
    assert plan.after == State(None, None, None)


def test_nothing_is_there():
    nothing = State(None, None, None)
    plan = plan_absent(REQUEST, nothing, Usage())
    assert plan.calls == [] and {outcome for outcome, _why in seen(plan).values()} == {"missing"}
    assert not needs_usage(REQUEST, nothing)


@pytest.mark.parametrize("managed_by", [None, "terraform"])
def test_what_is_not_ours_stays(managed_by):
    """A role of somebody else that got the inline policy loses just this policy."""
    state = State(role(managed_by), profile(managed_by), POLICY)
    plan = plan_absent(REQUEST, state, carried("i-1"))
    assert plan.calls == ["delete_policy"]
    assert "The role app stays, since it was not created by dbops.rds_iam." in plan.notes
    assert "The instance profile app stays, since it was not created by dbops.rds_iam." in plan.notes


def test_a_policy_that_is_not_ours_stays():
    theirs = {"Version": "2012-10-17", "Statement": [THEIRS]}
    narrowed = {"Version": "2012-10-17", "Statement": [{**STATEMENT, "Condition": {"Bool": {"aws:Mfa": "true"}}}]}
    for policy in (theirs, narrowed):
        plan = plan_absent(REQUEST, replace(STATE, policy=policy), USAGE)
        assert plan.calls == [] and stays(plan) == {"policy", "instance_profile", "role"}
        assert "was not written by dbops.rds_iam, or was changed since" in plan.notes[0]
    assert not needs_usage(REQUEST, State(role(None), profile(None), theirs))


def test_a_statement_that_others_added_stays():
    both = {"Version": "2012-10-17", "Statement": [THEIRS, STATEMENT]}
    plan = plan_absent(REQUEST, replace(STATE, policy=both), USAGE)
    assert plan.calls == ["put_policy"] and plan.after.policy == {"Version": "2012-10-17", "Statement": [THEIRS]}
    assert seen(plan)["policy"] == ("removed", "the statements that others added to it stay")
    assert "The role app stays, since it is also used by connect." in plan.notes


HERE, THERE = (f"arn:aws:rds-db:{region}:123456789012:dbuser:db-X" for region in ("eu-west-1", "us-east-1"))
RUN = replace(REQUEST, databases=[{"connect_arn_prefix": HERE}])
SHARED = {"Version": "2012-10-17", "Statement": [{**STATEMENT, "Resource": [f"{HERE}/app", f"{THERE}/app"]}]}
LEFT = {"Version": "2012-10-17", "Statement": [{**STATEMENT, "Resource": [f"{THERE}/app"]}]}


@pytest.mark.parametrize(
    ("managed_by", "usage"), [(None, USAGE), ("terraform", carried("i-1")), (OURS, carried("i-1"))]
)
def test_users_of_other_databases_stay_for_whoever_still_has_the_role(managed_by, usage):
    """A role of somebody else, and an instance that keeps the profile: another run may have given them these users."""
    state = State(role(managed_by), profile(managed_by), SHARED)
    plan = plan_absent(RUN, state, usage)
    assert plan.calls == ["put_policy"] and plan.after.policy == LEFT
    assert seen(plan)["policy"] == ("removed", "the users of databases that are not of this run stay")
    assert plan.notes[0] == f"The inline policy connect goes on allowing {THERE}/app, of no database of this run."
    again = plan_absent(RUN, replace(state, policy=LEFT), usage)
    assert again.calls == [] and again.after.policy == LEFT
    assert seen(again)["policy"] == ("stays", "it only allows users of databases that are not of this run")
    text = {"Version": "2012-10-17", "Statement": {**STATEMENT, "Resource": f"{THERE}/app"}}
    assert plan_absent(RUN, replace(state, policy=text), usage).calls == []
    assert plan_absent(replace(RUN, policy_purge=True), state, usage).calls == ["delete_policy"]


def test_users_of_other_databases_go_with_a_role_that_nobody_has():
    state = State(role(), profile(), SHARED)
    assert plan_absent(RUN, state, USAGE).calls == ALL
    detached = replace(RUN, detached_ids=frozenset(["i-1"]))
    assert plan_absent(detached, state, carried("i-1")).calls == ALL


@pytest.mark.parametrize("region", ["eu-west-1", "us-east-1"])
def test_an_instance_outside_the_run_keeps_all_of_it(region):
    plan = plan_absent(REQUEST, STATE, carried("i-9", region=region))
    assert plan.calls == [] and stays(plan) == {"policy", "instance_profile", "role"}
    assert f"EC2 instances outside this run use it: i-9 ({region})." in plan.notes[0]
    assert f"it is also used by i-9 ({region})" in plan.notes[-1]


def test_an_instance_of_the_run_that_still_has_the_profile_keeps_the_profile():
    """It could not be detached, or this run does not undo step 6: it loses the policy all the same."""
    plan = plan_absent(REQUEST, STATE, carried("i-1"))
    assert plan.calls == ["delete_policy"] and stays(plan) == {"instance_profile", "role"}
    assert seen(plan)["instance_profile"][1] == "it is attached to EC2 instances: i-1 (eu-west-1)"


def test_in_check_mode_the_instances_still_have_the_profile():
    detached = replace(REQUEST, detached_ids=frozenset(["i-1", "i-2"]))
    assert plan_absent(detached, STATE, carried("i-1", "i-2")).calls == ALL
    assert plan_absent(detached, STATE, carried("i-1", "i-9")).calls == []


def test_an_instance_with_another_profile_that_holds_the_role():
    usage = carried("i-9", arn="arn:web", instance_profiles={"app": "arn:app", "web": "arn:web"})
    plan = plan_absent(REQUEST, STATE, usage)
    assert plan.calls == [] and stays(plan) == {"policy", "instance_profile", "role"}
    assert "it is also used by web, i-9 (eu-west-1)" in plan.notes[-1]


def test_a_role_that_others_use_otherwise_stays_in_its_profile():
    usage = replace(USAGE, inline_policies=["connect", "backup"], managed_policies=["ReadOnlyAccess"])
    plan = plan_absent(REQUEST, STATE, usage)
    assert plan.calls == ["delete_policy"] and stays(plan) == {"instance_profile", "role"}
    assert "The role app stays, since it is also used by backup, ReadOnlyAccess." in plan.notes


def test_a_profile_of_ours_with_a_role_of_somebody_else():
    plan = plan_absent(REQUEST, State(role(None), profile(), POLICY), USAGE)
    assert plan.calls == ALL[:3] and stays(plan) == {"role"}


def test_a_role_of_ours_in_a_profile_of_somebody_else():
    plan = plan_absent(REQUEST, State(role(), profile(None), POLICY), USAGE)
    assert plan.calls == ["delete_policy"] and stays(plan) == {"instance_profile", "role"}
    assert "The role app stays, since it is also used by app." in plan.notes


def test_a_profile_of_ours_that_holds_another_role_by_now():
    plan = plan_absent(REQUEST, State(role(), profile(holds="web"), POLICY), replace(USAGE, instance_profiles={}))
    assert plan.calls == ["delete_policy", "delete_role"] and stays(plan) == {"instance_profile"}


def test_where_a_region_cannot_be_seen_nothing_is_deleted():
    unseen = dict.fromkeys(["us-east-1", "ap-south-1"], DENIED)
    for state in (STATE, State(role(None), profile(), POLICY), State(role(), None, POLICY)):
        plan = plan_absent(REQUEST, state, replace(USAGE, unreadable_regions=unseen))
        assert plan.calls == []
        words = "an EC2 instance in the Regions ap-south-1, us-east-1, which could not be seen, may use it"
        assert f"{words} ({DENIED})." in plan.notes[0]
    plan = plan_absent(REQUEST, STATE, replace(USAGE, unreadable_regions={"us-east-1": DENIED}))
    assert "in the Region us-east-1, which could not be seen" in plan.notes[0]


@pytest.mark.parametrize(
    ("left", "calls"),
    [
        (State(role(), profile(), None), ALL[1:]),
        (State(role(), profile(holds=""), None), ALL[2:]),
        (State(role(), None, None), ALL[3:]),
        (State(None, profile(holds=""), None), ALL[2:3]),
    ],
)
def test_a_run_that_was_killed_is_completed(left, calls):
    usage = replace(USAGE, inline_policies=[], instance_profiles={})
    assert plan_absent(REQUEST, left, usage).calls == calls


def test_a_role_of_ours_that_others_may_assume():
    statement = {
        **TRUST_POLICY["Statement"][0],
        "Principal": {"Service": ["ec2.amazonaws.com", "lambda.amazonaws.com"]},
    }
    trust = {"Version": "2012-10-17", "Statement": [statement]}
    plan = plan_absent(REQUEST, replace(STATE, role={**role(), "trust_policy": trust}), USAGE)
    assert plan.calls == [] and stays(plan) == {"policy", "instance_profile", "role"}
    assert "since the trust policy of the role also lets lambda.amazonaws.com assume it." in plan.notes[0]
    plan = plan_absent(REQUEST, replace(STATE, role={**role(None), "trust_policy": trust}), USAGE)
    assert plan.calls == ALL[:3] and stays(plan) == {"role"}


def test_one_part():
    usage = replace(USAGE, instance_profiles={"app": "arn:app"})
    role_only = plan_absent(replace(REQUEST, parts=frozenset(["role"])), replace(STATE, policy=None), usage)
    assert role_only.calls == [] and "it is also used by connect" in role_only.notes[-1]
    policy_only = replace(REQUEST, parts=frozenset(["policy"]))
    assert plan_absent(policy_only, replace(STATE, instance_profile=None), usage).calls == ["delete_policy"]
    assert needs_usage(policy_only, STATE) and not needs_usage(policy_only, replace(STATE, policy=None))
