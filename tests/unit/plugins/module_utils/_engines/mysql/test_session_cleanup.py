# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql import session_cleanup
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.connection import DriverError
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.database_user import DatabaseUser
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.desired_users import parse_users
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.login_privileges import LoginPrivileges
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.server import Server
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.user_outcome import UserOutcome
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.user_sessions import Session
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError

SERVER = Server("orders", "admin", login=LoginPrivileges(complete=False))
APP = DatabaseUser("app", "%")
CERTAIN, DOUBTFUL = Session(7, "10.0.1.5", "shop", True), Session(8, "10.0.1.6", "", False)
DROP = ("DROP USER 'app'@'%'",)


class Sessions:
    """The sessions of a server, which are read and ended without one."""

    def __init__(self, *open_sessions):
        self.open_sessions = list(open_sessions)
        self.killed_numbers = []
        self.stubborn_numbers = set()
        self.error = None
        self.is_read = False

    def read(self, _connection, keys, _all_keys, _traits):
        self.is_read = True
        return dict.fromkeys(keys, self.open_sessions)

    def kill(self, _connection, numbers):
        if self.error:
            raise self.error
        self.killed_numbers += sorted(numbers)
        return numbers & self.stubborn_numbers


@pytest.fixture
def clean_up(monkeypatch):
    """End the sessions of one user, and return its outcome and the warnings."""

    def run(sessions, user, statements=DROP, *, server=SERVER, check_mode=False, existing=APP, **changes):
        monkeypatch.setattr(session_cleanup, "read_sessions", sessions.read)
        monkeypatch.setattr(session_cleanup, "kill", sessions.kill)
        outcome = UserOutcome(parse_users([{"name": "app", **user}])[0], list(statements), bool(statements), **changes)
        existing_users = {existing.key: existing} if existing else {}
        warnings = []
        session_cleanup.end_sessions(None, [outcome], existing_users, server, warnings.append, check_mode=check_mode)
        return outcome, warnings

    return run


GOES = {"state": "absent", "kill_sessions": True}


def test_sessions_of_a_user_that_goes_are_ended(clean_up):
    sessions = Sessions(CERTAIN)
    outcome, warnings = clean_up(sessions, GOES)
    assert (sessions.killed_numbers, warnings) == ([7], [])
    assert outcome.sessions == [{"id": 7, "client": "10.0.1.5", "database": "shop", "ended": True}]


def test_a_session_that_may_be_of_another_user_is_only_listed(clean_up):
    sessions = Sessions(CERTAIN, DOUBTFUL)
    outcome, warnings = clean_up(sessions, GOES)
    assert sessions.killed_numbers == [7]
    assert [record["ended"] for record in outcome.sessions] == [True, False]
    assert warnings == [
        "One session of 'app'@'%' on orders is open, from 10.0.1.6, and may go on with what the user had;"
        " end them by hand."
    ]


def test_without_kill_sessions_they_go_on_and_the_option_is_named(clean_up):
    sessions = Sessions(CERTAIN, DOUBTFUL)
    outcome, [warning] = clean_up(sessions, {"state": "absent"})
    assert not sessions.killed_numbers and not any(record["ended"] for record in outcome.sessions)
    assert warning.startswith("2 sessions of 'app'@'%' on orders are open, from 10.0.1.5")
    assert warning.endswith("set kill_sessions for it, or end them by hand.")


def test_check_mode_ends_none_and_says_which_would_be(clean_up):
    sessions = Sessions(CERTAIN)
    outcome, warnings = clean_up(sessions, GOES, check_mode=True)
    assert not sessions.killed_numbers and outcome.sessions[0]["ended"] and not warnings


def test_a_session_that_does_not_end_is_open(clean_up):
    sessions = Sessions(CERTAIN)
    sessions.stubborn_numbers = {7}
    outcome, warnings = clean_up(sessions, GOES)
    assert not outcome.sessions[0]["ended"] and len(warnings) == 1


def test_ending_sessions_alone_is_a_change(clean_up):
    """A user that is gone already, as one whose name is free now, may still have a session."""
    outcome, _warnings = clean_up(Sessions(CERTAIN), GOES, (), existing=None)
    assert outcome.changed
    outcome, _warnings = clean_up(Sessions(), GOES, (), existing=None)
    assert not outcome.changed


@pytest.mark.parametrize(
    ("user", "statements", "changes"),
    [
        ({}, (), {}),
        ({"state": "absent", "kill_sessions": True}, DROP, {"keep_reason": "it owns a view"}),
        ({"privileges": {"app.*": ["select"]}}, ["GRANT SELECT ON `app`.* TO 'app'@'%'"], {}),
    ],
)
def test_users_that_lose_nothing_are_left_alone(clean_up, user, statements, changes):
    sessions = Sessions(CERTAIN)
    outcome, warnings = clean_up(sessions, user, statements, **changes)
    assert not sessions.is_read and not outcome.sessions and not warnings


def test_a_user_that_is_locked_or_converted_has_less(clean_up):
    for user, existing in (
        ({"locked": True}, APP),
        ({"convert": True}, DatabaseUser("app", "%", plugin="mysql_native_password")),
    ):
        sessions = Sessions(CERTAIN)
        clean_up(sessions, {**user, "kill_sessions": True}, ["ALTER USER 'app'@'%'"], existing=existing)
        assert sessions.killed_numbers == [7]


def test_a_login_that_does_not_see_sessions_of_others_is_told(clean_up):
    _outcome, warnings = clean_up(Sessions(), GOES, server=Server("orders", "limited"))
    assert warnings == ["limited lacks PROCESS on orders, so it does not see sessions of others."]


def test_sessions_that_may_not_be_ended_are_an_error(clean_up):
    sessions = Sessions(CERTAIN)
    sessions.error = DriverError(1370, "execute command denied")
    with pytest.raises(RdsIamError, match="1 sessions on orders could not be ended: execute command denied"):
        clean_up(sessions, GOES)
