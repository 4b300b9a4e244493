# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from ansible_collections.dbops.rds_iam.plugins.module_utils._access_map.databases import match_databases
from ansible_collections.dbops.rds_iam.plugins.module_utils._access_map.model import Credentials, Instance, Principal
from ansible_collections.dbops.rds_iam.plugins.module_utils._access_map.report import build_report
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.policy_evaluation import Policy
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.request_context import login_context
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.resources import ResourcePattern
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.trust import trustees

SCHEMA = json.loads((Path(__file__).parents[5] / "docs/access-map.schema.json").read_text())
PREFIX = "arn:aws:rds-db:eu-west-1:123456789012:dbuser:"
EC2 = {"Service": "ec2.amazonaws.com"}
KEY = Credentials(1, None, "")


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
SEEN = {"db_instance_identifier": "orders", "not_collected_reason": "", "users": [account("app"), account("report")]}


def trust(principal=None, action="sts:AssumeRole", **more):
    return {"Effect": "Allow", "Principal": principal or EC2, "Action": action, **more}


EC2_TRUST = (trust(),)


def role(*policies, name="app-rds", trusts=EC2_TRUST, profiles=("app-rds",), tags=None):
    arn = f"arn:aws:iam::123456789012:role/{name}"
    trusting = trustees({"Version": "2012-10-17", "Statement": list(trusts)})
    context = login_context("role", name, arn, tags=tags)
    return Principal("role", name, arn, list(policies), trusting, list(profiles), context=context)


def user(*policies, name="jane", credentials=KEY):
    return Principal("user", name, f"arn:aws:iam::123456789012:user/{name}", list(policies), credentials=credentials)


def policy(resource, effect="Allow", action="rds-db:connect", name="connect", boundary=False, **more):
    statement = {"Effect": effect, "Action": action, "Resource": resource, **more}
    return Policy(name, {"Version": "2012-10-17", "Statement": [statement]}, boundary)


GOOD = policy([f"{PREFIX}db-ORDERS/app", f"{PREFIX}db-ORDERS/report"])
HOSTS = (Instance("i-1", "app1", "running", "app-rds"),)


def drawn(principals, given=(SEEN,), hosts=HOSTS, records=RECORDS, only=False):
    """The map, which always keeps to its schema."""
    known, missing = match_databases(records, [{"name": None, **one} for one in given])
    asked = [one for one in known if one.is_requested] if only else known
    found = {"version": 1, "generated_at": "2026-11-25T09:00:00Z", "region": "eu-west-1"}
    found.update(build_report(asked, known, principals, hosts, missing))
    jsonschema.validate(found, SCHEMA)
    return found


def logins(found):
    return {(one["database"], one["user"]): one["state"] for one in found["grants"]}


def kinds(found):
    return {one["kind"] for one in found["findings"]}


def seen(*accounts):
    return {**SEEN, "users": list(accounts)}


def test_all_checks_pass():
    found = drawn([role(GOOD)])
    assert logins(found) == {("orders", "app"): "open", ("orders", "report"): "open"}
    assert [check["name"] for check in found["grants"][0]["checks"]] == [
        "iam_auth",
        "credentials",
        "permission",
        "database_user",
    ]
    assert found["principals"][0]["instances"] == [{"instance_id": "i-1", "name": "app1", "state": "running"}]
    assert kinds(found) == set()
    assert found["not_collected"] == ["The accounts of billing: the inventory does not have this database."]
    assert found["totals"]["open"] == 2


FAILED = {
    "flag": ({"records": [record("orders", iam_auth_enabled=False)]}, "iam_auth", "is off"),
    "account": ({"given": [seen(account("report"))]}, "database_user", "orders has no account app"),
    "locked": ({"given": [seen(account("app", locked=True))]}, "database_user", "is locked"),
    "password": (
        {"given": [seen(account("app", iam=False, plugin="mysql_native_password"))]},
        "database_user",
        "logs in with mysql_native_password",
    ),
    "certificate": (
        {"given": [seen(account("app", require="X509"))]},
        "database_user",
        "requires a client certificate (X509)",
    ),
    "subject": (
        {"given": [seen(account("app", require="SPECIFIED"))]},
        "database_user",
        "requires a client certificate",
    ),
    "expired": (
        {"given": [seen(account("app", expired=True))]},
        "database_user",
        "has expired as if it had a password",
    ),
    "all rows": (
        {"given": [seen(account("app", locked=True), account("app", "10.%", iam=False, plugin="ed25519"))]},
        "database_user",
        "'app'@'%' is locked; 'app'@'10.%' logs in with ed25519",
    ),
}


