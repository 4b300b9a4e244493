# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Summarize a teardown: the things that it removed, those that stay, and why. Pure, and private to this collection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypedDict

from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.managed_by import COLLECTION, TAG
from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.rds_record import FLAG, DatabaseRecord
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError
from ansible_collections.dbops.rds_iam.plugins.module_utils._text import list_items, one_line

REMOVED, STAYS, MISSING, UNKNOWN = "removed", "stays", "was not there", "unknown"
_HEAD = ("resource", "of", "outcome", "reason")
# The result of a task, as Ansible registers it; empty where the task did not run.
TaskResult = Mapping[str, Any]


class TeardownFacts(TypedDict):
    """The facts of a teardown. The lists of results are in the order of C(clients) and C(databases)."""

    check: bool  # whether it ran in check mode
    hosts: list[str]  # that --limit leaves in
    left_out: list[str]  # the other ones
    clients: list[str]
    instance_ids: list[str]
    wrapper_searches: list[TaskResult]
    wrappers: list[TaskResult]
    foreign_wrappers: list[TaskResult]
    bundles: list[TaskResult]
    instance_profile_name: str
    instance_profile: Mapping[str, Any] | None  # as rds_iam_role_info returns it
    attachment: TaskResult
    attachment_plan: TaskResult
    role_name: str
    role: TaskResult
    databases: list[str]
    infos: list[TaskResult]
    users: list[TaskResult]
    flags: list[TaskResult]


@dataclass(frozen=True)
class Row:
    """One line of the table: a kind of thing, its name or host, its outcome, and the reason for that."""

    kind: str
    name: str
    outcome: str
    reason: str = ""


def iam_auth_keep_reason(record: DatabaseRecord, users_remaining: int | None) -> str:
    """Return why a teardown leaves the IAM flag of a database as it is; empty where it switches the flag off.

    C(record) is that of rds_iam_auth_info, C(users_remaining) the number of database users that log in with IAM, None
    where it is not known.
    """
    pending, managed_by = record["pending"].get(FLAG), record["managed_by"]
    if managed_by != COLLECTION:
        if not record["iam_auth_enabled"] and pending is not True:
            return "it is off already"
        if pending is False:
            return "it is being switched off already"
        if managed_by is None:
            return f"{COLLECTION} did not switch it on: the database has no tag {TAG}={COLLECTION}"
        return f"{COLLECTION} did not switch it on: the database has the tag {TAG}={managed_by}"
    if users_remaining != 0:
        count = "unknown" if users_remaining is None else users_remaining
        return f"other database users may use it (IAM database users remaining: {count})"
    return ""


def summarize(facts: TeardownFacts) -> list[Row]:
    """Return the rows of the table, those that differ only in their names as one. Raises RdsIamError without a fact."""
    missing = [name for name in TeardownFacts.__annotations__ if name not in facts]
    if missing:
        raise RdsIamError(f"The summary of a teardown lacks {', '.join(missing)}.")
    rows = [
        *_wrappers(facts),
        *_attachments(facts),
        *_role(facts),
        *_users(facts),
        *(_file(facts, "CA bundle", *bundle, "step 8") for bundle in zip(facts["clients"], facts["bundles"])),
        *_flags(facts),
        *(Row("packages", name, STAYS, "programs of the host may use them") for name in facts["clients"]),
    ]
    return _merge(rows)


def render(rows: list[Row], check: bool) -> list[str]:
    """Return the table as lines of text."""
    predictions = {REMOVED: "would be removed", STAYS: "would stay"} if check else {}
    cells = [_HEAD, *((row.kind, row.name, predictions.get(row.outcome, row.outcome), row.reason) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(_HEAD) - 1)]
    return ["  ".join([*(map(str.ljust, line, widths)), line[-1]]).rstrip() for line in cells]


def _merge(rows: list[Row]) -> list[Row]:
    names: dict[tuple[str, str, str], dict[str, None]] = {}
    for row in rows:
        names.setdefault((row.kind, row.outcome, row.reason), {})[row.name] = None
    return [Row(kind, list_items(list(of_rows)), outcome, reason) for (kind, outcome, reason), of_rows in names.items()]


def _failure(result: TaskResult) -> str:
    """Return why a task failed; empty where it did not."""
    if result.get("failed") or result.get("unreachable"):
        return one_line(result.get("msg") or "an earlier task failed")
    return ""


def _not_run(facts: TeardownFacts, host: str, step: str) -> str:
    if host not in facts["hosts"]:
        return "--limit leaves it out"
    return f"this run did not come to {step}"


def _wrappers(facts: TeardownFacts) -> list[Row]:
    """Return the row of rds-mysql on each client; where no program of the role was found, a task looked for another."""
    rows, kind = [], "rds-mysql"
    tasks = zip(facts["wrapper_searches"], facts["foreign_wrappers"], facts["wrappers"])
    for client, (search, other_search, removal) in zip(facts["clients"], tasks):
        file = other_search.get("stat")
        if file is None:
            rows.append(_file(facts, kind, client, next(filter(_failure, (search, other_search)), removal), "step 7"))
        elif file["exists"]:
            reason = f"{file['path']} is not a program that the role {COLLECTION}.connect wrote"
            rows.append(Row(kind, client, STAYS, reason))
        else:
            rows.append(Row(kind, client, MISSING))
    return rows


