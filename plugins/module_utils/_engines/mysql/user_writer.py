# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write the database users of a server, and verify them. Private to this collection."""

from __future__ import annotations

from collections.abc import Container, Mapping

from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql import user_plan, user_reader
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.connection import Connection, DriverError
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.connection_errors import server_error
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.database_user import DatabaseUser, UserKey
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.server import Server
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.session import send
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.user_outcome import UserOutcome
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError


def apply(
    connection: Connection, outcomes: list[UserOutcome], existing_keys: Container[UserKey], server: Server
) -> None:
    """Send the statements of the users that change. The first that fails ends the run with RdsIamError.

    outcomes: say then how far it came
    existing_keys: the users that the server has
    """
    pending_outcomes = {outcome.key: outcome for outcome in outcomes if outcome.changed}
    for outcome in pending_outcomes.values():
        outcome.status, outcome.changed = "not_tried", False
    for group in user_plan.batch([outcome.desired_user for outcome in pending_outcomes.values()], existing_keys):
        batch = [pending_outcomes[desired_user.user.key] for desired_user in group]
        statements = [outcome.statements for outcome in batch]
        if len(batch) > 1:
            statements = _send_batch(connection, batch, server)
        for outcome, remaining_statements in zip(batch, statements):
            outcome.status = "failed"
            for statement in remaining_statements:
                _send(connection, statement, server)
                outcome.changed = True
            outcome.status = "done"


def verify(outcomes: list[UserOutcome], users: Mapping[UserKey, DatabaseUser], server: Server) -> None:
    """Raise RdsIamError if the server, read back as these users, is not what was asked for."""
    next_statements = {}
    for outcome in outcomes:
        statements = user_plan.plan(outcome.desired_user, users.get(outcome.key), server)
        if statements:
            outcome.status = "failed"
            next_statements[str(outcome.desired_user.user)] = statements[0]
    for user, statement in next_statements.items():
        excess = f", and something for {len(next_statements) - 1} more" if len(next_statements) > 1 else ""
        raise RdsIamError(
            f"{server.host} took all statements, but reading {user} back shows that this is still to do:"
            f" {statement}{excess}; see whether something else changes its accounts, and run again."
        )


def _send_batch(connection: Connection, outcomes: list[UserOutcome], server: Server) -> list[list[str]]:
    """Make or drop several users at once; if the server refuses, return the remaining statements for each."""
    for outcome in outcomes:
        outcome.status, outcome.changed = "failed", True
    desired_users = [outcome.desired_user for outcome in outcomes]
    confirmed_count = 0
    try:
        for statement in user_plan.plan_batch(desired_users, server):
            send(connection, statement)
            confirmed_count += 1
        return [[] for _outcome in outcomes]
    except DriverError as exc:
        try:
            users = user_reader.read_users(connection, server.traits, [outcome.key for outcome in outcomes])
        except DriverError:  # the connection is gone
            subject = f"the statements for {desired_users[0].user} to {desired_users[-1].user}"
            raise _unconfirmed(server, subject, exc) from None
    remaining_statements = []
    for outcome in outcomes:
        existing_user = users.get(outcome.key)
        statements = outcome.statements
        # One that somebody has made meanwhile, with a password, is no case for anything but the same refusal. What the
        # first statement made is this run's; where it failed, nobody can tell, and nothing is marked.
        if not existing_user or existing_user.is_iam:
            statements = user_plan.plan(outcome.desired_user, existing_user, server, created=confirmed_count > 0)
        remaining_statements.append(statements)
        outcome.status, outcome.changed = "not_tried", statements != outcome.statements
    return remaining_statements


def _send(connection: Connection, statement: str, server: Server) -> None:
    try:
        send(connection, statement)
    except DriverError as exc:
        raise _unconfirmed(server, repr(statement), exc) from None


def _unconfirmed(server: Server, subject: str, exc: Exception) -> RdsIamError:
    return RdsIamError(
        f"{server.host} did not confirm {subject}: {server_error(exc)[1]}; users whose outcome is done are done, so"
        " remove the cause, and another run does the rest."
    )
