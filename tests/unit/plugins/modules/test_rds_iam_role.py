# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The calls that the module makes, counted: the client refuses every other one."""

from __future__ import annotations

import copy
import datetime
import json
from types import SimpleNamespace

import pytest
from ansible_collections.dbops.rds_iam.plugins.modules import rds_iam_role
from botocore.exceptions import EndpointConnectionError

ACCOUNT = "arn:aws:iam::123456789012"
BOUNDARY = f"{ACCOUNT}:policy/boundary"
ORDERS = "arn:aws:rds-db:eu-west-1:123456789012:dbuser:db-ORDERS"
DATABASES = [{"identifier": "orders", "connect_arn_prefix": ORDERS, "users": ["app"]}]
POLICY = {
    "Version": "2012-10-17",
    "Statement": [
        {"Sid": "RdsIamConnect", "Effect": "Allow", "Action": "rds-db:connect", "Resource": [f"{ORDERS}/app"]}
    ],
}
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
OURS = [{"Key": "ManagedBy", "Value": "dbops.rds_iam"}]
DAY = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
NOT_FOUND = "NoSuchEntity", "It cannot be found."
EXISTS = "EntityAlreadyExists", "It exists."
FULL = "LimitExceeded", "Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1"
DENIED = "UnauthorizedOperation", "You are not authorized to perform this operation."
ROLE = {
    "RoleName": "app",
    "RoleId": "A" * 16,
    "Arn": f"{ACCOUNT}:role/app",
    "Path": "/",
    "CreateDate": DAY,
    "AssumeRolePolicyDocument": TRUST,
    "Tags": OURS,
}
PROFILE = {
    "InstanceProfileName": "app",
    "InstanceProfileId": "B" * 16,
    "Arn": f"{ACCOUNT}:instance-profile/app",
    "Path": "/",
    "CreateDate": DAY,
    "Roles": [{**ROLE, "AssumeRolePolicyDocument": json.dumps(TRUST)}],
    "Tags": OURS,
}
BOTH = {"RoleName": "app", "InstanceProfileName": "app"}
NAMED = {"RoleName": "app", "PolicyName": "rds-iam-connect"}


def get_role(answer=None, **changes):
    answer = answer or ROLE
    if isinstance(answer, dict):
        role = {**answer, "AssumeRolePolicyDocument": json.dumps(answer["AssumeRolePolicyDocument"]), **changes}
        answer = {"Role": role}
    return "get_role", {"RoleName": "app"}, answer


def get_profile(answer=None, **changes):
    answer = answer or PROFILE
    if isinstance(answer, dict):
        answer = {"InstanceProfile": copy.deepcopy({**answer, **changes})}
    return "get_instance_profile", {"InstanceProfileName": "app"}, answer


def get_policy(answer=None, name="rds-iam-connect"):
    answer = answer or POLICY
    if isinstance(answer, dict):
        answer = {**NAMED, "PolicyName": name, "PolicyDocument": json.dumps(answer)}
    return "get_role_policy", {**NAMED, "PolicyName": name}, answer


def call(operation, expected, answer=None):
    return operation, expected, answer or {}


def create_role(answer=None):
    expected = {
        "RoleName": "app",
        "Path": "/",
        "Description": "EC2 instances that log in to RDS databases with IAM tokens",
        "AssumeRolePolicyDocument": json.dumps(TRUST),
        "Tags": OURS,
    }
    role = {"Role": {**ROLE, "AssumeRolePolicyDocument": json.dumps(TRUST)}}
    return "create_role", expected, answer or role


def create_profile(answer=None):
    expected = {"InstanceProfileName": "app", "Path": "/", "Tags": OURS}
    return "create_instance_profile", expected, answer or {"InstanceProfile": copy.deepcopy({**PROFILE, "Roles": []})}


def add_role(answer=None):
    return call("add_role_to_instance_profile", BOTH, answer)


def put_policy(document=None, answer=None):
    return call("put_role_policy", {**NAMED, "PolicyDocument": json.dumps(document or POLICY)}, answer)


def list_policies(*names):
    return call("list_role_policies", {"RoleName": "app"}, {"PolicyNames": list(names)})


def usage(*inline, managed=(), profiles=(PROFILE,)):
    attached = [{"PolicyName": name, "PolicyArn": f"{ACCOUNT}:policy/{name}"} for name in managed]
    role = {"RoleName": "app"}
    return (
        list_policies(*inline),
        call("list_attached_role_policies", role, {"AttachedPolicies": attached}),
        call("list_instance_profiles_for_role", role, {"InstanceProfiles": copy.deepcopy(list(profiles))}),
    )


