# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The sentence for each client about the instance profile on its EC2 instance."""

from __future__ import annotations

import pytest
from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.ec2 import Instance
from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.instance_profile_plan import RefusedError, Target
from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.instance_profile_plan import plan as plan_profiles
from ansible_collections.dbops.rds_iam.plugins.module_utils._site.attachments import (
    attachment_error,
    attachment_obstacle,
)

ID, PROFILE = "i-0123456789abcdef0", "app-rds"


def plan(state="running", before=None) -> dict:
    return {"instances": [{"instance_id": "i-1", "state": None}, {"instance_id": ID, "state": state, "before": before}]}


@pytest.mark.parametrize(
    ("result", "instance_id", "words"),
    [
        (plan(), "", "of the host app1 is not known; set its instance_id"),
        (plan(state=None), ID, "does not exist in the Region of this run"),
        ({}, ID, "does not exist in the Region of this run"),
        (plan(state="terminated"), ID, "is terminated or shutting down; take the host out of the group rds_clients"),
        (plan(state="shutting-down"), ID, "is terminated or shutting down"),
        (plan(before="other"), ID, f"The instance profile other is attached to the EC2 instance {ID} of the host app1"),
    ],
)
def test_obstacles(result, instance_id, words):
    sentence = attachment_obstacle(result, "app1", instance_id, PROFILE, False)
    assert words in sentence and sentence.endswith(".") and "  " not in sentence


@pytest.mark.parametrize(
    ("result", "replace"), [(plan(), False), (plan(before=PROFILE), False), (plan(before="other"), True)]
)
def test_no_obstacle(result, replace):
    assert attachment_obstacle(result, "app1", ID, PROFILE, replace) == ""


def test_errors():
    failed = {
        "failed": True,
        "msg": "All of it failed.",
        "instances": [{"instance_id": ID, "error": "it was not tried"}],
    }
    assert attachment_error(failed, ID) == "it was not tried"
    assert attachment_error(failed, "i-1") == "All of it failed."
    assert attachment_error({"failed": True, "msg": "No Region."}, ID) == "No Region."
    # Another instance is the one that failed.
    assert attachment_error({**failed, "instances": [{"instance_id": ID, "error": None}]}, ID) == ""
    assert attachment_error({**failed, "failed": False}, ID) == attachment_error({}, ID) == ""


def test_a_refusal_of_all_is_the_error_of_each():
    """One instance has ended since it was planned."""
    instances = {"i-1": Instance("i-1", "terminated", None, {}), ID: Instance(ID, "running", None, {})}
    with pytest.raises(RefusedError) as refusal:
        plan_profiles(["i-1", ID], instances, Target(PROFILE), "eu-west-1")
    result = {"failed": True, "msg": str(refusal.value), "instances": refusal.value.instances}
    for instance_id in instances:
        assert "i-1 is terminated or shutting down" in attachment_error(result, instance_id)
