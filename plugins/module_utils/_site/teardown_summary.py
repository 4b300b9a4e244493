# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a teardown removed, what stays, and why. Pure, and private to this collection."""

from __future__ import annotations

from dataclasses import dataclass

from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.managed_by import COLLECTION, TAG
from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.rds_record import FLAG
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError
from ansible_collections.dbops.rds_iam.plugins.module_utils._text import one_line

REMOVED, STAYS, MISSING, UNKNOWN = "removed", "stays", "was not there", "unknown"
_HEAD = ("what", "of", "outcome", "why")
_LISTED = 10  # the most names in a row
_FACTS = (
    *("check", "hosts", "left_out", "clients", "instance_ids", "wrapper_searches", "wrappers", "foreign_wrappers"),
    *("bundles", "instance_profile_name", "instance_profile", "attachment", "attachment_plan", "role_name", "role"),
    *("databases", "infos", "users", "flags"),
)


@dataclass(frozen=True)
class Row:
    """One line of the table: what it is, whose it is, what became of it, and why."""

    what: str
    name: str
    outcome: str
    why: str = ""


def why_flag_stays(record: dict, accounts_left: int | None) -> str:
    """Return why a teardown leaves the IAM flag of a database as it is; empty where it switches the flag off.

    C(record) is that of rds_iam_auth_info, C(accounts_left) the number of database users that log in with IAM, None
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
    if accounts_left != 0:
        left = "unknown" if accounts_left is None else accounts_left
        return f"other accounts may use it (accounts left: {left})"
    return ""


def summarize(facts: dict) -> list[Row]:
    """Return the rows of the table, those that differ only in whose they are as one.

    C(facts) has the results of the tasks as Ansible registered them, empty where a task did not run. Those of clients
    and databases are lists in the order of C(clients) and C(databases).
    """
    missing = [name for name in _FACTS if name not in facts]
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
    return _grouped(rows)


def render(rows: list[Row], check: bool) -> list[str]:
    """Return the table as lines of text."""
    shown = {REMOVED: "would be removed", STAYS: "would stay"} if check else {}
    cells = [_HEAD, *((row.what, row.name, shown.get(row.outcome, row.outcome), row.why) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(_HEAD) - 1)]
    return ["  ".join([*(map(str.ljust, line, widths)), line[-1]]).rstrip() for line in cells]


def _grouped(rows: list[Row]) -> list[Row]:
    names: dict[tuple, list[str]] = {}
    for row in rows:
        names.setdefault((row.what, row.outcome, row.why), []).append(row.name)
    return [Row(what, _listed(of), outcome, why) for (what, outcome, why), of in names.items()]


def _listed(names: list[str]) -> str:
    names = list(dict.fromkeys(names))
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more


def _failure(result: dict) -> str:
    """Return why a task failed; empty where it did not."""
    if result.get("failed") or result.get("unreachable"):
        return one_line(result.get("msg") or "an earlier task failed")
    return ""


def _not_run(facts: dict, host: str, step: str) -> str:
    if host not in facts["hosts"]:
        return "--limit leaves it out"
    return f"this run did not come to {step}"


def _wrappers(facts: dict) -> list[Row]:
    """Return the row of rds-mysql on each client; where no program of the role was found, a task looked for another."""
    rows, what = [], "rds-mysql"
    tasks = zip(facts["wrapper_searches"], facts["foreign_wrappers"], facts["wrappers"])
    for client, (search, foreign, removal) in zip(facts["clients"], tasks):
        file = foreign.get("stat")
        if file is None:
            rows.append(_file(facts, what, client, next(filter(_failure, (search, foreign)), removal), "step 7"))
        elif file["exists"]:
            why = f"{file['path']} is not a program that the role {COLLECTION}.connect wrote"
            rows.append(Row(what, client, STAYS, why))
        else:
            rows.append(Row(what, client, MISSING))
    return rows


def _file(facts: dict, what: str, client: str, result: dict, step: str) -> Row:
    """Return the row of a file on a client; a task that neither failed nor removed it says in C(msg) why it stays."""
    failure = _failure(result)
    if not failure and ("changed" not in result or result.get("skipped")):
        failure = _not_run(facts, client, step)
    if failure:
        return Row(what, client, STAYS, failure)
    if result["changed"]:
        return Row(what, client, REMOVED)
    why = one_line(result.get("msg") or "")
    return Row(what, client, STAYS if why else MISSING, why)


def _attachments(facts: dict) -> list[Row]:
    name = facts["instance_profile_name"]
    what = f"instance profile {name} on the EC2 instance"
    detached = _by_instance(facts["attachment"])
    not_ours = _why_profile_stays(facts)
    planned = _by_instance(facts["attachment_plan"])
    rows = []
    for client, instance_id in zip(facts["clients"], facts["instance_ids"]):
        if instance_id in detached:
            rows.append(_attachment(what, client, name, detached[instance_id]))
        elif instance_id in planned and not_ours:
            stays = planned[instance_id]["before"] == name
            rows.append(Row(what, client, STAYS if stays else MISSING, not_ours if stays else ""))
        elif facts["instance_profile"] is None and client in facts["hosts"]:
            rows.append(Row(what, client, MISSING))
        else:
            why = _failure(facts["attachment"]) or _not_run(facts, client, "step 6")
            rows.append(Row(what, client, STAYS, why))
    return rows


def _why_profile_stays(facts: dict) -> str:
    """Return why the instance profile is not this run's to detach; empty where it is."""
    profile = facts["instance_profile"] or {}
    if profile.get("managed_by") != COLLECTION:
        return f"the instance profile was not created by {COLLECTION}"
    if profile.get("role_name") not in (None, "", facts["role_name"]):
        return f"the role {profile['role_name']} is in the instance profile by now"
    return ""


