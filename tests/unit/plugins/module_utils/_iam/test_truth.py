# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import itertools

import pytest
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.truth import NO, YES, all_of, any_of, negate, unknown

MAYBE = unknown("a key")


@pytest.mark.parametrize("pair", list(itertools.product((YES, NO, MAYBE), repeat=2)), ids=str)
def test_the_tables_of_and_and_or(pair):
    values = [one.value for one in pair]
    assert all_of(pair).value == (False if False in values else None if None in values else True)
    assert any_of(pair).value == (True if True in values else None if None in values else False)


def test_what_is_missing_is_kept_where_it_counts():
    other = unknown("another")
    assert all_of((MAYBE, YES, other, MAYBE)).missing == any_of((MAYBE, NO, other)).missing == ("a key", "another")
    assert all_of((MAYBE, NO)).missing == any_of((MAYBE, YES)).missing == ()
    assert negate(MAYBE) == MAYBE and negate(YES) == NO
    assert all_of(()) == YES and any_of(()) == NO
