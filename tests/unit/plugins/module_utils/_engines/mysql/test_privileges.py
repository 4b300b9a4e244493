# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql import privileges
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError
from hypothesis import given
from hypothesis import strategies as st

NAME = st.text(st.characters(max_codepoint=0xFFFF), min_size=1, max_size=64)


@given(NAME, NAME)
def test_any_name_survives_the_way_into_sql(database, table):
    written = f"{privileges.quote_name(database)}.{privileges.quote_name(table)}"
    try:
        level = privileges.parse_level(written)
    except RdsIamError as exc:
        assert "would take it for another name" in str(exc)
        assert any(name.strip() != name or not name.isprintable() for name in (database, table))
    else:
        assert level == (database, table)
