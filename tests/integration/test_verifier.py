# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The AWS side of the lab refuses what RDS, IAM and EC2 refuse. Tokens are botocore's, not this collection's."""

from __future__ import annotations

import datetime
import json
import os
import re
import ssl
import time
import types
import urllib.error
import urllib.request

import boto3
import botocore.auth
import pytest
from ansible_collections.dbops.rds_iam.plugins.module_utils._doctor.aws_reader import RoleReader
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.near_miss import Target
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.permission_check import check_policies
from aws_side import (
    ACCOUNT,
    ACCOUNT_TRUST,
    ADDRESSES,
    ADMIN,
    AWS_DIRECTORY,
    BUNDLE,
    DOMAIN,
    EC2_TRUST,
    HOSTS,
    LEDGER,
    REGION,
    Lab,
    allow,
    boto_token,
    deny,
    document,
    failure,
    signed,
    when,
)
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from cryptography import x509
from cryptography.hazmat.primitives import hashes


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    state = tmp_path_factory.mktemp("aws")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(AWS_DIRECTORY))
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        running = Lab(state)
        import server

        for name, value in server.ministack_environment(running.plan, state).items():
            patch.setenv(name, value)
        running.start()
        yield running
        running.run(running.side.stop())


@pytest.fixture(scope="module")
def app(lab) -> Credentials:
    """A user who may connect as "app" to all databases."""
    return lab.user("app-user", allow([lab.arn(name) for name in ("orders", "sales", "ledger")]))


@pytest.fixture
def clock(monkeypatch):
    """Set botocore's clock some seconds away from the lab's, which then stands still."""

    def move(seconds: float) -> None:
        import ministack.core.rds_iam as module

        now = float(int(time.time()))
        monkeypatch.setattr(module, "time", types.SimpleNamespace(time=lambda: now))
        then = datetime.datetime.fromtimestamp(now + seconds, datetime.timezone.utc).replace(tzinfo=None)
        monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: then)

    return move


# Tokens


@pytest.mark.parametrize(
    "seconds, expected",
    [
        (0, "ok"),
        (-899, "ok"),
        (-900, "ExpiredToken"),
        (-86400, "ExpiredToken"),
        (300, "ok"),
        (301, "TokenNotYetValid"),
        (86400, "TokenNotYetValid"),
    ],
)
def test_age(lab, app, clock, seconds, expected):
    clock(seconds)
    assert lab.login(boto_token(app))[0] == expected


def other_last_digit(token: str) -> str:
    return token[:-1] + ("0" if token[-1] != "0" else "1")


TOKENS = {
    "as made by boto3": (boto_token, "ok"),
    "name of the host in capitals": (lambda who: boto_token(who, HOSTS["orders"].upper()), "ok"),
    "changed signature": (lambda who: other_last_digit(boto_token(who)), "SignatureDoesNotMatch"),
    "another secret": (lambda who: boto_token(Credentials(who.access_key, "other")), "SignatureDoesNotMatch"),
    "older than it says": (lambda who: boto_token(who).replace("Expires=900", "Expires=899"), "SignatureDoesNotMatch"),
    "900 seconds": (lambda who: signed(who, 900), "ok"),
    "901 seconds": (lambda who: signed(who, 901), "InvalidToken"),
    "0 seconds": (lambda who: signed(who, 0), "InvalidToken"),
    "host of another database": (lambda who: boto_token(who, HOSTS["sales"]), "InvalidToken"),
    "alias of the host": (lambda who: boto_token(who, "db.example.com"), "InvalidToken"),
    "address instead of the host": (lambda who: boto_token(who, ADDRESSES["orders"]), "InvalidToken"),
    "another port": (lambda who: boto_token(who, port=3307), "InvalidToken"),
    "another region": (lambda who: boto_token(who, region="eu-west-2"), "InvalidToken"),
    "another service": (lambda who: signed(who, service="rds"), "InvalidToken"),
    "another user": (lambda who: boto_token(who, user="report"), "InvalidToken"),
    "user in another case": (lambda who: boto_token(who, user="App"), "InvalidToken"),
    "another action": (lambda who: signed(who, Action="Connect"), "InvalidToken"),
    "a path": (lambda who: signed(who, path="/orders"), "InvalidToken"),
    "foreign parameter, signed": (lambda who: signed(who, Database="orders"), "InvalidToken"),
    "foreign parameter, added": (lambda who: boto_token(who) + "&Database=orders", "InvalidToken"),
    "user given twice": (lambda who: boto_token(who) + "&DBUser=app", "InvalidToken"),
    "other user given first": (lambda who: boto_token(who).replace("/?", "/?DBUser=admin&"), "InvalidToken"),
    "parameter in another case": (lambda who: boto_token(who).replace("DBUser", "dbuser"), "InvalidToken"),
    "parameter missing": (lambda who: boto_token(who).replace("Action=connect&", ""), "InvalidToken"),
    "more signed headers": (lambda who: boto_token(who).replace("s=host", "s=host%3Bdate"), "InvalidToken"),
    "with a scheme": (lambda who: "https://" + boto_token(who), "InvalidToken"),
    "with a fragment": (lambda who: boto_token(who) + "#", "InvalidToken"),
    "with a line break": (lambda who: boto_token(who) + "\n", "InvalidToken"),
    "with a line break inside": (lambda who: boto_token(who).replace("&", "\n&", 1), "InvalidToken"),
    "with a NUL": (lambda who: boto_token(who) + "\0", "InvalidToken"),
    "not ASCII": (lambda who: boto_token(who) + "é", "InvalidToken"),
    "too long": (lambda who: boto_token(who) + "&a=" + "b" * 65536, "InvalidToken"),
    "empty": (lambda who: "", "InvalidToken"),
    "a password": (lambda who: "master-of-orders", "InvalidToken"),
    "session token with a user's key": (
        lambda who: boto_token(Credentials(who.access_key, who.secret_key, "session")),
        "InvalidCredentials",
    ),
    "unknown key": (lambda who: boto_token(Credentials("AKIAI44QH8DHBEXAMPLE", "x")), "InvalidCredentials"),
    "ministack's root key": (lambda who: boto_token(Credentials("test", "test")), "InvalidCredentials"),
    "account number as key": (lambda who: boto_token(Credentials(ACCOUNT, "test")), "InvalidCredentials"),
}


@pytest.mark.parametrize("case", TOKENS)
def test_token(lab, app, case):
    make, expected = TOKENS[case]
    reason, entry = lab.login(make(app))
    assert reason == expected
    assert (entry["database"], entry["user"], entry["tls"]) == ("orders", "app", "yes")


def test_key_states(lab):
    iam = lab.client("iam")
    credentials = lab.user("key-states", allow())
    assert lab.login(boto_token(credentials))[0] == "ok"
    for status, expected in (("Inactive", "InvalidCredentials"), ("Active", "ok")):
        iam.update_access_key(UserName="key-states", AccessKeyId=credentials.access_key, Status=status)
        assert lab.login(boto_token(credentials))[0] == expected
    iam.delete_access_key(UserName="key-states", AccessKeyId=credentials.access_key)
    assert lab.login(boto_token(credentials))[0] == "InvalidCredentials"


def test_session_tokens(lab, monkeypatch):
    from ministack.services import sts

    credentials = lab.session(lab.role("sessions", allow()))
    other = lab.session(f"arn:aws:iam::{ACCOUNT}:role/sessions")
    reason, entry = lab.login(boto_token(credentials))
    assert (reason, entry["principal"]) == ("ok", f"arn:aws:sts::{ACCOUNT}:assumed-role/sessions/test")
    for token in (None, other.token, credentials.token[:-1] + "%"):
        wrong = Credentials(credentials.access_key, credentials.secret_key, token)
        assert lab.login(boto_token(wrong))[0] == "InvalidCredentials"
    assert lab.login(boto_token(credentials))[0] == "ok"
    token = boto_token(credentials)
    monkeypatch.setitem(sts._sessions[credentials.access_key], "Expiration", time.time() - 1)
    assert lab.login(token)[0] == "InvalidCredentials"


