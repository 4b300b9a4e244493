# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.dbops.rds_iam.plugins.filter.engine_names import FilterModule

engine_names = FilterModule().filters()["engine_names"]


def test_the_engines_of_mysql():
    assert engine_names("mysql") == ["mysql", "mariadb", "aurora-mysql"]


def test_an_unknown_family_is_refused():
    with pytest.raises(AnsibleFilterError, match="no family of engines neptune; give one of mysql"):
        engine_names("neptune")
