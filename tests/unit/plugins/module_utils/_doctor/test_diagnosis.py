# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the checks say of causes that a lab cannot have. The others are brought about for real in tests/integration."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.ec2 import Instance
from ansible_collections.dbops.rds_iam.plugins.module_utils._aws.rds_record import instance_record
from ansible_collections.dbops.rds_iam.plugins.module_utils._checks import FAILED, PASSED, UNKNOWN
from ansible_collections.dbops.rds_iam.plugins.module_utils._doctor.auth_log import RefusalLog, parse_events
from ansible_collections.dbops.rds_iam.plugins.module_utils._doctor.diagnosis import conclude, diagnose
from ansible_collections.dbops.rds_iam.plugins.module_utils._doctor.evidence import LoginEvidence, Role, Unreadable
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam import permission_check
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.policy_evaluation import Policy

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
    "client_host": "10.0.1.11",
    "msg": "The server refused the login of app: Access denied for user 'app'@'10.0.1.11' (error 1045).",
    "tried_at": "2026-11-25T06:12:45Z",
}
CREDENTIALS = {
    "source": "iam-role",
    "role_name": "app-rds",
    "expires_at": None,
    "expired": False,
    "error": None,
    "metadata_disabled": False,
}
PROGRAM = {
    "path": "/usr/bin/mysql",
    "family": "MySQL",
    "version": "8.0.46",
    "options": ["--ssl-mode=VERIFY_IDENTITY", "--enable-cleartext-plugin"],
    "error": None,
}
HOST = {
    "clock_skew": 0.2,
    "metadata_error": None,
    "credentials": CREDENTIALS,
    "programs": [PROGRAM],
    "libraries": {"botocore": "1.34.0", "pymysql": "1.1.0"},
    "target": {"endpoint": ENDPOINT, "port": 3306, "failed_at": None, "msg": None},
}
ACCOUNT = {"users": [{"name": "app", "host": "%", "statements": []}], "iam_database_users_remaining": 2}
CASE = LoginEvidence(
    client="app1",
    database=RECORD,
    name="orders",
    user="app",
    login=DENIED,
    host=HOST,
    instance=Instance("i-1", "running", "app-rds"),
    role=Role("app-rds", True, [Policy("connect", ALLOW)]),
    user_plan=ACCOUNT,
)


def said(case):
    checks = diagnose(case)
    return conclude(checks), checks


def statements(*texts):
    return {"users": [{"name": "app", "host": "%", "statements": list(texts)}], "iam_database_users_remaining": 2}


def with_row(**state):
    row = {"name": "app", "host": "%", "iam": True, "locked": False, "expired": False}
    return {**ACCOUNT, "user_rows": [{**row, "host": "10.%"}, {**row, **state}]}


def instance(**metadata):
    return Instance("i-1", "running", "app-rds", metadata)


def no_credentials(metadata_error, **more):
    nothing = {"source": None, "role_name": None, "error": "No AWS credentials were found on this host; attach one."}
    return {**HOST, "metadata_error": metadata_error, "credentials": {**CREDENTIALS, **nothing, **more}}