def test_session_of_a_deleted_role(lab):
    iam = lab.client("iam")
    credentials = lab.session(lab.role("short-lived", allow()))
    iam.delete_role_policy(RoleName="short-lived", PolicyName="p")
    iam.delete_role(RoleName="short-lived")
    assert lab.login(boto_token(credentials))[0] == "InvalidCredentials"
    lab.role("short-lived", allow())
    assert lab.login(boto_token(credentials))[0] == "InvalidCredentials"


# The server, the account, the database


@pytest.mark.parametrize(
    "fields, expected",
    [
        ({"tls": "0"}, "TlsRequired"),
        ({"tls": "2"}, "TlsRequired"),
        ({"tls": ""}, "TlsRequired"),
        ({"as": ""}, "NotAnIamAccount"),
        ({"as": "rds"}, "NotAnIamAccount"),
        ({"user": "App"}, "InvalidToken"),
        ({"user": "app\n"}, "InvalidToken"),
        ({"user": ""}, "InvalidTarget"),
        ({"local": "127.0.0.32 3306"}, "InvalidToken"),
        ({"local": "127.0.0.33 3306"}, "UnknownServer"),
        ({"local": "127.0.0.31 3307"}, "UnknownServer"),
        ({"local": "::ffff:127.0.0.31 3306"}, "ok"),
        ({"local": " 0"}, "UnknownServer"),
    ],
)
def test_connection(lab, app, fields, expected):
    assert lab.login(boto_token(app), **fields)[0] == expected


def test_second_database(lab, app):
    sales = {"local": f"{ADDRESSES['sales']} 3306"}
    assert lab.login(boto_token(app, HOSTS["sales"]), **sales)[0] == "ok"


def test_flag(lab, app, monkeypatch):
    """Off, on but only pending, on, and pending again to be off: what is in effect counts."""
    import gaps

    monkeypatch.setattr(gaps, "APPLY_SECONDS", 3.0)  # time for a login on a slow machine
    rds = lab.client("rds")

    def login():
        return lab.login(boto_token(app, HOSTS["sales"]), local=f"{ADDRESSES['sales']} 3306")[0]

    def modify(**request):
        return rds.modify_db_instance(DBInstanceIdentifier="sales", **request)["DBInstance"]

    modify(EnableIAMDatabaseAuthentication=False, ApplyImmediately=True)
    lab.wait_flag("sales", False)
    assert login() == "IamAuthenticationDisabled"
    pending = modify(EnableIAMDatabaseAuthentication=True)["PendingModifiedValues"]
    assert pending == {"IAMDatabaseAuthenticationEnabled": True}
    assert login() == "IamAuthenticationDisabled"
    at_once = modify(EnableIAMDatabaseAuthentication=True, ApplyImmediately=True)
    assert at_once["DBInstanceStatus"] == "modifying" and not at_once["IAMDatabaseAuthenticationEnabled"]
    assert login() == "IamAuthenticationDisabled"
    assert not lab.wait_flag("sales", True)["PendingModifiedValues"]
    assert login() == "ok"
    modify(EnableIAMDatabaseAuthentication=False)
    assert login() == "ok"
    assert modify(EnableIAMDatabaseAuthentication=True)["PendingModifiedValues"] == {}


def test_stopped_database(lab, app):
    rds = lab.client("rds")
    rds.stop_db_instance(DBInstanceIdentifier="orders")
    assert lab.login(boto_token(app))[0] == "DatabaseNotAvailable"
    rds.start_db_instance(DBInstanceIdentifier="orders")
    assert lab.login(boto_token(app))[0] == "ok"


@pytest.fixture(scope="module")
def ledger(lab):
    """Switch the flag of the cluster and return the cluster as it is then."""
    rds = lab.client("rds")

    def switch(flag: bool) -> dict:
        rds.modify_db_cluster(DBClusterIdentifier="ledger", EnableIAMDatabaseAuthentication=flag, ApplyImmediately=True)
        return lab.wait_flag_of_cluster("ledger", flag)

    switch(True)
    return switch


@pytest.mark.parametrize("address", LEDGER)
def test_cluster_takes_tokens_for_the_endpoint_that_was_dialled(lab, app, ledger, address):
    for name in LEDGER.values():
        reason, entry = lab.login(boto_token(app, name), local=f"{address} 3306")
        assert reason == ("ok" if name == LEDGER[address] else "InvalidToken")
        assert (entry["database"], entry["endpoint"]) == ("ledger", LEDGER[address])


def test_cluster_is_authorised_on_its_own_resource_id(lab, ledger):
    ids = [lab.database(name)["DbiResourceId"] for name in ("ledger-1", "ledger-2")]
    members = lab.user(
        "members", allow([f"arn:aws:rds-db:{REGION}:{ACCOUNT}:dbuser:{resource_id}/app" for resource_id in ids])
    )
    for address, name in LEDGER.items():
        assert lab.login(boto_token(members, name), local=f"{address} 3306")[0] == "ImplicitDeny"


def test_cluster_has_one_flag(lab, app, ledger):
    def logins():
        return {lab.login(boto_token(app, name), local=f"{address} 3306")[0] for address, name in LEDGER.items()}

    ledger(False)
    assert logins() == {"IamAuthenticationDisabled"}
    ledger(True)
    assert logins() == {"ok"}


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\n",
        b"AWSAUTH/2\n\n",
        b"AWSAUTH/1\n\n",
        b"AWSAUTH/1\ntls 31\ntls 31\n\n",
        b"AWSAUTH/1\ntls 3\n\n",
        b"AWSAUTH/1\nother 31\n\n",
        b"AWSAUTH/1\nuser ff\n\n",
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)
def test_malformed_request(lab, request_bytes):
    assert lab.raw(request_bytes).startswith("NO MalformedRequest")


# Policies. "%" in a resource stands for the ARN up to the user name.

FUTURE = "2099-01-01T00:00:00Z"
PAST = "2001-01-01T00:00:00Z"


