# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The calls that the module makes, counted: the client refuses every other one."""

from __future__ import annotations

import pytest
from ansible_collections.dbops.rds_iam.plugins.modules import ec2_role_attachment

ARN = "arn:aws:iam::123456789012:instance-profile/some/path/"
INVISIBLE = (
    "InvalidParameterValue",
    "Value (wanted) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name",
)
NO_ROLE = "InvalidParameterValue", 'IAM Instance Profile "wanted" has no associated IAM Roles'
HALF_VISIBLE = "IncorrectState", "ResultDetail: { Code=InstanceIdentityProfileNotFound, Message=not found }"
EXISTS = "IncorrectState", "There is an existing association for instance i-1"
STARTING = "IncorrectInstanceState", "The instance 'i-1' is not in the 'running' or 'stopped' states."
VANISHED = "InvalidInstanceID.NotFound", "The instance ID 'i-1' does not exist"
EXPIRED = "RequestExpired", "Request has expired."


def read(state="running", ids=None, **profiles):
    """The answer of DescribeInstances: i_1="name" or i_1=None."""
    found = {name.replace("_", "-"): profile for name, profile in profiles.items()}
    instances = [
        {"InstanceId": one, "State": {"Name": state}, **({"IamInstanceProfile": {"Arn": ARN + name}} if name else {})}
        for one, name in found.items()
    ]
    asked = {"Filters": [{"Name": "instance-id", "Values": ids or list(found)}]}
    return "describe_instances", asked, {"Reservations": [{"Instances": instances}]}


def associations(*ids, state="associated", **found):
    """The answer of DescribeIamInstanceProfileAssociations: i_1="name"."""
    answer = [
        {
            "AssociationId": f"assoc-{one[2:]}",
            "InstanceId": one.replace("_", "-"),
            "IamInstanceProfile": {"Arn": ARN + name},
            "State": state,
        }
        for one, name in found.items()
    ]
    asked = {"Filters": [{"Name": "instance-id", "Values": list(ids)}]}
    return "describe_iam_instance_profile_associations", asked, {"IamInstanceProfileAssociations": answer}


def associate(instance_id="i-1", answer=None):
    asked = {"InstanceId": instance_id, "IamInstanceProfile": {"Name": "wanted"}}
    return "associate_iam_instance_profile", asked, answer or {}


def replace(association="assoc-1", answer=None):
    asked = {"AssociationId": association, "IamInstanceProfile": {"Name": "wanted"}}
    return "replace_iam_instance_profile_association", asked, answer or {}


# What EC2 shows when it has made a change.
ATTACHED, DETACHED = read(i_1="wanted"), (read(i_1=None), associations("i-1"))


def disassociate(association="assoc-1", answer=None):
    return "disassociate_iam_instance_profile", {"AssociationId": association}, answer or {}


def run(run_module, stubbed, *calls, ids=("i-1",), check=False, **options):
    options = {"instance_ids": list(ids), "instance_profile_name": "wanted", **options}
    return run_module(ec2_role_attachment, stubbed("ec2", *calls), check=check, **options)


@pytest.mark.parametrize(("count", "calls"), [(1, 1), (200, 1), (201, 2), (1000, 5)])
def test_unchanged_costs_one_call_for_each_200_instances(run_module, stubbed, count, calls):
    ids = [f"i-{number}" for number in range(count)]
    parts = [ids[start : start + 200] for start in range(0, count, 200)]
    assert len(parts) == calls
    reads = [read(**{one.replace("-", "_"): "wanted" for one in part}) for part in parts]
    result = run(run_module, stubbed, *reads, ids=ids)
    assert not result["changed"]
    assert [one["instance_id"] for one in result["instances"]] == ids


