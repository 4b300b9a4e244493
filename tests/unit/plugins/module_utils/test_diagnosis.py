# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the chain says of causes that a lab cannot have. The others are broken for real in tests/integration."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.dbops.rds_iam.plugins.module_utils._database import instance_record
from ansible_collections.dbops.rds_iam.plugins.module_utils._diagnosis import Case, Role, Unread, diagnose, verdict
from ansible_collections.dbops.rds_iam.plugins.module_utils._ec2 import Instance
from ansible_collections.dbops.rds_iam.plugins.module_utils._links import BROKEN, OK, UNKNOWN
from ansible_collections.dbops.rds_iam.plugins.module_utils._permission import Policy

ENDPOINT = "orders.cabcdefghijk.eu-west-1.rds.amazonaws.com"
RECORD = instance_record(
    {
        "DBInstanceIdentifier": "orders",
        "DBInstanceArn": "arn:aws:rds:eu-west-1:123456789012:db:orders",
        "DbiResourceId": "db-ABC",
        "DBInstanceStatus": "available",
        "Engine": "mysql",
        "Endpoint": {"Address": ENDPOINT, "Port": 3306},
        "IAMDatabaseAuthenticationEnabled": True,
    }
)
ARN = f"{RECORD['connect_arn_prefix']}/app"
ALLOW = {"Statement": {"Effect": "Allow", "Action": "rds-db:connect", "Resource": ARN}}
DENIED = {
    "endpoint": ENDPOINT,
    "port": 3306,
    "verdict": "denied",
    "failed_at": "login",
    "msg": "The server refused the login of app: Access denied for user 'app'@'10.0.1.11' (error 1045).",
}
HOST = {
    "clock_skew": 0.2,
    "credentials": {"source": "iam-role", "role_name": "app-rds", "expires_at": None, "expired": False, "error": None},
    "programs": [{"path": "/usr/bin/mysql", "family": "MySQL", "version": "8.0"}],
    "libraries": {"botocore": "1.34.0", "pymysql": "1.1.0"},
    "target": {"endpoint": ENDPOINT, "port": 3306, "failed_at": None, "msg": None},
}
ACCOUNT = {"users": [{"name": "app", "host": "%", "statements": []}], "accounts_left": 2}
CASE = Case(
    client="app1",
    database=RECORD,
    name="orders",
    user="app",
    login=DENIED,
    host=HOST,
    instance=Instance("i-1", "running", "app-rds"),
    role=Role("app-rds", True, [Policy("connect", ALLOW)]),
    account=ACCOUNT,
)


def said(case):
    links = diagnose(case)
    return verdict(links), links


def statements(*texts):
    return {"users": [{"name": "app", "host": "%", "statements": list(texts)}], "accounts_left": 2}


BROKEN_CASES = {
    "stopped": ({"database": {**RECORD, "status": "stopped"}}, "database", "its status is stopped"),
    "key gone": ({"database": {**RECORD, "status": "inaccessible-encryption-credentials"}}, "database", "its status"),
    "missing": ({"missing": "There is no DB instance orders."}, "database", "There is no DB instance"),
    "off": ({"database": {**RECORD, "iam_auth_enabled": False}}, "flag", "is off"),
    "pending": (
        {"database": {**RECORD, "iam_auth_enabled": False, "pending": {"IAMDatabaseAuthenticationEnabled": True}}},
        "flag",
        "only pending",
    ),
    "unsupported": ({"unsupported": "The DB instance cannot."}, "flag", "The DB instance cannot"),
    "clock ahead": ({"host": {**HOST, "clock_skew": 1200.0}}, "clock", "1200 seconds ahead of"),
    "clock behind": ({"host": {**HOST, "clock_skew": -1200.0}}, "clock", "1200 seconds behind"),
    "no profile": ({"instance": Instance("i-1", "running", None)}, "profile", "no instance profile is attached to i-1"),
    "empty profile": ({"role": None}, "profile", "has no role in it"),
    "trust": ({"role": replace(CASE.role, trusts_ec2=False)}, "profile", "does not let EC2 assume it"),
    "other keys": (
        {"host": {**HOST, "credentials": {**HOST["credentials"], "source": "env", "role_name": None}}},
        "credentials",
        "credentials from env",
    ),
    "expired": (
        {"host": {**HOST, "credentials": {**HOST["credentials"], "expired": True, "expires_at": "2026-01-01"}}},
        "credentials",
        "ended at 2026-01-01",
    ),
    "old role": (
        {"host": {**HOST, "credentials": {**HOST["credentials"], "role_name": "old"}}},
        "credentials",
        "still served credentials of the IAM role old",
    ),
    "no library": ({"host": {**HOST, "libraries": {"botocore": "1", "pymysql": None}}}, "client", "lacks the Python"),
    "no client": ({"host": {**HOST, "programs": []}}, "client", "no mysql or mariadb client"),
    "no policy": ({"role": replace(CASE.role, policies=[])}, "permission", "no policy of the IAM role app-rds"),
    "no account": ({"account": statements("CREATE USER 'app'@'%' IDENTIFIED ...")}, "account", "no account 'app'@'%'"),
    "plugin": ({"account": statements("ALTER USER 'app'@'%' IDENTIFIED WITH x")}, "account", "does not log in with"),
    "locked": ({"account": statements("ALTER USER 'app'@'%' ACCOUNT UNLOCK")}, "account", "is locked"),
    "password": ({"account": {"failed": True, "conflict": True, "msg": "A password; do."}}, "account", "A password"),
    "other host": (
        {"account": {"users": [{"name": "app", "host": "192.168.%", "statements": []}], "accounts_left": 2}},
        "account",
        "is not for 10.0.1.11",
    ),
    "nothing visible": ({}, "login", "although every link that can be seen holds"),
}


