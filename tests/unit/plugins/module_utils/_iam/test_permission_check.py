# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.dbops.rds_iam.plugins.module_utils._checks import FAILED, PASSED, UNKNOWN
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.near_miss import Target
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.permission_check import check_policies
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.policy_evaluation import Policy
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.request_context import login_context
from ansible_collections.dbops.rds_iam.plugins.module_utils._iam.simulation import Simulation

ARN = "arn:aws:rds-db:eu-west-1:123456789012:dbuser:db-ABCDEFGHIJKLMNOPQRSTUVWXYZ/app"
TARGET = Target(ARN, "orders", ("db-MEMBER",))


def document(resource=ARN, effect="Allow", action="rds-db:connect", **more):
    return {"Version": "2012-10-17", "Statement": [{"Effect": effect, "Action": action, "Resource": resource, **more}]}


def found(*policies, simulated=None, target=TARGET, tags=None, kind="role"):
    context = login_context(kind, "app-rds", f"arn:aws:iam::123456789012:{kind}/app-rds", tags=tags)
    return check_policies(target, f"the IAM {kind} app-rds", list(policies), simulated, context)


GOOD = Policy("connect", document())

ALLOWED = {
    "exact": document(),
    "one statement, not a list": {"Statement": document()["Statement"][0]},
    "among others": document([ARN.replace("/app", "/report"), ARN]),
    "all that follows the Region": document("arn:aws:rds-db:eu-west-1:*"),
    "all databases of the documentation": document(ARN.replace("db-ABCDEFGHIJKLMNOPQRSTUVWXYZ", "*")),
    "question mark": document(ARN.replace("/app", "/a?p")),
    "all": document("*", action="*"),
    "action in other letters": document(action="RDS-DB:Connect"),
    "everything but": {"Statement": [{"Effect": "Allow", "NotAction": "iam:*", "NotResource": "arn:aws:s3:::*"}]},
}

# What is wrong with the only statement that looks as if it allowed the login, and the words that must name it.
NEAR_MISSES = {
    "identifier": (document(ARN.replace("db-ABCDEFGHIJKLMNOPQRSTUVWXYZ", "orders")), "by its identifier orders"),
    "rds": (document(ARN.replace("rds-db", "rds")), "a resource of rds"),
    "arn of the instance": (document("arn:aws:rds:eu-west-1:123456789012:db:orders"), "a resource of rds"),
    "colon for slash": (
        document(ARN.replace("/app", ":app")),
        "without a slash before the user; it must be dbuser:db-",
    ),
    "slash for colon": (document(ARN.replace("r:db-", "r/db-")), "without a colon before the resource id; it must be"),
    "id without db-": (document(ARN.replace("db-ABC", "ABC")), "which is no resource id"),
    "endpoint": (
        document(ARN.replace("db-ABCDEFGHIJKLMNOPQRSTUVWXYZ", "orders.x.rds.amazonaws.com")),
        "no resource id",
    ),
    "proxy": (
        document(ARN.replace("db-ABCDEFGHIJKLMNOPQRSTUVWXYZ", "prx-123")),
        "names prx-123, which is an RDS Proxy",
    ),
    "asterisk across colons": (document("arn:aws:rds-db:eu-west-1:*/app"), "stands for nothing beyond the next colon"),
    "account": (document(ARN.replace("123456789012", "210987654321")), "for the account 210987654321"),
    "no account": (document(ARN.replace("123456789012", "")), "for the account none"),
    "region": (document(ARN.replace("eu-west-1", "eu-west-2")), "for the region eu-west-2"),
    "partition": (document(ARN.replace("arn:aws:", "arn:aws-cn:")), "for the partition aws-cn"),
    "user": (document(ARN.replace("/app", "/report")), "names the user report, and not app"),
    "case of the user": (document(ARN.replace("/app", "/App")), "case counts: the user is app"),
    "no user": (document(ARN.replace("/app", "")), "the user without a name"),
    "old resource id": (
        document(ARN.replace("db-ABC", "db-XYZ")),
        "may be another database, or this one before it was",
    ),
    "case of the resource id": (document(ARN.replace("db-ABC", "db-abc")), "case counts: the resource id"),
    "member of the cluster": (document(ARN.replace("db-ABCDEFGHIJKLMNOPQRSTUVWXYZ", "db-MEMBER")), "is a member"),
    "db in place of dbuser": (document(ARN.replace("dbuser:", "db:")), "must be dbuser:"),
    "no arn": (document("orders/app"), "not the ARN of a database user"),
    "rds:connect": (document(action="rds:connect"), "none of them"),
    "full access": (document("*", action=["rds:*", "sns:Publish"]), "none of them"),
}