POLICIES = {
    "none": ([], "ImplicitDeny"),
    "exact": ([allow("%/app")], "ok"),
    "action in capitals": ([allow("%/app", "RDS-DB:CONNECT")], "ok"),
    "action *": ([allow("%/app", "*")], "ok"),
    "action with *": ([allow("%/app", "rds-db:*")], "ok"),
    "action with ?": ([allow("%/app", "rds-db:connec?")], "ok"),
    "action of RDS": ([allow("*", ["rds:*", "rds-data:*"])], "ImplicitDeny"),
    "resource with *": ([allow("%/a*")], "ok"),
    "resource *": ([allow("*")], "ok"),
    "any database": ([allow(f"arn:aws:rds-db:{REGION}:{ACCOUNT}:dbuser:*/app")], "ok"),
    "resource with ?": ([allow("%/a?p")], "ok"),
    "resource with one ? too few": ([allow("%/a?")], "ImplicitDeny"),
    "resource with one ? too many": ([allow("%/app?")], "ImplicitDeny"),
    "resource in another case": ([allow("%/App")], "ImplicitDeny"),
    "another user": ([allow("%/report")], "ImplicitDeny"),
    "a longer user": ([allow("%/app2")], "ImplicitDeny"),
    "another database": ([allow(f"arn:aws:rds-db:{REGION}:{ACCOUNT}:dbuser:db-OTHER/app")], "ImplicitDeny"),
    "name instead of resource id": ([allow(f"arn:aws:rds-db:{REGION}:{ACCOUNT}:dbuser:orders/app")], "ImplicitDeny"),
    "another account": ([allow(f"arn:aws:rds-db:{REGION}:210987654321:dbuser:*/app")], "ImplicitDeny"),
    "several statements": ([allow("*", "s3:*"), allow(["%/report", "%/app"])], "ok"),
    "NotAction without it": ([{"Effect": "Allow", "NotAction": "s3:*", "Resource": "%/app"}], "ok"),
    "NotAction with it": ([{"Effect": "Allow", "NotAction": "rds-db:Connect", "Resource": "*"}], "ImplicitDeny"),
    "NotResource without it": ([{"Effect": "Allow", "Action": "rds-db:connect", "NotResource": "%/report"}], "ok"),
    "NotResource with it": ([{"Effect": "Allow", "Action": "rds-db:connect", "NotResource": "%/a*"}], "ImplicitDeny"),
    "Deny": ([allow("*"), deny("%/app")], "Deny"),
    "Deny before Allow": ([deny("%/*"), allow("*")], "Deny"),
    "Deny of another user": ([allow("*"), deny("%/report")], "ok"),
    "Deny with NotAction": ([allow("*"), {"Effect": "Deny", "NotAction": "s3:*", "Resource": "*"}], "Deny"),
    "Deny with NotResource": ([allow("*"), {"Effect": "Deny", "Action": "*", "NotResource": "%/report"}], "Deny"),
    "condition met: username": ([allow(**when("StringEquals", "aws:username", "policies"))], "ok"),
    "condition met: one of two": ([allow(**when("StringLike", "aws:username", ["x", "pol*"]))], "ok"),
    "condition met: tag": ([allow(**when("StringEquals", "aws:PrincipalTag/team", "orders"))], "ok"),
    "condition met: time": ([allow(**when("DateLessThan", "aws:CurrentTime", FUTURE))], "ok"),
    "condition met: epoch": ([allow(**when("NumericGreaterThan", "aws:EpochTime", "1600000000"))], "ok"),
    "condition met: region": ([allow(**when("StringEquals", "aws:RequestedRegion", REGION))], "ok"),
    "condition met: account": ([allow(**when("StringEquals", "aws:PrincipalAccount", ACCOUNT))], "ok"),
    "condition met: type": ([allow(**when("StringEquals", "aws:PrincipalType", "User"))], "ok"),
    "condition met: ARN": ([allow(**when("ArnLike", "aws:PrincipalArn", f"arn:aws:iam::{ACCOUNT}:user/*"))], "ok"),
    "condition met: no session": ([allow(**when("Null", "aws:TokenIssueTime", "true"))], "ok"),
    "condition met: if exists": ([allow(**when("StringEqualsIfExists", "aws:PrincipalTag/none", "x"))], "ok"),
    "condition met: not equal": ([allow(**when("StringNotEquals", "aws:username", ["x", "y"]))], "ok"),
    "condition met: all values": (
        [allow(**when("ForAllValues:StringEquals", "aws:PrincipalTag/team", ["orders"]))],
        "ok",
    ),
    "condition not met: username": ([allow(**when("StringEquals", "aws:username", "other"))], "ImplicitDeny"),
    "condition not met: case": ([allow(**when("StringEquals", "aws:username", "Policies"))], "ImplicitDeny"),
    "condition not met: missing tag": ([allow(**when("StringEquals", "aws:PrincipalTag/none", "x"))], "ImplicitDeny"),
    "condition not met: time": ([allow(**when("DateLessThan", "aws:CurrentTime", PAST))], "ImplicitDeny"),
    "condition not met: one of two operators": (
        [
            allow(
                Condition={
                    "StringEquals": {"aws:username": "policies"},
                    "DateLessThan": {"aws:CurrentTime": PAST},
                }
            )
        ],
        "ImplicitDeny",
    ),
    "condition of Deny met": ([allow(), deny(**when("StringEquals", "aws:username", "policies"))], "Deny"),
    "condition of Deny not met": ([allow(), deny(**when("StringEquals", "aws:username", "other"))], "ok"),
    "not evaluable: source address": ([allow(**when("IpAddress", "aws:SourceIp", "0.0.0.0/0"))], "NotEvaluable"),
    "not evaluable: TLS": ([allow(**when("Bool", "aws:SecureTransport", "false"))], "NotEvaluable"),
    "not evaluable: TLS in Deny": ([allow(), deny(**when("Bool", "aws:SecureTransport", "true"))], "NotEvaluable"),
    "not evaluable: VPC": ([allow(**when("StringNotEquals", "aws:SourceVpc", "vpc-1"))], "NotEvaluable"),
    "not evaluable: user agent": ([allow(**when("StringLike", "aws:UserAgent", "*"))], "NotEvaluable"),
    "not evaluable: resource tag": ([allow(**when("StringEquals", "aws:ResourceTag/team", "orders"))], "NotEvaluable"),
    "not evaluable: MFA in Deny": (
        [allow(), deny(**when("BoolIfExists", "aws:MultiFactorAuthPresent", "true"))],
        "NotEvaluable",
    ),
    "not evaluable: also where another allows": (
        [allow(), allow(**when("IpAddress", "aws:SourceIp", "10.0.0.0/8"))],
        "NotEvaluable",
    ),
    "not evaluable: operator": ([allow(), deny(**when("StringSounds", "aws:username", "x"))], "NotEvaluable"),
    "not evaluable: operator with suffix": (
        [allow(), deny(**when("NullIfExists", "aws:username", "true"))],
        "NotEvaluable",
    ),
    "not evaluable: date": ([allow(), deny(**when("DateLessThan", "aws:CurrentTime", "soon"))], "NotEvaluable"),
    "not evaluable: number": ([allow(), deny(**when("NumericLessThan", "aws:EpochTime", "1e99"))], "NotEvaluable"),
    "not evaluable: ARN": ([allow(), deny(**when("ArnLike", "aws:PrincipalArn", "*"))], "NotEvaluable"),
    "not evaluable: variable in value": (
        [allow(), deny(**when("StringNotEquals", "aws:username", "${aws:userid}"))],
        "NotEvaluable",
    ),
    "not evaluable: variable in resource": ([allow("%/${aws:username}")], "NotEvaluable"),
    "not evaluable: variable in Deny": ([allow(), deny("%/${aws:PrincipalTag/team}")], "NotEvaluable"),
    "not evaluable: asterisk beyond a colon": ([allow("arn:aws:rds-db:eu-west-1:*/app")], "NotEvaluable"),
    "not evaluable: asterisk for the type": (
        [allow(), deny(f"arn:aws:rds-db:{REGION}:{ACCOUNT}:*/app")],
        "NotEvaluable",
    ),
    "all that follows the Region": ([allow(f"arn:aws:rds-db:{REGION}:*")], "ok"),
    "not evaluable: no action": ([allow(action=[])], "NotEvaluable"),
    "not evaluable: condition is no object": ([allow(), deny(Condition={"StringEquals": "x"})], "NotEvaluable"),
    "evaluable: the unknown is about another action": (
        [allow(), deny("*", "s3:*", **when("Bool", "aws:SecureTransport", "false"))],
        "ok",
    ),
    "evaluable: the unknown is about another user": (
        [allow(), deny("%/report", **when("Bool", "aws:SecureTransport", "false"))],
        "ok",
    ),
}


@pytest.fixture(scope="module")
def policies_user(lab) -> Credentials:
    return lab.user("policies", Tags=[{"Key": "team", "Value": "orders"}])


@pytest.fixture
def clean_user(lab, policies_user):
    yield policies_user
    iam = lab.client("iam")
    for name in iam.list_user_policies(UserName="policies")["PolicyNames"]:
        iam.delete_user_policy(UserName="policies", PolicyName=name)