def test_changes_cost_one_call_for_each_instance_that_differs(run_module, stubbed, clock):
    ids = [f"i-{number}" for number in range(1000)]
    fresh = {"i-7", "i-999"}
    parts = [ids[start : start + 200] for start in range(0, 1000, 200)]
    reads = [read(**{one.replace("-", "_"): None if one in fresh else "wanted" for one in part}) for part in parts]
    shown = read(i_7="wanted", i_999="wanted")
    result = run(run_module, stubbed, *reads, associate("i-7"), associate("i-999"), shown, ids=ids)
    assert {one["instance_id"] for one in result["instances"] if one["changed"]} == fresh


@pytest.mark.parametrize("name", ["", "some/path/wanted", ARN + "wanted", "wänted", "wanted\n", "w" * 129])
@pytest.mark.parametrize("state", ["present", "absent"])
def test_what_is_no_name_of_a_profile_is_refused_before_any_call(run_module, stubbed, name, state):
    result = run(run_module, stubbed, instance_profile_name=name, state=state)
    assert result["failed"] and "give the name alone" in result["msg"]


def test_no_instances_no_calls(run_module, stubbed):
    assert run(run_module, stubbed, ids=()) == {
        "changed": False,
        "instances": [],
        "diff": {"before": {}, "after": {}},
    }


def test_only_what_differs_is_attached(run_module, stubbed, clock):
    result = run(run_module, stubbed, read(i_1=None, i_2="wanted"), associate(), ATTACHED, ids=("i-1", "i-2", "i-1"))
    assert result["instances"] == [
        {"instance_id": "i-1", "state": "running", "before": None, "after": "wanted", "changed": True},
        {"instance_id": "i-2", "state": "running", "before": "wanted", "after": "wanted", "changed": False},
    ]
    assert result["diff"]["before"] == {"i-1": None, "i-2": "wanted"}


def test_check_mode_reads_only(run_module, stubbed):
    result = run(run_module, stubbed, read(i_1=None), check=True)
    assert result["changed"] and result["instances"][0]["after"] == "wanted"


def test_all_refusals_at_once(run_module, stubbed):
    ids = ("i-1", "i-2", "i-3")
    result = run(run_module, stubbed, read(ids=list(ids), i_1="other", i_2=None), ids=ids)
    assert result["failed"]
    assert "there is no instance i-3 in eu-west-1" in result["msg"]
    assert "another instance profile is attached to i-1 (other)" in result["msg"]
    seen = [(instance["state"], instance["before"]) for instance in result["instances"]]
    assert seen == [("running", "other"), ("running", None), (None, None)]


def test_terminated(run_module, stubbed):
    for state in ("terminated", "shutting-down"):
        assert "i-1 is terminated or shutting down" in run(run_module, stubbed, read(state, i_1=None))["msg"]
        calls = read(state, i_1=None), associations("i-1")
        assert not run(run_module, stubbed, *calls, state="absent")["changed"]


def test_a_long_list_is_cut(run_module, stubbed):
    ids = [f"i-{number}" for number in range(14)]
    assert "i-9 and 4 more in eu-west-1" in run(run_module, stubbed, read(ids=ids), ids=ids)["msg"]


def test_replaced_if_told(run_module, stubbed, clock):
    calls = read(i_1="other"), associations("i-1", i_1="other"), replace(), ATTACHED
    assert run(run_module, stubbed, *calls, replace=True)["instances"][0]["before"] == "other"


def test_absent_detaches_only_that_profile(run_module, stubbed, clock):
    seen = read(i_1="wanted", i_2="other", i_3=None), associations("i-1", "i-2", "i-3", i_1="wanted", i_2="other")
    calls = *seen, associations("i-1", i_1="wanted"), disassociate(), *DETACHED
    result = run(run_module, stubbed, *calls, ids=("i-1", "i-2", "i-3"), state="absent")
    assert [one["after"] for one in result["instances"]] == [None, "other", None]
    assert [one["changed"] for one in result["instances"]] == [True, False, False]


def test_absent_where_there_is_no_such_instance(run_module, stubbed, clock):
    ids = ("i-1", "i-2")
    there = associations("i-1", i_1="wanted")
    calls = read(ids=list(ids), i_1="wanted"), there, there, disassociate(), *DETACHED
    result = run(run_module, stubbed, *calls, ids=ids, state="absent")
    assert result["instances"] == [
        {"instance_id": "i-1", "state": "running", "before": "wanted", "after": None, "changed": True},
        {"instance_id": "i-2", "state": None, "before": None, "after": None, "changed": False},
    ]


