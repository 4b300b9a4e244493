# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.ec2_trust import (
    TRUST_POLICY,
    ec2_may_assume,
    other_principals,
    trusts_ec2,
)

EC2 = {"Service": "ec2.amazonaws.com"}


def trust(**changes):
    statement = {"Effect": "Allow", "Principal": EC2, "Action": "sts:AssumeRole", **changes}
    return {name: value for name, value in statement.items() if value is not None}


DENY = trust(Effect="Deny")
CONDITION = {"StringEquals": {"aws:SourceAccount": "123456789012"}}
ACCOUNT = {"AWS": "arn:aws:iam::123456789012:root"}


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        (trust(), True),
        ([trust(Principal={"Service": ["lambda.amazonaws.com", "ec2.amazonaws.com"]})], True),
        ([trust(Principal={"Service": "ec2.amazonaws.com.cn"})], True),
        ([trust(Action=["sts:TagSession", "sts:AssumeRole"])], True),
        ([trust(Action="sts:*"), trust(Action="STS:assumerole")], True),
        ([trust(Action="*")], True),
        # The evidence of a name alone says the contrary.
        ([trust(Action="sts:TagSession")], False),
        ([trust(), DENY], False),
        ([trust(Principal={"Service": "lambda.amazonaws.com"})], False),
        ([trust(Principal=ACCOUNT)], False),
        ([DENY], False),
        ([], False),
        # It depends on more than the policy.
        ([trust(Condition=CONDITION)], None),
        ([trust(), {**DENY, "Condition": CONDITION}], None),
        ([trust(Principal="*")], None),
        ([trust(Principal=None, NotPrincipal=ACCOUNT)], None),
        ([trust(Action=None, NotAction="sts:TagSession")], None),
        # What depends on more does not matter beside what does not.
        ([trust(), trust(Condition=CONDITION)], True),
        ([trust(Condition=CONDITION), DENY], False),
        ([trust(), {**DENY, "Principal": ACCOUNT}], True),
    ],
)
def test_whether_ec2_may_assume_a_role(statements, expected):
    assert ec2_may_assume({"Version": "2012-10-17", "Statement": statements}) is expected


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        ([trust()], True),
        ([trust(Principal={"Service": "ec2.amazonaws.com.cn"})], True),
        ([trust(Principal={"Service": "lambda.amazonaws.com"})], False),
        ([trust(Action="sts:TagSession")], False),
        ([trust(Action=["sts:TagSession", "sts:Assume*"])], True),
        ([trust(), DENY], False),
        ([trust(Condition={"StringEquals": {"aws:SourceAccount": "1"}})], True),
        ([], False),
        (None, False),
    ],
)
def test_whether_ec2_is_trusted(statements, expected):
    """As long as it may: the doctor does not call it failed on a condition that it cannot judge."""
    document = {} if statements is None else {"Version": "2012-10-17", "Statement": statements}
    assert trusts_ec2(document) is expected


def test_the_trust_policy_of_this_collection():
    assert ec2_may_assume(TRUST_POLICY) is True


def test_other_principals():
    statements = [
        trust(Principal={"Service": ["ec2.amazonaws.com", "lambda.amazonaws.com"], "AWS": ACCOUNT["AWS"]}),
        trust(Principal={"Service": "lambda.amazonaws.com"}),
        trust(Principal="*"),
        {**DENY, "Principal": {"Service": "ecs-tasks.amazonaws.com"}},
    ]
    found = other_principals({"Version": "2012-10-17", "Statement": statements})
    assert found == ["lambda.amazonaws.com", ACCOUNT["AWS"], "*"]
    assert other_principals(TRUST_POLICY) == []
