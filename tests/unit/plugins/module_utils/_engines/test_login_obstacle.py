# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.login_obstacle import login_obstacle

USER = {"iam": True, "plugin": "AWSAuthenticationPlugin", "locked": False, "expired": False, "require": "SSL"}


@pytest.mark.parametrize(
    ("changes", "obstacle"),
    [
        ({}, ""),
        ({"require": "NONE"}, ""),
        ({"iam": False, "plugin": "ed25519", "locked": True}, "logs in with ed25519"),
        ({"iam": False, "plugin": ""}, "logs in with a password"),
        ({"locked": True, "expired": True}, "is locked"),
        ({"expired": True, "require": "X509"}, "has expired as if it had a password"),
        ({"require": "SPECIFIED"}, "requires a client certificate (SPECIFIED)"),
    ],
)
def test_login_obstacle(changes, obstacle):
    assert login_obstacle({**USER, **changes}) == obstacle
