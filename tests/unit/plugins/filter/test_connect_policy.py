# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.dbops.rds_iam.plugins.filter.connect_policy import FilterModule

PREFIX = "arn:aws:rds-db:eu-west-1:123456789012:dbuser:db-ABC"
connect_policy = FilterModule().filters()["connect_policy"]


def test_users_as_argument_and_in_the_records():
    expected = [f"{PREFIX}/app"]
    assert connect_policy([{"connect_arn_prefix": PREFIX}], ["app"])["Statement"][0]["Resource"] == expected
    assert connect_policy([{"connect_arn_prefix": PREFIX, "users": ["app"]}])["Statement"][0]["Resource"] == expected


def test_refusal_is_a_filter_error():
    with pytest.raises(AnsibleFilterError, match="There are no databases"):
        connect_policy([], ["app"])
