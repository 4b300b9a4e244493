# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The teardown undoes what the site did, and only that; check mode announces the same, and the table says what stays.

The steps that only call AWS are run; that no database user is left is said instead of dropping them.
"""

from __future__ import annotations

import json
from pathlib import Path

import boto3
import pytest
from driver import teardown_table
from faults import Fault, Proxy

ROLE, POLICY = "teardown", "rds-iam-connect"
ELSEWHERE = "us-east-1"
STEPS = ("--tags", "step1,step4,step5,step6")
EMPTY = json.dumps({"iam_role_name": ROLE, "db_users_result": {"iam_database_users_remaining": 0}})
TRUST = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
FORBIDDEN = 403, "AccessDenied", "User: arn:aws:iam::123456789012:user/u is not authorized to perform that"
FORBIDDEN_BY_EC2 = 403, "UnauthorizedOperation", "You are not authorized to perform this operation."


def document(*statements) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


@pytest.fixture(autouse=True)
def nothing(lab):
    """Before and after a test the flags are off, nothing is attached, and there is no role."""

    def clean():
        lab.reset()
        lab.delete_role(ROLE)

    clean()
    yield
    clean()


@pytest.fixture
def site(lab):
    return lambda *arguments: lab.good("site.yml", *STEPS, "-e", f"iam_role_name={ROLE}", *arguments)


@pytest.fixture
def teardown(lab, tmp_path):
    """Run the steps, first in check mode, which must announce the changes and the table of the real run."""

    def results(name, *arguments):
        path = tmp_path / name
        callbacks = {
            "ANSIBLE_CALLBACK_PLUGINS": str(Path(__file__).parent / "callbacks"),
            "ANSIBLE_CALLBACKS_ENABLED": "results",
        }
        run = lab.good("teardown.yml", *arguments, "-e", EMPTY, RESULTS=str(path), **callbacks)
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        return run, {(line["host"], line["name"]) for line in lines if line["result"].get("changed")}

    def teardown(*arguments, steps=STEPS):
        with lab.calls() as calls:
            announced, planned = results("check", *steps, *arguments, "--check")
        assert lab.changing(calls) == []
        run, done = results("real", *steps, *arguments)
        assert planned == done, f"{announced.output}\n{run.output}"
        real = teardown_table(run)
        words = {"removed": "would be removed", "stays": "would stay"}
        assert teardown_table(announced) == {row: (words.get(what, what), why) for row, (what, why) in real.items()}
        return real

    return teardown


def of(found, what) -> tuple[str, str]:
    [row] = [row for (kind, _name), row in found.items() if kind == what]
    return row


@pytest.fixture
def instance(lab):
    """Starts EC2 instances with an instance profile that are in no inventory; they are terminated afterwards."""
    made = []

    def instance(profile, region=None):
        ec2 = boto3.client("ec2", region_name=region or lab.info["region"])
        image = ec2.describe_images()["Images"][0]["ImageId"]
        options = {"ImageId": image, "MinCount": 1, "MaxCount": 1, "IamInstanceProfile": {"Name": profile}}
        [started] = ec2.run_instances(**options)["Instances"]
        made.append((ec2, started["InstanceId"]))
        assert lab.profile_of(started["InstanceId"], region) == profile
        return started["InstanceId"]

    yield instance
    for ec2, instance_id in made:
        ec2.terminate_instances(InstanceIds=[instance_id])


@pytest.fixture
def foreign(lab):
    """A role and its instance profile of somebody else, with these tags, attached to the first client."""

    def foreign(*tags, attached=True):
        iam, tags = lab.aws("iam"), [{"Key": key, "Value": value} for key, value in tags]
        iam.create_role(RoleName=ROLE, AssumeRolePolicyDocument=document(TRUST), Tags=tags)
        iam.create_instance_profile(InstanceProfileName=ROLE, Tags=tags)
        iam.add_role_to_instance_profile(InstanceProfileName=ROLE, RoleName=ROLE)
        if attached:
            lab.attach("client1", ROLE)

    return foreign


def exists(lab) -> dict[str, bool]:
    iam = lab.aws("iam")
    roles = {role["RoleName"] for role in iam.list_roles()["Roles"]}
    profiles = {profile["InstanceProfileName"] for profile in iam.list_instance_profiles()["InstanceProfiles"]}
    policies = iam.list_role_policies(RoleName=ROLE)["PolicyNames"] if ROLE in roles else []
    return {"role": ROLE in roles, "profile": ROLE in profiles, "policy": POLICY in policies}


EVERYTHING, NOTHING = (dict.fromkeys(("role", "profile", "policy"), there) for there in (True, False))


def attached(lab) -> list[str | None]:
    return [lab.profile_of(client["instance_id"]) for client in lab.clients.values()]


def test_what_the_site_made_goes(lab, site, teardown):
    """EC2 goes on showing the profile for a while after it has accepted to detach it."""
    site()
    assert exists(lab) == EVERYTHING and attached(lab) == [ROLE] * len(lab.clients)
    assert lab.marks() == dict.fromkeys(["orders", "billing"], "dbops.rds_iam")
    found = teardown()
    assert exists(lab) == NOTHING and attached(lab) == [None] * len(lab.clients)
    assert not lab.flag("orders") and not lab.flag("billing") and lab.marks() == {}
    names = ", ".join(lab.clients)
    assert found == {
        ("rds-mysql", names): ("stays", "this run did not come to step 7"),
        (f"instance profile {ROLE} on the EC2 instance", names): ("removed", ""),
        ("inline policy", POLICY): ("removed", ""),
        ("instance profile", ROLE): ("removed", ""),
        ("IAM role", ROLE): ("removed", ""),
        ("database users of orders", "all"): ("stays", "this run did not come to step 3"),
        ("database users of billing", "all"): ("stays", "this run did not come to step 3"),
        ("CA bundle", names): ("stays", "this run did not come to step 8"),
        ("IAM database authentication", "orders, billing"): ("removed", ""),
        ("packages", names): ("stays", "programs of the host may use them"),
    }
    with lab.calls() as calls:
        again = teardown()
    assert lab.changing(calls) == [] and {outcome for outcome, _why in again.values()} == {"was not there", "stays"}


@pytest.mark.parametrize("tags", [(), (("ManagedBy", "terraform"), ("team", "shop"))], ids=["no tags", "terraform"])
def test_a_profile_of_somebody_else_stays_attached(lab, foreign, site, teardown, tags):
    foreign(*tags)
    site()
    assert exists(lab)["policy"] and attached(lab) == [ROLE] * len(lab.clients)
    found = teardown()
    assert exists(lab) == {**EVERYTHING, "policy": False}
    assert attached(lab) == [ROLE] * len(lab.clients)
    why = "the instance profile was not created by dbops.rds_iam"
    assert of(found, f"instance profile {ROLE} on the EC2 instance") == ("stays", why)
    assert of(found, "inline policy") == ("removed", "")
    assert of(found, "IAM role") == of(found, "instance profile") == ("stays", "it was not created by dbops.rds_iam")


def test_a_profile_that_holds_a_role_of_somebody_else_by_now_stays_attached(lab, site, teardown):
    site()
    iam, profile = lab.aws("iam"), {"InstanceProfileName": ROLE}
    iam.create_role(RoleName="theirs", AssumeRolePolicyDocument=document(TRUST))
    iam.remove_role_from_instance_profile(**profile, RoleName=ROLE)
    iam.add_role_to_instance_profile(**profile, RoleName="theirs")
    try:
        found = teardown()
        assert attached(lab) == [ROLE] * len(lab.clients)
        why = "the role theirs is in the instance profile by now"
        assert of(found, f"instance profile {ROLE} on the EC2 instance") == ("stays", why)
    finally:
        iam.remove_role_from_instance_profile(**profile, RoleName="theirs")
        iam.delete_role(RoleName="theirs")


def test_users_of_databases_of_another_run_stay(lab, foreign, site, teardown):
    foreign()
    site()
    iam, names = lab.aws("iam"), {"RoleName": ROLE, "PolicyName": POLICY}
    theirs = f"arn:aws:rds-db:{ELSEWHERE}:{lab.info['account_id']}:dbuser:db-ELSEWHERE/app"
    [ours] = iam.get_role_policy(**names)["PolicyDocument"]["Statement"]
    iam.put_role_policy(**names, PolicyDocument=document({**ours, "Resource": [*ours["Resource"], theirs]}))
    first = "removed", "the users of databases that are not of this run stay"
    second = "stays", "it only allows users of databases that are not of this run"
    for outcome in (first, second):
        assert of(teardown(), "inline policy") == outcome
        assert iam.get_role_policy(**names)["PolicyDocument"]["Statement"] == [{**ours, "Resource": [theirs]}]


def test_it_is_said_for_each_instance(lab, foreign):
    foreign()
    run = lab.good("teardown.yml", "--tags", "step6", "-e", EMPTY)
    host = f"the EC2 instance {lab.clients['client1']['instance_id']} of the host client1"
    words = f"The instance profile {ROLE} stays attached to {host}, since it was not created by dbops.rds_iam."
    assert words in run.output
    assert run.output.count("stays attached to") == 1


@pytest.mark.parametrize("region", [None, ELSEWHERE], ids=["here", "elsewhere"])
def test_an_instance_outside_the_inventory(lab, site, teardown, instance, region):
    site()
    outside = instance(ROLE, region)
    found = teardown()
    # The hosts of the inventory are detached; what the other instance logs in with stays.
    assert exists(lab) == EVERYTHING and attached(lab) == [None] * len(lab.clients)
    assert lab.profile_of(outside, region) == ROLE
    carrier = f"{outside} ({region or lab.info['region']})"
    assert of(found, "inline policy") == ("stays", f"EC2 instances outside this run use it: {carrier}")
    assert of(found, "instance profile") == ("stays", f"it is attached to EC2 instances: {carrier}")
    assert of(found, "IAM role") == ("stays", f"it is also used by {carrier}")
    boto3.client("ec2", region_name=region or lab.info["region"]).terminate_instances(InstanceIds=[outside])
    teardown()
    assert exists(lab) == NOTHING


def test_an_instance_outside_the_inventory_with_a_role_of_somebody_else(lab, foreign, site, teardown, instance):
    foreign()
    site()
    outside = instance(ROLE)
    found = teardown()
    assert exists(lab) == EVERYTHING
    assert of(found, "inline policy")[1] == f"EC2 instances outside this run use it: {outside} ({lab.info['region']})"


def test_hosts_that_limit_leaves_out(lab, site, teardown):
    site()
    found = teardown("--limit", "client1,orders,billing,localhost")
    assert exists(lab) == EVERYTHING
    assert attached(lab) == [None, *[ROLE] * (len(lab.clients) - 1)]
    assert of(found, "IAM role") == ("stays", "this run leaves out client2")
    assert found[f"instance profile {ROLE} on the EC2 instance", "client2"] == ("stays", "--limit leaves it out")
    teardown()
    assert exists(lab) == NOTHING


def test_single_steps(lab, site, teardown):
    site()
    found = teardown(steps=("--tags", "step5"))
    assert exists(lab) == {**EVERYTHING, "policy": False} and attached(lab) == [ROLE] * len(lab.clients)
    assert of(found, "inline policy") == ("removed", "")
    assert "it is attached to EC2 instances: " in of(found, "instance profile")[1]
    found = teardown(steps=("--tags", "step6"))
    assert attached(lab) == [None] * len(lab.clients)
    assert of(found, "IAM role") == ("stays", "this run did not come to steps 5 and 4")
    teardown(steps=("--tags", "step4"))
    assert exists(lab) == NOTHING


def test_what_others_added(lab, site, teardown):
    """A statement in the policy, another policy, and the role in another profile."""
    site()
    iam, theirs = lab.aws("iam"), {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}
    ours = iam.get_role_policy(RoleName=ROLE, PolicyName=POLICY)["PolicyDocument"]["Statement"]
    iam.put_role_policy(RoleName=ROLE, PolicyName=POLICY, PolicyDocument=document(theirs, *ours))
    found = teardown()
    assert exists(lab) == EVERYTHING
    assert iam.get_role_policy(RoleName=ROLE, PolicyName=POLICY)["PolicyDocument"]["Statement"] == [theirs]
    assert of(found, "inline policy") == ("removed", "the statements that others added to it stay")
    assert of(found, "IAM role") == ("stays", f"it is also used by {POLICY}")

    iam.delete_role_policy(RoleName=ROLE, PolicyName=POLICY)
    iam.put_role_policy(RoleName=ROLE, PolicyName="backup", PolicyDocument=document(theirs))
    iam.create_instance_profile(InstanceProfileName="web")
    iam.add_role_to_instance_profile(InstanceProfileName="web", RoleName=ROLE)
    try:
        site()
        found = teardown()
        assert exists(lab) == {**EVERYTHING, "policy": False}
        assert of(found, "IAM role") == ("stays", "it is also used by backup, web")
        assert of(found, "instance profile") == ("stays", f"the role {ROLE} in it stays")
    finally:
        iam.remove_role_from_instance_profile(InstanceProfileName="web", RoleName=ROLE)
        iam.delete_instance_profile(InstanceProfileName="web")


def test_a_profile_that_somebody_else_made_without_a_role_stays_empty(lab, site):
    iam = lab.aws("iam")
    iam.create_instance_profile(InstanceProfileName=ROLE)
    with lab.calls() as calls:
        run = lab.playbook("site.yml", *STEPS, "-e", f"iam_role_name={ROLE}")
    assert run.status != 0 and lab.changing(calls) == []
    assert f"The instance profile {ROLE} exists, was not created by dbops.rds_iam, and holds no role" in run.output
    assert iam.get_instance_profile(InstanceProfileName=ROLE)["InstanceProfile"]["Roles"] == []


def test_flags_that_were_on_before(lab, site, teardown):
    """One that somebody else switched on, one of a database that somebody else manages."""
    lab.set_flag("orders", True)
    lab.mark(lab.arn("billing"), "terraform")
    site()
    assert lab.flag("billing") and lab.marks() == {"billing": "terraform"}
    found = teardown()
    assert lab.flag("orders") and lab.flag("billing") and lab.marks() == {"billing": "terraform"}
    what = "IAM database authentication"
    why = "dbops.rds_iam did not switch it on: the database has "
    assert found[what, "orders"] == ("stays", f"{why}no tag ManagedBy=dbops.rds_iam")
    assert found[what, "billing"] == ("stays", f"{why}the tag ManagedBy=terraform")


def test_files_of_others(lab, teardown):
    """A program in place of rds-mysql, and a CA bundle without the mark of the collection."""
    program, bundle = lab.wrapper("client1"), lab.bundle("client1")
    lab.good("site.yml", "--tags", "step8")
    others = f"sed -i 1d {bundle}; rm -f {program}; cp /bin/true {program}"
    assert lab.ssh("client1", f"{lab.sudo}sh -c {lab.quote(others)}").returncode == 0
    assert lab.ssh("client2", f"{lab.sudo}rm -f {lab.wrapper('client2')}").returncode == 0
    files = f"sha256sum {program} {bundle}"
    before = lab.ssh("client1", files).stdout
    assert len(before.splitlines()) == 2
    try:
        found = teardown(steps=("--tags", "step7,step8"))
        assert lab.ssh("client1", files).stdout == before
        why = f"{program} is not a program that the role dbops.rds_iam.connect wrote"
        assert found["rds-mysql", "client1"] == ("stays", why)
        assert found["rds-mysql", "client2"] == ("was not there", "")
        outcome, why = found["CA bundle", "client1"]
        assert outcome == "stays" and why.startswith(f"{bundle} stays: it has no mark of dbops.rds_iam")
        assert found["CA bundle", "client2"] == ("removed", "")
    finally:
        lab.ssh("client1", f"{lab.sudo}rm -f {program} {bundle}")


def test_a_region_that_cannot_be_seen(lab, site, with_rights, teardown):
    site()
    allow = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    deny = {"Effect": "Deny", "Action": "ec2:DescribeInstances", "Resource": "*"}
    blind = {**deny, "Condition": {"StringEquals": {"aws:RequestedRegion": [ELSEWHERE, "eu-west-2"]}}}
    for arguments in (("--check",), ()):
        run = lab.good("teardown.yml", *STEPS, "-e", EMPTY, *arguments, **with_rights(allow, blind))
        assert exists(lab) == EVERYTHING
        found = teardown_table(run)
        for outcome, why in (of(found, what) for what in ("inline policy", "IAM role")):
            assert outcome in ("stays", "would stay")
            assert "an EC2 instance in the Regions eu-west-2, us-east-1, which could not be seen, may use it" in why
            assert "ec2:DescribeInstances" in why
        assert of(found, "instance profile")[1] == f"the role {ROLE} in it stays"
    assert attached(lab) == [None] * len(lab.clients)
    teardown()
    assert exists(lab) == NOTHING


@pytest.mark.parametrize(
    ("action", "left"),
    [
        ("DeleteRolePolicy", EVERYTHING),
        ("RemoveRoleFromInstanceProfile", {**EVERYTHING, "policy": False}),
        ("DeleteInstanceProfile", {**EVERYTHING, "policy": False}),
        ("DeleteRole", {"role": True, "profile": False, "policy": False}),
    ],
)
def test_a_run_that_fails_half_way_is_completed_by_the_next(lab, site, teardown, action, left):
    site()
    with Proxy(lab.info["endpoint_url"]) as proxy, proxy.failing(Fault(action, FORBIDDEN)):
        run = lab.playbook("teardown.yml", *STEPS, "-e", EMPTY, AWS_ENDPOINT_URL=proxy.url)
    assert run.status != 0 and "Traceback" not in run.output
    assert exists(lab) == left
    # The other steps are undone, and the table says which one was not, and why.
    assert attached(lab) == [None] * len(lab.clients) and not lab.flag("orders")
    outcome, why = of(teardown_table(run), "IAM role")
    assert outcome == "stays" and "is not allowed" in why
    teardown()
    assert exists(lab) == NOTHING


def test_an_instance_that_cannot_be_detached(lab, site, teardown):
    site()
    with (
        Proxy(lab.info["endpoint_url"]) as proxy,
        proxy.failing(Fault("DisassociateIamInstanceProfile", FORBIDDEN_BY_EC2)),
    ):
        run = lab.playbook("teardown.yml", *STEPS, "-e", EMPTY, AWS_ENDPOINT_URL=proxy.url)
    assert run.status != 0
    [kept] = [name for name in lab.clients if lab.profile_of(lab.clients[name]["instance_id"]) == ROLE]
    assert run.failed == {kept}
    assert f"of the host {kept} keeps the instance profile {ROLE}: " in run.output
    assert exists(lab) == {**EVERYTHING, "policy": False}
    assert teardown_table(run)[f"instance profile {ROLE} on the EC2 instance", kept][0] == "stays"
    teardown()
    assert exists(lab) == NOTHING


def test_entry_points_with_absent(lab, site, tmp_path):
    """One that creates removes, and creates nothing."""
    play = tmp_path / "play.json"

    def include(tasks_from, **variables):
        role = {"name": "dbops.rds_iam.iam_role", "tasks_from": tasks_from}
        task = {"ansible.builtin.include_role": role, "vars": {"iam_role_name": ROLE, **variables}}
        play.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": [task]}]))
        return lab.good(str(play))

    absent = {"iam_role_state": "absent"}
    for tasks_from in ("role", "policy", "main"):
        with lab.calls() as calls:
            include(tasks_from, **absent)
        assert exists(lab) == NOTHING and lab.changing(calls) == []
    site()
    instances = [client["instance_id"] for client in lab.clients.values()]
    assert f"is also used by {POLICY}" in include("role", **absent, iam_role_detached_instance_ids=instances).output
    assert exists(lab) == EVERYTHING
    include("policy", **absent, iam_role_instance_ids=instances)
    assert exists(lab) == {**EVERYTHING, "policy": False}
    lab.detach(*lab.clients)
    include("role", **absent)
    assert exists(lab) == NOTHING
