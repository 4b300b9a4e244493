# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import itertools

import pytest
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.truth import NO, YES, every, negated, some, unknown

MAYBE = unknown("a key")


@pytest.mark.parametrize("pair", list(itertools.product((YES, NO, MAYBE), repeat=2)), ids=str)
def test_the_tables_of_and_and_or(pair):
    values = [one.value for one in pair]
    assert every(pair).value == (False if False in values else None if None in values else True)
    assert some(pair).value == (True if True in values else None if None in values else False)


def test_what_is_missing_is_kept_where_it_counts():
    other = unknown("another")
    assert every((MAYBE, YES, other, MAYBE)).missing == some((MAYBE, NO, other)).missing == ("a key", "another")
    assert every((MAYBE, NO)).missing == some((MAYBE, YES)).missing == ()
    assert negated(MAYBE) == MAYBE and negated(YES) == NO
    assert every(()) == YES and some(()) == NO