@pytest.mark.parametrize("name", ALLOWED)
def test_what_allows(name):
    check = found(Policy("connect", ALLOWED[name]))
    assert (check.status, check.remedy) == (PASSED, "")
    assert "the policy connect allows" in check.message


@pytest.mark.parametrize("name", NEAR_MISSES)
def test_a_near_miss_is_named(name):
    given, words = NEAR_MISSES[name]
    check = found(Policy("connect", given))
    assert check.status == FAILED
    assert words in check.message and "step5" in check.remedy


def test_the_likest_statement_is_named():
    far, near = NEAR_MISSES["full access"][0], NEAR_MISSES["case of the user"][0]
    assert "case counts" in found(Policy("far", far), Policy("near", near)).message
    assert "case counts" in found(Policy("near", near), Policy("far", far)).message


def test_a_mistake_about_this_user_comes_before_the_right_database_of_another():
    other, mine = NEAR_MISSES["user"][0], NEAR_MISSES["region"][0]
    assert "for the region eu-west-2" in found(Policy("other", other), Policy("mine", mine)).message


def test_a_database_of_the_same_run_is_named():
    """That a database was added since the policy was written is commoner than that one was restored."""
    other = ARN.replace("db-ABC", "db-XYZ")
    known = Target(ARN, "billing", database_names={"db-XYZDEFGHIJKLMNOPQRSTUVWXYZ": "orders"})
    check = found(Policy("connect", document(other)), target=known)
    assert "names the database orders (db-XYZ" in check.message and "restored" not in check.message


def test_other_users_are_nobody_s_mistake():
    users = [ARN.replace("/app", f"/{name}") for name in ("-dash", "b", "c", "d", "e")]
    assert (
        "no statement names the user app; on this database they name -dash, b, c and 2 more"
        in found(Policy("connect", document(users))).message
    )
    guilty = ARN.replace("dbuser:", "dbuser/")
    assert "without a colon before the resource id" in found(Policy("connect", document([*users, guilty]))).message
    elsewhere = [ARN.replace("db-ABC", "db-XYZ").replace("/app", f"/{name}") for name in ("a", "b")]
    assert found(Policy("connect", document(elsewhere))).message.endswith(": no statement names the user app")


def test_a_guess_is_no_part_of_the_fact():
    check = found(Policy("connect", document(ARN.replace("db-ABC", "db-XYZ"))))
    assert check.fact == f"no policy of the IAM role app-rds allows rds-db:connect on {ARN}" != check.message


def test_no_policy():
    assert found().message == f"no policy of the IAM role app-rds allows rds-db:connect on {ARN}"


def test_deny_wins_and_is_named():
    check = found(GOOD, Policy("guard", document(ARN.replace("/app", "/*"), "Deny", Sid="NoLogins")))
    assert check.status == FAILED and "the statement NoLogins of the policy guard denies" in check.message
    assert found(GOOD, Policy("guard", document(ARN.replace("/app", "/root"), "Deny"))).status == PASSED


