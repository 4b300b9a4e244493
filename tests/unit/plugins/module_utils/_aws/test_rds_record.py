# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import datetime
import json

import pytest
from ansible_collections.dbops.rds_iam.plugins.module_utils._aws import rds_record
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError

INSTANCE = {
    "DBInstanceIdentifier": "orders",
    "DBInstanceArn": "arn:aws-us-gov:rds:us-gov-west-1:123456789012:db:orders",
    "DbiResourceId": "db-ABC",
    "DBInstanceClass": "db.t4g.small",
    "DBInstanceStatus": "available",
    "Engine": "mysql",
    "EngineVersion": "8.0.42",
    "Endpoint": {"Address": "orders.cabc.us-gov-west-1.rds.amazonaws.com", "Port": 3307},
    "MasterUsername": "admin",
    "MasterUserSecret": {"SecretArn": "arn:secret"},
    "IAMDatabaseAuthenticationEnabled": False,
    "CACertificateIdentifier": "rds-ca-rsa2048-g1",
}
CLUSTER = {
    "DBClusterIdentifier": "billing",
    "DBClusterArn": "arn:aws:rds:eu-west-1:123456789012:cluster:billing",
    "DbClusterResourceId": "cluster-XYZ",
    "Status": "available",
    "Engine": "aurora-mysql",
    "EngineVersion": "8.0.mysql_aurora.3.10.0",
    "Endpoint": "billing.cluster-cabc.eu-west-1.rds.amazonaws.com",
    "ReaderEndpoint": "billing.cluster-ro-cabc.eu-west-1.rds.amazonaws.com",
    "Port": 3306,
    "MasterUsername": "admin",
    "IAMDatabaseAuthenticationEnabled": True,
    "PendingModifiedValues": {"IAMDatabaseAuthenticationEnabled": False},
    "CertificateDetails": {"CAIdentifier": "rds-ca-ecc384-g1"},
}
FLAG = rds_record.FLAG


def instance(enabled=False, status="available", **pending):
    raw = {**INSTANCE, FLAG: enabled, "DBInstanceStatus": status, "PendingModifiedValues": pending}
    return rds_record.instance_record(raw)


def cluster(enabled=False, **pending):
    return rds_record.cluster_record({**CLUSTER, FLAG: enabled, "PendingModifiedValues": pending})


def test_instance_record():
    assert rds_record.instance_record(INSTANCE) == {
        "identifier": "orders",
        "kind": "instance",
        "engine": "mysql",
        "engine_version": "8.0.42",
        "status": "available",
        "endpoint": "orders.cabc.us-gov-west-1.rds.amazonaws.com",
        "reader_endpoint": None,
        "port": 3307,
        "region": "us-gov-west-1",
        "account_id": "123456789012",
        "partition": "aws-us-gov",
        "resource_id": "db-ABC",
        "arn": INSTANCE["DBInstanceArn"],
        "connect_arn_prefix": "arn:aws-us-gov:rds-db:us-gov-west-1:123456789012:dbuser:db-ABC",
        "master_username": "admin",
        "master_user_secret_arn": "arn:secret",
        "iam_auth_enabled": False,
        "pending": {},
        "log_exports": [],
        "managed_by": None,
        "instance_class": "db.t4g.small",
        "cluster_identifier": None,
        "ca_certificate_identifier": "rds-ca-rsa2048-g1",
    }


def test_cluster_record():
    record = rds_record.cluster_record(CLUSTER)
    assert set(record) == set(rds_record.instance_record(INSTANCE))
    assert record["connect_arn_prefix"] == "arn:aws:rds-db:eu-west-1:123456789012:dbuser:cluster-XYZ"
    assert record["reader_endpoint"] == CLUSTER["ReaderEndpoint"]
    assert record["pending"] == {FLAG: False}
    assert record["ca_certificate_identifier"] == "rds-ca-ecc384-g1"
    assert record["instance_class"] is None


def test_instance_that_is_being_created():
    record = rds_record.instance_record({key: value for key, value in INSTANCE.items() if key != "Endpoint"})
    assert (record["endpoint"], record["port"]) == (None, None)


