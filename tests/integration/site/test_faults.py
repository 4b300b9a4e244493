# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The steps that call AWS while its API fails; then the same steps once more, and once more with nothing left to do."""

from __future__ import annotations

import json

import pytest
from driver import include
from faults import EXPIRED, FOR_EVER, INTERNAL, RESET_AFTER, RESET_BEFORE, SILENT, THROTTLED, Fault, Proxy

ROLE = "faults"
CHANGES = (
    *("ModifyDBInstance", "CreateRole", "CreateInstanceProfile", "AddRoleToInstanceProfile"),
    *("PutRolePolicy", "AssociateIamInstanceProfile"),
)
NO_ENTITY = 404, "NoSuchEntity", "It cannot be found."
NO_PROFILE = 400, "InvalidParameterValue", f"Value ({ROLE}) for parameter iamInstanceProfile.name is invalid."
# What a fresh role and a fresh profile are, as long as they are not known everywhere.
INVISIBLE = (
    Fault("AddRoleToInstanceProfile", NO_ENTITY),
    Fault("PutRolePolicy", NO_ENTITY),
    Fault("AssociateIamInstanceProfile", NO_PROFILE, times=2),
)
IMPATIENT = {"retries": {"total_max_attempts": 2}, "read_timeout": 1}


@pytest.fixture
def play(lab, tmp_path):
    """Steps 1, 4, 5 and 6 as somebody's own play; with aws_config, which the modules pass on to botocore."""

    def play(aws_config=None):
        tasks = [
            include("iam_auth", iam_auth_db_instance_identifier="orders"),
            {"dbops.rds_iam.rds_iam_auth_info": {"db_instance_identifier": "orders"}, "register": "rds"},
            include(
                "iam_role",
                iam_role_name=ROLE,
                iam_role_databases="{{ rds.databases | map('combine', {'users': ['app']}) }}",
            ),
            include(
                "role_attachment",
                role_attachment_instance_ids=[lab.clients["client1"]["instance_id"]],
                role_attachment_instance_profile_name=ROLE,
            ),
        ]
        defaults = {"group/dbops.rds_iam.aws": {"aws_config": aws_config}} if aws_config else {}
        file = tmp_path / "play.json"
        file.write_text(
            json.dumps([{"hosts": "localhost", "gather_facts": False, "module_defaults": defaults, "tasks": tasks}])
        )
        return str(file)

    return play


@pytest.fixture(scope="module")
def proxy(lab):
    with Proxy(lab.info["endpoint_url"]) as proxy:
        yield proxy


@pytest.fixture(autouse=True)
def nothing(lab):
    """Nothing is there before a test, and nothing stays."""
    yield
    lab.set_flag("orders", False)
    lab.detach("client1")
    lab.delete_role(ROLE)


def check_all_is_done(lab):
    assert lab.flag("orders")
    iam = lab.aws("iam")
    policy = iam.get_role_policy(RoleName=ROLE, PolicyName="rds-iam-connect")["PolicyDocument"]
    assert policy["Statement"][0]["Action"] == "rds-db:connect"
    [role] = iam.get_instance_profile(InstanceProfileName=ROLE)["InstanceProfile"]["Roles"]
    assert role["RoleName"] == ROLE
    [association] = lab.associations("client1")
    assert association["IamInstanceProfile"]["Arn"].endswith(f"/{ROLE}")


def check_it_converges(lab, play):
    lab.good(play())
    check_all_is_done(lab)
    assert set(lab.good(play()).changed.values()) == {0}


@pytest.mark.parametrize(
    "faults",
    [
        [Fault(action, THROTTLED) for action in CHANGES],
        [Fault(action, INTERNAL) for action in CHANGES],
        [Fault(action, RESET_BEFORE) for action in CHANGES],
        [Fault(action, RESET_AFTER) for action in CHANGES],
        INVISIBLE,
    ],
    ids=["throttled", "internal error", "reset before", "reset after", "invisible"],
)
def test_what_passes_does_not_end_a_run(lab, proxy, play, faults):
    with proxy.failing(*faults):
        run = lab.playbook(play(), AWS_ENDPOINT_URL=proxy.url)
    assert run.status == 0, run.output
    check_all_is_done(lab)
    assert set(lab.good(play()).changed.values()) == {0}


@pytest.mark.parametrize(
    ("action", "what", "sentence"),
    [
        ("ModifyDBInstance", THROTTLED, "AWS still throttled ModifyDBInstance"),
        ("ModifyDBInstance", SILENT, "AWS could not be reached"),
        ("AssociateIamInstanceProfile", INTERNAL, "AssociateIamInstanceProfile with an error of its own"),
        ("AssociateIamInstanceProfile", RESET_AFTER, "AWS could not be reached"),
    ],
    ids=["throttled", "silent", "internal error", "reset after"],
)
def test_what_stays_is_one_sentence(lab, proxy, play, action, what, sentence):
    with proxy.failing(Fault(action, what, FOR_EVER)):
        run = lab.playbook(play(IMPATIENT), AWS_ENDPOINT_URL=proxy.url)
    assert run.status != 0
    assert sentence in run.output
    assert "Traceback" not in run.output
    check_it_converges(lab, play)


@pytest.mark.parametrize("after", range(0, 24, 6))
def test_credentials_that_expire(lab, proxy, play, after):
    """After so many calls, which is in the middle of one step or another."""
    with proxy.failing(Fault(".*", EXPIRED, FOR_EVER, after)):
        run = lab.playbook(play(), AWS_ENDPOINT_URL=proxy.url)
    assert run.status != 0
    assert "expired" in run.output
    assert "Traceback" not in run.output
    check_it_converges(lab, play)