@pytest.mark.parametrize("case", POLICIES)
def test_policy(lab, clean_user, case):
    statements, expected = POLICIES[case]
    prefix = lab.arn(user="")[:-1]
    lab.put_policy("policies", *json.loads(json.dumps(statements).replace("%", prefix)))
    reason, entry = lab.login(boto_token(clean_user))
    assert reason == expected
    assert entry["principal"] == f"arn:aws:iam::{ACCOUNT}:user/policies"


def test_group_and_managed_policies(lab):
    iam = lab.client("iam")
    credentials = lab.user("member")
    iam.create_group(GroupName="readers")
    iam.put_group_policy(GroupName="readers", PolicyName="p", PolicyDocument=document(allow(lab.arn())))
    assert lab.login(boto_token(credentials))[0] == "ImplicitDeny"
    iam.add_user_to_group(GroupName="readers", UserName="member")
    assert lab.login(boto_token(credentials))[0] == "ok"
    arn = iam.create_policy(PolicyName="no-login", PolicyDocument=document(deny()))["Policy"]["Arn"]
    iam.attach_user_policy(UserName="member", PolicyArn=arn)
    assert lab.login(boto_token(credentials))[0] == "Deny"


@pytest.mark.parametrize(
    "boundary, expected",
    [
        ([allow("*", "rds-db:*")], "ok"),
        ([allow("*", "s3:*")], "ImplicitDeny"),
        ([allow(), deny()], "Deny"),
        ([allow(**when("Bool", "aws:SecureTransport", "true"))], "NotEvaluable"),
    ],
)
def test_permissions_boundary(lab, boundary, expected):
    name = "boundary-" + expected
    iam = lab.client("iam")
    arn = iam.create_policy(PolicyName=name, PolicyDocument=document(*boundary))["Policy"]["Arn"]
    credentials = lab.user(name, allow(), PermissionsBoundary=arn)
    assert lab.login(boto_token(credentials))[0] == expected
    role = lab.session(lab.role(name, allow(), PermissionsBoundary=arn))
    assert lab.login(boto_token(role))[0] == expected


def test_boundary_alone_allows_nothing(lab):
    arn = lab.client("iam").create_policy(PolicyName="only", PolicyDocument=document(allow()))["Policy"]["Arn"]
    assert lab.login(boto_token(lab.user("only-boundary", PermissionsBoundary=arn)))[0] == "ImplicitDeny"


@pytest.fixture(scope="module")
def role_arn(lab) -> str:
    return lab.role("app-role", allow(), Path="/apps/", Tags=[{"Key": "team", "Value": "orders"}])


@pytest.mark.parametrize(
    "policy, expected",
    [
        (None, "ok"),
        ([allow()], "ok"),
        ([allow("*", "s3:*")], "ImplicitDeny"),
        ([allow("*", "*"), deny()], "Deny"),
        ([allow(**when("StringEquals", "aws:SourceVpce", "vpce-1"))], "NotEvaluable"),
    ],
)
def test_session_policy(lab, role_arn, policy, expected):
    options = {"Policy": document(*policy)} if policy else {}
    assert lab.login(boto_token(lab.session(role_arn, **options)))[0] == expected


@pytest.mark.parametrize(
    "condition, expected",
    [
        (when("StringEquals", "aws:PrincipalArn", f"arn:aws:iam::{ACCOUNT}:role/apps/app-role"), "ok"),
        (when("StringLike", "aws:PrincipalArn", "arn:aws:sts::*"), "ImplicitDeny"),
        (when("StringEquals", "aws:PrincipalType", "AssumedRole"), "ok"),
        (when("StringLike", "aws:userid", "AROA*:test"), "ok"),
        (when("StringEquals", "aws:PrincipalTag/Team", "orders"), "ok"),
        (when("StringEquals", "aws:PrincipalTag/shift", "night"), "ok"),
        (when("Null", "aws:username", "true"), "ok"),
        (when("DateGreaterThan", "aws:TokenIssueTime", PAST), "ok"),
        (when("DateGreaterThan", "aws:TokenIssueTime", FUTURE), "ImplicitDeny"),
    ],
)
def test_condition_on_a_role(lab, role_arn, condition, expected):
    iam = lab.client("iam")
    iam.put_role_policy(RoleName="app-role", PolicyName="p", PolicyDocument=document(allow(**condition)))
    credentials = lab.session(role_arn, Tags=[{"Key": "shift", "Value": "night"}])
    assert lab.login(boto_token(credentials))[0] == expected
    iam.put_role_policy(RoleName="app-role", PolicyName="p", PolicyDocument=document(allow()))


def test_admin_may_connect(lab):
    assert lab.login(boto_token(ADMIN))[0] == "ok"


def test_logs_hold_no_secret(lab, app):
    token = boto_token(app)
    lab.login(token)
    text = "".join((lab.state / name).read_text() for name in ("verifier.jsonl", "api.jsonl", "seed.json"))
    signature = token.rsplit("=", 1)[1]
    for secret in (signature, "X-Amz-Signature", app.secret_key, ADMIN.secret_key, "master-of-orders"):
        assert secret not in text


# The API


def test_api_log(lab, app):
    before = len(lab.calls())
    lab.client("sts").get_caller_identity()
    lab.client("secretsmanager").list_secrets()
    assert failure(lab.client("rds").describe_db_instances, DBInstanceIdentifier="none") == "DBInstanceNotFound"
    assert failure(lab.client("iam", app).create_user, UserName="x") == "AccessDenied"
    assert failure(lab.client("ec2", Credentials(ADMIN.access_key, "wrong")).describe_instances) == "AuthFailure"
    for unknown in ("test", "AKIAI44QH8DHBEXAMPLE"):
        nobody = lab.client("rds", Credentials(unknown, "test"))
        assert failure(nobody.describe_db_instances) == "InvalidClientTokenId"
    admin, user = f"arn:aws:iam::{ACCOUNT}:user/lab-admin", f"arn:aws:iam::{ACCOUNT}:user/app-user"
    calls = lab.calls()[before:]
    assert all(set(call) == {"time", "service", "action", "caller", "outcome", "status"} for call in calls)
    assert [(call["service"], call["action"], call["caller"], call["outcome"]) for call in calls] == [
        ("sts", "GetCallerIdentity", admin, "ok"),
        ("secretsmanager", "ListSecrets", admin, "ok"),
        ("rds", "DescribeDBInstances", admin, "DBInstanceNotFound"),
        ("iam", "CreateUser", user, "AccessDenied"),
        ("ec2", "DescribeInstances", admin, "AuthFailure"),
        ("rds", "DescribeDBInstances", None, "InvalidClientTokenId"),
        ("rds", "DescribeDBInstances", None, "InvalidClientTokenId"),
    ]


@pytest.mark.parametrize(
    "method, path",
    [
        ("POST", "/_ministack/reset"),
        ("GET", "/_ministack/health"),
        ("POST", "/_ministack/config"),
        ("GET", "/health"),
        ("GET", "/latest/meta-data/"),
        ("PUT", "/bucket"),
        ("GET", "/?Action=ListUsers&Version=2010-05-08"),
        ("POST", "/"),
    ],
)
def test_only_signed_calls_come_in(lab, method, path):
    for headers in ({}, {"Authorization": "AWS4-HMAC-SHA256 Credential=test/20260101/eu-west-1/rds/aws4_request"}):
        request = urllib.request.Request(lab.url + path, method=method, headers=headers)
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(request, timeout=5)
        assert caught.value.code in (400, 403)


