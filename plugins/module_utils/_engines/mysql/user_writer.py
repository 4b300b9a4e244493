# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write the database users of a server, and verify them. Private to this collection."""

from __future__ import annotations

from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql import database_user, user_plan, user_reader
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.connection import DriverError
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.error_texts import server_error
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.server import Server, Traits
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.session import send
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError


def read(connection, items: list, traits: Traits) -> dict:
    """Read the database users of the server by name and host, those that are asked for with their privileges."""
    accounts = user_reader.read_accounts(connection, traits)
    ours = [accounts[item.account.key] for item in items if item.account.key in accounts]
    held = user_reader.read_privileges(connection, ours) if ours else {}
    for account in ours:
        accounts[account.key] = database_user.with_privileges(account, held.get(account.key, {}))
    return accounts


def apply(connection, items: list, current: dict, result: dict, server: Server) -> None:
    """Send the statements; the first that fails ends the run, and the result says how far it came."""
    users = {(user["name"], user["host"]): user for user in result["users"]}
    changing = [item for item in items if users[item.account.key]["changed"]]
    result.pop("user_rows")  # until they are read again
    for item in changing:
        users[item.account.key].update(outcome="not tried", changed=False)
    for group in user_plan.batch(changing, current):
        ours = [users[item.account.key] for item in group]
        todo = [user["statements"] for user in ours]
        if len(group) > 1:
            todo = _apply_together(connection, group, ours, result, server)
        for user, statements in zip(ours, todo):
            user["outcome"] = "failed"
            for statement in statements:
                try:
                    send(connection, statement)
                except DriverError as exc:
                    _fail(result, _unconfirmed(server.host, repr(statement), exc))
                user["changed"] = True
            user["outcome"] = "done"


def verify(items: list, accounts: dict, result: dict, server: Server) -> None:
    """Fail if the server, read back, is not what was asked for."""
    users = {(user["name"], user["host"]): user for user in result["users"]}
    left = {}
    for item in items:
        missing = user_plan.plan(item, accounts.get(item.account.key), server)
        if missing:
            users[item.account.key]["outcome"] = "failed"
            left[str(item.account)] = missing[0]
    for account, statement in left.items():
        others = f", and something for {len(left) - 1} more" if len(left) > 1 else ""
        _fail(
            result,
            f"{server.host} took all statements, but reading {account} back shows that this is still to do:"
            f" {statement}{others}; see whether something else changes its accounts, and run again.",
        )


def _apply_together(connection, group: list, users: list[dict], result: dict, server: Server) -> list[list[str]]:
    """Make or drop several users at once; if the server refuses, return what is left to do for each."""
    for user in users:
        user.update(outcome="failed", changed=True)
    confirmed = 0
    try:
        for statement in user_plan.plan_batch(group, server):
            send(connection, statement)
            confirmed += 1
        return [[] for user in users]
    except DriverError as exc:
        try:
            accounts = read(connection, group, server.traits)
        except DriverError:  # the connection is gone
            what = f"the statements for {group[0].account} to {group[-1].account}"
            _fail(result, _unconfirmed(server.host, what, exc))
    left = []
    for item, user in zip(group, users):
        existing = accounts.get(item.account.key)
        # One that somebody has made meanwhile, with a password, is no case for anything but the same refusal. What the
        # first statement made is this run's; where it failed, nobody can tell, and nothing is marked.
        again = not existing or existing.is_iam
        left.append(user_plan.plan(item, existing, server, created=confirmed > 0) if again else user["statements"])
        user.update(outcome="not tried", changed=left[-1] != user["statements"])
    return left


def _unconfirmed(where, what, exc):
    return (
        f"{where} did not confirm {what}: {server_error(exc)[1]}; users whose outcome is done are done, so"
        " remove the cause, and another run does the rest."
    )


def _fail(result, message):
    """End a run half-way, with a result that says only what is known."""
    for key in ("accounts_left", "diff", "user_rows"):
        result.pop(key, None)
    result["changed"] = any(user["changed"] for user in result["users"])
    raise RdsIamError(message)