def regions(**status):
    found = [{"RegionName": name.replace("_", "-"), "OptInStatus": value} for name, value in status.items()]
    filters = [{"Name": "opt-in-status", "Values": ["opt-in-not-required", "opted-in"]}]
    return "describe_regions", {"Filters": filters}, {"Regions": found}


def carriers(*instances, answer=None):
    """The answer of DescribeInstances in one Region: (id, state), as if the filter filtered nothing."""
    found = [
        {"InstanceId": instance_id, "State": {"Name": state}, "IamInstanceProfile": {"Arn": PROFILE["Arn"]}}
        for instance_id, state in instances
    ]
    filters = [
        {"Name": "iam-instance-profile.arn", "Values": [PROFILE["Arn"]]},
        {"Name": "instance-state-name", "Values": ["pending", "running", "stopping", "stopped"]},
    ]
    return "describe_instances", {"Filters": filters}, answer or {"Reservations": [{"Instances": found}]}


@pytest.fixture
def run(run_module, stubbed, monkeypatch):
    """Run the module with these calls of IAM, and for EC2 with those of each Region, None for that of the module."""

    def run(*iam, ec2=None, check=False, **options):
        clients = {region: stubbed("ec2", *calls) for region, calls in (ec2 or {}).items()}
        client = stubbed("iam", *copy.deepcopy(iam))  # botocore decodes the documents in place
        monkeypatch.setattr(rds_iam_role, "connect_ec2", lambda module, region: clients[region])
        options = {"role_name": "app", "databases": DATABASES, **options}
        return run_module(rds_iam_role, client, check=check, **options)

    return run


def test_nothing_to_do_is_three_calls(run):
    result = run(get_role(), get_profile(), get_policy())
    assert not result["changed"] and result["changed_parts"] == []
    assert result["diff"]["before"] == result["diff"]["after"]
    assert {made["outcome"] for made in result["outcomes"]} == {"unchanged"}


@pytest.mark.parametrize(
    ("part", "calls"), [("role", (get_role(), get_profile())), ("policy", (get_role(), get_policy()))]
)
def test_one_part_is_two_calls(run, part, calls):
    assert not run(*calls, parts=[part])["changed"]


NOTHING = get_role(NOT_FOUND), get_profile(NOT_FOUND)


def test_from_nothing(run, clock):
    made = create_role(), get_role(), create_profile(), get_profile(Roles=[]), add_role(), put_policy()
    result = run(*NOTHING, *made)
    assert result["changed_parts"] == ["role", "policy"]
    assert result["policy"] == POLICY and result["diff"]["before"] == dict.fromkeys(
        ["role", "instance_profile", "policy"]
    )


def test_names_and_path(run):
    names = {"InstanceProfileName": "web"}, {"RoleName": "app", "PolicyName": "connect"}
    calls = get_role(), ("get_instance_profile", names[0], NOT_FOUND), ("get_role_policy", names[1], NOT_FOUND)
    others = list_policies("rds-iam-connect"), get_policy()
    options = {"instance_profile_name": "web", "policy_name": "connect", "path": "/team/", "check": True}
    result = run(*calls, *others, **options)
    assert (result["instance_profile"]["name"], result["instance_profile"]["path"]) == ("web", "/team/")
    assert {made["name"] for made in result["outcomes"]} == {"app", "web", "connect"}


def test_check_mode_from_nothing_reads_only(run):
    result = run(*NOTHING, check=True)
    assert result["changed"] and result["role"]["tags"] == {"ManagedBy": "dbops.rds_iam"}
    assert result["diff"]["after"]["policy"] == POLICY


def test_what_iam_does_not_show_yet_is_tried_again(run, clock):
    """Seconds after the role and the profile were made, and with a lost answer, which botocore repeats."""
    made = create_role(EXISTS), get_role(), create_profile(EXISTS), get_profile(NOT_FOUND)
    unseen = add_role(NOT_FOUND), add_role(), put_policy(answer=NOT_FOUND), put_policy()
    assert run(*NOTHING, *made, *unseen)["changed"]
    assert clock.pauses == [0.5, 0.5]


def test_the_role_is_in_the_profile_already(run, clock):
    made = create_role(), get_role(), create_profile(), get_profile(Roles=[])
    assert run(*NOTHING, *made, add_role(FULL), get_profile(), parts=["role"])["changed"]