def _by_instance(result: dict) -> dict[str, dict]:
    return {instance["instance_id"]: instance for instance in result.get("instances") or []}


def _attachment(what: str, client: str, name: str, instance: dict) -> Row:
    if instance.get("error"):
        return Row(what, client, STAYS, one_line(instance["error"]))
    return Row(what, client, REMOVED if instance["before"] == name else MISSING)


def _role(facts: dict) -> list[Row]:
    """Return the rows of the inline policy, the instance profile and the role."""
    result, name = facts["role"], facts["role_name"]
    words = {"policy": "inline policy", "instance_profile": "instance profile", "role": "IAM role"}
    outcomes = {"removed": REMOVED, "stays": STAYS, "missing": MISSING}
    if result.get("outcomes") and not _failure(result):
        return [
            Row(words[made["kind"]], made["name"], outcomes[made["outcome"]], made.get("why") or "")
            for made in result["outcomes"]
        ]
    left_out = f"this run leaves out {_listed(facts['left_out'])}" if facts["left_out"] else ""
    why = _failure(result) or left_out or "this run did not come to steps 5 and 4"
    return [Row(word, name, STAYS, why) for word in words.values()]


def _users(facts: dict) -> list[Row]:
    rows = []
    for database, result in zip(facts["databases"], facts["users"]):
        what, failure = f"database users of {database}", _failure(result)
        # Without a failure only check mode, where what it needs is missing, does not read them.
        unread = not failure and result.get("accounts_left") is None
        for user in result.get("users") or []:
            rows.append(_user(what, user, failure, unread))
        if not result.get("users"):
            rows.append(Row(what, "all", STAYS, failure or _not_run(facts, database, "step 3")))
    return rows


def _user(what: str, user: dict, failure: str, unread: bool) -> Row:
    name, outcome = f"{user['name']}@{user['host']}", user["outcome"]
    if unread:
        return Row(what, name, UNKNOWN, "check mode could not read the database users")
    if outcome == "kept":
        return Row(what, name, STAYS, one_line(user["reason"]))
    if outcome != "done":
        return Row(what, name, STAYS, failure)
    # A user that was gone may have had open sessions, which are a change without a statement.
    return Row(what, name, REMOVED if user["statements"] else MISSING)


def _flags(facts: dict) -> list[Row]:
    rows, what = [], "IAM database authentication"
    for name, info, users, result in zip(facts["databases"], facts["infos"], facts["users"], facts["flags"]):
        record = next(iter(info.get("databases") or []), None)
        failure = _failure(info) or _failure(result)
        if failure or record is None:
            rows.append(Row(what, name, STAYS, failure or _not_run(facts, name, "step 1")))
        elif "in_effect" in result or result.get("skipped"):  # skipped: there was nothing to wait for
            was_on = record["iam_auth_enabled"] or record["pending"].get(FLAG)
            rows.append(Row(what, name, REMOVED if was_on else MISSING))
        else:
            why = why_flag_stays(record, users.get("accounts_left"))
            off = why.startswith("it is off")
            rows.append(
                Row(what, name, MISSING if off else STAYS, "" if off else why or _not_run(facts, name, "step 1"))
            )
    return rows
