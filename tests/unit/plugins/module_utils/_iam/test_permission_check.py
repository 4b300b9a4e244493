# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.dbops.rds_iam.plugins.module_utils._checks import BROKEN, OK, UNKNOWN
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
    link = found(Policy("connect", ALLOWED[name]))
    assert (link.state, link.repair) == (OK, "")
    assert "the policy connect allows" in link.text


@pytest.mark.parametrize("name", NEAR_MISSES)
def test_a_near_miss_is_named(name):
    given, words = NEAR_MISSES[name]
    link = found(Policy("connect", given))
    assert link.state == BROKEN
    assert words in link.text and "step5" in link.repair


def test_the_likest_statement_is_named():
    far, near = NEAR_MISSES["full access"][0], NEAR_MISSES["case of the user"][0]
    assert "case counts" in found(Policy("far", far), Policy("near", near)).text
    assert "case counts" in found(Policy("near", near), Policy("far", far)).text


def test_a_mistake_about_this_user_comes_before_the_right_database_of_another():
    other, mine = NEAR_MISSES["user"][0], NEAR_MISSES["region"][0]
    assert "for the region eu-west-2" in found(Policy("other", other), Policy("mine", mine)).text


def test_a_database_of_the_same_run_is_named():
    """That a database was added since the policy was written is commoner than that one was restored."""
    other = ARN.replace("db-ABC", "db-XYZ")
    known = Target(ARN, "billing", database_names={"db-XYZDEFGHIJKLMNOPQRSTUVWXYZ": "orders"})
    link = found(Policy("connect", document(other)), target=known)
    assert "names the database orders (db-XYZ" in link.text and "restored" not in link.text


def test_other_users_are_nobody_s_mistake():
    users = [ARN.replace("/app", f"/{name}") for name in ("-dash", "b", "c", "d", "e")]
    assert (
        "no statement names the user app; on this database they name -dash, b, c and 2 more"
        in found(Policy("connect", document(users))).text
    )
    guilty = ARN.replace("dbuser:", "dbuser/")
    assert "without a colon before the resource id" in found(Policy("connect", document([*users, guilty]))).text
    elsewhere = [ARN.replace("db-ABC", "db-XYZ").replace("/app", f"/{name}") for name in ("a", "b")]
    assert found(Policy("connect", document(elsewhere))).text.endswith(": no statement names the user app")


def test_a_guess_is_no_part_of_the_fact():
    link = found(Policy("connect", document(ARN.replace("db-ABC", "db-XYZ"))))
    assert link.fact == f"no policy of the IAM role app-rds allows rds-db:connect on {ARN}" != link.text


def test_no_policy():
    assert found().text == f"no policy of the IAM role app-rds allows rds-db:connect on {ARN}"


def test_deny_wins_and_is_named():
    link = found(GOOD, Policy("guard", document(ARN.replace("/app", "/*"), "Deny", Sid="NoLogins")))
    assert link.state == BROKEN and "the statement NoLogins of the policy guard denies" in link.text
    assert found(GOOD, Policy("guard", document(ARN.replace("/app", "/root"), "Deny"))).state == OK


def test_boundary():
    boundary = Policy("limit", document("*", action="s3:*"), boundary=True)
    link = found(GOOD, boundary)
    assert link.state == BROKEN and "the permissions boundary limit" in link.text
    assert found(GOOD, Policy("limit", document("*", action="rds-db:*"), boundary=True)).state == OK
    # A boundary allows nothing by itself.
    assert found(Policy("limit", document(), boundary=True)).state == BROKEN


UNSENT = {"aws:SourceIp": "10.0.0.0/8"}
# Operators by what an absent key does to them.
MET_BY_ABSENT = ("NotIpAddress", "IpAddressIfExists", "ForAllValues:IpAddress", "NotIpAddressIfExists")
NOT_MET_BY_ABSENT = ("IpAddress", "ForAnyValue:IpAddress", "ForAnyValue:NotIpAddress")
NEVER_SENT = ("aws:Referer", "aws:SourceIp", "aws:SourceVpc", "aws:SourceVpce", "aws:UserAgent", "aws:VpcSourceIp")


@pytest.mark.parametrize("key", NEVER_SENT)
def test_keys_that_rds_never_sends_are_absent(key):
    for operator, state in (("StringEquals", BROKEN), ("StringNotEquals", OK), ("StringLikeIfExists", OK)):
        link = found(Policy("connect", document(Condition={operator: {key.upper(): "x"}})))
        assert link.state == state, operator
    assert found(Policy("connect", document(Condition={"Null": {key: "true"}}))).state == OK
    assert found(Policy("connect", document(Condition={"Null": {key: "false"}}))).state == BROKEN


