# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import datetime
import json

import pytest
from ansible_collections.dbops.rds_iam.plugins.module_utils._aws import iam_flag, rds_record
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError
from ansible_collections.dbops.rds_iam.tests.unit.plugins.module_utils._aws.rds_answers import (
    CLUSTER,
    FLAG,
    INSTANCE,
    instance,
)


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
        iam_flag.check_manageable(record)


def test_replica_is_an_instance_of_its_own():
    record = rds_record.instance_record({**INSTANCE, "ReadReplicaSourceDBInstanceIdentifier": "source"})
    iam_flag.check_manageable(record)
    assert record["connect_arn_prefix"].endswith(":dbuser:db-ABC")


def test_pending_is_fit_for_json():
    when = datetime.datetime(2026, 1, 2, tzinfo=datetime.timezone.utc)
    record = instance(ResumeFullAutomationModeTime=when, MultiAZ=False, ProcessorFeatures=[], Iops=None)
    assert json.loads(json.dumps(record["pending"])) == {
        "MultiAZ": False,
        "ResumeFullAutomationModeTime": "2026-01-02T00:00:00+00:00",
    }


def test_managed_by_is_one_tag():
    tags = [{"Key": "managedby", "Value": "x"}, {"Key": "ManagedBy", "Value": "terraform"}]
    assert rds_record.instance_record({**INSTANCE, "TagList": tags})["managed_by"] == "terraform"
    assert rds_record.cluster_record({**CLUSTER, "TagList": tags[:1]})["managed_by"] is None