FAILED_CASES = {
    "stopped": ({"database": {**RECORD, "status": "stopped"}}, "database", "its status is stopped"),
    "key gone": ({"database": {**RECORD, "status": "inaccessible-encryption-credentials"}}, "database", "its status"),
    "absence": ({"absence": "There is no DB instance orders."}, "database", "There is no DB instance"),
    "off": ({"database": {**RECORD, "iam_auth_enabled": False}}, "iam_auth", "is off"),
    "pending": (
        {"database": {**RECORD, "iam_auth_enabled": False, "pending": {"IAMDatabaseAuthenticationEnabled": True}}},
        "iam_auth",
        "only pending",
    ),
    "support_error": ({"support_error": "The DB instance cannot."}, "iam_auth", "The DB instance cannot"),
    "clock ahead": ({"host": {**HOST, "clock_skew": 1200.0}}, "clock", "1200 seconds ahead of"),
    "clock behind": ({"host": {**HOST, "clock_skew": -1200.0}}, "clock", "1200 seconds behind"),
    "no profile": ({"instance": Instance("i-1", "running", None)}, "profile", "no instance profile is attached to i-1"),
    "empty profile": ({"role": None}, "profile", "has no role in it"),
    "trust": ({"role": replace(CASE.role, trusts_ec2=False)}, "profile", "does not let EC2 assume it"),
    "other keys": (
        {"host": {**HOST, "credentials": {**CREDENTIALS, "source": "env", "role_name": None}}},
        "credentials",
        "credentials from env",
    ),
    "expired": (
        {"host": {**HOST, "credentials": {**CREDENTIALS, "expired": True, "expires_at": "2026-01-01"}}},
        "credentials",
        "ended at 2026-01-01; to repair it, renew them where they come from",
    ),
    "old role": (
        {"host": {**HOST, "credentials": {**CREDENTIALS, "role_name": "old"}}},
        "credentials",
        "still served credentials of the IAM role old",
    ),
    "metadata off": (
        {"host": no_credentials("it answers with the status 403"), "instance": instance(HttpEndpoint="disabled")},
        "credentials",
        "(aws ec2 modify-instance-metadata-options --instance-id i-1 --http-endpoint enabled)",
    ),
    "metadata disabled by the environment": (
        {"host": no_credentials(None, metadata_disabled=True)},
        "credentials",
        "AWS_EC2_METADATA_DISABLED keeps app1 from asking",
    ),
    "hop limit": (
        {"host": no_credentials("timed out"), "instance": instance(HttpPutResponseHopLimit=1)},
        "credentials",
        "(aws ec2 modify-instance-metadata-options --instance-id i-1 --http-put-response-hop-limit 2)",
    ),
    "no metadata": (
        {"host": no_credentials("timed out"), "instance": instance(HttpPutResponseHopLimit=2)},
        "credentials",
        "reaches 169.254.169.254",
    ),
    "no botocore": (
        {"host": {**no_credentials(None), "libraries": {"botocore": None, "pymysql": "1"}}},
        "client_program",
        "lacks the Python libraries botocore",
    ),
    "old client": (
        {"host": {**HOST, "programs": [{**PROGRAM, "error": "mysql: unknown variable 'ssl-mode=VERIFY_IDENTITY'"}]}},
        "client_program",
        "MySQL 8.0.46, which cannot log in with a token",
    ),
    "no library": (
        {"host": {**HOST, "libraries": {"botocore": "1", "pymysql": None}}},
        "client_program",
        "lacks the Python",
    ),
    "no client": ({"host": {**HOST, "programs": []}}, "client_program", "no mysql or mariadb client"),
    "no policy": ({"role": replace(CASE.role, policies=[])}, "permission", "no policy of the IAM role app-rds"),
    "no account": (
        {"user_plan": statements("CREATE USER 'app'@'%' IDENTIFIED ...")},
        "database_user",
        "no account 'app'@'%'",
    ),
    "plugin": (
        {"user_plan": statements("ALTER USER 'app'@'%' IDENTIFIED WITH x")},
        "database_user",
        "does not log in with",
    ),
    "locked": (
        {"user_plan": with_row(locked=True)},
        "database_user",
        "is locked; to repair it, set locked to false for app in db_users_accounts, and let the role",
    ),
    "locked, and that is drift": (
        {"user_plan": {**with_row(locked=True), **statements("ALTER USER 'app'@'%' ACCOUNT UNLOCK")}},
        "database_user",
        "is locked; to repair it, let the role",
    ),
    "expired account": (
        {"user_plan": {**with_row(expired=True), **statements("ALTER USER x IDENTIFIED WITH y PASSWORD EXPIRE NEVER")}},
        "database_user",
        "has expired as if it had a password; to repair it, let the role",
    ),
    "certificate": (
        {"user_plan": with_row(require="X509")},
        "database_user",
        "requires a client certificate (X509); to repair it, let it log in without a certificate (ALTER USER 'app'@'%'",
    ),
    "password": (
        {"user_plan": {"failed": True, "conflict": True, "msg": "A password; do."}},
        "database_user",
        "A password",
    ),
    "other host": (
        {
            "user_plan": {
                "users": [{"name": "app", "host": "192.168.%", "statements": []}],
                "iam_database_users_remaining": 2,
            }
        },
        "database_user",
        "is not for 10.0.1.11",
    ),
    "nothing visible": ({}, "login", "although every check that could be made passed"),
}


@pytest.mark.parametrize("signer", [False, True])
@pytest.mark.parametrize("name", FAILED_CASES)
def test_the_failed_check_is_named(name, signer):
    """Also where the login has its signer with it, as it has it from the ping."""
    changes, check, words = FAILED_CASES[name]
    if signer:
        found = {"principal": None, "is_expected": None, **changes.get("host", HOST)["credentials"]}
        names = ("source", "principal", "role_name", "is_expected", "error")
        changes = {**changes, "login": {**DENIED, "signer": {name: found[name] for name in names}}}
    (state, sentence), checks = said(replace(CASE, **changes))
    assert state == FAILED
    assert next(one.name for one in checks if one.status == FAILED) == check
    assert words in sentence and "; to repair it, " in sentence


