# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The database users that must stay as they are."""

from __future__ import annotations

import pytest
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql import (
    database_user,
    desired_users,
    user_conflicts,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.login_privileges import LoginPrivileges
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.server import Server, Traits

PLACE = "orders.cabcdefghijk.eu-west-1.rds.amazonaws.com"
ALL_THERE_IS = LoginPrivileges(complete=False)
MYSQL = Server(PLACE, "admin", Traits(attributes=True), ALL_THERE_IS)


def want(**user):
    return desired_users.parse_users([{"name": "app", **user}])[0]


def account(**changes):
    return database_user.DatabaseUser("app", "%", **changes)


@pytest.mark.parametrize(
    ("existing", "user", "words"),
    [
        (account(managed=True), {"state": "absent"}, ""),
        (None, {"state": "absent"}, ""),
        (account(), {}, ""),
        (account(), {"state": "absent"}, "does not bear the mark ManagedBy=dbops.rds_iam"),
        (account(managed=True, plugin="ed25519"), {"state": "absent"}, "logs in with ed25519"),
    ],
)
def test_who_is_kept(existing, user, words):
    reason = user_conflicts.reason_to_keep(want(**user), existing)
    assert words in reason and bool(words) == bool(reason)


@pytest.mark.parametrize(
    ("user", "existing", "word"),
    [
        ({}, account(plugin="mysql_native_password"), "set convert"),
        ({"state": "absent"}, account(plugin="mysql_native_password"), "is not dropped"),
    ],
)
def test_an_account_with_a_password_is_left_alone(user, existing, word):
    [problem] = user_conflicts.find_conflicts([want(**user)], {("app", "%"): existing}, MYSQL)
    assert problem.conflict and word in f"{problem.clause}; {problem.advice}"


def test_the_login_itself_is_not_touched():
    [problem] = user_conflicts.find_conflicts([want()], {}, Server(PLACE, "app"))
    assert "not touched" in problem.advice and not problem.conflict