def test_somebody_else_makes_it_at_the_same_time(run, clock):
    result = run(*NOTHING, create_role(EXISTS), get_role(Tags=[]))
    assert "somebody else has created it at the same time" in result["msg"] and not result["changed"]
    theirs = {**ROLE, "RoleName": "web", "AssumeRolePolicyDocument": json.dumps(TRUST)}
    made = (
        create_role(),
        get_role(),
        create_profile(),
        get_profile(Roles=[]),
        add_role(FULL),
        get_profile(Roles=[theirs]),
    )
    result = run(*NOTHING, *made)
    assert "Failed to add the IAM role app to the instance profile app" in result["msg"] and result["changed"]


def test_a_role_that_is_missing_is_one_sentence(run, clock):
    tries = [put_policy(answer=NOT_FOUND)] * 13
    result = run(get_role(NOT_FOUND), *tries, parts=["policy"])
    assert result["msg"] == (
        "Failed to write the inline policy rds-iam-connect of the IAM role app: It cannot be found (NoSuchEntity)."
    )
    assert clock.now == 60


def test_the_other_policies_are_read_before_the_policy_changes(run, clock):
    large = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "x" * 10_200}]}
    others = list_policies("rds-iam-connect", "large"), get_policy(large, "large")
    result = run(get_role(), get_profile(), get_policy(NOT_FOUND), *others)
    assert "IAM takes 10240 for all of them together" in result["msg"]
    assert (result["refusals"], result["changed_parts"]) == ({"policy": result["msg"]}, [])
    small = list_policies("rds-iam-connect", "gone"), get_policy(NOT_FOUND, "gone")
    assert run(get_role(), get_profile(), get_policy(NOT_FOUND), *small, put_policy())["changed"]


@pytest.mark.parametrize("check", [True, False])
def test_a_policy_of_somebody_else_is_refused_before_any_change(run, check):
    theirs = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
    result = run(get_role(Tags=[]), get_profile(NOT_FOUND), get_policy(theirs), check=check)
    assert set(result["refusals"]) == {"policy"} and result["changed_parts"] == ["role"]
    assert "was not written by dbops.rds_iam" in result["msg"]


def test_a_role_is_repaired(run, clock):
    closed = {"Version": "2012-10-17", "Statement": []}
    trust = call("update_assume_role_policy", {"RoleName": "app", "PolicyDocument": json.dumps(TRUST)})
    bound = {"RoleName": "app", "PermissionsBoundary": BOUNDARY}
    calls = trust, call("put_role_permissions_boundary", bound)
    role = get_role(AssumeRolePolicyDocument=json.dumps(closed))
    result = run(role, get_profile(), *calls, parts=["role"], permissions_boundary=BOUNDARY)
    assert result["changed_parts"] == ["role"] and result["role"]["permissions_boundary"] == BOUNDARY


ABSENT = {"state": "absent", "instance_ids": ["i-1"]}
READ = get_role(), get_profile(), get_policy()
REMOVE = (
    call("delete_role_policy", NAMED),
    call("remove_role_from_instance_profile", BOTH),
    call("delete_instance_profile", {"InstanceProfileName": "app"}),
    call("delete_role", {"RoleName": "app"}),
)
TWO = regions(eu_west_1="opt-in-not-required", il_central_1="opted-in")


def test_absent_looks_in_every_enabled_region(run, clock):
    ec2 = {None: [TWO], "eu-west-1": [carriers(("i-1", "terminated"))], "il-central-1": [carriers()]}
    result = run(*READ, *usage("rds-iam-connect"), *REMOVE, ec2=ec2, **ABSENT)
    assert {made["outcome"] for made in result["outcomes"]} == {"removed"}
    ec2 = {None: [TWO], "eu-west-1": [carriers()], "il-central-1": [carriers(("i-9", "stopped"))]}
    result = run(*READ, *usage("rds-iam-connect"), ec2=ec2, **ABSENT)
    assert not result["changed"] and {made["outcome"] for made in result["outcomes"]} == {"stays"}
    assert "EC2 instances outside this run use it: i-9 (il-central-1)" in result["notes"][0]


def test_absent_asks_no_region_that_is_not_enabled(run, clock):
    """Not every API that speaks EC2 knows the filter."""
    found = regions(eu_west_1="opt-in-not-required", ap_east_1="not-opted-in")
    ec2 = {None: [found], "eu-west-1": [carriers()]}
    assert run(*READ, *usage("rds-iam-connect"), *REMOVE, ec2=ec2, **ABSENT)["changed"]


