# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import re

import boto3
import pytest
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.connect_policy import (
    INLINE_LIMIT,
    connect_policy,
    find_managed_statement,
    merge_policy,
    remove_resources,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

ARN = "arn:aws:rds-db:eu-west-1:123456789012:dbuser:db-ABC"
OTHER = "arn:aws-cn:rds-db:cn-north-1:210987654321:dbuser:cluster-XYZ"
PROXY = "arn:aws-us-gov:rds-db:us-gov-west-1:123456789012:dbuser:prx-0a1b"


def record(prefix, **more):
    return {"identifier": "orders", "connect_arn_prefix": prefix, **more}


def resources(policy):
    return policy["Statement"][0]["Resource"]


def test_the_document():
    assert connect_policy([record(ARN)], ["app"]) == {
        "Version": "2012-10-17",
        "Statement": [
            {"Sid": "RdsIamConnect", "Effect": "Allow", "Action": "rds-db:connect", "Resource": [f"{ARN}/app"]}
        ],
    }


def test_every_kind_partition_and_account():
    policy = connect_policy([record(PROXY), record(ARN), record(OTHER)], ["app"])
    assert resources(policy) == [f"{OTHER}/app", f"{PROXY}/app", f"{ARN}/app"]


LATIN = st.characters(min_codepoint=0x20, max_codepoint=0xFF)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    databases=st.lists(st.sampled_from([ARN, OTHER, PROXY]), min_size=1, max_size=9),
    users=st.lists(
        st.text(LATIN, min_size=1, max_size=5).filter(lambda name: not re.search(r"[*?]|\$\{", name)), min_size=1
    ),
    data=st.data(),
)
def test_order_and_repetition_of_the_input_change_nothing(databases, users, data):
    policy = connect_policy([record(prefix) for prefix in databases], users)
    wanted = {f"{prefix}/{user}" for prefix in databases for user in users}
    assert resources(policy) == sorted(wanted)
    assert len(policy["Statement"]) == 1
    more = [
        data.draw(st.permutations(items + data.draw(st.lists(st.sampled_from(items))))) for items in (databases, users)
    ]
    text = json.dumps(policy)
    assert json.dumps(connect_policy([record(prefix) for prefix in more[0]], more[1])) == text
    assert json.dumps(connect_policy([record(prefix, users=more[1]) for prefix in more[0]])) == text
    assert json.loads(text) == policy


PARTITIONS = boto3.session.Session().get_available_partitions()


@pytest.mark.parametrize("partition", PARTITIONS)
@pytest.mark.parametrize("resource_id", ["db-ABCDEFGHIJKLMNOPQRSTUVWXYZ", "cluster-ABC234", "prx-0123456789abcdef0"])
def test_every_partition_and_kind(partition, resource_id):
    for region in boto3.session.Session().get_available_regions("ec2", partition) or ["xx-west-1"]:
        prefix = f"arn:{partition}:rds-db:{region}:123456789012:dbuser:{resource_id}"
        assert resources(connect_policy([record(prefix)], ["app"])) == [f"{prefix}/app"]


def test_users_of_each_database():
    databases = [record(ARN, users=["app"]), record(OTHER, users=["report", "app"])]
    assert resources(connect_policy(databases)) == [f"{OTHER}/app", f"{OTHER}/report", f"{ARN}/app"]


@pytest.mark.parametrize(
    ("databases", "users", "word"),
    [
        ([], ["app"], "no databases"),
        (None, ["app"], "no databases"),
        (record(ARN), ["app"], "no databases"),
        ([record(ARN)], [], "no users"),
        ([record(ARN)], None, "no users"),
        ([record(ARN)], "app", "no users"),
        ([record(ARN, users=["app"]), record(OTHER)], None, "no users"),
        ([{"identifier": "orders"}], ["app"], "database orders"),
        (["orders"], ["app"], "no connect_arn_prefix"),
        ([record(f"{ARN}/")], ["app"], "not the start of an rds-db ARN"),
        ([record("arn:aws:rds-db:eu-west-1:123456789012:dbuser:*")], ["app"], "not the start of an rds-db ARN"),
        ([record("arn:aws:rds-db:eu-west-1:123456789012:dbuser:orders")], ["app"], "not its name"),
        ([record("arn:aws:rds:eu-west-1:123456789012:db:orders")], ["app"], "not the start of an rds-db ARN"),
        ([record(ARN)], ["app", ""], "not empty"),
        ([record(ARN)], ["a*"], "matches other users"),
    ],
)
def test_refusals(databases, users, word):
    with pytest.raises(RdsIamError, match=word):
        connect_policy(databases, users)


def size(policy):
    return len(json.dumps(policy, separators=(",", ":")))


def test_the_limit_counts_no_white_space():
    users = [f"user{number:04}" for number in range(1000)]
    one_more = size(connect_policy([record(ARN)], users[:2])) - size(connect_policy([record(ARN)], users[:1]))
    fits = 1 + (INLINE_LIMIT - size(connect_policy([record(ARN)], users[:1]))) // one_more
    assert INLINE_LIMIT - one_more < size(connect_policy([record(ARN)], users[:fits])) <= INLINE_LIMIT
    told = rf"for {fits + 1} pairs .* 10240 .*about {fits} .* split the hosts .* fewer users, .* managed policy"
    with pytest.raises(RdsIamError, match=told):
        connect_policy([record(ARN)], users[: fits + 1])


