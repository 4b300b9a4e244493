# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from ansible_collections.dbops.rds_iam.plugins.module_utils._doctor import auth_log

NOW = datetime(2026, 11, 25, 6, 12, 45, tzinfo=timezone.utc)
CALLER = "arn:aws:sts::123456789012:assumed-role/app-rds/i-0123456789abcdef0"
# As AWS's user guide has them, with and without the blank and the quotes.
LINES = {
    "InvalidToken": "authenticate the connection request for user 'app' because the provided token is malformed or"
    " otherwise invalid. (Status Code: 400, Error Code: InvalidToken)",
    "ExpiredToken": "authenticate the connection request for user app because the token age is longer than 15 minutes."
    " (Status Code: 400, Error Code:ExpiredToken)",
    "NotAuthorized": f"authorize the connection request for user app because the IAM policy assumed by the caller"
    f" '{CALLER}' is not authorized to perform `rds-db:connect` on the DB instance. (Status Code: 403, Error"
    " Code:NotAuthorized)",
    "ThrottlingException": "authorize the connection request for user app due to IAM DB authentication throttling."
    " (Status Code: 429, Error Code: ThrottlingException)",
    "InternalError": "authorize the connection request for user 'app' due to an internal IAM DB Auth error."
    " (Status Code: 500, Error Code: InternalError)",
}


def refusals(*names, seconds=0, user="app"):
    when = NOW + timedelta(seconds=seconds)
    texts = [f"2026-11-25T06:12:45,806 [ERROR] Failed to {LINES[name]}".replace("app", user, 1) for name in names]
    return auth_log.parse_events([{"timestamp": int(when.timestamp() * 1000), "message": text} for text in texts])


def about(found, instance_id=None):
    return [one.code for one in auth_log.RefusalLog(found).about("app", NOW, instance_id)]


@pytest.mark.parametrize("name", LINES)
def test_each_line_of_the_user_guide_is_read(name):
    [found] = refusals(name)
    assert (found.time, found.user, found.code) == (NOW, "app", name)
    assert str(found).startswith(f"{name} at 06:12:45 UTC (Failed to auth") and "Status Code" not in str(found)


def test_other_lines_are_left_out():
    assert auth_log.parse_events([{"timestamp": 0, "message": "[Note] ready for connections"}]) == []


def test_a_line_is_about_the_login_of_its_user_and_its_time():
    assert about(refusals("InvalidToken")) == about(refusals("InvalidToken", seconds=20)) == ["InvalidToken"]
    assert about(refusals("InvalidToken", seconds=-20)) == about(refusals("InvalidToken", seconds=60)) == []
    assert about(refusals("InvalidToken", user="report")) == []


def test_a_line_about_the_credentials_of_another_instance():
    found = refusals("NotAuthorized", "InvalidToken")
    assert about(found, "i-0123456789abcdef0") == about(found) == ["NotAuthorized", "InvalidToken"]
    assert about(found, "i-0fedcba9876543210") == ["InvalidToken"]


def test_the_time_of_a_login_is_that_of_aws():
    assert auth_log.time_of_login({"tried_at": "2026-11-25T06:12:50Z"}, 5.0) == NOW
    assert auth_log.time_of_login({"tried_at": "2026-11-25T06:12:45Z"}, None) == NOW
    assert auth_log.time_of_login({}, 5.0) is None


@pytest.mark.parametrize(
    ("record", "group"),
    [
        ({"kind": "instance", "identifier": "orders", "cluster_identifier": None}, "instance/orders"),
        ({"kind": "cluster", "identifier": "sales", "cluster_identifier": None}, "cluster/sales"),
        ({"kind": "instance", "identifier": "sales-1", "cluster_identifier": "sales"}, "cluster/sales"),
    ],
)
def test_the_log_group(record, group):
    assert auth_log.log_group(record) == f"/aws/rds/{group}/iam-db-auth-error"