def test_the_order_of_the_checks():
    names = [
        "database",
        "iam_auth",
        "name",
        "port",
        "tls",
        "certificate",
        "clock",
        "profile",
        "credentials",
        "permission",
    ]
    assert [check.name for check in diagnose(CASE)] == [*names, "database_user", "token", "client_program", "login"]


def test_a_good_login_is_not_looked_into():
    login = {"verdict": "allowed", "current_user": "app@%", "tls_version": "TLSv1.3"}
    (state, sentence), checks = said(LoginEvidence("app1", Unreadable("not read"), "orders", "app", login=login))
    assert (state, sentence) == (PASSED, "")
    assert {check.status for check in checks} == {PASSED}


def test_a_refusal_that_is_wanted():
    (state, sentence), _links = said(replace(CASE, expect="denied"))
    assert (state, sentence) == (PASSED, "")


def test_an_account_that_could_not_be_read():
    account = {"users": [], "conflict": False, "msg": "The server cannot be reached."}
    (state, reason), _links = said(replace(CASE, user_plan=account))
    assert state == UNKNOWN and "database_user: The server cannot be reached" in reason
    # Check mode shows a plan also where PyMySQL is missing, as if the server had no account.
    account = {"users": [{"name": "app", "host": "%", "statements": ["CREATE USER 'app'@'%' ..."]}]}
    (state, reason), _links = said(replace(CASE, user_plan=account))
    assert state == UNKNOWN and "database_user: the accounts could not be read" in reason


def test_a_login_that_should_be_refused():
    login = {**DENIED, "verdict": "allowed"}
    (state, sentence), _links = said(replace(CASE, expect="denied", login=login))
    assert state == FAILED and "a statement of the policy connect allows" in sentence
    (state, sentence), _links = said(replace(CASE, expect="denied", login=login, role=Unreadable("no right")))
    assert state == FAILED and "it is let in, and should not be" in sentence


def test_what_the_metadata_options_mean_for_others_is_said():
    """A hop limit of 1 and required tokens break nothing on the host itself."""
    case = replace(CASE, instance=instance(HttpTokens="required", HttpPutResponseHopLimit=1))
    [check] = [check for check in diagnose(case) if check.name == "credentials"]
    assert check.status == PASSED
    assert "session tokens are required, the hop limit is 1, too few for a container behind a bridge" in check.message


LINE = "[ERROR] Failed to auth{} the connection request for user '{}' because {}. (Status Code: 400, Error Code: {})"
EXPORTING = {**RECORD, "log_exports": ["iam-db-auth-error"]}
AT = 1795587165000  # when the login was tried, in milliseconds


def logged(code, why="of something", user="app", later=0):
    return {"timestamp": AT + 1000 * later, "message": LINE.format("orize", user, why, code)}


def test_what_rds_logged_says_what_to_do_where_all_else_is_good():
    (state, sentence), checks = said(replace(CASE, refusals=RefusalLog(parse_events([logged("NotAuthorized")]))))
    assert state == FAILED and [check.name for check in checks][-2:] == ["log", "login"]
    assert "the log iam-db-auth-error of orders says NotAuthorized at 06:12:45 UTC" in sentence
    assert "policies of the organization" in sentence
    # Two answers: which of them is that to this login cannot be told.
    both = RefusalLog(parse_events([logged("NotAuthorized"), logged("ExpiredToken")]))
    (state, sentence), _links = said(replace(CASE, database=EXPORTING, refusals=both))
    assert state == FAILED and "; to repair it, read the log iam-db-auth-error" in sentence
    # A failed check remains the one that is named.
    changes, check, words = FAILED_CASES["locked"]
    (state, sentence), checks = said(
        replace(CASE, **changes, refusals=RefusalLog(parse_events([logged("NotAuthorized")])))
    )
    assert words in sentence and next(one.name for one in checks if one.status == FAILED) == check


@pytest.mark.parametrize(
    "refusals",
    [
        RefusalLog([]),
        RefusalLog(parse_events([logged("NotAuthorized", user="report"), logged("NotAuthorized", later=-60)])),
        Unreadable("no right"),
    ],
    ids=["no line", "lines on others", "not read"],
)
def test_a_log_that_says_nothing_changes_nothing(refusals):
    case = replace(CASE, database=EXPORTING)
    verdict_before, before = said(case)
    verdict_after, checks = said(replace(case, refusals=refusals))
    assert verdict_after == verdict_before
    assert [check for check in checks if check.name != "log"] == before
    [check] = [check for check in checks if check.name == "log"]
    assert check.status == UNKNOWN
    (_state, reason), _links = said(replace(CASE, role=Unreadable("not seen"), refusals=refusals))
    assert f"log: {check.message}" in reason