@pytest.mark.parametrize("case", FAILED)
def test_one_check_fails(case):
    change, check, text = FAILED[case]
    found = drawn([role(policy(f"{PREFIX}db-ORDERS/app"))], **change)
    [grant] = [one for one in found["grants"] if one["user"] == "app"]
    assert grant["state"] == "closed"
    assert text in grant["reason"]
    assert [one["name"] for one in grant["checks"] if one["status"] == "failed"] == [check]


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
    found = drawn([role(condition)])
    assert logins(found)["orders", "app"] == "unknown" and "aws:PrincipalTag/team" in found["grants"][0]["reason"]
    assert logins(drawn([role(condition, tags={"team": "a"})]))["orders", "app"] == "open"
    assert logins(drawn([role(condition, tags={"team": "b"})]))["orders", "app"] == "closed"
    assert logins(drawn([role(condition, tags={})]))["orders", "app"] == "closed"
    found = drawn(None)
    assert found["totals"]["iam_roles"] is None
    assert kinds(found) == set(), "accounts that nobody may use cannot be told without IAM"


def test_accounts_that_were_not_seen_are_unknown_and_patterns_stay_patterns():
    found = drawn([role(policy([f"{PREFIX}db-BILLING/app*", f"{PREFIX}db-BILLING/report"]))])
    assert logins(found) == {("billing", "app*"): "unknown", ("billing", "report"): "unknown"}


def test_wide_statements_reach_the_accounts_that_are_there():
    found = drawn([role(policy("*", action="*"))])
    assert logins(found) == {("orders", "app"): "open", ("orders", "report"): "open", ("billing", "*"): "unknown"}
    [wide] = [one for one in found["findings"] if one["kind"] == "overly_permissive"]
    assert "allows the actions * and connections to whatever matches *" in wide["message"]
    assert wide["severity"] == "risk"
    others = f"{PREFIX}db-ORDERS/root"
    everything_else = Policy("but", {"Statement": {"Effect": "Allow", "NotAction": "iam:*", "NotResource": others}})
    found = drawn([role(everything_else)])
    assert "all actions but some and all resources but some" in found["findings"][0]["message"]
    assert logins(found) == {("orders", "app"): "open", ("orders", "report"): "open", ("billing", "*"): "unknown"}


def test_policy_variables_have_the_values_that_are_known():
    own = policy([f"{PREFIX}*/${{aws:username}}", f"{PREFIX}db-${{aws:PrincipalTag/db}}/report"])
    found = drawn([user(own, name="app")])
    assert logins(found) == {
        ("orders", "app"): "open",
        ("orders", "report"): "unknown",  # the tags of the user were not read
        ("billing", "app"): "unknown",  # its accounts were not
        ("billing", "report"): "unknown",
    }
    [wide] = [one["message"] for one in found["findings"] if one["kind"] == "overly_permissive"]
    assert "whatever matches" in wide and "aws:PrincipalTag/db says, which is up to who may tag it" in wide


def test_a_role_has_no_user_name():
    """The commonest mistake with AWS's own example for people: the statement is for nobody, and says so."""
    found = drawn([role(policy(f"{PREFIX}db-ORDERS/${{aws:username}}"))])
    assert found["grants"] == []
    [finding] = [one for one in found["findings"] if one["kind"] == "dangling"]
    assert "aws:username has no value for the IAM role app-rds, so it matches nothing" in finding["message"]


def test_without_a_version_a_variable_is_text():
    own = Policy("old", {"Statement": policy(f"{PREFIX}db-ORDERS/${{aws:username}}").document["Statement"]})
    found = drawn([user(own, name="app")])
    assert logins(found)["orders", "${aws:username}"] == "closed" and ("orders", "app") not in logins(found)


def test_a_statement_wide_somewhere_else_is_not_marked():
    assert kinds(drawn([role(GOOD, policy("arn:aws:s3:::*", action="*"))])) == set()


