# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read what is wanted from a server, change it, and read it back. Private to this collection."""

from __future__ import annotations

from ansible_collections.dbops.rds_iam.plugins.module_utils import _accounts, _db_user, _mysql
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError


def read(connection, items):
    """The accounts of the server, the given ones with their privileges."""
    accounts = _accounts.read_accounts(connection)
    ours = [accounts[item.account.key] for item in items if item.account.key in accounts]
    held = _accounts.read_privileges(connection, ours) if ours else {}
    for account in ours:
        accounts[account.key] = _db_user.with_privileges(account, held.get(account.key, {}))
    return accounts


def apply(connection, items, current, result, where):
    """Send the statements; the first that fails ends the run, and the result says how far it came."""
    users = {(user["name"], user["host"]): user for user in result["users"]}
    changing = [item for item in items if users[item.account.key]["changed"]]
    result.pop("user_rows")  # until they are read again
    for item in changing:
        users[item.account.key].update(outcome="not tried", changed=False)
    for group in _db_user.together(changing, current):
        ours = [users[item.account.key] for item in group]
        todo = [user["statements"] for user in ours]
        if len(group) > 1:
            todo = _apply_together(connection, group, ours, result, where)
        for user, statements in zip(ours, todo):
            user["outcome"] = "failed"
            for statement in statements:
                try:
                    send(connection, statement)
                except _mysql.DriverError as exc:
                    _fail(result, _unconfirmed(where, repr(statement), exc))
                user["changed"] = True
            user["outcome"] = "done"


def verify(items, accounts, result, where):
    """Fail if the server, read back, is not as it should be."""
    left = {}
    for item, user in zip(items, result["users"]):
        missing = _db_user.plan(item, accounts.get(item.account.key))
        if missing:
            user["outcome"] = "failed"
            left[str(item.account)] = missing[0]
    for account, statement in left.items():
        others = f", and something for {len(left) - 1} more" if len(left) > 1 else ""
        _fail(
            result,
            f"{where} took all statements, but reading {account} back shows that this is still to do: {statement}"
            f"{others}; see whether something else changes its accounts, and run again.",
        )


def _apply_together(connection, group, users, result, where):
    """Make or drop several accounts at once; if the server refuses, return what is left to do for each."""
    for user in users:
        user.update(outcome="failed", changed=True)
    try:
        for statement in _db_user.plan_together(group):
            send(connection, statement)
        return [[] for user in users]
    except _mysql.DriverError as exc:
        try:
            accounts = read(connection, group)
        except _mysql.DriverError:  # the connection is gone
            _fail(result, _unconfirmed(where, f"the statements for {group[0].account} to {group[-1].account}", exc))
    left = []
    for item, user in zip(group, users):
        existing = accounts.get(item.account.key)
        # One that somebody has made meanwhile, with a password, is no case for anything but the same refusal.
        left.append(_db_user.plan(item, existing) if not existing or existing.is_iam else user["statements"])
        user.update(outcome="not tried", changed=left[-1] != user["statements"])
    return left


def send(connection, statement):
    with connection.cursor() as cursor:
        cursor.execute(statement)


def _unconfirmed(where, what, exc):
    return (
        f"{where} did not confirm {what}: {_mysql.server_error(exc)[1]}; users whose outcome is done are done, so"
        " remove the cause, and another run does the rest."
    )


def _fail(result, message):
    """End a run half-way, with a result that says only what is known."""
    for key in ("accounts_left", "diff"):
        result.pop(key, None)
    result["changed"] = any(user["changed"] for user in result["users"])
    raise RdsIamError(message)