@pytest.mark.parametrize("operator", MET_BY_ABSENT + NOT_MET_BY_ABSENT)
def test_an_absent_key_by_operator(operator):
    allow = Policy("connect", document(Condition={operator: UNSENT}))
    deny = Policy("guard", document("*", "Deny", "*", Condition={operator: UNSENT}))
    met = operator in MET_BY_ABSENT
    assert found(allow).state == (OK if met else BROKEN)
    assert found(GOOD, deny).state == (BROKEN if met else OK)
    if met:
        text = found(GOOD, deny).text
        assert "the policy guard denies" in text and "RDS does not send aws:SourceIp" in text
    else:
        assert "a condition on aws:SourceIp, which RDS does not support" in found(allow).text
        assert found(allow, GOOD).state == OK


def test_conditions_on_what_is_not_known():
    other = Policy("connect", document(Condition={"StringEquals": {"aws:PrincipalTag/team": "db"}}))
    link = found(other)
    assert link.state == UNKNOWN and "aws:PrincipalTag/team" in link.text
    assert found(other, simulated="allowed").state == OK
    assert found(other, tags={"TEAM": "db"}).state == OK
    link = found(other, tags={"team": "web"})
    assert (
        link.state == BROKEN
        and "a condition on aws:PrincipalTag/team, which the IAM role app-rds does not meet" in link.text
    )
    deny = Policy("guard", document(effect="Deny", Condition={"Bool": {"aws:ViaAWSService": "false"}}))
    assert found(GOOD, deny).state == UNKNOWN
    for key in ("aws:RequestedRegion", "aws:SecureTransport", "aws:PrincipalOrgID", "aws:ResourceTag/x", "ec2:Region"):
        link = found(GOOD, Policy("guard", document("*", "Deny", "*", Condition={"StringNotEquals": {key: "x"}})))
        assert link.state == UNKNOWN and key in link.text and "the policy guard may deny it" in link.text


def test_times():
    """What is past stays past; what is still to come may change the answer."""
    for operator, when, state in (
        ("DateGreaterThan", "2020-01-01T00:00:00Z", OK),
        ("DateLessThan", "2020-01-01T00:00:00Z", BROKEN),
        ("DateLessThan", "2999-01-01T00:00:00Z", UNKNOWN),
        ("DateGreaterThan", "2999-01-01T00:00:00Z", UNKNOWN),
        ("DateNotEquals", "2020-01-01T00:00:00Z", OK),
        ("DateGreaterThan", "1577836800", OK),
        ("DateGreaterThan", "soon", UNKNOWN),
    ):
        link = found(Policy("connect", document(Condition={operator: {"aws:CurrentTime": when}})))
        assert link.state == state, (operator, when)
    # As IAM writes it to end the sessions of a role: new ones are later.
    revoked = {"DateLessThan": {"aws:TokenIssueTime": "2020-01-01T00:00:00.000Z"}}
    deny = Policy("AWSRevokeOlderSessions", document("*", "Deny", "*", Condition=revoked))
    assert found(GOOD, deny).state == OK
    assert found(GOOD, deny, kind="user").state == UNKNOWN, "a user has a session or has none"


def test_a_boundary_that_allows_under_a_condition():
    condition = {"StringEquals": {"aws:PrincipalTag/team": "db"}}
    limit = Policy("limit", document("*", Condition=condition), boundary=True)
    link = found(GOOD, limit)
    assert link.state == UNKNOWN and "aws:PrincipalTag/team" in link.text
    assert found(GOOD, limit, simulated="allowed").state == OK
    both = {"Statement": [*limit.document["Statement"], *document(action="rds-db:*")["Statement"]]}
    assert found(GOOD, Policy("limit", both, boundary=True)).state == OK


MINE = ARN.replace("/app", "/${aws:username}")
TAGGED = ARN.replace("/app", "/${aws:PrincipalTag/user}")


def test_a_policy_variable_that_is_not_known():
    own, deny = Policy("own", document(TAGGED)), Policy("guard", document(TAGGED, "Deny"))
    link = found(own)
    assert link.state == UNKNOWN and "aws:PrincipalTag/user" in link.text
    assert found(own, simulated="allowed").state == OK
    assert found(Policy("own", document([TAGGED, ARN]))).state == found(own, GOOD).state == OK
    assert found(GOOD, deny).state == UNKNOWN
    assert found(GOOD, deny, simulated="explicitDeny").state == BROKEN
    assert found(GOOD, Policy("limit", document(TAGGED), boundary=True)).state == UNKNOWN
    but_mine = {"Effect": "Allow", "Action": "rds-db:connect", "NotResource": TAGGED}
    assert found(Policy("others", {"Version": "2012-10-17", "Statement": but_mine})).state == UNKNOWN
    assert found(own, tags={"user": "app"}).state == OK
    assert found(own, tags={"user": "root"}).state == found(own, tags={}).state == BROKEN


