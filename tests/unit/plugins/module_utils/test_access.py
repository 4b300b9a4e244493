# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from ansible_collections.dbops.rds_iam.plugins.module_utils._access import Host, Principal, user_patterns
from ansible_collections.dbops.rds_iam.plugins.module_utils._access_map import databases, draw
from ansible_collections.dbops.rds_iam.plugins.module_utils._permission import Policy

SCHEMA = json.loads((Path(__file__).parents[4] / "docs/access-map.schema.json").read_text())
PREFIX = "arn:aws:rds-db:eu-west-1:123456789012:dbuser:"
EC2 = ("ec2.amazonaws.com",)


def record(identifier, **more):
    resource_id = f"db-{identifier.upper()}"
    return {
        "identifier": identifier,
        "kind": "instance",
        "engine": "mysql",
        "engine_version": "8.0.42",
        "status": "available",
        "endpoint": f"{identifier}.cabcdefghijk.eu-west-1.rds.amazonaws.com",
        "region": "eu-west-1",
        "account_id": "123456789012",
        "resource_id": resource_id,
        "connect_arn_prefix": PREFIX + resource_id,
        "master_username": "admin",
        "iam_auth_enabled": True,
        "pending": {},
        "cluster_identifier": None,
        "ca_certificate_identifier": "rds-ca-rsa2048-g1",
        **more,
    }


def account(name, host="%", **more):
    iam = {"name": name, "host": host, "iam": True, "plugin": "AWSAuthenticationPlugin", "require": "SSL"}
    return {**iam, "locked": False, "system": False, **more}


RECORDS = (record("orders"), record("billing"))
SEEN = {"db_instance_identifier": "orders", "unseen": "", "accounts": [account("app"), account("report")]}


def role(*policies, name="app-rds", trusts=EC2, profiles=("app-rds",), kind="role"):
    arn = f"arn:aws:iam::123456789012:{kind}/{name}"
    return Principal(kind, name, arn, list(policies), list(trusts), list(profiles))


def policy(resource, effect="Allow", action="rds-db:connect", name="connect", boundary=False, **more):
    statement = {"Effect": effect, "Action": action, "Resource": resource, **more}
    return Policy(name, {"Statement": [statement]}, boundary)


GOOD = policy([f"{PREFIX}db-ORDERS/app", f"{PREFIX}db-ORDERS/report"])
HOSTS = (Host("i-1", "app1", "running", "app-rds"),)


def drawn(principals, given=(SEEN,), hosts=HOSTS, records=RECORDS, only=False):
    """The map, which always keeps to its schema."""
    known, missing = databases(records, [{"name": None, **one} for one in given])
    asked = [one for one in known if one.given] if only else known
    found = {"version": 1, "generated_at": "2026-11-25T09:00:00Z", "region": "eu-west-1"}
    found.update(draw(asked, known, principals, hosts, missing))
    jsonschema.validate(found, SCHEMA)
    return found


def logins(found):
    return {(one["database"], one["user"]): one["state"] for one in found["grants"]}


def kinds(found):
    return {one["kind"] for one in found["findings"]}


def seen(*accounts):
    return {**SEEN, "accounts": list(accounts)}


def test_all_links_hold():
    found = drawn([role(GOOD)])
    assert logins(found) == {("orders", "app"): "open", ("orders", "report"): "open"}
    assert [link["name"] for link in found["grants"][0]["links"]] == ["flag", "holder", "permission", "account"]
    assert found["principals"][0]["hosts"] == [{"instance_id": "i-1", "name": "app1", "state": "running"}]
    assert kinds(found) == set()
    assert found["unseen"] == ["The accounts of billing: the inventory does not have this database."]
    assert found["totals"]["open"] == 2


