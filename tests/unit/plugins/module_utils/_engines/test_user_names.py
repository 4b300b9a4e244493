# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The names that a database user may have."""

from __future__ import annotations

import pytest
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.user_names import check_user_name
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError


@pytest.mark.parametrize("name", ["app", "a" * 32, "o'brien", "a$b", "ünï", "żółw", "a\x00"])
def test_user_names(name):
    check_user_name(name)


@pytest.mark.parametrize("name", ["", "a" * 33, "a*", "a?", "${aws:username}", None, 7])
def test_user_names_that_are_refused(name):
    with pytest.raises(RdsIamError):
        check_user_name(name)