def test_boundary():
    boundary = Policy("limit", document("*", action="s3:*"), boundary=True)
    check = found(GOOD, boundary)
    assert check.status == FAILED and "the permissions boundary limit" in check.message
    assert found(GOOD, Policy("limit", document("*", action="rds-db:*"), boundary=True)).status == PASSED
    # A boundary allows nothing by itself.
    assert found(Policy("limit", document(), boundary=True)).status == FAILED


UNSENT = {"aws:SourceIp": "10.0.0.0/8"}
# Operators by what an absent key does to them.
MET_BY_ABSENT = ("NotIpAddress", "IpAddressIfExists", "ForAllValues:IpAddress", "NotIpAddressIfExists")
NOT_MET_BY_ABSENT = ("IpAddress", "ForAnyValue:IpAddress", "ForAnyValue:NotIpAddress")
NEVER_SENT = ("aws:Referer", "aws:SourceIp", "aws:SourceVpc", "aws:SourceVpce", "aws:UserAgent", "aws:VpcSourceIp")


@pytest.mark.parametrize("key", NEVER_SENT)
def test_keys_that_rds_never_sends_are_absent(key):
    for operator, state in (("StringEquals", FAILED), ("StringNotEquals", PASSED), ("StringLikeIfExists", PASSED)):
        check = found(Policy("connect", document(Condition={operator: {key.upper(): "x"}})))
        assert check.status == state, operator
    assert found(Policy("connect", document(Condition={"Null": {key: "true"}}))).status == PASSED
    assert found(Policy("connect", document(Condition={"Null": {key: "false"}}))).status == FAILED


@pytest.mark.parametrize("operator", MET_BY_ABSENT + NOT_MET_BY_ABSENT)
def test_an_absent_key_by_operator(operator):
    allow = Policy("connect", document(Condition={operator: UNSENT}))
    deny = Policy("guard", document("*", "Deny", "*", Condition={operator: UNSENT}))
    met = operator in MET_BY_ABSENT
    assert found(allow).status == (PASSED if met else FAILED)
    assert found(GOOD, deny).status == (FAILED if met else PASSED)
    if met:
        text = found(GOOD, deny).message
        assert "the policy guard denies" in text and "RDS does not send aws:SourceIp" in text
    else:
        assert "a condition on aws:SourceIp, which RDS does not support" in found(allow).message
        assert found(allow, GOOD).status == PASSED


def test_conditions_on_what_is_not_known():
    other = Policy("connect", document(Condition={"StringEquals": {"aws:PrincipalTag/team": "db"}}))
    check = found(other)
    assert check.status == UNKNOWN and "aws:PrincipalTag/team" in check.message
    assert found(other, simulated="allowed").status == PASSED
    assert found(other, tags={"TEAM": "db"}).status == PASSED
    check = found(other, tags={"team": "web"})
    assert (
        check.status == FAILED
        and "a condition on aws:PrincipalTag/team, which the IAM role app-rds does not meet" in check.message
    )
    deny = Policy("guard", document(effect="Deny", Condition={"Bool": {"aws:ViaAWSService": "false"}}))
    assert found(GOOD, deny).status == UNKNOWN
    for key in ("aws:RequestedRegion", "aws:SecureTransport", "aws:PrincipalOrgID", "aws:ResourceTag/x", "ec2:Region"):
        check = found(GOOD, Policy("guard", document("*", "Deny", "*", Condition={"StringNotEquals": {key: "x"}})))
        assert check.status == UNKNOWN and key in check.message and "the policy guard may deny it" in check.message


