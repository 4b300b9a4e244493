# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam import near_miss, pattern_index
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.near_miss import (
    Mistake,
    Target,
    describe_near_miss,
    find_mistake,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.pattern_index import read_shape
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.patterns import glob_matches
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.policy_evaluation import Permissions, Policy
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.request_context import login_context
from ansible_collections.dbops.rds_iam.plugins.module_utils._text import list_items
from hypothesis import given, settings
from hypothesis import strategies as st

HEAD = "arn:aws:rds-db:eu-west-1:123456789012:dbuser:"


def permissions_for(*lists_of_resources, action="rds-db:connect"):
    """The permissions of a role with a statement for each list of resources."""
    statements = [
        {"Sid": f"S{number}", "Effect": "Allow", "Action": action, "Resource": resources}
        for number, resources in enumerate(lists_of_resources)
    ]
    document = {"Version": "2012-10-17", "Statement": statements}
    context = login_context("role", "app-rds", "arn:aws:iam::123456789012:role/app-rds")
    return Permissions([Policy("connect", document)], context)


def scan(target: Target, permissions: Permissions) -> str:
    """The same sentence, from the mistake of every resource of every statement."""
    mistakes, users_on_database = [], {}
    for statement in permissions.allow_statements:
        for pattern in statement.resources.patterns:
            if pattern.empty_variable:
                text = f"names {pattern.text}, and {pattern.empty_variable} has no value for this principal"
                mistakes.append((Mistake(1, f"{text}, so it matches nothing", names_user=True), statement))
                continue
            mistakes.append((find_mistake(target, pattern.glob), statement))
            shape = read_shape(pattern.glob)
            if shape and shape.user:
                place = ":".join(("arn", *shape.head, "dbuser", shape.database))
                wanted = zip(place.split(":"), target.arn.partition("/")[0].split(":"))
                if all(glob_matches(part, wanted_part) for part, wanted_part in wanted):
                    users_on_database.setdefault(shape.user, statement)
    on_user = [pair for pair in mistakes if pair[0].names_user]
    if on_user:
        mistake, statement = min(on_user, key=lambda pair: (pair[0].count, not pair[0].means_database))
        return f"{statement} {mistake.text}"
    if len(users_on_database) == 1:
        [(user, statement)] = list(users_on_database.items())
        return f"{statement} names the user {user}, and not {target.user}"
    if users_on_database:
        listing = list_items(list(users_on_database), limit=3)
        return f"no statement names the user {target.user}; on this database they name {listing}"
    if len(mistakes) == 1:
        return f"{mistakes[0][1]} {mistakes[0][0].text}"
    return f"no statement names the user {target.user}" if mistakes else ""


databases = st.sampled_from(
    "db-ABC db-abc db-XYZ db-MEMBER db-member orders Orders billing cluster-X prx-1 db-* * db-?BC".split()
)
users = st.sampled_from(
    ["app", "App", "APP", "report", "a*", "*", "?pp", "", "x/app", "x:app", "${aws:username}", "${*}"]
)
users |= st.sampled_from(["${aws:PrincipalTag/user}", "app/x", "ap${saml:sub}"])
resources = st.builds(
    "arn:{}:{}:{}:{}:{}{}{}{}{}".format,
    st.sampled_from(["aws", "aws", "aws-cn", "*"]),
    st.sampled_from(["rds-db", "rds-db", "rds"]),
    st.sampled_from(["eu-west-1", "eu-west-1", "eu-west-2", "*", "EU-WEST-1"]),
    st.sampled_from(["123456789012", "123456789012", "", "*", "210987654321"]),
    st.sampled_from(["dbuser", "dbuser", "db", "*", "DBUSER"]),
    st.sampled_from([":", ":", ":", "/", ""]),
    databases,
    st.sampled_from(["/", "/", "/", ":", ""]),
    users,
)
resources |= st.sampled_from(
    ["*", "arn:aws:rds-db:eu-west-1:*", "arn:aws:rds-db:eu-west-1:*/app", "orders/app", "arn:*:app"]
)
resources |= st.builds("{}{}/{}".format, st.just(HEAD), databases, users)
targets = st.builds(
    lambda database, user, members: Target(
        f"{HEAD}{database}/{user}", "orders", members, {"db-XYZ": "billing"}, is_pattern="*" in user
    ),
    st.sampled_from(["db-ABC", "db-XYZ"]),
    st.sampled_from(["app", "App", "report", "new", "x/app", "x:app", "app*", "*"]),
    st.sampled_from([(), ("db-MEMBER",)]),
)


@settings(max_examples=500, deadline=None)
@given(st.lists(targets, min_size=1, max_size=4), st.lists(st.lists(resources, max_size=8), max_size=3))
def test_the_index_finds_what_a_scan_of_all_resources_finds(some_targets, lists_of_resources):
    permissions = permissions_for(*lists_of_resources)
    for target in some_targets:
        assert describe_near_miss(target, permissions) == scan(target, permissions)


@pytest.fixture
def comparisons(monkeypatch):
    """Count the comparisons of patterns with texts."""
    counts = []

    def count(pattern, text):
        counts.append((pattern, text))
        return glob_matches(pattern, text)

    for module in (near_miss, pattern_index):
        monkeypatch.setattr(module, "glob_matches", count)
    return counts


# By what grows with the logins: the resources of a policy, and the targets that it does not allow.
GROWTH = {
    "users of a database that it does not name": lambda n: (
        [f"{HEAD}db-0/user{i}" for i in range(n)],
        [Target(f"{HEAD}db-0/no{i}", "orders") for i in range(n)],
    ),
    "users of databases that it does not name": lambda n: (
        [f"{HEAD}db-{i}/app" for i in range(n)],
        [Target(f"{HEAD}db-{i}/no", f"orders{i}") for i in range(n)],
    ),
    "databases that were restored": lambda n: (
        [f"{HEAD}db-{i}/app" for i in range(n)],
        [Target(f"{HEAD}db-{n + i}/app", f"orders{i}") for i in range(n)],
    ),
    "databases by their identifiers": lambda n: (
        [f"{HEAD}orders{i}/app" for i in range(n)],
        [Target(f"{HEAD}db-{i}/app", f"orders{i}") for i in range(n)],
    ),
    "users in the wrong region": lambda n: (
        [f"{HEAD}db-0/user{i}".replace("eu-west-1", "eu-west-2") for i in range(n)],
        [Target(f"{HEAD}db-0/user{i}", "orders") for i in range(n)],
    ),
    "patterns of databases": lambda n: (
        [f"{HEAD}db-A*/user{i}" for i in range(n)],
        [Target(f"{HEAD}db-0/user{i}", "orders") for i in range(n)],
    ),
}


@pytest.mark.parametrize("name", GROWTH)
def test_four_times_the_logins_need_four_times_the_comparisons(name, comparisons):
    counts = []
    for size in (25, 100):
        resources, targets = GROWTH[name](size)
        permissions = permissions_for(resources)
        comparisons.clear()
        sentences = {describe_near_miss(target, permissions) for target in targets}
        assert all(sentences)
        counts.append(len(comparisons))
    assert counts[1] <= 4.2 * counts[0] + 4