def test_absent_where_a_region_cannot_be_seen(run):
    ec2 = {None: [TWO], "eu-west-1": [carriers()], "il-central-1": [carriers(answer=DENIED)]}
    result = run(*READ, *usage("rds-iam-connect"), ec2=ec2, **ABSENT)
    assert not result["changed"]
    assert "in the Region il-central-1, which could not be seen" in result["notes"][0]
    assert "not allowed ec2:DescribeInstances" in result["notes"][0]


def test_absent_where_a_region_cannot_be_reached(run, monkeypatch):
    unreachable = SimpleNamespace(get_paginator=lambda operation: SimpleNamespace(paginate=refuse))
    monkeypatch.setattr(rds_iam_role, "connect_ec2", None)
    original = rds_iam_role.role_reader.read_usage

    def read_usage(client, connect_ec2, request, state):
        return original(
            client, lambda name: unreachable if name == "il-central-1" else connect_ec2(name), request, state
        )

    monkeypatch.setattr(rds_iam_role.role_reader, "read_usage", read_usage)
    ec2 = {None: [TWO], "eu-west-1": [carriers()]}
    result = run(*READ, *usage("rds-iam-connect"), ec2=ec2, **ABSENT)
    assert not result["changed"]
    assert "il-central-1, which could not be seen, may use it (AWS could not be reached" in result["notes"][0]


def refuse(**_options):
    raise EndpointConnectionError(endpoint_url="https://ec2.il-central-1.amazonaws.com")


def test_absent_where_the_regions_cannot_be_listed(run):
    denied = "describe_regions", TWO[1], DENIED
    result = run(*READ, *usage("rds-iam-connect"), ec2={None: [denied]}, **ABSENT)
    assert "Failed to list the Regions that are enabled for the account" in result["msg"]
    assert "ec2:DescribeRegions" in result["msg"]


def test_absent_in_check_mode_says_the_same(run):
    ec2 = {None: [TWO], "eu-west-1": [carriers(("i-1", "running"))], "il-central-1": [carriers()]}
    options = {**ABSENT, "detached_instance_ids": ["i-1"], "check": True}
    result = run(*READ, *usage("rds-iam-connect"), ec2=ec2, **options)
    assert {made["outcome"] for made in result["outcomes"]} == {"removed"}
    assert result["diff"]["after"] == dict.fromkeys(["role", "instance_profile", "policy"])


def test_absent_of_what_is_not_there_is_two_calls(run):
    assert not run(*NOTHING, **ABSENT)["changed"]


def test_absent_of_what_is_not_ours_asks_for_no_instances(run):
    foreign = get_role(Tags=[]), get_profile(Tags=[]), get_policy(NOT_FOUND)
    result = run(*foreign, **ABSENT)
    assert [made["reason"] for made in result["outcomes"][1:]] == ["it was not created by dbops.rds_iam"] * 2


def test_absent_waits_for_what_iam_still_shows(run, clock):
    conflict = "DeleteConflict", "Cannot delete entity, must remove roles from instance profile first."
    slow = (
        call("delete_role_policy", NAMED, NOT_FOUND),
        REMOVE[1],
        (*REMOVE[2][:2], conflict),
        REMOVE[2],
        (*REMOVE[3][:2], conflict),
        (*REMOVE[3][:2], NOT_FOUND),
    )
    ec2 = {None: [TWO], "eu-west-1": [carriers()], "il-central-1": [carriers()]}
    assert run(*READ, *usage("rds-iam-connect"), *slow, ec2=ec2, **ABSENT)["changed"]
    assert clock.pauses == [0.5, 0.5]


def test_a_failure_half_way_says_that_something_has_changed(run, clock):
    denied = (
        "AccessDenied",
        f"User: {ACCOUNT}:user/u is not authorized to perform: iam:DeleteInstanceProfile on resource: x",
    )
    calls = *REMOVE[:2], (*REMOVE[2][:2], denied)
    ec2 = {None: [TWO], "eu-west-1": [carriers()], "il-central-1": [carriers()]}
    result = run(*READ, *usage("rds-iam-connect"), *calls, ec2=ec2, **ABSENT)
    assert "is not allowed iam:DeleteInstanceProfile" in result["msg"] and result["changed"]
