# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Describe, modify and wait: the calls to RDS. Private to this collection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable

from ansible_collections.dbops.rds_iam.plugins.module_utils._aws import attempts
from ansible_collections.dbops.rds_iam.plugins.module_utils._database import (
    Change,
    cluster_record,
    describe_progress,
    in_effect,
    instance_record,
    title,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError, aws_error, error_code

try:
    from botocore.exceptions import BotoCoreError, ClientError
except ImportError:
    BotoCoreError = ClientError = None  # AnsibleAWSModule says so when it starts


class TimedOut(RdsIamError):
    """The change is not in effect yet; another run goes on from there."""


@dataclass(frozen=True)
class Kind:
    """How the API spells things for instances and for clusters."""

    title: str
    option: str
    word: str  # in DescribeDB<word>s, DB<word>Identifier
    record: Callable[[dict], dict]

    def describe(self, client, **arguments) -> list[dict]:
        """The raw descriptions, all pages of them."""
        pages = client.get_paginator(f"describe_db_{self.word.lower()}s").paginate(**arguments)
        return [raw for page in pages for raw in page[f"DB{self.word}s"]]

    def modify(self, client, **arguments) -> dict:
        return getattr(client, f"modify_db_{self.word.lower()}")(**arguments)[f"DB{self.word}"]

    def named(self, identifier: str) -> dict:
        return {f"DB{self.word}Identifier": identifier}


INSTANCE = Kind("DB instance", "db_instance_identifier", "Instance", instance_record)
CLUSTER = Kind("DB cluster", "db_cluster_identifier", "Cluster", cluster_record)
_KINDS = {"instance": INSTANCE, "cluster": CLUSTER}


def kind_of(params: dict) -> tuple[Kind, str] | None:
    """The kind and the identifier that the options of a module name, None where they name neither."""
    for kind in (INSTANCE, CLUSTER):
        identifier = params.get(kind.option)
        if identifier == "":
            raise RdsIamError(f"The option {kind.option} is empty; give the identifier of the {kind.title}.")
        if identifier:
            return kind, identifier
    return None


def describe(client, kind: Kind, identifier: str) -> dict:
    """The record of one database, in one call."""
    try:
        found = kind.describe(client, **kind.named(identifier))
    except (ClientError, BotoCoreError) as exc:
        if not error_code(exc).startswith(f"DB{kind.word}NotFound"):
            raise aws_error(f"describe the {kind.title} {identifier}", exc, "rds") from None
        found = []
    if not found:
        raise _unknown(client, kind, identifier)
    return kind.record(found[0])


def _unknown(client, kind: Kind, identifier: str) -> RdsIamError:
    other = CLUSTER if kind is INSTANCE else INSTANCE
    try:
        exists = bool(other.describe(client, **other.named(identifier)))
    except (ClientError, BotoCoreError):  # it is not there either, or cannot be asked for
        exists = False
    hint = (
        f"there is a {other.title} of that name, so use {other.option}"
        if exists
        else "check the name, the region and the account of the credentials"
    )
    return RdsIamError(f"There is no {kind.title} {identifier} in the region {client.meta.region_name}; {hint}.")


def describe_member(client, record: dict) -> dict:
    """The record of a member with the connect ARN of its cluster; any other record as it is."""
    if not record["cluster_identifier"]:
        return record
    cluster = describe(client, CLUSTER, record["cluster_identifier"])
    return {**record, "connect_arn_prefix": cluster["connect_arn_prefix"]}


def describe_all(client) -> list[dict]:
    """The records of all clusters, and of all instances, in this region."""
    raw = {}
    for kind in (CLUSTER, INSTANCE):
        try:
            raw[kind] = kind.describe(client)
        except (ClientError, BotoCoreError) as exc:
            raise aws_error(f"list the {kind.title}s in {client.meta.region_name}", exc, "rds") from None
    clusters = {record["identifier"]: record for record in map(cluster_record, raw[CLUSTER])}
    instances = [instance_record(one, clusters.get(one.get("DBClusterIdentifier"))) for one in raw[INSTANCE]]
    return [*clusters.values(), *instances]


def check_support(client, record: dict) -> None:
    """Refuse an engine, version or class for which RDS has no IAM database authentication. RDS itself is asked."""
    engine, version = record["engine"], record["engine_version"]
    of_class = {"DBInstanceClass": record["instance_class"]} if record["instance_class"] else {}
    supported = _supports(client, record, Engine=engine, EngineVersion=version, **of_class)
    if supported is None:  # a version that runs but is no longer sold: its class tells
        supported = _supports(client, record, Engine=engine, **of_class)
    if supported:
        return
    what = f"{engine} {version}" + (f" on {record['instance_class']}" if of_class else "")
    if supported is None:
        raise RdsIamError(
            f"RDS in {record['region']} does not offer {what}, so it cannot be known whether the {title(record)}"
            " supports IAM database authentication; nothing was changed, and another instance class is needed."
        )
    if of_class and _supports(client, record, Engine=engine, EngineVersion=version):
        advice = "other instance classes of this version support it"
    elif _supports(client, record, Engine=engine):
        advice = f"other versions of {engine} support it"
    else:
        advice = f"no version of the engine {engine} supports it there"
    raise RdsIamError(
        f"The {title(record)} ({what}) cannot use IAM database authentication in {record['region']}; {advice}."
    )


def _supports(client, record: dict, **arguments) -> bool | None:
    """Whether one of the offers supports IAM database authentication; None where there is no offer."""
    answer = None
    try:
        for page in client.get_paginator("describe_orderable_db_instance_options").paginate(**arguments):
            for offer in page["OrderableDBInstanceOptions"]:
                if offer.get("SupportsIAMDatabaseAuthentication"):
                    return True
                answer = False
    except (ClientError, BotoCoreError) as exc:
        if error_code(exc) in ("InvalidParameterValue", "InvalidParameterCombination"):
            return None  # RDS does not know this version or class
        doing = f"ask whether the {title(record)} supports IAM database authentication"
        raise aws_error(doing, exc, "rds") from None
    return answer


def modify(client, record: dict, change: Change, timeout: float) -> dict:
    """Send the change and return the record of the answer; while the status does not allow changes, try again."""
    kind = _KINDS[record["kind"]]
    doing = f"switch IAM database authentication {_word(change.enabled)} for the {title(record)}"
    for _attempt in attempts(timeout):
        try:
            return kind.record(
                kind.modify(
                    client,
                    EnableIAMDatabaseAuthentication=change.enabled,
                    ApplyImmediately=change.immediately,
                    **kind.named(record["identifier"]),
                )
            )
        except (ClientError, BotoCoreError) as exc:
            failure = aws_error(doing, exc, "rds")
            if not error_code(exc).startswith(f"InvalidDB{kind.word}State"):
                raise failure from None
    raise TimedOut(f"{str(failure).rstrip('.')}; run again when its status allows changes, or raise wait_timeout.")


def wait(client, record: dict, enabled: bool, timeout: float, condition=in_effect) -> dict:
    """Wait until the flag itself is in effect, or the condition holds, starting from a record that is at hand."""
    if condition(record, enabled):
        return record
    for _attempt in attempts(timeout):
        record = describe(client, _KINDS[record["kind"]], record["identifier"])
        if condition(record, enabled):
            return record
    raise TimedOut(
        f"IAM database authentication of the {title(record)} is still not {_word(enabled)} when the time is up:"
        f" {describe_progress(record)}; run again to go on waiting, or raise wait_timeout."
    )


def _word(enabled: bool) -> str:
    return "on" if enabled else "off"
