# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The plan for the IAM flag of a database."""

from __future__ import annotations

import pytest
from ansible_collections.dbops.rds_iam.plugins.module_utils._aws import iam_flag, rds_record
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError
from ansible_collections.dbops.rds_iam.tests.unit.plugins.module_utils._aws.rds_answers import CLUSTER, FLAG, instance


def cluster(enabled=False, **pending):
    return rds_record.cluster_record({**CLUSTER, FLAG: enabled, "PendingModifiedValues": pending})


@pytest.mark.parametrize("wanted", [True, False])
@pytest.mark.parametrize(
    ("flag_is_wanted", "pending", "now", "sent"),
    [
        (True, None, True, False),
        (True, None, False, False),
        (True, "wanted", True, False),  # pending to what it is already
        (True, "other", True, True),  # taken back
        (True, "other", False, True),
        (False, None, True, True),
        (False, None, False, True),
        (False, "wanted", False, False),  # pending already, not sent again
        (False, "wanted", True, True),  # pending already, applied now
        (False, "other", True, True),
    ],
)
def test_plan(wanted, flag_is_wanted, pending, now, sent):
    values = {} if pending is None else {FLAG: wanted if pending == "wanted" else not wanted}
    record = instance(wanted if flag_is_wanted else not wanted, **values)
    assert iam_flag.plan(record, wanted, now) == (iam_flag.Change(wanted, now) if sent else None)


def test_a_change_under_way_is_not_sent_again():
    record = instance(False, status="configuring-iam-database-auth", **{FLAG: True})
    assert iam_flag.plan(record, True, True) is None
    assert not iam_flag.is_in_effect(record, True)


def test_immediate_change_to_an_instance_that_flushes_others_is_refused():
    record = instance(AllocatedStorage=40, MasterUserPassword="****", **{FLAG: False})
    with pytest.raises(RdsIamError, match=r"\(AllocatedStorage=40, MasterUserPassword\).*apply_pending"):
        iam_flag.check_flush(record, iam_flag.Change(True, True), apply_pending=False)
    iam_flag.check_flush(record, iam_flag.Change(True, True), apply_pending=True)
    iam_flag.check_flush(record, iam_flag.Change(True, False), apply_pending=False)


def test_nothing_else_is_flushed():
    exports = {"PendingCloudwatchLogsExports": {"LogTypesToEnable": ["error"]}}
    iam_flag.check_flush(instance(**exports), iam_flag.Change(True, True), apply_pending=False)
    iam_flag.check_flush(cluster(AllocatedStorage=40), iam_flag.Change(True, True), apply_pending=False)


@pytest.mark.parametrize(
    ("record", "change", "enabled", "pending"),
    [
        (instance(Iops=1000), iam_flag.Change(True, True), True, {}),
        (instance(Iops=1000), iam_flag.Change(True, False), False, {"Iops": 1000, FLAG: True}),
        (instance(True, **{FLAG: False}), iam_flag.Change(True, False), True, {}),
        (cluster(Iops=1000, **{FLAG: True}), iam_flag.Change(True, True), True, {"Iops": 1000}),
    ],
)
def test_predict(record, change, enabled, pending):
    after = iam_flag.predict({**record, "managed_by": "terraform"}, change, change.enabled)
    assert iam_flag.diff_fields(after) == {"iam_auth_enabled": enabled, "managed_by": "terraform", "pending": pending}
    assert after["resource_id"] == record["resource_id"]


OURS, TERRAFORM = "dbops.rds_iam", "terraform"


@pytest.mark.parametrize(
    ("enabled", "pending", "managed_by", "marked"),
    [
        (False, {}, None, True),
        (False, {}, TERRAFORM, False),
        (False, {}, OURS, False),
        (False, {FLAG: True}, None, False),
        (True, {FLAG: False}, None, False),
    ],
)
def test_who_switched_it_on(enabled, pending, managed_by, marked):
    record = {**instance(enabled, **pending), "managed_by": managed_by}
    assert iam_flag.is_to_be_marked(record, iam_flag.Change(True, True)) is marked
    assert not iam_flag.is_to_be_marked(record, None) and not iam_flag.is_to_be_marked(
        record, iam_flag.Change(False, True)
    )
    assert iam_flag.is_to_be_unmarked(record, False) is (managed_by == OURS)
    assert not iam_flag.is_to_be_unmarked(record, True)
