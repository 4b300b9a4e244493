# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from datetime import datetime, timezone

import pytest
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.conditions import evaluate
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.request_context import (
    ABSENT,
    AVOIDED,
    MET,
    NotBefore,
    RequestContext,
    Values,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.truth import all_of

CONTEXT = RequestContext(
    {
        "text": Values(("orders",)),
        "empty": Values(("",)),
        "list": Values(("a", "b")),
        "arn": Values(("arn:aws:iam::123456789012:role/teams/app",)),
        "number": Values(("300",)),
        "time": Values(("2026-06-01T12:00:00Z",)),
        "bool": Values(("true",)),
        "address": Values(("10.1.2.3",)),
        "absent": ABSENT,
        "later": NotBefore(datetime(2026, 6, 1, tzinfo=timezone.utc)),
        "met": MET,
        "avoided": AVOIDED,
    }
)
TRUE, FALSE, UNKNOWN = True, False, None
# Operator, key, values, and whether it holds, by the pages that conditions.py names.
OPERATORS = [
    ("StringEquals", "text", "orders", TRUE),
    ("StringEquals", "TEXT", ["billing", "orders"], TRUE),
    ("StringEquals", "text", "ord*", FALSE),
    ("StringNotEquals", "text", ["billing", "orders"], FALSE),
    ("StringNotEquals", "text", ["billing", "x"], TRUE),
    ("StringEqualsIgnoreCase", "text", "ORDERS", TRUE),
    ("StringNotEqualsIgnoreCase", "text", "ORDERS", FALSE),
    ("StringLike", "text", "o?d*", TRUE),
    ("StringLike", "text", "O?d*", FALSE),
    ("StringNotLike", "text", ["b*", "o*"], FALSE),
    ("stringlike", "text", "*", TRUE),
    ("ArnLike", "arn", "arn:aws:iam::*:role/teams/*", TRUE),
    ("ArnEquals", "arn", "arn:aws:iam::*:role/*", TRUE),
    ("ArnLike", "arn", "arn:aws:iam::*/app", UNKNOWN),
    ("ArnLike", "arn", "*", UNKNOWN),
    ("ArnNotLike", "arn", "arn:aws:iam::*:user/*", TRUE),
    ("ArnLike", "text", "arn:aws:iam::*:role/*", UNKNOWN),
    ("NumericEquals", "number", "300.0", TRUE),
    ("NumericLessThan", "number", ["300", "299"], FALSE),
    ("NumericLessThanEquals", "number", "300", TRUE),
    ("NumericGreaterThan", "number", "299.5", TRUE),
    ("NumericGreaterThanEquals", "number", "301", FALSE),
    ("NumericNotEquals", "number", ["1", "300"], FALSE),
    ("NumericEquals", "number", "many", UNKNOWN),
    ("DateEquals", "time", "2026-06-01T14:00:00+02:00", TRUE),
    ("DateLessThan", "time", "2026-06-01", FALSE),
    ("DateGreaterThan", "time", "1577836800", TRUE),
    ("DateNotEquals", "time", "2020-01-01", TRUE),
    ("Bool", "bool", "True", TRUE),
    ("Bool", "bool", False, FALSE),
    ("Bool", "bool", "maybe", UNKNOWN),
    ("IpAddress", "address", ["192.0.2.0/24", "10.0.0.0/8"], TRUE),
    ("IpAddress", "address", "10.1.2.4", FALSE),
    ("NotIpAddress", "address", "192.0.2.0/24", TRUE),
    ("IpAddress", "address", "here", UNKNOWN),
    ("BinaryEquals", "text", "b3JkZXJz", UNKNOWN),
    ("Null", "absent", "true", TRUE),
    ("Null", "absent", False, FALSE),
    ("Null", "text", "false", TRUE),
    ("Null", "later", "true", FALSE),
    ("Null", "other", "true", UNKNOWN),
    ("NullIfExists", "text", "true", UNKNOWN),
    ("StringEquals", "other", "orders", UNKNOWN),
    ("StringNotEqualsIfExists", "other", "orders", UNKNOWN),
    ("StringEquals", "absent", "orders", FALSE),
    ("StringLike", "absent", "*", FALSE),
    ("StringNotLike", "absent", "*", TRUE),
    ("StringEqualsIfExists", "absent", "orders", TRUE),
    ("ForAllValues:StringEquals", "absent", "orders", TRUE),
    ("ForAnyValue:StringEquals", "absent", "orders", FALSE),
    ("ForAnyValue:StringNotEquals", "absent", "orders", FALSE),
    ("ForAnyValue:StringEqualsIfExists", "absent", "orders", UNKNOWN),
    ("StringEqualsIfExists", "text", "billing", FALSE),
    ("ForAllValues:StringEquals", "list", ["a", "b", "c"], TRUE),
    ("ForAllValues:StringEquals", "list", ["a"], FALSE),
    ("ForAllValues:StringNotEquals", "list", ["c"], TRUE),
    ("ForAllValues:StringNotEquals", "list", ["a"], FALSE),
    ("ForAnyValue:StringEquals", "list", ["b", "c"], TRUE),
    ("ForAnyValue:StringEquals", "list", ["c"], FALSE),
    ("ForAnyValue:StringNotEquals", "list", ["a"], TRUE),
    ("ForAllValues:StringEquals", "empty", "x", TRUE),
    ("ForAnyValue:StringEquals", "empty", "x", FALSE),
    ("StringEquals", "list", "a", UNKNOWN),
    ("StringEquals", "text", "${text}", TRUE),
    ("StringEquals", "text", "${absent}", FALSE),
    ("StringNotEquals", "text", "${absent}", TRUE),
    ("StringEquals", "text", ["${other}", "orders"], TRUE),
    ("StringEquals", "text", "${other}", UNKNOWN),
    ("StringEquals", "text", "${absent, 'orders'}", TRUE),
    ("StringLike", "text", "${*}rders", FALSE),
    ("DateLessThan", "later", "2020-01-01", FALSE),
    ("DateGreaterThanEquals", "later", "2020-01-01", TRUE),
    ("DateNotEquals", "later", "2020-01-01", TRUE),
    ("NumericGreaterThan", "later", "1577836800", TRUE),
    ("DateLessThan", "later", ["2020-01-01", "2030-01-01"], UNKNOWN),
    ("StringLike", "later", "2026*", UNKNOWN),
    ("StringEquals", "met", "x", TRUE),
    ("StringNotEquals", "avoided", "x", FALSE),
    ("Null", "met", "true", TRUE),
    ("Null", "avoided", "false", FALSE),
    ("StringSounds", "text", "orders", UNKNOWN),
    ("DateNotLessThan", "time", "2026-06-01", UNKNOWN),
    ("StringEquals", "text", [], UNKNOWN),
]


@pytest.mark.parametrize(("operator", "key", "values", "holds"), OPERATORS)
def test_operators(operator, key, values, holds):
    [part] = evaluate({operator: {key: values}}, CONTEXT)
    assert (part.operator, part.key, part.truth.value) == (operator, key, holds)
    assert holds is not UNKNOWN or part.truth.missing, "it says what is missing"


def test_all_parts_must_hold():
    both = {"StringEquals": {"text": "orders", "bool": "true"}, "Null": {"absent": "true"}}
    assert len(evaluate(both, CONTEXT)) == 3
    assert all_of(part.truth for part in evaluate(both, CONTEXT)).value is True
    both["Null"]["text"] = "true"
    assert all_of(part.truth for part in evaluate(both, CONTEXT)).value is False
    assert evaluate({}, CONTEXT) == evaluate(None, CONTEXT) == evaluate({"StringEquals": {}}, CONTEXT) == []


@pytest.mark.parametrize("condition", ["text", ["a"], {"StringEquals": "text"}])
def test_a_condition_of_another_form_is_unknown(condition):
    assert [part.truth.value for part in evaluate(condition, CONTEXT)] == [None]


def test_without_variables_they_are_text():
    [part] = evaluate({"StringEquals": {"text": "${text}"}}, CONTEXT, with_variables=False)
    assert part.truth.value is False
