# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.request_context import ABSENT, UNKNOWN, Values
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.trust import role_context, trustees, trusts_ec2


def trust(*statements):
    return {"Version": "2012-10-17", "Statement": list(statements)}


def allow(principal="ec2.amazonaws.com", action="sts:AssumeRole", **more):
    return {"Effect": "Allow", "Principal": {"Service": principal}, "Action": action, **more}


def test_who_may_assume_a_role():
    document = trust(
        allow(["ec2.amazonaws.com", "lambda.amazonaws.com"]),
        {
            "Effect": "Allow",
            "Principal": "*",
            "Action": "sts:*",
            "Condition": {"StringEquals": {"aws:PrincipalOrgID": "o"}},
        },
        {"Effect": "Allow", "NotPrincipal": {"AWS": "123456789012"}, "Action": "sts:AssumeRole"},
        {"Effect": "Allow", "Principal": {"CanonicalUser": "x"}, "Action": "sts:AssumeRole"},
    )
    found = {(one.kind, one.name): one.truth.value for one in trustees(document)}
    assert found == {
        ("Service", "ec2.amazonaws.com"): True,
        ("Service", "lambda.amazonaws.com"): True,
        ("AWS", "*"): None,
    }


def test_a_deny_under_a_condition_leaves_it_unknown():
    deny = {**allow(), "Effect": "Deny", "Condition": {"StringEquals": {"aws:SourceVpc": "vpc-1"}}}
    assert [one.truth.value for one in trustees(trust(allow(), deny))] == [None]
    chosen = {**allow(), "Effect": "Deny", "Condition": {"StringEquals": {"sts:ExternalId": "x"}}}
    assert [one.truth.value for one in trustees(trust(allow(), chosen))] == [True], "another one can be given"


@pytest.mark.parametrize(
    ("document", "trusted"),
    [
        (trust(allow()), True),
        (trust(allow("ec2.amazonaws.com.cn")), True),
        (trust(allow("lambda.amazonaws.com")), False),
        (trust(allow(action="sts:TagSession")), False),
        (trust(allow(action=["sts:TagSession", "sts:Assume*"])), True),
        (trust(allow(), {**allow(), "Effect": "Deny"}), False),
        (trust(allow(Condition={"StringEquals": {"aws:SourceAccount": "1"}})), True),
        (trust(), False),
        ({}, False),
    ],
)
def test_whether_ec2_may_assume_it(document, trusted):
    """As long as it may: the doctor does not call it broken on a condition that it cannot judge."""
    assert trusts_ec2(document) is trusted


def test_tags_of_a_role_are_known_unless_sessions_may_have_others():
    raw = {"RoleName": "app", "Arn": "arn:aws:iam::123456789012:role/app", "AssumeRolePolicyDocument": trust(allow())}
    tags = [{"Key": "Team", "Value": "orders"}]
    known = role_context({**raw, "Tags": tags})
    assert known.get("aws:PrincipalTag/team") == Values(("orders",))
    assert known.get("aws:PrincipalTag/other") is ABSENT
    assert known.get("aws:username") is ABSENT
    tagging = trust(allow(), allow(action="sts:TagSession"))
    for raw_role in ({**raw, "Tags": tags, "AssumeRolePolicyDocument": tagging}, raw):
        assert role_context(raw_role).get("aws:PrincipalTag/team") is UNKNOWN
