# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The sentence that says why nothing was changed."""

from __future__ import annotations

import pytest
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.preflight_checks import (
    PlanRefusedError,
    Problem,
    summarize,
)

FILE = Problem("admin cannot pass on FILE on *.* of orders (asked for 'a'@'%')", "SHOW GRANTS lists what it can")
TABLE = Problem("orders has no table app.t (asked for 'b'@'%')", "correct the name, or create it first")
TAKEN = Problem("The account 'c'@'%' of orders logs in with ed25519", "set convert for it", conflict=True)


@pytest.mark.parametrize(
    ("problems", "sentence"),
    [
        ([FILE], f"{FILE.clause}, so nothing was changed; SHOW GRANTS lists what it can."),
        ([TAKEN], f"{TAKEN.clause}; set convert for it."),
        (
            [FILE, TABLE, FILE],
            f"Nothing was changed on orders, for 3 reasons: {FILE.clause}; {TABLE.clause}; {FILE.clause};"
            " SHOW GRANTS lists what it can; correct the name, or create it first.",
        ),
    ],
)
def test_one_sentence(problems, sentence):
    assert str(PlanRefusedError(problems, "orders")) == sentence


def test_whether_others_are_in_the_way():
    assert PlanRefusedError([FILE, TAKEN], "orders").conflict and not PlanRefusedError([FILE, TABLE], "orders").conflict


@pytest.mark.parametrize(
    ("things", "text"),
    [
        ([], ""),
        (["a"], "a"),
        (["a", "b"], "a and b"),
        (["a", "b", "c"], "a, b and c"),
        (list("abcde"), "a, b, c, d and e"),
        (list("abcdefg"), "a, b, c, d, e and 2 more"),
    ],
)
def test_long_lists_are_cut(things, text):
    assert summarize(things) == text