def test_member_connects_on_the_id_of_its_cluster():
    raw = {**INSTANCE, "DBClusterIdentifier": "billing"}
    record = rds_record.instance_record(raw, rds_record.cluster_record(CLUSTER))
    assert record["connect_arn_prefix"].endswith(":dbuser:cluster-XYZ")
    with pytest.raises(RdsIamError, match="use db_cluster_identifier: billing"):
        rds_record.check_manageable(record)


def test_replica_is_an_instance_of_its_own():
    record = rds_record.instance_record({**INSTANCE, "ReadReplicaSourceDBInstanceIdentifier": "source"})
    rds_record.check_manageable(record)
    assert record["connect_arn_prefix"].endswith(":dbuser:db-ABC")


def test_pending_is_fit_for_json():
    when = datetime.datetime(2026, 1, 2, tzinfo=datetime.timezone.utc)
    record = instance(ResumeFullAutomationModeTime=when, MultiAZ=False, ProcessorFeatures=[], Iops=None)
    assert json.loads(json.dumps(record["pending"])) == {
        "MultiAZ": False,
        "ResumeFullAutomationModeTime": "2026-01-02T00:00:00+00:00",
    }


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
    assert rds_record.plan(record, wanted, now) == (rds_record.Change(wanted, now) if sent else None)


def test_a_change_under_way_is_not_sent_again():
    record = instance(False, status="configuring-iam-database-auth", **{FLAG: True})
    assert rds_record.plan(record, True, True) is None
    assert not rds_record.in_effect(record, True)


def test_immediate_change_to_an_instance_that_flushes_others_is_refused():
    record = instance(AllocatedStorage=40, MasterUserPassword="****", **{FLAG: False})
    with pytest.raises(RdsIamError, match=r"\(AllocatedStorage=40, MasterUserPassword\).*apply_pending"):
        rds_record.check_flush(record, rds_record.Change(True, True), apply_pending=False)
    rds_record.check_flush(record, rds_record.Change(True, True), apply_pending=True)
    rds_record.check_flush(record, rds_record.Change(True, False), apply_pending=False)


def test_nothing_else_is_flushed():
    exports = {"PendingCloudwatchLogsExports": {"LogTypesToEnable": ["error"]}}
    rds_record.check_flush(instance(**exports), rds_record.Change(True, True), apply_pending=False)
    rds_record.check_flush(cluster(AllocatedStorage=40), rds_record.Change(True, True), apply_pending=False)


@pytest.mark.parametrize(
    ("record", "change", "enabled", "pending"),
    [
        (instance(Iops=1000), rds_record.Change(True, True), True, {}),
        (instance(Iops=1000), rds_record.Change(True, False), False, {"Iops": 1000, FLAG: True}),
        (instance(True, **{FLAG: False}), rds_record.Change(True, False), True, {}),
        (cluster(Iops=1000, **{FLAG: True}), rds_record.Change(True, True), True, {"Iops": 1000}),
    ],
)
def test_predict(record, change, enabled, pending):
    after = rds_record.predict({**record, "managed_by": "terraform"}, change, change.enabled)
    assert rds_record.shown(after) == {"iam_auth_enabled": enabled, "managed_by": "terraform", "pending": pending}
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
    assert rds_record.is_to_be_marked(record, rds_record.Change(True, True)) is marked
    assert not rds_record.is_to_be_marked(record, None) and not rds_record.is_to_be_marked(
        record, rds_record.Change(False, True)
    )
    assert rds_record.is_to_be_unmarked(record, False) is (managed_by == OURS)
    assert not rds_record.is_to_be_unmarked(record, True)


def test_managed_by_is_one_tag():
    tags = [{"Key": "managedby", "Value": "x"}, {"Key": "ManagedBy", "Value": "terraform"}]
    assert rds_record.instance_record({**INSTANCE, "TagList": tags})["managed_by"] == "terraform"
    assert rds_record.cluster_record({**CLUSTER, "TagList": tags[:1]})["managed_by"] is None