def test_the_size_is_that_of_the_text_that_is_sent():
    """As amazon.aws.iam_policy writes it: not ASCII is six characters, and white space is none."""
    users = [f"ünï {number:04}" for number in range(200)]
    document = connect_policy([record(ARN)], users[:1])
    document["Statement"][0]["Resource"] = [f"{ARN}/{user}" for user in users]
    counted = sum(not character.isspace() for character in json.dumps(document, sort_keys=True))
    with pytest.raises(RdsIamError, match=f"for 200 pairs .* has {counted} characters"):
        connect_policy([record(ARN)], users)


@pytest.mark.parametrize("name", ["żółw", "a\x00", "a*"])
def test_user_names_that_are_refused_in_a_policy(name):
    with pytest.raises(RdsIamError, match=r"The database user name .* in it, "):
        connect_policy([record(ARN)], ["app", name])


ACCOUNT_2 = "arn:aws:rds-db:eu-west-1:210987654321:dbuser:db-ABC/app"
REGION_2 = "arn:aws:rds-db:us-east-1:123456789012:dbuser:db-ABC/app"
LONGER = f"{ARN}DEF/app"  # another database, whose resource id begins in the same way


def ours(*arns, **changes):
    return {"Sid": "RdsIamConnect", "Effect": "Allow", "Action": "rds-db:connect", "Resource": list(arns), **changes}


def document(*found):
    return {"Version": "2012-10-17", "Statement": list(found)}


def test_only_the_databases_of_the_run_change():
    there = document(ours(f"{ARN}/report", f"{ARN}/*", f"{OTHER}/app", ACCOUNT_2, REGION_2, LONGER))
    merged = merge_policy(there, [record(ARN, users=["app"])], purge=False)
    assert merged.other_resources == sorted([f"{OTHER}/app", ACCOUNT_2, REGION_2, LONGER])
    assert resources(merged.document) == sorted([f"{ARN}/app", *merged.other_resources])
    purged = merge_policy(there, [record(ARN, users=["app"])], purge=True)
    assert (resources(purged.document), purged.other_resources) == ([f"{ARN}/app"], [])


@given(
    there=st.lists(st.sampled_from([f"{ARN}/a", f"{ARN}/b", f"{OTHER}/a", ACCOUNT_2, REGION_2, LONGER, "*", "arn:*"])),
    users=st.lists(st.sampled_from(["a", "b", "c"])),
)
def test_what_a_run_does_not_see_is_as_before(there, users):
    databases = [record(ARN, users=users)]
    before = document(ours(*there)) if there else None
    after = merge_policy(before, databases, purge=False)
    kept = set(resources(after.document)) if after.document else set()
    assert {arn for arn in kept if arn.startswith(f"{ARN}/")} == {f"{ARN}/{user}" for user in users}
    assert {arn for arn in kept if not arn.startswith(f"{ARN}/")} == {
        arn for arn in there if not arn.startswith(f"{ARN}/")
    }
    again = merge_policy(after.document, databases, purge=False)
    assert again.document == after.document


def test_statements_of_others_stay_as_they_are():
    theirs = [{"Effect": "Allow", "Action": "rds-db:connect", "Resource": "*"}, {"Sid": "X", "Effect": "Deny"}]
    there = document(theirs[0], ours(f"{ARN}/report"), theirs[1])
    merged = merge_policy(there, [record(ARN, users=["app"])], purge=True)
    assert merged.document == document(theirs[0], ours(f"{ARN}/app"), theirs[1])
    assert remove_resources(there) == document(*theirs) and remove_resources(document(ours())) is None
    assert merge_policy(there, [record(ARN, users=["report"])], purge=False).document is there


def test_a_single_statement_without_a_list():
    there = {"Version": "2012-10-17", "Statement": ours(Resource=f"{ARN}/app", Action=["rds-db:connect"])}
    assert find_managed_statement(there) == there["Statement"]
    assert merge_policy(there, [record(ARN, users=["app"])], purge=False).document is there


@pytest.mark.parametrize(
    "changes",
    [
        {"Sid": "Theirs"},
        {"Sid": None},
        {"Effect": "Deny"},
        {"Action": "rds-db:*"},
        {"Action": ["rds-db:connect", "s3:*"]},
        {"Condition": {"IpAddress": {"aws:SourceIp": "192.0.2.1"}}},
        {"NotResource": "*"},
        {"Resource": None},
    ],
)
def test_what_is_no_statement_of_ours(changes):
    """To write it anew would widen what somebody has narrowed."""
    assert find_managed_statement(document(ours(f"{ARN}/app", **changes))) is None


@pytest.mark.parametrize(
    ("databases", "word"),
    [
        ([], "no databases"),
        ([record(ARN)], "no users"),
        ([record(ARN, users="app")], "no users"),
        ([record(ARN, users=["a*"])], "matches other users"),
        ([{"identifier": "orders", "users": []}], "no connect_arn_prefix"),
    ],
)
def test_refusals_of_a_merge(databases, word):
    with pytest.raises(RdsIamError, match=word):
        merge_policy(None, databases, purge=False)


def test_nobody_may_connect_any_more():
    databases = [record(ARN, users=[]), record(OTHER, users=[])]
    assert merge_policy(document(ours(f"{ARN}/app", f"{OTHER}/app")), databases, purge=False).document is None
    assert merge_policy(None, databases, purge=False).document is None
