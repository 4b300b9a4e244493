# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read databases, and what their class and version support, from RDS. Private to this collection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable

from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.botocore_errors import AWS_ERRORS
from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.errors import aws_error, error_code
from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.rds_record import (
    DatabaseRecord,
    cluster_record,
    instance_record,
    title,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError

if TYPE_CHECKING:
    from botocore.client import BaseClient


class DatabaseNotFoundError(RdsIamError):
    """There is no such database."""


class UnsupportedError(RdsIamError):
    """RDS has no IAM database authentication for this engine, version or class."""


@dataclass(frozen=True)
class Kind:
    """DB instances or DB clusters, in the words of sentences, of modules and of the API."""

    title: str
    option: str  # of the modules, with the identifier
    word: str  # in DescribeDB<word>s, DB<word>Identifier
    record: Callable[[Any], DatabaseRecord]

    def describe(self, client: BaseClient, **arguments: Any) -> list[dict[str, Any]]:
        """Return the descriptions of the API, all pages of them. Raises what botocore raises."""
        pages = client.get_paginator(f"describe_db_{self.word.lower()}s").paginate(**arguments)
        return [raw for page in pages for raw in page[f"DB{self.word}s"]]

    def modify(self, client: BaseClient, **arguments: Any) -> dict[str, Any]:
        """Send the modification, and return the description that the API answers with. Raises what botocore raises."""
        return getattr(client, f"modify_db_{self.word.lower()}")(**arguments)[f"DB{self.word}"]

    def arguments(self, identifier: str) -> dict[str, str]:
        """Return the argument by which calls name one database."""
        return {f"DB{self.word}Identifier": identifier}


INSTANCE = Kind("DB instance", "db_instance_identifier", "Instance", instance_record)
CLUSTER = Kind("DB cluster", "db_cluster_identifier", "Cluster", cluster_record)
KINDS = {"instance": INSTANCE, "cluster": CLUSTER}  # by the field kind of a record


def kind_of(options: Mapping[str, Any]) -> tuple[Kind, str]:
    """Return the kind and the identifier of the one database that the options of a module name."""
    for kind in (INSTANCE, CLUSTER):
        identifier = options.get(kind.option)
        if identifier == "":
            raise RdsIamError(f"The option {kind.option} is empty; give the identifier of the {kind.title}.")
        if identifier:
            return kind, identifier
    raise RdsIamError(f"One of the options {INSTANCE.option} and {CLUSTER.option} is needed.")


def describe_target(client: BaseClient, options: Mapping[str, Any]) -> list[DatabaseRecord]:
    """Return the record of the database that the options of a module name, or all records where they name none.

    The record of a member has the connect ARN of its cluster.
    """
    if all(options[kind.option] is None for kind in (INSTANCE, CLUSTER)):
        return describe_all(client)
    record = describe(client, *kind_of(options))
    if record["cluster_identifier"]:
        cluster = describe(client, CLUSTER, record["cluster_identifier"])
        record["connect_arn_prefix"] = cluster["connect_arn_prefix"]
    return [record]


def describe(client: BaseClient, kind: Kind, identifier: str) -> DatabaseRecord:
    """Return the record of one database, in one call. Raises DatabaseNotFoundError, and RdsIamError for the rest."""
    try:
        descriptions = kind.describe(client, **kind.arguments(identifier))
    except AWS_ERRORS as exc:
        if not error_code(exc).startswith(f"DB{kind.word}NotFound"):
            raise aws_error(f"describe the {kind.title} {identifier}", exc, "rds") from None
        descriptions = []
    if not descriptions:
        raise _not_found(client, kind, identifier)
    return kind.record(descriptions[0])


def _not_found(client: BaseClient, kind: Kind, identifier: str) -> DatabaseNotFoundError:
    other_kind = CLUSTER if kind is INSTANCE else INSTANCE
    try:
        exists = bool(other_kind.describe(client, **other_kind.arguments(identifier)))
    except AWS_ERRORS:  # it is not there either, or cannot be asked for
        exists = False
    hint = (
        f"there is a {other_kind.title} of that name, so use {other_kind.option}"
        if exists
        else "check the name, the region and the account of the credentials"
    )
    region = client.meta.region_name
    return DatabaseNotFoundError(f"There is no {kind.title} {identifier} in the region {region}; {hint}.")


def describe_all(client: BaseClient) -> list[DatabaseRecord]:
    """Return the records of all clusters, and then of all instances, in the region of the client."""
    clusters = {record["identifier"]: record for record in map(cluster_record, _describe_kind(client, CLUSTER))}
    instances = [
        instance_record(raw, clusters.get(raw.get("DBClusterIdentifier", "")))
        for raw in _describe_kind(client, INSTANCE)
    ]
    return [*clusters.values(), *instances]


def _describe_kind(client: BaseClient, kind: Kind) -> list[dict[str, Any]]:
    try:
        return kind.describe(client)
    except AWS_ERRORS as exc:
        raise aws_error(f"list the {kind.title}s in {client.meta.region_name}", exc, "rds") from None


def check_support(client: BaseClient, record: DatabaseRecord) -> None:
    """Ask RDS whether it has IAM database authentication for the engine, version and class of a database.

    Raises UnsupportedError where it has not, and RdsIamError where RDS does not say.
    """
    engine, version = record["engine"], record["engine_version"]
    class_filter = {"DBInstanceClass": record["instance_class"]} if record["instance_class"] else {}
    supported = _supports(client, record, Engine=engine, EngineVersion=version, **class_filter)
    if supported is None:  # a version that runs but is no longer sold: its class tells
        supported = _supports(client, record, Engine=engine, **class_filter)
    if supported:
        return
    product = f"{engine} {version}" + (f" on {record['instance_class']}" if class_filter else "")
    if supported is None:
        raise RdsIamError(
            f"RDS in {record['region']} does not offer {product}, so it cannot be known whether the {title(record)}"
            " supports IAM database authentication; nothing was changed, and another instance class is needed."
        )
    if class_filter and _supports(client, record, Engine=engine, EngineVersion=version):
        advice = "other instance classes of this version support it"
    elif _supports(client, record, Engine=engine):
        advice = f"other versions of {engine} support it"
    else:
        advice = f"no version of the engine {engine} supports it there"
    raise UnsupportedError(
        f"The {title(record)} ({product}) cannot use IAM database authentication in {record['region']}; {advice}."
    )


def _supports(client: BaseClient, record: DatabaseRecord, **arguments: str | None) -> bool | None:
    """Return whether one of the offers supports IAM database authentication; None where there is no offer."""
    supported = None
    try:
        for page in client.get_paginator("describe_orderable_db_instance_options").paginate(**arguments):
            for offer in page["OrderableDBInstanceOptions"]:
                if offer.get("SupportsIAMDatabaseAuthentication"):
                    return True
                supported = False
    except AWS_ERRORS as exc:
        if error_code(exc) in ("InvalidParameterValue", "InvalidParameterCombination"):
            return None  # RDS does not know this version or class
        task = f"ask whether the {title(record)} supports IAM database authentication"
        raise aws_error(task, exc, "rds") from None
    return supported
