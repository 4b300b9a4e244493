# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.desired_users import parse_users
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.user_outcome import UserOutcome


def outcome(user, *statements, **changes):
    return UserOutcome(parse_users([user])[0], list(statements), bool(statements), **changes)


def test_a_planned_outcome_is_returned_with_its_statements():
    assert outcome({"name": "app", "host": "10.%"}, "CREATE USER 'app'@'10.%'").to_result() == {
        "name": "app",
        "host": "10.%",
        "state": "present",
        "changed": True,
        "outcome": "done",
        "reason": "",
        "sessions": [],
        "statements": ["CREATE USER 'app'@'10.%'"],
    }


def test_the_key_is_that_of_the_user():
    assert outcome({"name": "app", "host": "DB.Example"}).key == ("app", "db.example")


@pytest.mark.parametrize("status", ["done", "failed", "not_tried"])
def test_the_outcome_is_the_status_as_far_as_the_run_has_come(status):
    result = outcome({"name": "app", "state": "absent"}, status=status).to_result()
    assert (result["state"], result["outcome"], result["changed"]) == ("absent", status, False)


def test_a_user_that_stays_is_kept_whatever_the_status():
    result = outcome({"name": "app", "state": "absent"}, keep_reason="it owns a view", status="not_tried").to_result()
    assert (result["outcome"], result["reason"]) == ("kept", "it owns a view")


def test_outcomes_share_no_sessions():
    first, second = outcome({"name": "app"}), outcome({"name": "report"})
    first.sessions.append({"id": 1, "client": "10.0.1.5", "database": "", "ended": False})
    assert second.to_result()["sessions"] == []