def test_signed_query_string_is_refused(lab):
    """Ministack would allow the action in the query and run the one in the body."""
    request = AWSRequest(
        "POST",
        lab.url + "/?Action=DescribeDBInstances",
        data="Action=DeleteDBInstance",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    botocore.auth.SigV4Auth(ADMIN, "rds", REGION).add_auth(request)
    prepared = request.prepare()
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(
            urllib.request.Request(prepared.url, b"Action=DeleteDBInstance", dict(prepared.headers), method="POST"),
            timeout=5,
        )
    assert caught.value.code == 403


def test_nothing_is_lost_at_the_seed(lab):
    database = lab.database("orders")
    assert database["DbiResourceId"] == lab.seed["databases"]["orders"]["resource_id"]
    assert re.fullmatch("db-[A-Z2-7]{26}", database["DbiResourceId"])
    assert database["DbiResourceId"] != lab.database("sales")["DbiResourceId"]
    assert database["Endpoint"]["Address"] == HOSTS["orders"]
    secret = lab.client("secretsmanager").get_secret_value(SecretId=database["MasterUserSecret"]["SecretArn"])
    assert secret["Name"].startswith("rds!db-")
    assert json.loads(secret["SecretString"]) == {"username": "admin", "password": "master-of-orders"}
    assert "MasterUserSecret" not in lab.database("sales")


def test_the_cluster_is_there_with_its_members(lab):
    (cluster,) = lab.client("rds").describe_db_clusters(DBClusterIdentifier="ledger")["DBClusters"]
    assert cluster["DbClusterResourceId"] == lab.seed["databases"]["ledger"]["resource_id"]
    assert re.fullmatch("cluster-[A-Z2-7]{26}", cluster["DbClusterResourceId"])
    assert [cluster["Endpoint"], cluster["ReaderEndpoint"]] == list(LEDGER.values())[:2]
    writers = {member["DBInstanceIdentifier"]: member["IsClusterWriter"] for member in cluster["DBClusterMembers"]}
    assert writers == {"ledger-1": True, "ledger-2": False}
    for name in writers:
        member = lab.database(name)
        assert member["Endpoint"]["Address"] == f"{name}.{DOMAIN}"
        assert (member["DBClusterIdentifier"], member["Engine"]) == ("ledger", "aurora-mysql")
        assert "MasterUserSecret" not in member
    secret = lab.client("secretsmanager").get_secret_value(SecretId=cluster["MasterUserSecret"]["SecretArn"])
    assert secret["Name"].startswith("rds!cluster-")
    assert json.loads(secret["SecretString"])["password"] == "master-of-ledger"


def test_cluster_without_one_of_its_members(lab, app, ledger):
    lab.client("rds").delete_db_instance(DBInstanceIdentifier="ledger-2", SkipFinalSnapshot=True)
    answers = [lab.login(boto_token(app, name), local=f"{address} 3306")[0] for address, name in LEDGER.items()]
    assert answers == ["ok", "ok", "ok", "DatabaseNotFound"]
    cluster = ledger(True)
    assert [cluster["Endpoint"], cluster["ReaderEndpoint"]] == list(LEDGER.values())[:2]


@pytest.mark.parametrize(
    "engine, instance_class, expected",
    [
        ("mysql", "db.t4g.micro", True),
        ("mariadb", "db.t3.micro", True),
        ("postgres", "db.m5.large", True),
        ("aurora-mysql", "db.r5.large", True),
        ("mysql", "db.t2.micro", False),
        ("oracle-ee", "db.m5.large", False),
        ("sqlserver-se", "db.m5.large", False),
        ("db2-se", "db.m5.large", False),
    ],
)
def test_orderable_options(lab, engine, instance_class, expected):
    options = lab.client("rds").describe_orderable_db_instance_options(Engine=engine, DBInstanceClass=instance_class)[
        "OrderableDBInstanceOptions"
    ]
    assert [(option["DBInstanceClass"], option["SupportsIAMDatabaseAuthentication"]) for option in options] == [
        (instance_class, expected)
    ]


@pytest.fixture
def extra(lab):
    """An instance of its own for tests that leave something pending."""
    rds = lab.client("rds")
    rds.create_db_instance(
        DBInstanceIdentifier="extra",
        Engine="mysql",
        DBInstanceClass="db.t3.micro",
        AllocatedStorage=20,
        MasterUsername="admin",
        ManageMasterUserPassword=True,
    )
    yield lambda **request: rds.modify_db_instance(DBInstanceIdentifier="extra", **request)["DBInstance"]
    secret = lab.database("extra")["MasterUserSecret"]["SecretArn"]
    rds.delete_db_instance(DBInstanceIdentifier="extra", SkipFinalSnapshot=True)
    assert failure(lab.client("secretsmanager").get_secret_value, SecretId=secret) == "ResourceNotFoundException"


def test_immediate_apply_takes_all_pending_values_with_it(lab, extra, monkeypatch):
    import gaps

    monkeypatch.setattr(gaps, "APPLY_SECONDS", 0.1)
    extra(AllocatedStorage=30)
    pending = extra(EnableIAMDatabaseAuthentication=True)["PendingModifiedValues"]
    assert pending == {"AllocatedStorage": 30, "IAMDatabaseAuthenticationEnabled": True}
    # What another instance applies at once takes as long, and began later.
    for flag in (False, True):
        lab.client("rds").modify_db_instance(
            DBInstanceIdentifier="sales", EnableIAMDatabaseAuthentication=flag, ApplyImmediately=True
        )
        lab.wait_flag("sales", flag)
    assert lab.database("extra")["PendingModifiedValues"] == pending, "pending values wait for the window"
    extra(DBInstanceClass="db.t3.small", ApplyImmediately=True)
    database = lab.wait_flag("extra", True)
    assert database["AllocatedStorage"] == 30 and database["DBInstanceClass"] == "db.t3.small"
    assert database["PendingModifiedValues"] == {}


def test_pending_value_of_another_time_stays(lab, extra):
    extra(EnableIAMDatabaseAuthentication=True, ApplyImmediately=True)
    extra(AllocatedStorage=40)
    assert lab.wait_flag("extra", True)["PendingModifiedValues"] == {"AllocatedStorage": 40}


FLAG = {"EnableIAMDatabaseAuthentication": True, "ApplyImmediately": True}


@pytest.fixture
def aurora(lab):
    """A cluster with one member."""
    rds, login = lab.client("rds"), {"MasterUsername": "admin", "MasterUserPassword": "master-of-aurora"}
    rds.create_db_cluster(DBClusterIdentifier="aurora", Engine="aurora-mysql", **login)
    member = {"Engine": "aurora-mysql", "DBInstanceClass": "db.r5.large", "DBClusterIdentifier": "aurora"}
    rds.create_db_instance(DBInstanceIdentifier="member", **member)


def test_modify_is_refused(lab, extra, aurora):
    rds = lab.client("rds")

    def refused(identifier, **request):
        return failure(rds.modify_db_instance, DBInstanceIdentifier=identifier, **request)

    login = {"MasterUsername": "admin", "MasterUserPassword": "master-of-oracle"}
    size = {"DBInstanceClass": "db.m5.large", "AllocatedStorage": 20}
    rds.create_db_instance(DBInstanceIdentifier="oracle", Engine="oracle-se2", **size, **login)
    for identifier in ("member", "oracle"):
        assert refused(identifier, **FLAG) == "InvalidParameterCombination"
    assert refused("none", **FLAG) == "DBInstanceNotFound"
    assert refused("sales", MasterUserPassword="another-password") == "InvalidParameterCombination"
    for password in ({"MasterUserPassword": "another-password"}, {"RotateMasterUserPassword": True}):
        request = {"DBClusterIdentifier": "ledger", "ApplyImmediately": True, **password}
        assert failure(rds.modify_db_cluster, **request) == "InvalidParameterCombination"
    rds.stop_db_instance(DBInstanceIdentifier="extra")
    assert refused("extra", **FLAG) == "InvalidDBInstanceState"
    cluster = rds.modify_db_cluster(DBClusterIdentifier="aurora", **FLAG)["DBCluster"]
    assert (cluster["Status"], cluster["IAMDatabaseAuthenticationEnabled"]) == ("modifying", False)
    assert "PendingModifiedValues" not in lab.wait_flag_of_cluster("aurora", True)
    cluster = rds.modify_db_cluster(DBClusterIdentifier="aurora", EnableIAMDatabaseAuthentication=False)["DBCluster"]
    assert cluster["PendingModifiedValues"] == {"IAMDatabaseAuthenticationEnabled": False}


def test_identifiers_in_other_letters(lab):
    rds = lab.client("rds")
    (orders,) = rds.describe_db_instances(DBInstanceIdentifier="Orders")["DBInstances"]
    (ledger,) = rds.describe_db_clusters(DBClusterIdentifier="LEDGER")["DBClusters"]
    assert (orders["DBInstanceIdentifier"], ledger["DBClusterIdentifier"]) == ("orders", "ledger")


def test_certificates(lab):
    (certificate,) = lab.client("rds").describe_certificates()["Certificates"]
    ca = x509.load_pem_x509_certificate((lab.state / BUNDLE).read_bytes())
    assert certificate["Thumbprint"] == ca.fingerprint(hashes.SHA1()).hex()
    assert certificate["ValidTill"] == ca.not_valid_after_utc


def test_iam_as_the_roles_need_it(lab):
    iam = lab.client("iam")
    nobody = {"RoleArn": f"arn:aws:iam::{ACCOUNT}:role/none", "RoleSessionName": "test"}
    assert failure(lab.client("sts").assume_role, **nobody) == "AccessDenied"
    arn = lab.role("simulated", allow(lab.arn()))
    for user, expected in (("app", "allowed"), ("report", "implicitDeny")):
        (result,) = iam.simulate_principal_policy(
            PolicySourceArn=arn,
            ActionNames=["rds-db:connect"],
            ResourceArns=[lab.arn(user=user)],
        )["EvaluationResults"]
        assert result["EvalDecision"] == expected
    iam.create_instance_profile(InstanceProfileName="simulated")
    iam.add_role_to_instance_profile(InstanceProfileName="simulated", RoleName="simulated")
    for undo in (
        lambda: iam.remove_role_from_instance_profile(InstanceProfileName="simulated", RoleName="simulated"),
        lambda: iam.delete_role_policy(RoleName="simulated", PolicyName="p"),
    ):
        assert failure(iam.delete_role, RoleName="simulated") == "DeleteConflict"
        undo()
    iam.delete_role(RoleName="simulated")


# The simulator


@pytest.fixture
def simulated(lab):
    """Simulate the login of a new role with these statements, with these entries of context."""
    made = []

    def simulate(*statements, boundary=None, **context):
        iam = lab.client("iam")
        name = f"simulated{len(made)}"
        made.append(name)
        arn = lab.role(name, *statements)
        if boundary:
            iam.put_role_permissions_boundary(RoleName=name, PermissionsBoundary=boundary)
        entries = [
            {"ContextKeyName": key, "ContextKeyValues": [value], "ContextKeyType": "string"}
            for key, value in context.items()
        ]
        request = {"PolicySourceArn": arn, "ActionNames": ["rds-db:connect"], "ResourceArns": [lab.arn()]}
        (result,) = iam.simulate_principal_policy(**request, ContextEntries=entries)["EvaluationResults"]
        (specific,) = result["ResourceSpecificResults"]
        assert specific["EvalResourceDecision"] == result["EvalDecision"]
        return result

    yield simulate
    for name in made:
        lab.delete_role(name)


REGION_LOCK = {"Condition": {"StringNotEquals": {"aws:RequestedRegion": [REGION]}}}


def test_the_simulator_has_no_context_but_what_it_is_given(lab, simulated):
    """It neither takes the address of its caller for that of the login, nor is it silent about what it lacks."""
    own = allow(lab.arn(), Condition={"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}})
    without = simulated(own)
    assert without["EvalDecision"] == "implicitDeny"
    assert without["ResourceSpecificResults"][0]["MissingContextValues"] == ["aws:SourceIp"]
    given = simulated(own, **{"aws:SourceIp": "127.0.0.1"})
    assert (given["EvalDecision"], given["MissingContextValues"]) == ("allowed", [])
    lock = deny("*", **REGION_LOCK)
    assert simulated(allow(lab.arn()), lock)["EvalDecision"] == "explicitDeny"
    assert simulated(allow(lab.arn()), lock, **{"aws:RequestedRegion": REGION})["EvalDecision"] == "allowed"


def test_the_simulator_lists_keys_of_other_statements(lab, simulated):
    other = {"Effect": "Deny", "Action": "ec2:*", "Resource": "*", "Condition": {"Null": {"ec2:ResourceTag/a": "true"}}}
    result = simulated(allow(lab.arn()), other)
    assert (result["EvalDecision"], result["MissingContextValues"]) == ("allowed", ["ec2:ResourceTag/a"])


def test_the_simulator_tells_what_a_boundary_says(lab, simulated):
    iam = lab.client("iam")
    policy = iam.create_policy(PolicyName="other", PolicyDocument=document({**allow("*"), "Action": "s3:*"}))["Policy"]
    result = simulated(allow(lab.arn()), boundary=policy["Arn"])
    assert result["EvalDecision"] == "implicitDeny"
    assert result["PermissionsBoundaryDecisionDetail"] == {"AllowedByPermissionsBoundary": False}
    assert "PermissionsBoundaryDecisionDetail" not in simulated(allow(lab.arn()))


def test_the_simulator_judges_the_organization_without_context(lab, simulated):
    """A Region lock denies where no Region is given, and its key is not among those that are missing."""
    assert "OrganizationsDecisionDetail" not in simulated(allow(lab.arn())), "the account is in no organization"
    with lab.organization(deny("*", **REGION_LOCK)):
        denied = simulated(allow(lab.arn()))
        assert (denied["EvalDecision"], denied["MissingContextValues"]) == ("explicitDeny", [])
        assert denied["OrganizationsDecisionDetail"] == {"AllowedByOrganizations": False}
        allowed = simulated(allow(lab.arn()), **{"aws:RequestedRegion": REGION})
        assert allowed["EvalDecision"] == "allowed"
        assert allowed["OrganizationsDecisionDetail"] == {"AllowedByOrganizations": True}


@pytest.fixture
def diagnosed(lab):
    """Return what the doctor says of the permission of a new role in an instance profile, with these statements."""
    iam = lab.client("iam")

    def diagnose(*statements):
        lab.role("diagnosed", *statements, trust=EC2_TRUST)
        iam.create_instance_profile(InstanceProfileName="diagnosed")
        iam.add_role_to_instance_profile(InstanceProfileName="diagnosed", RoleName="diagnosed")
        try:
            role = RoleReader(iam).read("diagnosed", [lab.arn()])
        finally:
            iam.remove_role_from_instance_profile(InstanceProfileName="diagnosed", RoleName="diagnosed")
            iam.delete_instance_profile(InstanceProfileName="diagnosed")
            lab.delete_role("diagnosed")
        assert role.simulations, "IAM was asked"
        target = Target(lab.arn(), "orders")
        return check_policies(target, "the IAM role", role.policies, role.simulations.get(lab.arn()), role.context)

    return diagnose


def test_what_the_doctor_makes_of_the_simulator(lab, diagnosed):
    """A deny that rests on what the simulator was not given hides nothing behind it; one that always holds is named."""
    assert diagnosed(allow(lab.arn())).status == "passed"
    assert diagnosed(allow(lab.arn()), deny("*", **REGION_LOCK)).status == "passed", "the Region is given"
    unknown = {"Condition": {"StringNotEquals": {"aws:PrincipalOrgID": "o-example"}}}
    check = diagnosed(allow(lab.arn()), deny("*", **unknown))
    assert check.status == "unknown" and "aws:PrincipalOrgID" in check.message
    with lab.organization(deny("*", **unknown)):
        check = diagnosed(allow(lab.arn()))
        assert check.status == "unknown" and "policies of the organization do not allow it" in check.message
    with lab.organization(deny("*", **REGION_LOCK)):
        assert diagnosed(allow(lab.arn())).status == "passed"
    by_address = {"Condition": {"NotIpAddress": {"aws:SourceIp": "127.0.0.0/8"}}}
    check = diagnosed(allow(lab.arn()), deny("*", Sid="OnlyFromHere", **by_address))
    assert check.status == "failed" and "the statement OnlyFromHere of the policy p denies" in check.message


def test_the_simulator_knows_nobody_else(lab):
    request = {"ActionNames": ["rds-db:connect"], "PolicySourceArn": f"arn:aws:iam::{ACCOUNT}:role/nobody"}
    assert failure(lab.client("iam").simulate_principal_policy, **request) == "NoSuchEntity"


# Instance profiles and metadata

CREDENTIALS = "/latest/meta-data/iam/security-credentials/"


@pytest.fixture
def profile(lab, monkeypatch):
    """Make a profile with a role; everything is gone after the test. Associations take no time."""
    import associations

    monkeypatch.setattr(associations, "ATTACH_SECONDS", 0)
    iam, ec2, made = lab.client("iam"), lab.client("ec2"), []

    def make(name, *statements, trust=None):
        lab.role(name, *statements, trust=trust or EC2_TRUST)
        iam.create_instance_profile(InstanceProfileName=name)
        iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)
        made.append(name)
        return {"Name": name}

    yield make
    for item in ec2.describe_iam_instance_profile_associations()["IamInstanceProfileAssociations"]:
        ec2.disassociate_iam_instance_profile(AssociationId=item["AssociationId"])
    for name in made:
        iam.remove_role_from_instance_profile(InstanceProfileName=name, RoleName=name)
        iam.delete_instance_profile(InstanceProfileName=name)
        for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]:
            iam.delete_role_policy(RoleName=name, PolicyName=policy)
        iam.delete_role(RoleName=name)


def test_instance_profiles(lab, profile):
    ec2, instance = lab.client("ec2"), lab.seed["clients"]["web1"]

    def associations(**filters):
        filters = [{"Name": name.replace("_", "-"), "Values": [value]} for name, value in filters.items()]
        return ec2.describe_iam_instance_profile_associations(Filters=filters)["IamInstanceProfileAssociations"]

    with pytest.raises(ClientError, match=r"InvalidParameterValue.*Invalid IAM Instance Profile name"):
        ec2.associate_iam_instance_profile(InstanceId=instance, IamInstanceProfile={"Name": "none"})
    for call in (
        lambda: ec2.describe_instances(InstanceIds=["i-00000000000000000"]),
        lambda: ec2.associate_iam_instance_profile(
            InstanceId="i-00000000000000000", IamInstanceProfile=profile("attached")
        ),
    ):
        assert failure(call) == "InvalidInstanceID.NotFound"
    first = ec2.associate_iam_instance_profile(InstanceId=instance, IamInstanceProfile={"Name": "attached"})[
        "IamInstanceProfileAssociation"
    ]
    assert (
        failure(ec2.associate_iam_instance_profile, InstanceId=instance, IamInstanceProfile=profile("other"))
        == "IncorrectState"
    )
    (found,) = associations(instance_id=instance, state="associated")
    assert found["IamInstanceProfile"]["Arn"].endswith(":instance-profile/attached")
    assert not associations(instance_id=lab.seed["clients"]["web2"])
    ec2.replace_iam_instance_profile_association(
        AssociationId=first["AssociationId"], IamInstanceProfile={"Name": "other"}
    )
    (found,) = associations(instance_id=instance)
    assert found["IamInstanceProfile"]["Arn"].endswith(":instance-profile/other")
    assert found["AssociationId"] != first["AssociationId"]
    ec2.disassociate_iam_instance_profile(AssociationId=found["AssociationId"])
    assert not associations(instance_id=instance)
    assert shown_profile(ec2, instance) is None


def shown_profile(ec2, instance: str) -> str | None:
    """The name of the profile that DescribeInstances shows."""
    found = ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
    return found.get("IamInstanceProfile", {}).get("Arn", "").rpartition("/")[2] or None


@pytest.fixture
def slow(monkeypatch, profile):
    """Associations change their states when the test says so. The fixture has two profiles, "one" and "other"."""
    import associations

    waiting = []
    monkeypatch.setattr(associations, "ATTACH_SECONDS", 1)
    monkeypatch.setattr(associations.threading, "Timer", lambda _seconds, run: Later(run, waiting))
    for name in ("one", "other"):
        profile(name)

    def finish():
        while waiting:
            waiting.pop(0)()

    yield finish
    finish()
    monkeypatch.setattr(associations, "ATTACH_SECONDS", 0)


class Later:
    """Stands for a timer, which a test ends."""

    def __init__(self, run, waiting):
        self.run, self.waiting = run, waiting

    def start(self):
        self.waiting.append(self.run)


def test_an_association_begins_and_ends_slowly(lab, slow):
    ec2, instance = lab.client("ec2"), lab.seed["clients"]["web1"]

    def states():
        found = ec2.describe_iam_instance_profile_associations()["IamInstanceProfileAssociations"]
        return [one["State"] for one in found]

    one, other = ({"Name": name} for name in ("one", "other"))
    begun = ec2.associate_iam_instance_profile(InstanceId=instance, IamInstanceProfile=one)
    assert begun["IamInstanceProfileAssociation"]["State"] == "associating"
    assert (states(), shown_profile(ec2, instance)) == (["associating"], None)
    assert lab.metadata(CREDENTIALS)[0] == 404
    slow()
    assert (states(), shown_profile(ec2, instance)) == (["associated"], "one")
    known = begun["IamInstanceProfileAssociation"]["AssociationId"]
    replaced = ec2.replace_iam_instance_profile_association(AssociationId=known, IamInstanceProfile=other)
    assert (states(), shown_profile(ec2, instance)) == (["associating"], "one")
    slow()
    known = replaced["IamInstanceProfileAssociation"]["AssociationId"]
    ended = ec2.disassociate_iam_instance_profile(AssociationId=known)
    assert ended["IamInstanceProfileAssociation"]["State"] == "disassociating"
    assert (states(), shown_profile(ec2, instance)) == (["disassociating"], "other")
    with pytest.raises(ClientError, match="There is an existing association for instance"):
        ec2.associate_iam_instance_profile(InstanceId=instance, IamInstanceProfile=one)
    slow()
    assert (states(), shown_profile(ec2, instance)) == ([], None)


def test_of_a_stopped_instance_no_association_is_replaced(lab, profile):
    ec2, instance = lab.client("ec2"), lab.seed["clients"]["web1"]
    begun = ec2.associate_iam_instance_profile(InstanceId=instance, IamInstanceProfile=profile("stopped"))
    ec2.stop_instances(InstanceIds=[instance])
    known = {"AssociationId": begun["IamInstanceProfileAssociation"]["AssociationId"]}
    with pytest.raises(ClientError, match="is not the active association"):
        ec2.replace_iam_instance_profile_association(**known, IamInstanceProfile={"Name": "stopped"})
    ec2.disassociate_iam_instance_profile(**known)
    ec2.associate_iam_instance_profile(InstanceId=instance, IamInstanceProfile={"Name": "stopped"})
    assert shown_profile(ec2, instance) == "stopped"
    ec2.start_instances(InstanceIds=[instance])


def test_instances_are_filtered(lab, profile):
    ec2, instance = lab.client("ec2"), lab.seed["clients"]["web1"]
    begun = ec2.associate_iam_instance_profile(InstanceId=instance, IamInstanceProfile=profile("filtered"))
    arn = begun["IamInstanceProfileAssociation"]["IamInstanceProfile"]["Arn"]

    def filtered(**filters):
        filters = [{"Name": name.replace("_", "-"), "Values": values} for name, values in filters.items()]
        return instances(ec2.describe_instances(Filters=filters))

    def instances(answer):
        return {
            instance["InstanceId"] for reservation in answer["Reservations"] for instance in reservation["Instances"]
        }

    everything = set(lab.seed["clients"].values())
    assert filtered() == filtered(instance_state_name=["running"]) == everything
    assert filtered(instance_id=[instance, "i-00000000000000000"]) == {instance}
    by_profile = [{"Name": "iam-instance-profile.arn", "Values": [arn]}]
    assert instances(ec2.describe_instances(Filters=by_profile)) == {instance}
    assert failure(ec2.describe_instances, Filters=[{"Name": "iam-profile", "Values": [arn]}]) == (
        "InvalidParameterValue"
    )


@pytest.mark.parametrize(
    "headers, expected",
    [
        ({}, 400),
        ({"X_aws_ec2_metadata_token_ttl_seconds": "0"}, 400),
        ({"X_aws_ec2_metadata_token_ttl_seconds": "21601"}, 400),
        ({"X_aws_ec2_metadata_token_ttl_seconds": "1e3"}, 400),
        ({"X_aws_ec2_metadata_token_ttl_seconds": "21600"}, 200),
        ({"X_aws_ec2_metadata_token_ttl_seconds": "60", "X_Forwarded_For": "10.0.0.1"}, 403),
    ],
)
def test_metadata_token(lab, headers, expected):
    assert lab.imds("/latest/api/token", "PUT", **headers)[0] == expected


def test_metadata_needs_a_token(lab, monkeypatch):
    import imds

    now = time.monotonic()
    monkeypatch.setattr(imds, "time", types.SimpleNamespace(monotonic=lambda: now))
    for headers in ({}, {"X_aws_ec2_metadata_token": "guess"}):
        assert lab.imds("/latest/meta-data/instance-id", **headers)[0] == 401
    short = lab.imds("/latest/api/token", "PUT", X_aws_ec2_metadata_token_ttl_seconds="1")[1]
    assert lab.imds("/latest/meta-data/instance-id", X_aws_ec2_metadata_token=short)[0] == 200
    assert lab.imds("/latest/meta-data/instance-id", client=1, X_aws_ec2_metadata_token=short)[0] == 401
    now += 1.1
    assert lab.imds("/latest/meta-data/instance-id", X_aws_ec2_metadata_token=short)[0] == 401


def test_metadata(lab):
    for index, name in enumerate(("web1", "web2")):
        assert lab.metadata("/latest/meta-data/instance-id", index) == (200, lab.seed["clients"][name])
    assert lab.metadata("/latest/meta-data/placement/region") == (200, REGION)
    assert lab.metadata("/latest/meta-data/placement/availability-zone/") == (200, REGION + "a")
    identity = json.loads(lab.metadata("/latest/dynamic/instance-identity/document")[1])
    assert (identity["instanceId"], identity["accountId"]) == (lab.seed["clients"]["web1"], ACCOUNT)
    for path in ("/latest/meta-data/none", CREDENTIALS, "/latest/meta-data/iam/info", CREDENTIALS + "app-role"):
        assert lab.metadata(path)[0] == 404


def associate(lab, client: str, profile: dict) -> str:
    return lab.client("ec2").associate_iam_instance_profile(
        InstanceId=lab.seed["clients"][client],
        IamInstanceProfile=profile,
    )["IamInstanceProfileAssociation"]["AssociationId"]


def test_credentials_of_the_instance(lab, profile, monkeypatch):
    """Botocore finds them, the API and the verifier know them, and they follow the profile."""
    associate(lab, "web1", profile("web", allow(lab.arn())))
    port = lab.plan["clients"][0]["imds"]["port"]
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    found = boto3.Session().get_credentials()
    assert found.method == "iam-role"
    credentials = Credentials(*found.get_frozen_credentials())
    session = f"arn:aws:sts::{ACCOUNT}:assumed-role/web/{lab.seed['clients']['web1']}"
    assert lab.client("sts", credentials).get_caller_identity()["Arn"] == session
    reason, entry = lab.login(boto_token(credentials))
    assert (reason, entry["principal"]) == ("ok", session)
    assert lab.login(boto_token(credentials, user="report"), user="report")[0] == "ImplicitDeny"
    assert lab.metadata(CREDENTIALS)[1] == "web" and lab.metadata(CREDENTIALS, 1)[0] == 404
    assert json.loads(lab.metadata("/latest/meta-data/iam/info")[1])["InstanceProfileArn"].endswith("/web")
    lab.client("iam").delete_role_policy(RoleName="web", PolicyName="p")
    assert lab.login(boto_token(credentials))[0] == "ImplicitDeny"


def test_credentials_are_kept_and_renewed(lab, profile, monkeypatch):
    import imds

    association = associate(lab, "web1", profile("kept"))

    def document_of(role="kept"):
        return json.loads(lab.metadata(CREDENTIALS + role)[1])

    first = document_of()
    ends = datetime.datetime.fromisoformat(first["Expiration"]) - datetime.datetime.fromisoformat(first["LastUpdated"])
    assert first["Code"] == "Success" and ends == datetime.timedelta(hours=6)
    assert document_of() == first
    now = time.time
    with monkeypatch.context() as patch:
        patch.setattr(imds.time, "time", lambda: now() + 6 * 3600 - 400)
        assert document_of() == first
        patch.setattr(imds.time, "time", lambda: now() + 6 * 3600 - 299)
        assert document_of()["AccessKeyId"] != first["AccessKeyId"]
    lab.client("ec2").replace_iam_instance_profile_association(
        AssociationId=association, IamInstanceProfile=profile("successor")
    )
    assert lab.metadata(CREDENTIALS + "kept")[0] == 404
    assert document_of("successor")["AccessKeyId"] != first["AccessKeyId"]
    (association,) = lab.client("ec2").describe_iam_instance_profile_associations()["IamInstanceProfileAssociations"]
    lab.client("ec2").disassociate_iam_instance_profile(AssociationId=association["AssociationId"])
    assert lab.metadata(CREDENTIALS + "successor")[0] == 404


@pytest.mark.parametrize(
    "name, trust",
    [
        ("lambda-role", {**EC2_TRUST, "Principal": {"Service": "lambda.amazonaws.com"}}),
        ("account-role", ACCOUNT_TRUST),
        ("denied-role", {**EC2_TRUST, "Effect": "Deny"}),
        ("condition-role", {**EC2_TRUST, **when("StringEquals", "aws:SourceAccount", ACCOUNT)}),
    ],
)
def test_trust_policy_must_name_ec2(lab, profile, name, trust):
    associate(lab, "web1", profile(name, allow(), trust=trust))
    given = json.loads(lab.metadata(CREDENTIALS + name)[1])
    assert given["Code"] == "AssumeRoleUnauthorizedAccess" and "AccessKeyId" not in given


# Files


def test_truststore(lab):
    context = ssl.create_default_context(cafile=str(lab.state / BUNDLE))
    secure = f"https://localhost:{lab.plan['truststore']['port']}/global/"
    plain = f"http://127.0.0.1:{lab.plan['repository']['port']}/global/"
    for base in (secure, plain):
        with urllib.request.urlopen(base + "global-bundle.pem", timeout=5, context=context) as got:
            assert got.read() == (lab.state / BUNDLE).read_bytes()
        for path in ("", "none.pem", "../../server.pem", "%2e%2e/%2e%2e/server.pem"):
            with pytest.raises(urllib.error.HTTPError):
                urllib.request.urlopen(base + path, timeout=5, context=context)
    with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
        urllib.request.urlopen(secure, timeout=5)