DANGLING = {
    "identifier": (f"{PREFIX}orders/app", "dangling", "by its identifier orders"),
    "old resource id": (f"{PREFIX}db-BEFORE/app", "dangling", "names the resource id db-BEFORE, which no database"),
    "service": ("arn:aws:rds:eu-west-1:123456789012:db:orders", "dangling", "names a resource of rds"),
    "region": (
        f"{PREFIX}db-ORDERS/app".replace("eu-west-1", "eu-west-2"),
        "out_of_scope",
        "on no database of this map",
    ),
    "account": (f"{PREFIX}db-ORDERS/app".replace("1234", "4321"), "out_of_scope", "on no database of this map"),
    "proxy": (f"{PREFIX}prx-ABC/app", "out_of_scope", "on no database of this map"),
    "user": (f"{PREFIX}db-ORDERS/App", "no_database_user", "orders, which has no such account"),
}


@pytest.mark.parametrize("case", DANGLING)
def test_permissions_that_point_at_nothing(case):
    resource, kind, text = DANGLING[case]
    found = drawn([role(GOOD, policy(resource, name="other"))])
    [finding] = [one for one in found["findings"] if one["kind"] == kind]
    assert text in finding["message"]
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
    texts = {(one["kind"], one["message"]) for one in found["findings"]}
    assert texts == {
        ("unused", "no IAM role or user of this account may connect as 'alone'@'%'"),
        ("password", "the account 'old'@'%' logs in with mysql_native_password"),
        ("no_tls", "the account 'report'@'%' does not require TLS"),
        ("locked", "the account 'shut'@'%' is locked"),
    }
    assert found["totals"]["database_users_with_password"] == 2


def test_where_several_databases_could_be_meant_none_is_named():
    """Not even the one that comes last in the alphabet; a likeness that one alone has is named."""
    [finding] = [
        one
        for one in drawn([role(GOOD, policy(f"{PREFIX}db-BEFORE/app"))])["findings"]
        if "db-BEFORE" in one["message"]
    ]
    assert "orders" not in finding["message"] and "billing" not in finding["message"]
    [finding] = drawn([role(GOOD, policy(f"{PREFIX}BILLING/app"))])["findings"]
    assert "by its identifier BILLING" in finding["message"]


def test_the_worst_comes_first():
    severities = [
        one["severity"]
        for one in drawn(
            [role(GOOD, policy("*", action="*"), policy(f"{PREFIX}db-X/app"))],
            given=[seen(account("app"), account("report"), account("old", iam=False, plugin="mysql_native_password"))],
        )["findings"]
    ]
    assert severities == ["risk", "error", "note"]


def test_an_account_is_unused_if_what_would_allow_it_is_taken_away():
    deny = policy(f"{PREFIX}db-ORDERS/report", effect="Deny", name="never")
    assert kinds(drawn([role(GOOD, deny)])) == {"unused"}
    hidden = Policy("hidden", None, reason="IAM did not return its document")
    assert kinds(drawn([role(GOOD, deny), role(hidden, name="other")])) == set(), "the other role may use it"


def test_a_policy_that_was_not_read_is_said():
    hidden = Policy("hidden", None, reason="IAM did not return its document")
    found = drawn([role(hidden), role(hidden, name="other"), user(GOOD)])
    assert (
        "The policy hidden of the IAM role app-rds, the IAM role other: IAM did not return its document."
        in found["not_collected"]
    )


def test_a_flag_that_is_off_matters_only_where_someone_wants_it():
    off = [record("orders", iam_auth_enabled=False), record("billing", iam_auth_enabled=False)]
    found = drawn([role(GOOD)], records=off)
    assert [one["subject"] for one in found["findings"] if one["kind"] == "iam_auth_off"] == ["orders"]
    everything = policy("*", action="*")
    nobody = {"users": [], "not_collected_reason": "", "db_instance_identifier": "orders"}
    assert "iam_auth_off" not in kinds(drawn([role(everything)], records=off, given=[nobody])), (
        "an administrator wants none"
    )
    assert "iam_auth_off" in kinds(drawn([role(policy("*", action="rds-db:*"))], records=off, given=[nobody]))
    pending = drawn([], records=[record("orders", pending={"IAMDatabaseAuthenticationEnabled": False})])
    assert pending["databases"][0]["iam_auth"] == "on, change pending"


