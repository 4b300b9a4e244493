# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The record of a database, from what RDS describes. Pure, and private to this collection."""

from __future__ import annotations

from datetime import datetime

from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.managed_by import managed_by

FLAG = "IAMDatabaseAuthenticationEnabled"
_TITLES = {"instance": "DB instance", "cluster": "DB cluster"}


def instance_record(raw: dict, cluster: dict | None = None) -> dict:
    """The record of a DB instance as the API describes it; C(cluster) is the record of the cluster that it is in."""
    endpoint = raw.get("Endpoint") or {}
    record = _record(raw, "instance", raw["DBInstanceIdentifier"], raw["DBInstanceArn"], raw.get("DbiResourceId"))
    record.update(
        status=raw.get("DBInstanceStatus"),
        endpoint=endpoint.get("Address"),
        reader_endpoint=None,
        port=endpoint.get("Port") or raw.get("DbInstancePort"),
        instance_class=raw.get("DBInstanceClass"),
        cluster_identifier=raw.get("DBClusterIdentifier") or None,
        ca_certificate_identifier=raw.get("CACertificateIdentifier"),
    )
    if cluster:  # logins to a member are authorised on the resource id of its cluster
        record["connect_arn_prefix"] = cluster["connect_arn_prefix"]
    return record


def cluster_record(raw: dict) -> dict:
    """The record of a DB cluster, Aurora or Multi-AZ, as the API describes it."""
    record = _record(raw, "cluster", raw["DBClusterIdentifier"], raw["DBClusterArn"], raw.get("DbClusterResourceId"))
    record.update(
        status=raw.get("Status"),
        endpoint=raw.get("Endpoint"),
        reader_endpoint=raw.get("ReaderEndpoint"),
        port=raw.get("Port"),
        instance_class=raw.get("DBClusterInstanceClass"),
        cluster_identifier=None,
        ca_certificate_identifier=(raw.get("CertificateDetails") or {}).get("CAIdentifier"),
    )
    return record


def _record(raw: dict, kind: str, identifier: str, arn: str, resource_id: str | None) -> dict:
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
        "pending": _pending(raw.get("PendingModifiedValues") or {}),
        "log_exports": sorted(raw.get("EnabledCloudwatchLogsExports") or []),
        "managed_by": managed_by(raw.get("TagList")),
    }


def _pending(values: dict) -> dict:
    """The pending values, without the empty ones that mean nothing, and fit for JSON."""
    kept = {name: value for name, value in values.items() if value not in (None, {}, [])}
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in sorted(kept.items())}


def title(record: dict) -> str:
    return f"{_TITLES[record['kind']]} {record['identifier']}"
