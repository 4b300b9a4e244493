# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plan the change of the IAM flag of a database. Pure, and private to this collection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.managed_by import COLLECTION
from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.rds_record import FLAG, DatabaseRecord, title
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.engine_names import SUPPORTED
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError

# Log exports are applied as soon as they are asked for, so an immediate change of something else does not start them.
_APPLIED_AT_ONCE = {"PendingCloudwatchLogsExports"}
_CONFIGURING = "configuring-iam-database-auth"  # the status while RDS switches the flag
_MODIFYING = "modifying"  # the status while RDS applies modifications


@dataclass(frozen=True)
class Change:
    """A modification to send: the value of the flag, and whether to apply it now, not in the maintenance window."""

    enabled: bool
    immediately: bool


def is_in_effect(record: DatabaseRecord, enabled: bool) -> bool:
    """Return whether the flag has this value, and no change of it is pending or under way."""
    return _is_settled(record, enabled) and record["status"] != _CONFIGURING


def _is_settled(record: DatabaseRecord, enabled: bool) -> bool:
    return record["iam_auth_enabled"] == enabled and record["pending"].get(FLAG) in (None, enabled)


def check_manageable(record: DatabaseRecord) -> None:
    """Raise RdsIamError for a database of another engine, and for a member of a cluster, which has the flag."""
    if record["engine"] not in SUPPORTED:
        raise RdsIamError(
            f"The {title(record)} runs {record['engine']}, and this collection switches IAM database authentication of"
            f" {', '.join(SUPPORTED)} only, since that of other engines is another matter; nothing was changed."
        )
    if record["cluster_identifier"]:
        cluster = record["cluster_identifier"]
        raise RdsIamError(
            f"The {title(record)} is a member of the DB cluster {cluster}, and IAM database authentication is set for"
            f" the whole cluster; use db_cluster_identifier: {cluster}."
        )


def plan(record: DatabaseRecord, enabled: bool, apply_immediately: bool) -> Change | None:
    """Return the modification to send, or None where there is nothing to send.

    A pending change to this value is sent again only to apply it now; one away from it is taken back.
    """
    if _is_settled(record, enabled):
        return None
    if _is_pending(record, enabled) and (not apply_immediately or _is_modified(record)):
        return None
    return Change(enabled, apply_immediately)


def is_to_be_marked(record: DatabaseRecord, change: Change | None) -> bool:
    """Return whether a change switches on a flag that nobody else has switched on, of a database without a mark."""
    return bool(
        change
        and change.enabled
        and not record["iam_auth_enabled"]
        and record["pending"].get(FLAG) is not True
        and record["managed_by"] is None
    )


def is_to_be_unmarked(record: DatabaseRecord, enabled: bool) -> bool:
    """Return whether the flag is to be off, and the database bears the mark that this collection switched it on."""
    return not enabled and record["managed_by"] == COLLECTION


def is_decided(record: DatabaseRecord, enabled: bool) -> bool:
    """Return whether the record tells if there is something to send.

    It does not while RDS applies modifications and the flag is pending: it may be one of them, or wait for the window.
    """
    return not (_is_pending(record, enabled) and _is_modified(record))


def _is_pending(record: DatabaseRecord, enabled: bool) -> bool:
    return record["iam_auth_enabled"] != enabled and record["pending"].get(FLAG) == enabled


def _is_modified(record: DatabaseRecord) -> bool:
    return record["status"] in (_CONFIGURING, _MODIFYING)


def check_flush(record: DatabaseRecord, change: Change, apply_pending: bool) -> None:
    """Raise RdsIamError where an immediate change would set off others that wait for the maintenance window."""
    values = _flushed_values(record, change)
    if values and not apply_pending:
        modifications = ", ".join(_mask_password(name, value) for name, value in values.items())
        raise RdsIamError(
            f"The {title(record)} has other modifications waiting for its maintenance window ({modifications}), and RDS"
            " applies all of them with an immediate change, which may mean downtime; set apply_pending to true to have"
            " them applied now, or apply_immediately to false to wait for the window."
        )


def _flushed_values(record: DatabaseRecord, change: Change) -> dict[str, Any]:
    """Return the other pending values that the change sets off: an immediate change to a cluster sets off none."""
    if not change.immediately or record["kind"] != "instance":
        return {}
    return {name: value for name, value in record["pending"].items() if name not in _APPLIED_AT_ONCE | {FLAG}}


def _mask_password(name: str, value: object) -> str:
    return name if "Password" in name else f"{name}={value}"


def predict(record: DatabaseRecord, change: Change | None, enabled: bool) -> DatabaseRecord:
    """Return the record as it will be after the change, or, where nothing is to be sent, after taking its mark away."""
    mark = COLLECTION if is_to_be_marked(record, change) else record["managed_by"]
    record = {**record, "managed_by": None if is_to_be_unmarked(record, enabled) else mark}
    if change is None:
        return record
    applied = {FLAG, *_flushed_values(record, change)}
    pending = {name: value for name, value in record["pending"].items() if name not in applied}
    if change.immediately:
        return {**record, "pending": pending, "iam_auth_enabled": change.enabled}
    if record["iam_auth_enabled"] != change.enabled:
        pending[FLAG] = change.enabled
    return {**record, "pending": pending}


def diff_fields(record: DatabaseRecord) -> dict[str, Any]:
    """Return the fields of a record that a change is about, for a diff."""
    return {
        "iam_auth_enabled": record["iam_auth_enabled"],
        "managed_by": record["managed_by"],
        "pending": record["pending"],
    }


def describe_progress(record: DatabaseRecord) -> str:
    """Return flag, pending change and status as a part of a sentence, for the message when time runs out."""
    pending = record["pending"].get(FLAG)
    pending_clause = "" if pending is None else f", the change to {on_or_off(pending)} is pending"
    return f"the flag is {on_or_off(record['iam_auth_enabled'])}{pending_clause}, the status is {record['status']}"


def on_or_off(enabled: bool) -> str:
    """Return the word for a value of the flag."""
    return "on" if enabled else "off"