def test_what_rds_logged_is_said_where_not_all_could_be_seen():
    (state, reason), _links = said(
        replace(CASE, role=Unreadable("no"), refusals=RefusalLog(parse_events([logged("NotAuthorized")])))
    )
    assert state == UNKNOWN and "; the log iam-db-auth-error of orders says NotAuthorized at 06:12:45 UTC" in reason
    assert reason.endswith(" (Failed to authorize the connection request for user 'app' because of something)")


def test_a_database_without_the_log_is_told_how_to_have_it():
    (_state, sentence), checks = said(CASE)
    command = "aws rds modify-db-instance --db-instance-identifier orders --cloudwatch-logs-export-configuration"
    assert f"({command} EnableLogTypes=iam-db-auth-error)" in sentence and "log" not in [check.name for check in checks]
    (_state, sentence), _links = said(replace(CASE, database=EXPORTING, refusals=RefusalLog([])))
    assert "read the log iam-db-auth-error of the database" in sentence


def test_credentials_of_others_may_be_good_ones():
    host = {**HOST, "credentials": {**CREDENTIALS, "source": "env", "role_name": None}}
    (state, reason), _links = said(replace(CASE, host=host, user_plan=statements("CREATE USER ...")))
    assert state == FAILED and "no account 'app'@'%'" in reason
    (state, reason), _links = said(replace(CASE, host=host, user_plan=Unreadable("no right")))
    assert state == UNKNOWN and "credentials from env" in reason and "no right" in reason


def test_a_user_whom_no_policy_names_and_who_should_be_refused():
    """What keeps the refusal from being proven is named, and not what makes it."""
    role, host = replace(CASE.role, policies=[]), {**HOST, "libraries": {"botocore": "1", "pymysql": None}}
    (state, reason), _links = said(replace(CASE, expect="denied", login=None, role=role, host=host))
    assert state == FAILED and "lacks the Python libraries" in reason


@pytest.mark.parametrize("what", ["database", "host", "instance", "role", "user_plan"])
def test_what_cannot_be_seen_is_unknown(what):
    (state, sentence), checks = said(replace(CASE, **{what: Unreadable("these credentials are not allowed it")}))
    assert state == UNKNOWN and "these credentials are not allowed it" in sentence
    assert FAILED not in {check.status for check in checks}


@pytest.mark.parametrize("failed", ["name", "port", "tls", "certificate"])
@pytest.mark.parametrize("who", ["login", "host"])
def test_the_way_to_the_server(failed, who):
    """The login says it; where there was nothing to log in with, the host does."""
    target = {"endpoint": ENDPOINT, "port": 3306, "failed_at": failed, "msg": "It cannot."}
    case = replace(CASE, login=target) if who == "login" else replace(CASE, login=None, host={**HOST, "target": target})
    (state, sentence), checks = said(case)
    assert state == FAILED and "It cannot" in sentence
    way = {check.name: check.status for check in checks[2:6]}
    expected = {"name": PASSED, "port": PASSED, "tls": PASSED, "certificate": PASSED}
    names = list(expected)
    after = names.index(failed) + 1
    expected.update({failed: FAILED}, **dict.fromkeys(names[after:], UNKNOWN))
    assert way == expected


def signed_by(source, principal=None, role_name=None, is_expected=None, error=None):
    return {
        "source": source,
        "principal": principal,
        "role_name": role_name,
        "is_expected": is_expected,
        "error": error,
    }


USER = "arn:aws:iam::123456789012:user/ops"
SESSION = "arn:aws:sts::123456789012:assumed-role/App-RDS/i-1"
ALLOWED = {
    **{name: DENIED[name] for name in ("endpoint", "port", "tried_at", "client_host")},
    "verdict": "allowed",
    "as_expected": True,
    "current_user": "app@%",
    "tls_version": "TLSv1.3",
}
AS_EXPECTED = {"allowed": ALLOWED, "denied": {**DENIED, "as_expected": True}}