def _file(facts: TeardownFacts, kind: str, client: str, result: TaskResult, step: str) -> Row:
    """Return the row of a file on a client; C(msg) of a task that neither failed nor removed it is why it stays."""
    failure = _failure(result)
    if not failure and ("changed" not in result or result.get("skipped")):
        failure = _not_run(facts, client, step)
    if failure:
        return Row(kind, client, STAYS, failure)
    if result["changed"]:
        return Row(kind, client, REMOVED)
    reason = one_line(result.get("msg") or "")
    return Row(kind, client, STAYS if reason else MISSING, reason)


def _attachments(facts: TeardownFacts) -> list[Row]:
    name = facts["instance_profile_name"]
    kind = f"instance profile {name} on the EC2 instance"
    detached_instances = _by_instance(facts["attachment"])
    foreign_reason = _why_profile_stays(facts)
    planned_instances = _by_instance(facts["attachment_plan"])
    rows = []
    for client, instance_id in zip(facts["clients"], facts["instance_ids"]):
        if instance_id in detached_instances:
            rows.append(_attachment(kind, client, name, detached_instances[instance_id]))
        elif instance_id in planned_instances and foreign_reason:
            stays = planned_instances[instance_id]["before"] == name
            rows.append(Row(kind, client, STAYS if stays else MISSING, foreign_reason if stays else ""))
        elif facts["instance_profile"] is None and client in facts["hosts"]:
            rows.append(Row(kind, client, MISSING))
        else:
            reason = _failure(facts["attachment"]) or _not_run(facts, client, "step 6")
            rows.append(Row(kind, client, STAYS, reason))
    return rows


def _why_profile_stays(facts: TeardownFacts) -> str:
    """Return why the instance profile is not this run's to detach; empty where it is."""
    profile = facts["instance_profile"] or {}
    if profile.get("managed_by") != COLLECTION:
        return f"the instance profile was not created by {COLLECTION}"
    if profile.get("role_name") not in (None, "", facts["role_name"]):
        return f"the role {profile['role_name']} is in the instance profile by now"
    return ""


def _by_instance(result: TaskResult) -> dict[str, Mapping[str, Any]]:
    return {instance["instance_id"]: instance for instance in result.get("instances") or []}


def _attachment(kind: str, client: str, name: str, instance: Mapping[str, Any]) -> Row:
    if instance.get("error"):
        return Row(kind, client, STAYS, one_line(instance["error"]))
    return Row(kind, client, REMOVED if instance["before"] == name else MISSING)


def _role(facts: TeardownFacts) -> list[Row]:
    """Return the rows of the inline policy, the instance profile and the role."""
    result, name = facts["role"], facts["role_name"]
    words = {"policy": "inline policy", "instance_profile": "instance profile", "role": "IAM role"}
    outcomes = {"removed": REMOVED, "stays": STAYS, "missing": MISSING}
    if result.get("outcomes") and not _failure(result):
        return [
            Row(words[entry["kind"]], entry["name"], outcomes[entry["outcome"]], entry.get("reason") or "")
            for entry in result["outcomes"]
        ]
    left_out = f"this run leaves out {list_items(list(dict.fromkeys(facts['left_out'])))}" if facts["left_out"] else ""
    reason = _failure(result) or left_out or "this run did not come to steps 5 and 4"
    return [Row(word, name, STAYS, reason) for word in words.values()]


def _users(facts: TeardownFacts) -> list[Row]:
    rows: list[Row] = []
    for database, result in zip(facts["databases"], facts["users"]):
        kind, failure = f"database users of {database}", _failure(result)
        # Without a failure only check mode, where what it needs is missing, does not read them.
        is_unread = not failure and result.get("iam_database_users_remaining") is None
        rows.extend(_user(kind, user, failure, is_unread) for user in result.get("users") or [])
        if not result.get("users"):
            rows.append(Row(kind, "all", STAYS, failure or _not_run(facts, database, "step 3")))
    return rows


def _user(kind: str, user: Mapping[str, Any], failure: str, is_unread: bool) -> Row:
    name, outcome = f"{user['name']}@{user['host']}", user["outcome"]
    if is_unread:
        return Row(kind, name, UNKNOWN, "check mode could not read the database users")
    if outcome == "kept":
        return Row(kind, name, STAYS, one_line(user["reason"]))
    if outcome != "done":
        return Row(kind, name, STAYS, failure)
    # A user that was gone may have had open sessions, which are a change without a statement.
    return Row(kind, name, REMOVED if user["statements"] else MISSING)


def _flags(facts: TeardownFacts) -> list[Row]:
    rows, kind = [], "IAM database authentication"
    for name, info, users, result in zip(facts["databases"], facts["infos"], facts["users"], facts["flags"]):
        record = next(iter(info.get("databases") or []), None)
        failure = _failure(info) or _failure(result)
        if failure or record is None:
            rows.append(Row(kind, name, STAYS, failure or _not_run(facts, name, "step 1")))
        elif "in_effect" in result or result.get("skipped"):  # skipped: there was nothing to wait for
            was_on = record["iam_auth_enabled"] or record["pending"].get(FLAG)
            rows.append(Row(kind, name, REMOVED if was_on else MISSING))
        else:
            reason = iam_auth_keep_reason(record, users.get("iam_database_users_remaining"))
            is_off = reason.startswith("it is off")
            rows.append(
                Row(kind, name, MISSING, "")
                if is_off
                else Row(kind, name, STAYS, reason or _not_run(facts, name, "step 1"))
            )
    return rows