BROKEN = {
    "flag": ({"records": [record("orders", iam_auth_enabled=False)]}, "flag", "is off"),
    "holder": ({"hosts": []}, "holder", "no EC2 instance has the IAM role app-rds"),
    "account": ({"given": [seen(account("report"))]}, "account", "orders has no account app"),
    "locked": ({"given": [seen(account("app", locked=True))]}, "account", "is locked"),
    "password": (
        {"given": [seen(account("app", iam=False, plugin="mysql_native_password"))]},
        "account",
        "logs in with mysql_native_password",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_one_link_is_broken(case):
    change, link, text = BROKEN[case]
    found = drawn([role(policy(f"{PREFIX}db-ORDERS/app"))], **change)
    [grant] = [one for one in found["grants"] if one["user"] == "app"]
    assert grant["state"] == "closed"
    assert text in grant["reason"]
    assert [one["name"] for one in grant["links"] if one["state"] == "broken"] == [link]


def test_what_takes_a_permission_away_is_named():
    deny = policy(f"{PREFIX}db-ORDERS/app", effect="Deny", name="never")
    boundary = policy("*", action="s3:*", name="limits", boundary=True)
    for more, text in ((deny, "the policy never denies"), (boundary, "the permissions boundary limits")):
        found = drawn([role(policy(f"{PREFIX}db-ORDERS/app"), more)])
        assert logins(found) == {("orders", "app"): "closed"}
        assert text in found["grants"][0]["reason"]


def test_what_cannot_be_seen_is_unknown():
    unread = Policy("limits", None, boundary=True, reason="IAM did not return its document")
    assert logins(drawn([role(GOOD, unread)]))["orders", "app"] == "unknown"
    assert logins(drawn([role(GOOD)], hosts=None))["orders", "app"] == "unknown"
    condition = policy(f"{PREFIX}db-ORDERS/app", Condition={"StringEquals": {"aws:PrincipalTag/team": "a"}})
    assert logins(drawn([role(condition)]))["orders", "app"] == "unknown"
    found = drawn(None)
    assert found["totals"]["roles"] is None
    assert kinds(found) == set(), "accounts that nobody may use cannot be told without IAM"


def test_accounts_that_were_not_seen_are_unknown_and_patterns_stay_patterns():
    found = drawn([role(policy([f"{PREFIX}db-BILLING/app*", f"{PREFIX}db-BILLING/report"]))])
    assert logins(found) == {("billing", "app*"): "unknown", ("billing", "report"): "unknown"}


def test_wide_statements_reach_the_accounts_that_are_there():
    found = drawn([role(policy("*", action="*"))])
    assert logins(found) == {("orders", "app"): "open", ("orders", "report"): "open", ("billing", "*"): "unknown"}
    [wide] = [one for one in found["findings"] if one["kind"] == "wide"]
    assert "allows the actions * and connections to whatever matches *" in wide["text"]
    assert wide["severity"] == "risk"
    everything_else = Policy("but", {"Statement": {"Effect": "Allow", "NotAction": "iam:*", "NotResource": "arn:x"}})
    assert "all actions but some and all resources but some" in drawn([role(everything_else)])["findings"][0]["text"]


def test_policy_variables_may_be_anybody():
    own = policy([f"{PREFIX}*/${{aws:username}}", f"{PREFIX}db-${{aws:PrincipalTag/db}}/report"])
    found = drawn([role(own, name="alice", kind="user", trusts=(), profiles=())])
    assert logins(found) == dict.fromkeys(
        [("orders", "app"), ("orders", "report"), ("billing", "*"), ("billing", "report")], "unknown"
    )
    assert kinds(found) == {"wide"}, "for the * in it; neither an account that is missing nor one that is unused"
    assert kinds(drawn([role(policy(f"{PREFIX}db-ORDERS/${{aws:username}}"))])) == set()


def test_a_statement_wide_somewhere_else_is_not_marked():
    assert kinds(drawn([role(GOOD, policy("arn:aws:s3:::*", action="*"))])) == set()


DANGLING = {
    "identifier": (f"{PREFIX}orders/app", "dangling", "by its identifier orders"),
    "old resource id": (f"{PREFIX}db-BEFORE/app", "dangling", "names the resource id db-BEFORE"),
    "service": ("arn:aws:rds:eu-west-1:123456789012:db:orders", "dangling", "names a resource of rds"),
    "region": (f"{PREFIX}db-ORDERS/app".replace("eu-west-1", "eu-west-2"), "elsewhere", "on no database of this map"),
    "account": (f"{PREFIX}db-ORDERS/app".replace("1234", "4321"), "elsewhere", "on no database of this map"),
    "proxy": (f"{PREFIX}prx-ABC/app", "elsewhere", "on no database of this map"),
    "user": (f"{PREFIX}db-ORDERS/App", "no_account", "orders, which has no such account"),
}


@pytest.mark.parametrize("case", DANGLING)
def test_permissions_that_point_at_nothing(case):
    resource, kind, text = DANGLING[case]
    found = drawn([role(GOOD, policy(resource, name="other"))])
    [finding] = [one for one in found["findings"] if one["kind"] == kind]
    assert text in finding["text"]
    assert kinds(found) == {kind}


def test_other_services_are_nobody_s_business():
    assert kinds(drawn([role(GOOD, policy(["arn:aws:rds:eu-west-1:123456789012:db:orders"], action="*"))])) == set()


def test_accounts_to_look_at():
    accounts = [
        account("app"),
        account("alone"),
        account("old", iam=False, plugin="mysql_native_password", require="NONE"),
        account("admin", iam=False, plugin="caching_sha2_password", require="NONE"),
        account("rdsadmin", iam=False, plugin="mysql_native_password", require="NONE", system=True),
        account("report", require="NONE"),
        account("shut", locked=True),
    ]
    found = drawn([role(GOOD, policy(f"{PREFIX}db-ORDERS/shut"))], given=[seen(*accounts)])
    texts = {(one["kind"], one["text"]) for one in found["findings"]}
    assert texts == {
        ("unused", "no IAM role or user of this account may connect as 'alone'@'%'"),
        ("password", "the account 'old'@'%' logs in with mysql_native_password"),
        ("no_tls", "the account 'report'@'%' does not require TLS"),
        ("locked", "the account 'shut'@'%' is locked"),
    }
    assert found["totals"]["accounts_with_password"] == 2


def test_a_flag_that_is_off_matters_only_where_someone_wants_it():
    off = [record("orders", iam_auth_enabled=False), record("billing", iam_auth_enabled=False)]
    found = drawn([role(GOOD)], records=off)
    assert [one["subject"] for one in found["findings"] if one["kind"] == "flag_off"] == ["orders"]
    pending = drawn([], records=[record("orders", pending={"IAMDatabaseAuthenticationEnabled": False})])
    assert pending["databases"][0]["iam_auth"] == "on, change pending"


def test_conditions_that_rds_does_not_support():
    condition = policy(f"{PREFIX}db-ORDERS/app", Condition={"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}})
    found = drawn([role(GOOD, condition)])
    assert [one["kind"] for one in found["findings"]] == ["condition"]


def test_users_and_roles_that_others_assume_need_no_instance():
    user = role(GOOD, name="jane", kind="user", trusts=(), profiles=())
    batch = role(GOOD, name="batch", trusts=["lambda.amazonaws.com"], profiles=())
    assert set(logins(drawn([user], hosts=[])).values()) == {"open"}
    assert "lambda.amazonaws.com may assume it" in drawn([batch], hosts=[])["grants"][0]["links"][1]["text"]


def test_members_stand_for_their_cluster():
    cluster = record("fleet", kind="cluster", resource_id="cluster-F", connect_arn_prefix=PREFIX + "cluster-F")
    member = record("fleet-1", cluster_identifier="fleet")
    found = drawn([role(policy(f"{PREFIX}db-FLEET-1/app"))], given=[], records=[cluster, member])
    assert [one["name"] for one in found["databases"]] == ["fleet"]
    assert "is a member of the cluster" in found["findings"][0]["text"]


def test_only_those_that_are_given():
    found = drawn([role(GOOD, policy(f"{PREFIX}db-BILLING/app", name="other"))], only=True)
    assert [one["name"] for one in found["databases"]] == ["orders"]
    assert kinds(found) == set(), "billing is there, though the map does not show it"


def test_a_database_that_is_not_there_is_said():
    gone = {"db_cluster_identifier": "gone", "unseen": "it was not read", "accounts": None}
    found = drawn([], given=[gone])
    assert "The DB cluster gone: it is not in the region, or in a DB cluster there." in found["unseen"]


def test_an_instance_and_a_cluster_of_one_name_have_two():
    cluster = record("orders", kind="cluster", resource_id="cluster-O")
    assert len({one["name"] for one in drawn([], given=[], records=[cluster, *RECORDS])["databases"]}) == 3


def test_the_users_in_a_resource():
    prefix = PREFIX + "db-ORDERS"
    for resource, users in {
        f"{prefix}/app": ["app"],
        f"{PREFIX}*/a?p": ["a?p"],
        f"{PREFIX}*": ["*"],
        "*": ["*"],
        f"{prefix}/": [""],
        f"{PREFIX}db-OTHER/app": [],
        prefix: [],
        "arn:aws:s3:::*": [],
    }.items():
        assert list(user_patterns(resource, prefix)) == users, resource
