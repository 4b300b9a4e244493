# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""End the sessions that could go on with what database users had before a run. Private to this collection."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql import user_plan
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.connection import Connection, DriverError
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.connection_errors import server_error
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.database_user import DatabaseUser, UserKey
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.preflight_checks import summarize
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.server import Server
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.user_outcome import UserOutcome
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.user_sessions import kill, read_sessions
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError


def end_sessions(
    connection: Connection,
    outcomes: list[UserOutcome],
    existing_users: Mapping[UserKey, DatabaseUser],
    server: Server,
    warn: Callable[[str], None],
    *,
    check_mode: bool,
) -> None:
    """List the open sessions of users that go or have less in their outcomes, and end those that are to be ended.

    existing_users: all users of the server, as they were before the run
    warn: takes a sentence for whoever runs the module
    check_mode: no session is ended; the outcomes say what would be

    Raises RdsIamError where the login may not end them.
    """
    affected_outcomes = {
        outcome.key: outcome for outcome in outcomes if _takes_away(outcome, existing_users.get(outcome.key), server)
    }
    if not affected_outcomes:
        return
    if not server.login.holds("PROCESS"):
        warn(f"{server.login_user} lacks PROCESS on {server.host}, so it does not see sessions of others.")
    sessions = read_sessions(connection, affected_outcomes, existing_users, server.traits)
    ended_numbers = {
        session.number
        for key, outcome in affected_outcomes.items()
        if outcome.desired_user.kill_sessions
        for session in sessions[key]
        if session.certain
    }
    if ended_numbers and not check_mode:
        ended_numbers -= _kill(connection, ended_numbers, server)
    for key, outcome in affected_outcomes.items():
        outcome.sessions = [session.to_result(session.number in ended_numbers) for session in sessions[key]]
        outcome.changed = outcome.changed or any(record["ended"] for record in outcome.sessions)
        _warn_of_sessions(outcome, server, warn)


def _takes_away(outcome: UserOutcome, existing_user: DatabaseUser | None, server: Server) -> bool:
    if outcome.keep_reason or (outcome.desired_user.present and not outcome.statements):
        return False
    return user_plan.takes_away(outcome.desired_user, existing_user, server)


def _kill(connection: Connection, numbers: set[int], server: Server) -> set[int]:
    try:
        return kill(connection, numbers)
    except DriverError as exc:
        raise RdsIamError(
            f"{len(numbers)} sessions on {server.host} could not be ended: {server_error(exc)[1]}; the users"
            " are as they are to be, so end the sessions by hand."
        ) from None


def _warn_of_sessions(outcome: UserOutcome, server: Server, warn: Callable[[str], None]) -> None:
    """Warn of the sessions of a user that go on."""
    open_sessions = [record for record in outcome.sessions if not record["ended"]]
    if not open_sessions:
        return
    user, kill_sessions = outcome.desired_user.user, outcome.desired_user.kill_sessions
    clients = summarize(dict.fromkeys(record["client"] or "an unknown client" for record in open_sessions))
    subject = f"{len(open_sessions)} sessions" if len(open_sessions) > 1 else "One session"
    verb = "are" if len(open_sessions) > 1 else "is"
    advice = "end them by hand" if kill_sessions else "set kill_sessions for it, or end them by hand"
    warn(
        f"{subject} of {user} on {server.host} {verb} open, from {clients}, and may go on with what the user had;"
        f" {advice}."
    )