@pytest.mark.parametrize("expect", AS_EXPECTED)
@pytest.mark.parametrize(
    ("signer", "role", "credentials", "state"),
    [
        (signed_by("env", USER), CASE.role, FAILED, FAILED),
        (signed_by("env", USER), Unreadable("no right"), UNKNOWN, UNKNOWN),
        (signed_by("env", error="AWS STS does not tell"), CASE.role, UNKNOWN, UNKNOWN),
        (signed_by("container-role", SESSION.replace("App-RDS", "task"), "task"), CASE.role, FAILED, FAILED),
        (signed_by("iam-role", "other", "other", False), CASE.role, FAILED, FAILED),
        (signed_by("env", SESSION, "App-RDS"), CASE.role, PASSED, PASSED),
        (signed_by("env", SESSION, "App-RDS", True), Unreadable("no right"), PASSED, PASSED),
        (signed_by("env", USER, None, True), CASE.role, PASSED, PASSED),
        (signed_by("iam-role", "app-rds", "app-rds"), Unreadable("no right"), PASSED, PASSED),
    ],
)
def test_a_login_proves_whoever_signed_it(expect, signer, role, credentials, state):
    """Not asked for a principal, the ping has a verdict and its evidence; what they prove depends on the signer."""
    policies = [] if expect == "denied" else CASE.role.policies
    role = replace(role, policies=policies) if isinstance(role, Role) else role
    login = {**AS_EXPECTED[expect], "signer": signer}
    (found, reason), checks = said(replace(CASE, expect=expect, login=login, host=Unreadable("not asked"), role=role))
    states = {check.name: check.status for check in checks}
    assert states.get("credentials", PASSED) == credentials and found == state, reason
    assert {states[name] for name in ("name", "port", "tls", "certificate")} == {PASSED}
    proven = [check for check in checks if check.message == "the login proves it"]
    assert state == PASSED or proven == []
    assert states["login"] == (PASSED if state == PASSED else UNKNOWN)


def test_logins_that_were_not_tried_since_somebody_else_would_sign():
    sentence = (
        "This host signs with credentials from env, those of X, and not with those of Y, so nothing; remove them."
    )
    login = {"endpoint": ENDPOINT, "port": 3306, "verdict": "not_tried", "failed_at": "credentials", "msg": sentence}
    login["signer"] = signed_by("env", USER, is_expected=False)
    host = {**HOST, "credentials": {**CREDENTIALS, **login["signer"]}}
    for expect in ("allowed", "denied"):
        (state, reason), checks = said(
            replace(CASE, expect=expect, login=login, host=host, role=Unreadable("no right"))
        )
        text = "app1 signs with credentials from env, those of X, and not with those of Y, so nothing"
        assert (state, reason) == (FAILED, f"{text}; to repair it, remove them")
        assert {check.name: check.status for check in checks}["token"] == UNKNOWN


def test_a_login_as_another_user_is_its_own_failed_check():
    sentence = "The server let app in as @%, which is another user; drop that user."
    login = {**ALLOWED, "as_expected": False, "msg": sentence, "signer": signed_by("iam-role", "app-rds", "app-rds")}
    (state, reason), checks = said(replace(CASE, login=login))
    assert state == FAILED and checks[-1].name == "login"
    assert reason == "The server let app in as @%, which is another user; to repair it, drop that user"


def test_an_error_in_place_of_a_greeting_passes_no_check():
    sentence = 'What listens there refused, so nobody has verified who says "Too many connections"; end some.'
    login = {**DENIED, "verdict": "failed", "failed_at": "port", "server_error": 1040, "msg": sentence}
    (state, reason), checks = said(replace(CASE, login=login))
    assert state == FAILED and reason.endswith("; to repair it, end some")
    way = {check.name: check.status for check in checks[2:6]}
    assert way == {"name": PASSED, "port": FAILED, "tls": UNKNOWN, "certificate": UNKNOWN}


def test_the_likeliest_mistake_is_looked_for_once_where_it_is_said(monkeypatch):
    """It is said of a login that must be allowed, and is the same for all clients of a role."""
    targets = []
    monkeypatch.setattr(
        permission_check, "describe_near_miss", lambda target, _permissions: targets.append(target.user) or "a hint"
    )
    other = {"Statement": {**ALLOW["Statement"], "Resource": f"{RECORD['connect_arn_prefix']}/report"}}
    case = replace(CASE, role=replace(CASE.role, policies=[Policy("connect", other)]))
    for user, expect in (("app", "allowed"), ("app", "allowed"), ("app", "denied"), ("batch", "denied")):
        (_state, sentence), _checks = said(replace(case, user=user, expect=expect))
        assert ("a hint" in sentence) == (expect == "allowed")
    assert targets == ["app"]
