# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.dbops.rds_iam.plugins.filter import iam_auth_keep_reason, teardown_summary


def test_what_is_missing_is_a_filter_error():
    with pytest.raises(AnsibleFilterError, match="The summary of a teardown lacks check"):
        teardown_summary.FilterModule().filters()["teardown_summary"]({})


def test_why_a_flag_stays():
    record = {"iam_auth_enabled": True, "managed_by": "dbops.rds_iam", "pending": {}}
    assert iam_auth_keep_reason.FilterModule().filters()["iam_auth_keep_reason"](record, 0) == ""
