# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Make the record of a database from what RDS describes. Pure, and private to this collection."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, TypedDict

from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.managed_by import managed_by

FLAG = "IAMDatabaseAuthenticationEnabled"
_TITLES = {"instance": "DB instance", "cluster": "DB cluster"}


class _CommonFields(TypedDict):
    """The fields of a record that RDS describes alike for instances and clusters."""

    identifier: str
    kind: Literal["instance", "cluster"]
    engine: str
    engine_version: str
    region: str
    account_id: str
    partition: str
    resource_id: str  # what IAM policies name, db-... or cluster-...; it never changes
    arn: str
    connect_arn_prefix: str  # a slash and a database user make it the resource of rds-db:connect
    master_username: str
    master_user_secret_arn: str | None  # None where RDS does not manage the password
    iam_auth_enabled: bool
    pending: dict[str, Any]  # under the names of the API, fit for JSON
    log_exports: list[str]
    managed_by: str | None  # the value of the tag ManagedBy


class DatabaseRecord(_CommonFields):
    """A DB instance or DB cluster, as C(DescribeDBInstances) and C(DescribeDBClusters) have it, and modules return it.

    The modules rds_iam_auth and rds_iam_auth_info document the fields.
    """

    status: str
    endpoint: str | None  # None while the database is being created
    reader_endpoint: str | None  # of a cluster
    port: int
    instance_class: str | None  # None for an Aurora cluster
    cluster_identifier: str | None  # of the cluster that an instance is a member of
    ca_certificate_identifier: str | None  # RDS does not report it for every cluster


def instance_record(raw: Any, cluster: DatabaseRecord | None = None) -> DatabaseRecord:
    """Return the record of a DB instance.

    C(raw) is one of C(DBInstances) in the answer of the API. C(cluster) is the record of the cluster that it is in.
    """
    endpoint = raw.get("Endpoint") or {}
    record: DatabaseRecord = {
        **_common_fields(raw, "instance", raw["DBInstanceIdentifier"], raw["DBInstanceArn"], raw.get("DbiResourceId")),
        "status": raw.get("DBInstanceStatus"),
        "endpoint": endpoint.get("Address"),
        "reader_endpoint": None,
        "port": endpoint.get("Port") or raw.get("DbInstancePort"),
        "instance_class": raw.get("DBInstanceClass"),
        "cluster_identifier": raw.get("DBClusterIdentifier") or None,
        "ca_certificate_identifier": raw.get("CACertificateIdentifier"),
    }
    if cluster:  # logins to a member are authorised on the resource id of its cluster
        record["connect_arn_prefix"] = cluster["connect_arn_prefix"]
    return record


def cluster_record(raw: Any) -> DatabaseRecord:
    """Return the record of a DB cluster, Aurora or Multi-AZ.

    C(raw) is one of C(DBClusters) in the answer of the API.
    """
    arn, resource_id = raw["DBClusterArn"], raw.get("DbClusterResourceId")
    return {
        **_common_fields(raw, "cluster", raw["DBClusterIdentifier"], arn, resource_id),
        "status": raw.get("Status"),
        "endpoint": raw.get("Endpoint"),
        "reader_endpoint": raw.get("ReaderEndpoint"),
        "port": raw.get("Port"),
        "instance_class": raw.get("DBClusterInstanceClass"),
        "cluster_identifier": None,
        "ca_certificate_identifier": (raw.get("CertificateDetails") or {}).get("CAIdentifier"),
    }


def _common_fields(
    raw: Any, kind: Literal["instance", "cluster"], identifier: str, arn: str, resource_id: Any
) -> _CommonFields:
    _arn, partition, _service, region, account = arn.split(":")[:5]
    return {
        "identifier": identifier,
        "kind": kind,
        "engine": raw.get("Engine"),
        "engine_version": raw.get("EngineVersion"),
        "region": region,
        "account_id": account,
        "partition": partition,
        "resource_id": resource_id,
        "arn": arn,
        "connect_arn_prefix": f"arn:{partition}:rds-db:{region}:{account}:dbuser:{resource_id}",
        "master_username": raw.get("MasterUsername"),
        "master_user_secret_arn": (raw.get("MasterUserSecret") or {}).get("SecretArn"),
        "iam_auth_enabled": bool(raw.get(FLAG)),
        "pending": _pending_values(raw.get("PendingModifiedValues") or {}),
        "log_exports": sorted(raw.get("EnabledCloudwatchLogsExports") or []),
        "managed_by": managed_by(raw.get("TagList")),
    }


def _pending_values(values: dict[str, Any]) -> dict[str, Any]:
    """Return the pending values, without the empty ones that mean nothing, and fit for JSON."""
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in sorted(values.items())
        if value not in (None, {}, [])
    }


def title(record: DatabaseRecord) -> str:
    """Return the words for a database in a sentence, such as C(DB instance orders)."""
    return f"{_TITLES[record['kind']]} {record['identifier']}"