def test_times():
    """What is past stays past; what is still to come may change the answer."""
    for operator, when, state in (
        ("DateGreaterThan", "2020-01-01T00:00:00Z", PASSED),
        ("DateLessThan", "2020-01-01T00:00:00Z", FAILED),
        ("DateLessThan", "2999-01-01T00:00:00Z", UNKNOWN),
        ("DateGreaterThan", "2999-01-01T00:00:00Z", UNKNOWN),
        ("DateNotEquals", "2020-01-01T00:00:00Z", PASSED),
        ("DateGreaterThan", "1577836800", PASSED),
        ("DateGreaterThan", "soon", UNKNOWN),
    ):
        check = found(Policy("connect", document(Condition={operator: {"aws:CurrentTime": when}})))
        assert check.status == state, (operator, when)
    # As IAM writes it to end the sessions of a role: new ones are later.
    revoked = {"DateLessThan": {"aws:TokenIssueTime": "2020-01-01T00:00:00.000Z"}}
    deny = Policy("AWSRevokeOlderSessions", document("*", "Deny", "*", Condition=revoked))
    assert found(GOOD, deny).status == PASSED
    assert found(GOOD, deny, kind="user").status == UNKNOWN, "a user has a session or has none"


def test_a_boundary_that_allows_under_a_condition():
    condition = {"StringEquals": {"aws:PrincipalTag/team": "db"}}
    limit = Policy("limit", document("*", Condition=condition), boundary=True)
    check = found(GOOD, limit)
    assert check.status == UNKNOWN and "aws:PrincipalTag/team" in check.message
    assert found(GOOD, limit, simulated="allowed").status == PASSED
    both = {"Statement": [*limit.document["Statement"], *document(action="rds-db:*")["Statement"]]}
    assert found(GOOD, Policy("limit", both, boundary=True)).status == PASSED


MINE = ARN.replace("/app", "/${aws:username}")
TAGGED = ARN.replace("/app", "/${aws:PrincipalTag/user}")


def test_a_policy_variable_that_is_not_known():
    own, deny = Policy("own", document(TAGGED)), Policy("guard", document(TAGGED, "Deny"))
    check = found(own)
    assert check.status == UNKNOWN and "aws:PrincipalTag/user" in check.message
    assert found(own, simulated="allowed").status == PASSED
    assert found(Policy("own", document([TAGGED, ARN]))).status == found(own, GOOD).status == PASSED
    assert found(GOOD, deny).status == UNKNOWN
    assert found(GOOD, deny, simulated="explicitDeny").status == FAILED
    assert found(GOOD, Policy("limit", document(TAGGED), boundary=True)).status == UNKNOWN
    but_mine = {"Effect": "Allow", "Action": "rds-db:connect", "NotResource": TAGGED}
    assert found(Policy("others", {"Version": "2012-10-17", "Statement": but_mine})).status == UNKNOWN
    assert found(own, tags={"user": "app"}).status == PASSED
    assert found(own, tags={"user": "root"}).status == found(own, tags={}).status == FAILED


def test_a_policy_variable_without_a_value_matches_nothing():
    own, deny = Policy("own", document(MINE)), Policy("guard", document(MINE, "Deny"))
    assert (found(own).status, found(GOOD, deny).status) == (FAILED, PASSED)
    assert "names " + MINE + ", and aws:username has no value for this principal" in found(own).message
    user = Target(ARN.replace("/app", "/app-rds"), "orders")
    assert found(own, target=user, kind="user").status == PASSED
    old = {**document(MINE), "Version": "2008-10-17"}
    assert found(Policy("old", old), target=user, kind="user").status == FAILED, "there it is text"


def test_a_near_miss_with_policy_variables_is_named():
    old = document(TAGGED.replace("db-ABC", "db-XYZ"))
    check = found(Policy("own", old))
    assert check.status == FAILED and "names the resource id db-XYZ" in check.message


# How the reading of a resource is not certain: never closed, and never open.
UNCERTAIN = {
    "too few parts": "arn:aws:rds-db",
    "one part less": "arn:aws:rds-db:eu-west-1:123456789012",
    "type": "arn:aws:rds-db:eu-west-1:123456789012:*/app",
    "part of the type": ARN.replace("dbuser", "db*"),
    "end of a segment": "arn:aws:rds-db:eu*:dbuser:db-ABCDEFGHIJKLMNOPQRSTUVWXYZ/app",
    "service": ARN.replace("rds-db", "rds*"),
    "case": ARN.replace("eu-west-1", "EU-WEST-1"),
    "blank": f" {ARN}",
}


