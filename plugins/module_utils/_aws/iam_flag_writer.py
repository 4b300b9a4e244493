# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Switch the IAM flag of a database, mark it, and wait for it. Private to this collection."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ansible_collections.dbops.rds_iam.plugins.module_utils._aws import iam_flag, rds
from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.botocore_errors import AWS_ERRORS
from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.errors import aws_error, error_code
from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.managed_by import COLLECTION, TAG, TAGS, managed_by
from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.polling import attempts
from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.rds_record import DatabaseRecord, title
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError

if TYPE_CHECKING:
    from botocore.client import BaseClient


class FlagTimeoutError(RdsIamError):
    """The change is not in effect yet; another run goes on from there."""


def set_flag(client: BaseClient, options: Mapping[str, Any], check_mode: bool) -> dict[str, Any]:
    """Do what the options of the module rds_iam_auth ask for, and return its result.

    Raises FlagTimeoutError when the time is up, and RdsIamError for other failures.
    """
    enabled, timeout = options["enabled"], options["wait_timeout"] if options["wait"] else 0
    before = rds.describe(client, *rds.kind_of(options))
    iam_flag.check_manageable(before)
    waits = options["wait"] and options["apply_immediately"] and not check_mode
    if options["only_wait"]:
        after = _wait(client, before, enabled, timeout) if waits else before
        return _result(before, after, enabled, changed=False)
    if waits:
        before = _wait(client, before, enabled, timeout, iam_flag.is_decided)
    change = iam_flag.plan(before, enabled, options["apply_immediately"])
    if change:
        iam_flag.check_flush(before, change, options["apply_pending"])
        if enabled and not before["iam_auth_enabled"]:
            rds.check_support(client, before)
    changed = change is not None or iam_flag.is_to_be_unmarked(before, enabled)
    if check_mode:
        return _result(before, iam_flag.predict(before, change, enabled), enabled, changed)
    after = _switch(client, before, change, timeout) if change else before
    try:
        after = _finish(client, after, enabled, timeout if waits else None)
    except RdsIamError as exc:
        exc.changed = changed
        raise
    return _result(before, after, enabled, changed)


def _result(before: DatabaseRecord, after: DatabaseRecord, enabled: bool, changed: bool) -> dict[str, Any]:
    return {
        "changed": changed,
        "in_effect": iam_flag.is_in_effect(after, enabled),
        "database": after,
        "diff": {"before": iam_flag.diff_fields(before), "after": iam_flag.diff_fields(after)},
    }


def _finish(client: BaseClient, record: DatabaseRecord, enabled: bool, timeout: float | None) -> DatabaseRecord:
    """Take the mark away with the flag, and wait, unless C(timeout) is None."""
    if iam_flag.is_to_be_unmarked(record, enabled):
        _unmark(client, record)
        record = {**record, "managed_by": None}
    return record if timeout is None else _wait(client, record, enabled, timeout)


def _switch(client: BaseClient, record: DatabaseRecord, change: iam_flag.Change, timeout: float) -> DatabaseRecord:
    """Send the change and return the record of the answer.

    A database to be marked gets the mark first, unless it has got one of somebody else by now, so that a flag that this
    collection switched on always bears it. The mark is taken back if the change was not accepted. C(timeout) are the
    seconds for trying again while the status does not allow changes.
    """
    if not iam_flag.is_to_be_marked(record, change) or _has_mark(client, record):
        return _modify(client, record, change, timeout)
    _mark(client, record)
    try:
        return {**_modify(client, record, change, timeout), "managed_by": COLLECTION}
    except RdsIamError as exc:
        raise _without_mark(client, record, exc) from None


def _has_mark(client: BaseClient, record: DatabaseRecord) -> bool:
    """Read the tags of a database once more, since AddTagsToResource overwrites what is there.

    In some partitions the description has no TagList (aws/aws-cli#6392); elsewhere it is empty where there are no tags.
    """
    kind = rds.KINDS[record["kind"]]
    try:
        [raw] = kind.describe(client, **kind.arguments(record["identifier"]))
        if "TagList" not in raw:
            raw = client.list_tags_for_resource(ResourceName=record["arn"])
    except AWS_ERRORS as exc:
        raise aws_error(f"read the tags of the {title(record)}", exc, "rds") from None
    return managed_by(raw["TagList"]) is not None


def _without_mark(client: BaseClient, record: DatabaseRecord, failure: RdsIamError) -> RdsIamError:
    """Take the mark back, and return the failure, with what to do where that fails too."""
    try:
        _unmark(client, record)
    except RdsIamError as exc:
        message = f"{str(failure).rstrip('.')}; besides, the tag {TAG} that this run has set stays. {exc}"
        return type(failure)(message)
    return failure


def _modify(client: BaseClient, record: DatabaseRecord, change: iam_flag.Change, timeout: float) -> DatabaseRecord:
    kind = rds.KINDS[record["kind"]]
    task = f"switch IAM database authentication {iam_flag.on_or_off(change.enabled)} for the {title(record)}"
    for _attempt in attempts(timeout):
        try:
            description = kind.modify(
                client,
                EnableIAMDatabaseAuthentication=change.enabled,
                ApplyImmediately=change.immediately,
                **kind.arguments(record["identifier"]),
            )
        except AWS_ERRORS as exc:  # noqa: PERF203 - each attempt is a call to AWS, beside which this costs nothing
            failure = aws_error(task, exc, "rds")
            if not error_code(exc).startswith(f"InvalidDB{kind.word}State"):
                raise failure from None
        else:
            answer = kind.record(description)
            return {**answer, "managed_by": answer["managed_by"] or record["managed_by"]}
    raise FlagTimeoutError(
        f"{str(failure).rstrip('.')}; run again when its status allows changes, or raise wait_timeout."
    )


def _mark(client: BaseClient, record: DatabaseRecord) -> None:
    """Set the tag by which the flag is known to be switched on by this collection."""
    try:
        client.add_tags_to_resource(ResourceName=record["arn"], Tags=TAGS)
    except AWS_ERRORS as exc:
        raise aws_error(f"set the tag {TAG}={COLLECTION} on the {title(record)}", exc, "rds") from None


def _unmark(client: BaseClient, record: DatabaseRecord) -> None:
    """Remove the tag of this collection."""
    try:
        client.remove_tags_from_resource(ResourceName=record["arn"], TagKeys=[TAG])
    except AWS_ERRORS as exc:
        raise aws_error(f"remove the tag {TAG}={COLLECTION} of the {title(record)}", exc, "rds") from None


def _wait(
    client: BaseClient,
    record: DatabaseRecord,
    enabled: bool,
    timeout: float,
    condition: Callable[[DatabaseRecord, bool], bool] = iam_flag.is_in_effect,
) -> DatabaseRecord:
    """Wait until the flag itself is in effect, or the condition holds, starting from a record that is at hand."""
    if condition(record, enabled):
        return record
    for _attempt in attempts(timeout):
        record = rds.describe(client, rds.KINDS[record["kind"]], record["identifier"])
        if condition(record, enabled):
            return record
    raise FlagTimeoutError(
        f"IAM database authentication of the {title(record)} is still not {iam_flag.on_or_off(enabled)} when the time"
        f" is up: {iam_flag.describe_progress(record)}; run again to go on waiting, or raise wait_timeout."
    )
