# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import itertools
import re

import pytest
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.patterns import glob_matches, globs_meet, tokens
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.request_context import ABSENT, RequestContext, Values

CONTEXT = RequestContext(
    {"aws:username": Values(("app",)), "aws:principaltag/none": ABSENT, "aws:tagkeys": Values(("a", "b"))}
)


@pytest.mark.parametrize(
    ("pattern", "text", "met"),
    [("a*c", "abbc", True), ("a?c", "abc", True), ("a?c", "ac", False), ("a.c", "abc", False), ("*", "", True)],
)
def test_globs(pattern, text, met):
    assert glob_matches(pattern, text) is met


def test_globs_meet_where_some_text_has_both_forms():
    """Held against all short texts."""
    alphabet, globs = "ab", ["".join(one) for size in range(4) for one in itertools.product("a*?b", repeat=size)]
    texts = ["".join(one) for size in range(5) for one in itertools.product(alphabet, repeat=size)]
    matched = {glob: {text for text in texts if glob_matches(glob, text)} for glob in globs}
    for one, other in itertools.combinations(globs[:60], 2):
        assert globs_meet(one, other) == bool(matched[one] & matched[other]), (one, other)


def shown(pattern, variables=True):
    return [f"{one.kind}: {one.text}" for one in tokens(pattern, CONTEXT, variables)]


def test_variables():
    assert shown("a/${aws:UserName}*") == ["text: a/", "value of a variable: app", "wildcard: *"]
    assert shown("${aws:other}") == ["variable that is not known: aws:other"]
    assert shown("${aws:TagKeys}") == ["variable that is not known: aws:TagKeys"], "it has several values"
    assert shown("${aws:PrincipalTag/none}") == ["variable without a value: aws:PrincipalTag/none"]
    assert shown("${aws:PrincipalTag/none, 'x y'}") == ["value of a variable: x y"]
    assert shown("${aws:username, 'other'}") == ["value of a variable: app"]
    assert shown("${aws:other, 'x'}") == ["variable that is not known: aws:other"]


def test_characters_that_are_no_wildcards():
    assert re.sub("[a-z]+: ", "", "".join(shown("${*}${?}${$}"))) == "*?$"
    assert all(one.startswith("text") for one in shown("${*}${?}${$}$x${"))
    assert shown("${*}", variables=False) == ["text: ${", "wildcard: *", "text: }"]
    assert shown("${aws:username}", variables=False) == ["text: ${aws:username}"]
