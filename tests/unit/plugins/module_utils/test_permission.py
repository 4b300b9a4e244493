# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.dbops.rds_iam.plugins.module_utils._links import BROKEN, OK, UNKNOWN
from ansible_collections.dbops.rds_iam.plugins.module_utils._permission import Policy, Target, judge, matches

ARN = "arn:aws:rds-db:eu-west-1:123456789012:dbuser:db-ABCDEFGHIJKLMNOPQRSTUVWXYZ/app"
TARGET = Target(ARN, "orders", ("db-MEMBER",))


def document(resource=ARN, effect="Allow", action="rds-db:connect", **more):
    return {"Version": "2012-10-17", "Statement": [{"Effect": effect, "Action": action, "Resource": resource, **more}]}


def found(*policies, simulated=None):
    return judge(TARGET, "the IAM role app-rds", list(policies), simulated)


GOOD = Policy("connect", document())

ALLOWED = {
    "exact": document(),
    "one statement, not a list": {"Statement": document()["Statement"][0]},
    "among others": document([ARN.replace("/app", "/report"), ARN]),
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
    "account": (document(ARN.replace("123456789012", "210987654321")), "for the account 210987654321"),
    "no account": (document(ARN.replace("123456789012", "")), "for the account none"),
    "region": (document(ARN.replace("eu-west-1", "eu-west-2")), "for the region eu-west-2"),
    "partition": (document(ARN.replace("arn:aws:", "arn:aws-cn:")), "for the partition aws-cn"),
    "user": (document(ARN.replace("/app", "/report")), "names the user report, and not app"),
    "case of the user": (document(ARN.replace("/app", "/App")), "case counts: the user is app"),
    "no user": (document(ARN.replace("/app", "")), "the user without a name"),
    "old resource id": (document(ARN.replace("db-ABC", "db-XYZ")), "was restored"),
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


def test_conditions():
    unsupported = Policy("connect", document(Condition={"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}))
    link = found(unsupported)
    assert link.state == BROKEN and "a condition on aws:SourceIp, which RDS does not support" in link.text
    assert found(unsupported, simulated="allowed") == link and found(unsupported, GOOD).state == OK
    other = Policy("connect", document(Condition={"StringEquals": {"aws:PrincipalTag/team": "db"}}))
    link = found(other)
    assert link.state == UNKNOWN and "aws:PrincipalTag/team" in link.text
    assert found(other, simulated="allowed").state == OK
    deny = Policy("guard", document(effect="Deny", Condition={"Bool": {"aws:ViaAWSService": "false"}}))
    assert found(GOOD, deny).state == UNKNOWN
    assert found(GOOD, deny, simulated="explicitDeny").state == BROKEN


def test_a_boundary_that_allows_under_a_condition():
    condition = {"StringEquals": {"aws:PrincipalTag/team": "db"}}
    limit = Policy("limit", document("*", Condition=condition), boundary=True)
    link = found(GOOD, limit)
    assert link.state == UNKNOWN and "aws:PrincipalTag/team" in link.text
    assert found(GOOD, limit, simulated="allowed").state == OK
    both = {"Statement": [*limit.document["Statement"], *document(action="rds-db:*")["Statement"]]}
    assert found(GOOD, Policy("limit", both, boundary=True)).state == OK


MINE = ARN.replace("/app", "/${aws:username}")


def test_policy_variables_are_for_aws_to_judge():
    link = found(Policy("own", document(MINE)))
    assert link.state == UNKNOWN and "aws:username" in link.text
    assert found(Policy("own", document(MINE)), simulated="allowed").state == OK
    assert found(Policy("own", document([MINE, ARN]))).state == found(Policy("own", document(MINE)), GOOD).state == OK
    deny = Policy("guard", document(MINE, "Deny"))
    assert found(GOOD, deny).state == UNKNOWN
    assert found(GOOD, deny, simulated="explicitDeny").state == BROKEN
    assert found(GOOD, Policy("limit", document(MINE), boundary=True)).state == UNKNOWN
    but_mine = {"Effect": "Allow", "Action": "rds-db:connect", "NotResource": MINE}
    assert found(Policy("others", {"Statement": but_mine})).state == UNKNOWN


def test_a_near_miss_with_policy_variables_is_named():
    old = document(MINE.replace("db-ABC", "db-XYZ").replace("eu-west-1", "${aws:RequestedRegion}"))
    link = found(Policy("own", old))
    assert link.state == BROKEN and "was restored" in link.text


def test_what_only_aws_sees():
    assert "in no policy of the IAM role" in found(GOOD, simulated="explicitDeny").text
    assert "not allowed it all the same" in found(GOOD, simulated="implicitDeny").text
    assert found(GOOD, simulated="allowed").state == OK


def test_what_may_not_be_read_is_unknown():
    hidden = Policy("hidden", None, reason="no right")
    assert found(GOOD, hidden).state == found(hidden).state == UNKNOWN
    assert "the policy hidden of the IAM role app-rds may allow it: no right" in found(hidden).text
    assert found(GOOD, hidden, simulated="allowed").state == OK


@pytest.mark.parametrize(
    ("pattern", "text", "met"),
    [("a*c", "abbc", True), ("a?c", "abc", True), ("a?c", "ac", False), ("a.c", "abc", False), ("*", "", True)],
)
def test_patterns(pattern, text, met):
    assert matches(pattern, text) is met
