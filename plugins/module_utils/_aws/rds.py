# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Describe, modify and wait: the calls to RDS. Private to this collection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable

from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.errors import aws_error, error_code
from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.iam_flag import Change, describe_progress, in_effect
from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.managed_by import OURS, TAG, TAGS, managed_by
from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.polling import attempts
from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.rds_record import (
    cluster_record,
    instance_record,
    title,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError

try:
    from botocore.exceptions import BotoCoreError, ClientError
except ImportError:
    BotoCoreError = ClientError = None  # AnsibleAWSModule says so when it starts


class NotThere(RdsIamError):
    """There is no such database."""


class Unsupported(RdsIamError):
    """RDS has no IAM database authentication for this engine, version or class."""


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


def _unknown(client, kind: Kind, identifier: str) -> NotThere:
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
    return NotThere(f"There is no {kind.title} {identifier} in the region {client.meta.region_name}; {hint}.")


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
    raise Unsupported(
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


def switch(client, record: dict, change: Change, timeout: float, marked: bool) -> dict:
    """Send the change and return the record of the answer.

    With C(marked) the database gets the mark first, unless it has got one of somebody else by now, so that a flag that
    this collection switched on always bears it. The mark is taken back if the change was not accepted. C(timeout) are
    the seconds for trying again while the status does not allow changes.
    """
    if not marked or _has_mark(client, record):
        return _modify(client, record, change, timeout)
    mark(client, record)
    try:
        return {**_modify(client, record, change, timeout), "managed_by": OURS}
    except RdsIamError as exc:
        raise _without_mark(client, record, exc) from None


def _has_mark(client, record: dict) -> bool:
    """Read the tags of a database once more, since AddTagsToResource overwrites what is there.

    In some partitions the description has no TagList (aws/aws-cli#6392); elsewhere it is empty where there are no tags.
    """
    kind = _KINDS[record["kind"]]
    try:
        [raw] = kind.describe(client, **kind.named(record["identifier"]))
        if "TagList" not in raw:
            raw = client.list_tags_for_resource(ResourceName=record["arn"])
    except (ClientError, BotoCoreError) as exc:
        raise aws_error(f"read the tags of the {title(record)}", exc, "rds") from None
    return managed_by(raw["TagList"]) is not None


def _without_mark(client, record: dict, failure: RdsIamError) -> RdsIamError:
    """Take the mark back, and return the failure, with what to do where that fails too."""
    try:
        unmark(client, record)
    except RdsIamError as exc:
        left = f"{str(failure).rstrip('.')}; besides, the tag {TAG} that this run has set stays. {exc}"
        return type(failure)(left)
    return failure


def _modify(client, record: dict, change: Change, timeout: float) -> dict:
    kind = _KINDS[record["kind"]]
    doing = f"switch IAM database authentication {_word(change.enabled)} for the {title(record)}"
    for _attempt in attempts(timeout):
        try:
            answer = kind.record(
                kind.modify(
                    client,
                    EnableIAMDatabaseAuthentication=change.enabled,
                    ApplyImmediately=change.immediately,
                    **kind.named(record["identifier"]),
                )
            )
            return {**answer, "managed_by": answer["managed_by"] or record["managed_by"]}
        except (ClientError, BotoCoreError) as exc:
            failure = aws_error(doing, exc, "rds")
            if not error_code(exc).startswith(f"InvalidDB{kind.word}State"):
                raise failure from None
    raise TimedOut(f"{str(failure).rstrip('.')}; run again when its status allows changes, or raise wait_timeout.")


def mark(client, record: dict) -> None:
    """Set the tag by which the flag is known to be switched on by this collection."""
    try:
        client.add_tags_to_resource(ResourceName=record["arn"], Tags=TAGS)
    except (ClientError, BotoCoreError) as exc:
        raise aws_error(f"set the tag {TAG}={OURS} on the {title(record)}", exc, "rds") from None


def unmark(client, record: dict) -> None:
    """Remove the tag of this collection."""
    try:
        client.remove_tags_from_resource(ResourceName=record["arn"], TagKeys=[TAG])
    except (ClientError, BotoCoreError) as exc:
        raise aws_error(f"remove the tag {TAG}={OURS} of the {title(record)}", exc, "rds") from None


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