def test_a_policy_variable_without_a_value_matches_nothing():
    own, deny = Policy("own", document(MINE)), Policy("guard", document(MINE, "Deny"))
    assert (found(own).state, found(GOOD, deny).state) == (BROKEN, OK)
    assert "names " + MINE + ", and aws:username has no value for this principal" in found(own).text
    user = Target(ARN.replace("/app", "/app-rds"), "orders")
    assert found(own, target=user, kind="user").state == OK
    old = {**document(MINE), "Version": "2008-10-17"}
    assert found(Policy("old", old), target=user, kind="user").state == BROKEN, "there it is text"


def test_a_near_miss_with_policy_variables_is_named():
    old = document(TAGGED.replace("db-ABC", "db-XYZ"))
    link = found(Policy("own", old))
    assert link.state == BROKEN and "names the resource id db-XYZ" in link.text


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
    link = found(Policy("connect", document(UNCERTAIN[name])))
    assert link.state == UNKNOWN and f"how IAM reads the resource {UNCERTAIN[name]}" in link.text
    assert found(GOOD, Policy("guard", document(UNCERTAIN[name], "Deny"))).state == UNKNOWN
    assert found(Policy("connect", document(UNCERTAIN[name])), simulated="allowed").state == OK


LACKING = ("aws:RequestedRegion",)
LOCK = Policy("lock", document("*", "Deny", "*", Condition={"StringNotEquals": {"aws:RequestedRegion": "eu-west-1"}}))
# By case: policies, what the simulator of IAM says, and the state.
SIMULATED = {
    "a deny without context": ([GOOD, LOCK], Simulation("explicitDeny", LACKING), UNKNOWN),
    "an allow without context": ([LOCK, GOOD], Simulation("allowed", LACKING), UNKNOWN),
    "with all context": ([GOOD, LOCK], Simulation("allowed"), OK),
    "missing keys of other statements": ([GOOD], Simulation("implicitDeny", ("ec2:ResourceTag/x",)), UNKNOWN),
    "the organization denies": ([GOOD], Simulation("explicitDeny", (), False), UNKNOWN),
    "the organization does not allow": ([GOOD], Simulation("implicitDeny", (), False), UNKNOWN),
    "the boundary": ([GOOD], Simulation("implicitDeny", (), True, False), BROKEN),
    "a deny of nobody that is known": ([GOOD], Simulation("explicitDeny", (), True), BROKEN),
    "no allow": ([GOOD], Simulation("implicitDeny"), BROKEN),
    "an allow of nobody that is known": ([], Simulation("allowed"), OK),
    "an allow against a Deny that RDS makes hold": (
        [GOOD, Policy("guard", document("*", "Deny", "*", Condition={"NotIpAddress": UNSENT}))],
        Simulation("allowed"),
        BROKEN,
    ),
    "an allow under a condition that RDS never meets": (
        [Policy("connect", document(Condition={"IpAddress": UNSENT}))],
        Simulation("allowed"),
        UNKNOWN,
    ),
    "a deny and no policy": ([], Simulation("explicitDeny", LACKING, False), BROKEN),
}


@pytest.mark.parametrize("name", SIMULATED)
def test_what_the_simulator_of_iam_says(name):
    policies, simulated, state = SIMULATED[name]
    link = found(*policies, simulated=simulated)
    assert link.state == state
    assert all(key in link.text for key in simulated.missing_keys) or state == BROKEN


def test_a_disagreement_with_the_simulator_is_said_with_both_facts():
    link = found(simulated=Simulation("allowed"))
    assert (
        "the simulator of IAM answers allowed" in link.text and "no policy of the IAM role app-rds allows" in link.text
    )
    link = found(GOOD, simulated=Simulation("implicitDeny"))
    assert "answers implicitDeny" in link.text and "the policy connect allows" in link.text
    link = found(GOOD, simulated=Simulation("explicitDeny", (), False))
    assert "policies of the organization do not allow it; it judges their conditions without context" in link.text


def test_what_may_not_be_read_is_unknown():
    hidden = Policy("hidden", None, reason="no right")
    assert found(GOOD, hidden).state == found(hidden).state == UNKNOWN
    assert "the policy hidden of the IAM role app-rds may allow it: no right" in found(hidden).text
    assert found(GOOD, hidden, simulated="allowed").state == OK