def test_conditions_that_rds_does_not_support():
    """By operator: one that an absent key cannot meet keeps everybody out, one that it meets keeps out nobody."""
    condition = policy(f"{PREFIX}db-ORDERS/app", Condition={"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}})
    found = drawn([role(GOOD, condition)])
    assert [(one["kind"], one["severity"]) for one in found["findings"]] == [("unsupported_condition", "error")]
    assert logins(drawn([role(condition)])) == {("orders", "app"): "closed"}
    for operator in ("NotIpAddress", "IpAddressIfExists", "ForAllValues:IpAddress"):
        condition = policy(f"{PREFIX}db-ORDERS/app", Condition={operator: {"aws:SourceIp": "10.0.0.0/8"}})
        found = drawn([role(condition)])
        assert logins(found)["orders", "app"] == "open", operator
        [finding] = [one for one in found["findings"] if one["kind"] == "unsupported_condition"]
        assert finding["severity"] == "risk" and "so it keeps out no login" in finding["message"]


def test_a_deny_by_addresses_always_holds():
    """AWS's own example: the key is absent, and the operator negated."""
    condition = {"NotIpAddress": {"aws:SourceIp": ["192.0.2.0/24"]}, "Bool": {"aws:PrincipalIsAWSService": "false"}}
    found = drawn([role(GOOD, policy("*", effect="Deny", action="*", name="guard", Condition=condition))])
    assert set(logins(found).values()) == {"closed"}
    assert "the policy guard denies" in found["grants"][0]["reason"]
    assert "RDS does not send aws:SourceIp" in found["grants"][0]["reason"]


OIDC = {"Federated": "arn:aws:iam::123456789012:oidc-provider/oidc.eks.eu-west-1.amazonaws.com/id/A"}
SAML = {"Federated": "arn:aws:iam::123456789012:saml-provider/AWSSSO"}
TO_SAML = {"StringEquals": {"SAML:aud": "https://signin.aws.amazon.com/saml"}}
# By case: the statements of the trust policy, and what else; the state of the login, and words on the credentials.
HOLDERS = {
    "an instance has it": ([trust()], {}, "open", "EC2 instances have it: app1"),
    "none in this Region": (
        [trust()],
        {"hosts": []},
        "unknown",
        "no EC2 instance in eu-west-1 has the IAM role app-rds",
    ),
    "instances not read": ([trust()], {"hosts": None}, "unknown", "could not be read"),
    "another account": ([trust({"AWS": "210987654321"})], {}, "open", "210987654321 may assume it"),
    "somebody who is gone": ([trust({"AWS": "AROAEXAMPLEEXAMPLE000"})], {}, "closed", "lets nobody assume it"),
    "nobody": ([], {}, "closed", "lets nobody assume it"),
    "only tags": ([trust(action="sts:TagSession")], {}, "closed", "lets nobody assume it"),
    "a Deny": ([trust(), trust(Effect="Deny")], {}, "closed", "lets nobody assume it"),
    "a Deny of somebody": ([trust(), trust({"AWS": "*"}, Effect="Deny")], {}, "closed", "lets nobody assume it"),
    "a Deny of others": ([trust(), trust({"Service": "lambda.amazonaws.com"}, Effect="Deny")], {}, "open", "app1"),
    "a Deny of one of an account": (
        [trust({"AWS": "210987654321"}), trust({"AWS": "arn:aws:iam::210987654321:user/x"}, Effect="Deny")],
        {},
        "open",
        "210987654321 may assume it",
    ),
    "a condition": (
        [trust(Condition={"StringEquals": {"aws:SourceAccount": "123456789012"}})],
        {},
        "unknown",
        "ec2.amazonaws.com may assume it under conditions that cannot be judged (aws:SourceAccount)",
    ),
    "whoever has a secret": (
        [trust({"AWS": "210987654321"}, Condition={"StringEquals": {"sts:ExternalId": "x"}})],
        {},
        "open",
        "may assume it",
    ),
    "a pod": (
        [trust(OIDC, "sts:AssumeRoleWithWebIdentity", Condition={"StringEquals": {"oidc:sub": "system:x"}})],
        {},
        "unknown",
        "oidc:sub",
    ),
    "people": ([trust(SAML, "sts:AssumeRoleWithSAML", Condition=TO_SAML)], {}, "open", "saml-provider/AWSSSO"),
    "the wrong action": ([trust(SAML, "sts:AssumeRole")], {}, "closed", "lets nobody assume it"),
    "a function": ([trust({"Service": "lambda.amazonaws.com"})], {}, "unknown", "lambda.amazonaws.com may assume it"),
    "NotAction": ([{**trust(), "NotAction": "sts:TagSession", "Action": []}], {}, "open", "app1"),
}


@pytest.mark.parametrize("case", HOLDERS)
def test_who_holds_a_role(case):
    trusts, more, state, words = HOLDERS[case]
    found = drawn([role(GOOD, trusts=trusts)], **more)
    assert set(logins(found).values()) == {state}
    assert words in found["grants"][0]["checks"][1]["message"]


def test_a_role_in_no_profile_may_be_put_in_one():
    assert set(logins(drawn([role(GOOD, profiles=())])).values()) == {"unknown"}


# By case: with what an IAM user can sign, the state of the login, and words on the credentials.
SIGNERS = {
    "a key": (KEY, "open", "has an active access key"),
    "two": (Credentials(2, None, ""), "open", "has 2 active access keys"),
    "none": (Credentials(0, False, ""), "closed", "has neither an active access key nor a console password"),
    "a password": (Credentials(0, True, ""), "unknown", "CloudShell"),
    "keys not read": (Credentials(None, None, "not allowed iam:ListAccessKeys"), "unknown", "iam:ListAccessKeys"),
    "password not read": (Credentials(0, None, "not allowed iam:GetLoginProfile"), "unknown", "iam:GetLoginProfile"),
}


@pytest.mark.parametrize("case", SIGNERS)
def test_with_what_a_user_signs(case):
    credentials, state, words = SIGNERS[case]
    found = drawn([user(GOOD, credentials=credentials)], hosts=[])
    assert set(logins(found).values()) == {state}
    assert words in found["grants"][0]["checks"][1]["message"]
    reason = credentials.unread_reason
    assert bool(reason) == any(reason in one for one in found["not_collected"] if reason)


def test_which_of_several_accounts_counts_depends_on_the_client():
    """The server takes the one whose host fits best, so where they differ nothing is certain."""
    narrow = account("app", "10.0.1.5", iam=False, plugin="mysql_native_password")
    for rows in ((account("app"), narrow), (account("app"), account("app", "10.%", locked=True))):
        found = drawn([role(GOOD)], given=[seen(*rows, account("report"))])
        assert logins(found) == {("orders", "app"): "unknown", ("orders", "report"): "open"}
        assert "depends on the client's address" in found["grants"][0]["reason"]
    both = drawn([role(GOOD)], given=[seen(account("app"), account("app", "10.%"), account("report"))])
    assert logins(both)["orders", "app"] == "open", "they agree"
    anonymous = account("", "10.%", iam=False, plugin="mysql_native_password")
    found = drawn([role(GOOD)], given=[seen(account("app"), anonymous, account("report"))])
    assert logins(found)["orders", "app"] == "unknown" and "''@'10.%'" in found["grants"][0]["reason"]


@pytest.mark.parametrize("plugin", ["several plugins", "several factors"])
def test_where_iam_may_be_one_of_several_ways_it_is_unknown(plugin):
    found = drawn([role(GOOD)], given=[seen(account("app", iam=False, plugin=plugin))])
    assert logins(found)["orders", "app"] == "unknown"


OTHER_ENGINES = ("neptune", "docdb", "oracle-ee", "oracle-se2-cdb", "sqlserver-se", "db2-se", "custom-oracle-ee")


@pytest.mark.parametrize("engine", OTHER_ENGINES)
def test_engines_that_rds_db_connect_is_not_for(engine):
    """Neither a login nor a flag that is off, whatever their own IAM authentication says."""
    for enabled in (True, False):
        other = record("graph", engine=engine, iam_auth_enabled=enabled)
        found = drawn([role(GOOD, policy("*", action="rds-db:*"))], records=[*RECORDS, other])
        assert "graph" not in {one["database"] for one in found["grants"]} | {
            one["subject"] for one in found["findings"]
        }
        [shown] = [one for one in found["databases"] if one["name"] == "graph"]
        assert (
            not shown["takes_iam_logins"]
            and f"rds-db:connect is not for the engine {engine}" in shown["not_collected_reason"]
        )
        assert found["totals"]["databases_with_iam"] == 2
        assert not any("graph" in one for one in found["not_collected"])
    named = drawn([role(GOOD, policy(f"{PREFIX}db-GRAPH/app"))], records=[*RECORDS, other])
    assert [one["kind"] for one in named["findings"]] == ["dangling"]


def test_postgresql_is_on_the_map_without_its_users():
    records = [record("ledger", engine="postgres"), record("fleet", engine="aurora-postgresql", iam_auth_enabled=False)]
    found = drawn([role(policy([f"{PREFIX}db-LEDGER/app", f"{PREFIX}db-FLEET/app"]))], records=records, given=[])
    assert logins(found) == {("ledger", "app"): "unknown", ("fleet", "app"): "closed"}
    assert "does not read users of postgres" in found["grants"][1]["checks"][3]["message"]
    [finding] = found["findings"]
    assert finding["kind"] == "iam_auth_off" and "iam_auth" not in finding["remedy"]


def test_a_deny_of_some_users_makes_a_pattern_unknown_and_not_closed():
    """Of accounts that were not seen: those that the Deny is for are closed, and others open."""
    allow = policy(f"{PREFIX}db-BILLING/app*")
    for users, state in (
        ("/app?", "unknown"),
        ("/app1", "unknown"),
        ("/root*", "passed"),
        ("/a*", "failed"),
        ("/*", "failed"),
    ):
        found = drawn([role(allow, policy(f"{PREFIX}db-BILLING{users}", effect="Deny"))])
        [grant] = found["grants"]
        assert grant["user"] == "app*" and grant["checks"][2]["status"] == state, users


@pytest.mark.parametrize("identifier", ["Orders", "ORDERS", "arn:aws:rds:eu-west-1:123456789012:db:orders"])
def test_identifiers_are_compared_as_rds_does(identifier):
    found = drawn([role(GOOD)], given=[{**SEEN, "db_instance_identifier": identifier}])
    assert logins(found) == {("orders", "app"): "open", ("orders", "report"): "open"}
    assert not any("it is not in the region" in one for one in found["not_collected"])


def test_what_the_map_never_sees_is_said():
    limits = " ".join(drawn([])["limits"])
    assert "root user" in limits and "sts:GetFederationToken" in limits


def test_members_stand_for_their_cluster():
    cluster = record("fleet", kind="cluster", resource_id="cluster-F", connect_arn_prefix=PREFIX + "cluster-F")
    member = record("fleet-1", cluster_identifier="fleet")
    found = drawn([role(policy(f"{PREFIX}db-FLEET-1/app"))], given=[], records=[cluster, member])
    assert [one["name"] for one in found["databases"]] == ["fleet"]
    assert "is a member of the cluster" in found["findings"][0]["message"]


def test_only_those_that_are_given():
    found = drawn([role(GOOD, policy(f"{PREFIX}db-BILLING/app", name="other"))], only=True)
    assert [one["name"] for one in found["databases"]] == ["orders"]
    assert kinds(found) == set(), "billing is there, though the map does not show it"


def test_a_database_that_is_not_there_is_said():
    gone = {"db_cluster_identifier": "gone", "not_collected_reason": "it was not read", "users": None}
    found = drawn([], given=[gone])
    assert "The DB cluster gone: it is not in the region, or in a DB cluster there." in found["not_collected"]


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
        f"{PREFIX}*app": ["*"],
        "arn:aws:rds-db:eu-west-1": ["*"],
        "arn:aws:rds-db:us-east-1": [],
        f"{prefix}/${{aws:PrincipalTag/user}}": ["*"],
        f"{prefix}/${{aws:username}}": [],
    }.items():
        pattern = ResourcePattern(resource, login_context("role", "app", "arn:aws:iam::123456789012:role/app"), True)
        assert list(pattern.users(prefix)) == users, resource
