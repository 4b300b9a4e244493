# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.request_context import ABSENT, UNKNOWN, Values
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.trust import role_context, trustees


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