def test_absent_where_the_association_is_gone_by_now(run_module, stubbed, clock):
    there = associations("i-1", i_1="wanted")
    run(run_module, stubbed, read(i_1="wanted"), there, associations("i-1"), *DETACHED, state="absent")
    gone = disassociate(answer=("InvalidAssociationID.NotFound", "gone"))
    calls = read(i_1="wanted"), there, there, gone, associations("i-1"), *DETACHED
    assert run(run_module, stubbed, *calls, state="absent")["changed"]


def test_absent_waits_until_the_association_is_gone(run_module, stubbed, clock):
    """As recorded: the answer of Disassociate is "disassociating", and so is that of the next Describe."""
    there, ending = associations("i-1", i_1="wanted"), associations("i-1", state="disassociating", i_1="wanted")
    before = read(i_1="wanted"), there, there, disassociate()
    after = read(i_1="wanted"), read(i_1="wanted"), read(i_1=None), ending, *DETACHED
    result = run(run_module, stubbed, *before, *after, state="absent")
    assert result["changed"] and result["instances"][0]["after"] is None
    assert clock.pauses == [0.5, 0.75, 1.125]


def test_absent_says_when_the_association_does_not_end(run_module, stubbed, clock):
    there = associations("i-1", i_1="wanted")
    calls = read(i_1="wanted"), there, there, disassociate(), *[read(i_1="wanted")] * 3
    result = run(run_module, stubbed, *calls, state="absent", wait_timeout=1)
    assert result["msg"] == (
        "Failed to detach the instance profile from i-1: EC2 does not show the change yet; run again when it does, or"
        " raise wait_timeout."
    )
    assert (result["changed"], result["instances"][0]["after"]) == (True, None)


def test_absent_takes_what_is_being_attached_too(run_module, stubbed, clock):
    """DescribeInstances does not show it yet."""
    begun = associations("i-1", state="associating", i_1="wanted")
    result = run(run_module, stubbed, read(i_1=None), begun, begun, disassociate(), *DETACHED, state="absent")
    assert result["instances"][0]["before"] == "wanted" and result["changed"]


def test_attached_is_what_ec2_shows(run_module, stubbed, clock):
    """As recorded: the answer of Associate is "associating"."""
    calls = read(i_1=None, i_2=None), associate(), associate("i-2"), read(i_1=None, i_2="wanted")
    result = run(run_module, stubbed, *calls, read(i_1=None), ATTACHED, ids=("i-1", "i-2"))
    assert result["changed"] and "failed" not in result
    assert clock.pauses == [0.5]


def test_an_instance_that_ends_meanwhile_has_nothing_to_show(run_module, stubbed, clock):
    there = associations("i-1", i_1="wanted")
    calls = read(i_1="wanted"), there, there, disassociate(), read("terminated", i_1="wanted"), associations()
    assert run(run_module, stubbed, *calls[:-1], state="absent")["changed"]


def test_retries_until_the_profile_is_seen(run_module, stubbed, clock):
    unseen = [associate(answer=INVISIBLE), associate(answer=NO_ROLE)]
    half_seen = [associate(answer=HALF_VISIBLE), associations("i-1")]
    assert run(run_module, stubbed, read(i_1=None), *unseen, *half_seen, associate(), ATTACHED)["changed"]
    assert clock.pauses == [0.5, 0.75, 1.125]


def test_a_profile_that_never_shows_holds_up_all(run_module, stubbed, clock):
    calls = read(i_1=None, i_2=None, i_3=None), associate(), *[associate("i-2", INVISIBLE)] * 4, ATTACHED
    result = run(run_module, stubbed, *calls, ids=("i-1", "i-2", "i-3"), wait_timeout=1)
    assert result["msg"] == (
        "Failed to attach the instance profile wanted to i-2: EC2 does not see an instance profile wanted with a role"
        " in it; create it, or raise wait_timeout if it is fresh. 1 of 3 instances were changed, not tried: i-3; run"
        " again for the rest."
    )
    assert clock.now == 1