@pytest.mark.parametrize("name", UNCERTAIN)
def test_where_aws_does_not_say_how_it_reads_a_resource_it_is_unknown(name):
    check = found(Policy("connect", document(UNCERTAIN[name])))
    assert check.status == UNKNOWN and f"how IAM reads the resource {UNCERTAIN[name]}" in check.message
    assert found(GOOD, Policy("guard", document(UNCERTAIN[name], "Deny"))).status == UNKNOWN
    assert found(Policy("connect", document(UNCERTAIN[name])), simulated="allowed").status == PASSED


LACKING = ("aws:RequestedRegion",)
LOCK = Policy("lock", document("*", "Deny", "*", Condition={"StringNotEquals": {"aws:RequestedRegion": "eu-west-1"}}))
# By case: policies, what the simulator of IAM says, and the state.
SIMULATED = {
    "a deny without context": ([GOOD, LOCK], Simulation("explicitDeny", LACKING), UNKNOWN),
    "an allow without context": ([LOCK, GOOD], Simulation("allowed", LACKING), UNKNOWN),
    "with all context": ([GOOD, LOCK], Simulation("allowed"), PASSED),
    "missing keys of other statements": ([GOOD], Simulation("implicitDeny", ("ec2:ResourceTag/x",)), UNKNOWN),
    "the organization denies": ([GOOD], Simulation("explicitDeny", (), False), UNKNOWN),
    "the organization does not allow": ([GOOD], Simulation("implicitDeny", (), False), UNKNOWN),
    "the boundary": ([GOOD], Simulation("implicitDeny", (), True, False), FAILED),
    "a deny of nobody that is known": ([GOOD], Simulation("explicitDeny", (), True), FAILED),
    "no allow": ([GOOD], Simulation("implicitDeny"), FAILED),
    "an allow of nobody that is known": ([], Simulation("allowed"), PASSED),
    "an allow against a Deny that RDS makes hold": (
        [GOOD, Policy("guard", document("*", "Deny", "*", Condition={"NotIpAddress": UNSENT}))],
        Simulation("allowed"),
        FAILED,
    ),
    "an allow under a condition that RDS never meets": (
        [Policy("connect", document(Condition={"IpAddress": UNSENT}))],
        Simulation("allowed"),
        UNKNOWN,
    ),
    "a deny and no policy": ([], Simulation("explicitDeny", LACKING, False), FAILED),
}


@pytest.mark.parametrize("name", SIMULATED)
def test_what_the_simulator_of_iam_says(name):
    policies, simulated, state = SIMULATED[name]
    check = found(*policies, simulated=simulated)
    assert check.status == state
    assert all(key in check.message for key in simulated.missing_keys) or state == FAILED


def test_a_disagreement_with_the_simulator_is_said_with_both_facts():
    check = found(simulated=Simulation("allowed"))
    assert (
        "the simulator of IAM answers allowed" in check.message
        and "no policy of the IAM role app-rds allows" in check.message
    )
    check = found(GOOD, simulated=Simulation("implicitDeny"))
    assert "answers implicitDeny" in check.message and "the policy connect allows" in check.message
    check = found(GOOD, simulated=Simulation("explicitDeny", (), False))
    assert "policies of the organization do not allow it; it judges their conditions without context" in check.message


def test_what_may_not_be_read_is_unknown():
    hidden = Policy("hidden", None, reason="no right")
    assert found(GOOD, hidden).status == found(hidden).status == UNKNOWN
    assert "the policy hidden of the IAM role app-rds may allow it: no right" in found(hidden).message
    assert found(GOOD, hidden, simulated="allowed").status == PASSED
