# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A DB instance and a DB cluster as RDS answers, for the tests beside it."""

from __future__ import annotations

from ansible_collections.dbops.rds_iam.plugins.module_utils._aws import rds_record

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