@pytest.mark.parametrize("state", ["pending", "stopping"])
def test_an_instance_between_two_states_is_tried_again_after_the_others(run_module, stubbed, clock, state):
    calls = read(state, i_1=None, i_2=None), associate(answer=STARTING), associate("i-2"), associate(answer=STARTING)
    shown = read(i_1="wanted", i_2="wanted")
    assert run(run_module, stubbed, *calls, associate(), shown, ids=("i-1", "i-2"))["changed"]
    assert clock.pauses == [0.5]


def test_an_instance_that_does_not_get_ready(run_module, stubbed, clock):
    calls = read("pending", i_1=None), *[associate(answer=STARTING)] * 3
    assert run(run_module, stubbed, *calls, wait_timeout=1)["msg"] == (
        "Failed to attach the instance profile wanted to i-1: The instance 'i-1' is not in the 'running' or 'stopped'"
        " states (IncorrectInstanceState); run again when it is."
    )


def test_one_that_vanishes_does_not_keep_the_others_from_theirs(run_module, stubbed, clock):
    calls = (
        read(i_1=None, i_2="other", i_3=None, i_4=None, i_5="wanted"),
        associations("i-2", i_2="other"),
        associate(answer=VANISHED),
        replace(association="assoc-2"),
        associate("i-3", (EXISTS[0], "There is an existing association for instance i-3")),
        associations("i-3", i_3="another"),
        associate("i-4"),
        read(i_2="wanted", i_4="wanted"),
    )
    result = run(run_module, stubbed, *calls, ids=("i-1", "i-2", "i-3", "i-4", "i-5"), replace=True)
    assert result["failed"] and result["changed"]
    assert result["msg"] == (
        "Failed to attach the instance profile wanted to i-1: The instance ID 'i-1' does not exist"
        " (InvalidInstanceID.NotFound); i-3: There is an existing association for instance i-3 (IncorrectState). 2 of 4"
        " instances were changed; run again for the rest."
    )
    told = {one["instance_id"]: (one["after"], one["changed"], bool(one["error"])) for one in result["instances"]}
    assert told == {
        "i-1": (None, False, True),
        "i-2": ("wanted", True, False),
        "i-3": (None, False, True),
        "i-4": ("wanted", True, False),
        "i-5": ("wanted", False, False),
    }


def test_what_stands_against_all_ends_the_run_and_the_next_one_completes_it(run_module, stubbed, clock):
    ids = ("i-1", "i-2", "i-3")
    calls = read(i_1=None, i_2=None, i_3=None), associate(), associate("i-2", EXPIRED)
    result = run(run_module, stubbed, *calls, ids=ids)
    assert result["msg"] == (
        "Failed to attach the instance profile wanted to i-2: the AWS credentials have expired; renew them and run"
        " again. 1 of 3 instances were changed, not tried: i-3; run again for the rest."
    )
    assert [one["error"] for one in result["instances"]] == [
        None,
        "the AWS credentials have expired; renew them and run again",
        "it was not tried",
    ]
    shown = read(i_2="wanted", i_3="wanted")
    calls = read(i_1="wanted", i_2=None, i_3=None), associate("i-2"), associate("i-3"), shown
    result = run(run_module, stubbed, *calls, ids=ids)
    assert [one["changed"] for one in result["instances"]] == [False, True, True]