@pytest.mark.parametrize("name", BROKEN_CASES)
def test_the_broken_link_is_named(name):
    changes, link, words = BROKEN_CASES[name]
    (state, sentence), links = said(replace(CASE, **changes))
    assert state == BROKEN
    assert next(one.name for one in links if one.state == BROKEN) == link
    assert words in sentence and "; to repair it, " in sentence


def test_the_order_of_the_chain():
    names = ["database", "flag", "name", "port", "tls", "certificate", "clock", "profile", "credentials", "permission"]
    assert [link.name for link in diagnose(CASE)] == [*names, "account", "token", "client", "login"]


def test_a_good_login_is_not_looked_into():
    login = {"verdict": "allowed", "current_user": "app@%", "tls_version": "TLSv1.3"}
    (state, sentence), links = said(Case("app1", Unread("not read"), "orders", "app", login=login))
    assert (state, sentence) == (OK, "")
    assert {link.state for link in links} == {OK}


def test_a_refusal_that_is_wanted():
    (state, sentence), _links = said(replace(CASE, expect="denied"))
    assert (state, sentence) == (OK, "")


def test_an_account_that_could_not_be_read():
    account = {"users": [], "conflict": False, "msg": "The server cannot be reached."}
    (state, reason), _links = said(replace(CASE, account=account))
    assert state == UNKNOWN and "account: The server cannot be reached" in reason
    # Check mode shows a plan also where PyMySQL is missing, as if the server had no account.
    account = {"users": [{"name": "app", "host": "%", "statements": ["CREATE USER 'app'@'%' ..."]}]}
    (state, reason), _links = said(replace(CASE, account=account))
    assert state == UNKNOWN and "account: the accounts could not be read" in reason


def test_a_login_that_should_be_refused():
    login = {**DENIED, "verdict": "allowed"}
    (state, sentence), _links = said(replace(CASE, expect="denied", login=login))
    assert state == BROKEN and "a statement of the policy connect allows" in sentence
    (state, sentence), _links = said(replace(CASE, expect="denied", login=login, role=Unread("no right")))
    assert state == BROKEN and "it is let in, and should not be" in sentence


def test_credentials_of_others_may_be_good_ones():
    host = {**HOST, "credentials": {**HOST["credentials"], "source": "env", "role_name": None}}
    (state, reason), _links = said(replace(CASE, host=host, account=statements("CREATE USER ...")))
    assert state == BROKEN and "no account 'app'@'%'" in reason
    (state, reason), _links = said(replace(CASE, host=host, account=Unread("no right")))
    assert state == UNKNOWN and "credentials from env" in reason and "no right" in reason


def test_a_user_whom_no_policy_names_and_who_should_be_refused():
    """What keeps the refusal from being proven is named, and not what makes it."""
    role, host = replace(CASE.role, policies=[]), {**HOST, "libraries": {"botocore": "1", "pymysql": None}}
    (state, reason), _links = said(replace(CASE, expect="denied", login=None, role=role, host=host))
    assert state == BROKEN and "lacks the Python libraries" in reason


@pytest.mark.parametrize("what", ["database", "host", "instance", "role", "account"])
def test_what_cannot_be_seen_is_unknown(what):
    (state, sentence), links = said(replace(CASE, **{what: Unread("these credentials are not allowed it")}))
    assert state == UNKNOWN and "these credentials are not allowed it" in sentence
    assert BROKEN not in {link.state for link in links}


@pytest.mark.parametrize("failed", ["name", "port", "tls", "certificate"])
def test_the_way_to_the_server(failed):
    target = {**HOST["target"], "failed_at": failed, "msg": "It cannot."}
    (state, sentence), links = said(replace(CASE, host={**HOST, "target": target}))
    assert state == BROKEN and "It cannot" in sentence
    way = {link.name: link.state for link in links[2:6]}
    expected = {"name": OK, "port": OK, "tls": OK, "certificate": OK}
    expected.update(dict.fromkeys(list(expected)[list(expected).index(failed):], UNKNOWN), **{failed: BROKEN})
    assert way == expected
