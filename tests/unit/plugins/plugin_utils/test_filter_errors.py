# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError
from ansible_collections.dbops.rds_iam.plugins.plugin_utils.filter_errors import as_filter


def test_refusals_are_filter_errors():
    def refuse(value):
        raise RdsIamError(f"No {value}.")

    with pytest.raises(AnsibleFilterError, match="No way"):
        as_filter(refuse)("way")


def test_other_errors_and_results_are_as_they_were():
    assert as_filter(sorted)([2, 1], reverse=True) == [2, 1]
    with pytest.raises(TypeError):
        as_filter(sorted)(1)