@pytest.mark.parametrize("state", ["stopped", "stopping"])
def test_of_a_stopped_instance_the_association_is_not_replaced(run_module, stubbed, clock, state):
    """EC2 refuses that: it is ended and made anew, and what another try finds done is not done again."""
    calls = read(state, i_1="other"), associations("i-1", i_1="other"), disassociate(), associate(answer=STARTING)
    assert run(run_module, stubbed, *calls, associate(), ATTACHED, replace=True)["instances"] == [
        {"instance_id": "i-1", "state": state, "before": "other", "after": "wanted", "changed": True}
    ]
    calls = read(state, i_1="other"), associations("i-1", i_1="other"), disassociate(), associate(answer=EXPIRED)
    (told,) = run(run_module, stubbed, *calls, replace=True)["instances"]
    assert (told["after"], told["changed"]) == (None, True)


def test_an_association_that_is_ending_is_waited_for(run_module, stubbed, clock):
    """Of a stopped instance, or after a teardown: EC2 takes no new one until the old one has ended."""
    calls = read("stopped", i_1="other"), associations("i-1", i_1="other"), disassociate()
    ending = associate(answer=EXISTS), associations("i-1", state="disassociating", i_1="other")
    assert run(run_module, stubbed, *calls, *ending, *ending, associate(), ATTACHED, replace=True)["changed"]
    assert clock.pauses == [0.5, 0.75]
    calls = read(i_1=None), *[associate(answer=EXISTS), associations("i-1", state="disassociating", i_1="other")] * 3
    assert run(run_module, stubbed, *calls, wait_timeout=1)["msg"] == (
        "Failed to attach the instance profile wanted to i-1: There is an existing association for instance i-1"
        " (IncorrectState); run again when it has ended."
    )


@pytest.mark.parametrize(
    ("calls", "options"),
    [
        ([read(i_1=None), associate(answer=EXISTS), associations("i-1", i_1="wanted")], {}),
        (
            [
                read(i_1="other"),
                associations("i-1", i_1="other"),
                replace(answer=("InvalidAssociationID.NotFound", "gone")),
                associations("i-1", i_1="wanted"),
            ],
            {"replace": True},
        ),
    ],
    ids=["associate", "replace"],
)
def test_an_earlier_try_whose_answer_was_lost(run_module, stubbed, clock, calls, options):
    assert run(run_module, stubbed, *calls, ATTACHED, **options)["changed"]


def test_another_profile_that_came_in_between(run_module, stubbed, clock):
    calls = read(i_1=None), associate(answer=EXISTS), associations("i-1", i_1="other")
    assert "There is an existing association" in run(run_module, stubbed, *calls)["msg"]


def test_denied_names_both_actions(run_module, stubbed, clock):
    denied = associate(answer=("UnauthorizedOperation", "You are not authorized to perform this operation."))
    message = run(run_module, stubbed, read(i_1=None), denied)["msg"]
    assert "ec2:AssociateIamInstanceProfile;" in message and "iam:PassRole for the role of the profile." in message


def test_denied_pass_role(run_module, stubbed, clock):
    reason = "User: arn:aws:iam::1:user/u is not authorized to perform: iam:PassRole on resource: arn:aws:iam::1:role/r"
    message = run(run_module, stubbed, read(i_1=None), associate(answer=("UnauthorizedOperation", reason)))["msg"]
    assert "arn:aws:iam::1:user/u is not allowed iam:PassRole on arn:aws:iam::1:role/r;" in message


def test_a_denial_on_one_instance_does_not_keep_the_others_from_theirs(run_module, stubbed, clock):
    """A policy may allow it by the tags of an instance."""
    reason = (
        "You are not authorized to perform this operation. User: arn:aws:iam::1:user/u is not authorized to perform:"
        " ec2:AssociateIamInstanceProfile on resource: arn:aws:ec2:eu-west-1:1:instance/i-1"
    )
    calls = read(i_1=None, i_2=None), associate(answer=("UnauthorizedOperation", reason)), associate("i-2")
    result = run(run_module, stubbed, *calls, read(i_2="wanted"), ids=("i-1", "i-2"))
    assert "is not allowed ec2:AssociateIamInstanceProfile on arn:aws:ec2:eu-west-1:1:instance/i-1;" in result["msg"]
    assert "PassRole" not in result["msg"]
    assert [bool(instance["error"]) for instance in result["instances"]] == [True, False]
