# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a login proves, and what it does not."""

from __future__ import annotations

import pytest

ALLOWED, DENIED = ("app1", "orders", "app"), ("app1", "orders", "report")
NOTHING = "it was denied, which proves nothing about the policy, since "


def unproven(site) -> dict[tuple, str]:
    return {login: outcome.reason for login, outcome in site.outcomes().items() if not outcome.proven}


def test_all_proven(site):
    assert unproven(site.try_all()) == {}


def test_the_principal_must_have_signed(site):
    foreign = {"is_expected": None, "source": "env", "principal": "arn:aws:iam::123456789012:user/ops"}
    site.signers["app1"] = site.signer(**foreign, role_name=None)
    reasons = unproven(site.try_all())
    assert set(reasons) == {login for login in site.outcomes() if login[0] == "app1"}
    assert reasons[ALLOWED].startswith("app1 signed it as arn:aws:iam::123456789012:user/ops with credentials from env")


def test_a_signer_that_nobody_knows(site):
    site.signers["app1"] = site.signer(is_expected=None, principal=None, role_name=None, error="STS does not tell.")
    reason = unproven(site.try_all())[ALLOWED]
    assert reason == "it is not known whether app1 signed it as the IAM role app-rds: STS does not tell"


def test_the_server_must_have_taken_the_user(site):
    site.answers[ALLOWED] = {"current_user": "@%"}
    assert unproven(site.try_all()) == {ALLOWED: "the server logged it in as the database user @%"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"iam": False, "plugin": "mysql_native_password"}, "which logs in with mysql_native_password"),
        ({"locked": True}, "which is locked"),
        ({"expired": True}, "which has expired as if it had a password"),
        ({"require": "X509"}, "which requires a client certificate (X509)"),
    ],
)
def test_a_denial_by_the_database_user_itself(site, changes, words):
    site.hosts["orders"]["db_users_result"] = {"user_rows": [site.row("report", **changes)]}
    assert unproven(site.try_all()) == {DENIED: f"{NOTHING}orders takes 'report'@'%' for it, {words}"}


def test_a_denial_of_a_user_that_does_not_exist(site):
    site.hosts["orders"]["db_users_result"] = {"user_rows": [site.row("report", "192.168.%")]}
    [reason] = unproven(site.try_all()).values()
    assert reason.startswith(f"{NOTHING}orders has no database user report for 10.0.1.5;")


def test_a_denial_by_a_database_that_lets_nobody_in_with_iam(make_site):
    site = make_site(databases=["orders"])
    site.hosts["orders"]["iam_role_users"] = []
    site.changes["orders"] = {"iam_auth_enabled": False}
    reasons = set(unproven(site.try_all()).values())
    assert reasons == {
        f"{NOTHING}IAM database authentication of orders is off; switch it on with dbops.rds_iam.site --tags step1"
    }
    # As step 1 of this run left it.
    site.hosts["orders"]["iam_auth_result"] = {"in_effect": True}
    assert unproven(site) == {}
    site.hosts["orders"]["iam_auth_result"] = {"skipped": True}
    assert unproven(site) == {}


def test_a_denial_of_a_role_of_another_account(site):
    session = f"arn:aws:sts::210987654321:assumed-role/{site.role}/i-1"
    site.signers["app1"] = site.signer(source="env", principal=session)
    assert unproven(site.try_all())[DENIED] == (
        f"app1 signed it as {session}, which is of another AWS account than orders"
    )


def test_a_denial_by_another_user_with_a_nearer_host(site):
    shadow = site.row("report", "10.0.%", iam=False, plugin="caching_sha2_password")
    site.hosts["orders"]["db_users_result"] = {"user_rows": [site.row("report"), shadow]}
    [reason] = unproven(site.try_all()).values()
    assert "orders takes 'report'@'10.0.%' for it, which logs in with caching_sha2_password" in reason


def test_a_denial_by_the_anonymous_user(site):
    anonymous = site.row("", "10.0.1.5", iam=False, plugin="mysql_native_password")
    site.hosts["orders"]["db_users_result"] = {"user_rows": [site.row("report"), anonymous]}
    [reason] = unproven(site.try_all()).values()
    assert "orders takes ''@'10.0.1.5' for it" in reason


def test_a_denial_where_it_is_open_which_user_was_taken(site):
    site.answers[DENIED] = {"client_host": "app1.example.com"}
    shadow = site.row("report", "10.0.%", iam=False, plugin="caching_sha2_password")
    site.hosts["orders"]["db_users_result"] = {"user_rows": [site.row("report"), shadow]}
    [reason] = unproven(site.try_all()).values()
    assert "orders may take 'report'@'10.0.%' for it" in reason


@pytest.mark.parametrize(
    ("result", "words"),
    [
        ({"skipped": True}, "there is no master login to read it with; set db_users_login_password"),
        ({"failed": False, "msg": "The server\n did not answer."}, "The server did not answer."),
        ({"unreachable": True, "msg": "No route to host"}, "No route to host"),
        (None, "this run did not read it"),
    ],
)
def test_a_denial_whose_user_was_not_read(site, result, words):
    site.hosts["orders"] |= {"db_users_result": None, "db_users_read_result": result}
    [reason] = unproven(site.try_all()).values()
    assert reason.startswith(f"{NOTHING}whether orders has this database user is not known: {words}")


def test_rows_that_were_read_for_the_proof(site):
    site.hosts["orders"].pop("db_users_result")
    site.hosts["orders"]["db_users_read_result"] = {"users": [site.row("app"), site.row("report"), site.row("admin")]}
    assert unproven(site.try_all()) == {}


def test_a_removed_user(site):
    site.hosts["orders"]["db_users_accounts"] = [{"name": "app"}, {"name": "gone", "state": "absent"}]
    site.hosts["orders"]["db_users_result"] = {"user_rows": [site.row("app")]}
    assert unproven(site.try_all()) == {}


@pytest.mark.parametrize(
    ("left", "words"),
    [
        (
            {"name": "gone", "iam": False, "plugin": "caching_sha2_password"},
            "orders still has 'gone'@'%', which logs in",
        ),
        ({"name": "gone"}, "orders still has 'gone'@'%', which logs in with IAM"),
        ({"name": ""}, "orders takes the anonymous user ''@'%' for it"),
    ],
)
def test_a_removed_user_that_is_still_there(site, left, words):
    site.hosts["orders"]["db_users_accounts"] = [{"name": "app"}, {"name": "gone", "state": "absent"}]
    site.hosts["orders"]["db_users_result"] = {"user_rows": [site.row("app"), site.row(**left)]}
    [reason] = unproven(site.try_all()).values()
    assert words in reason


def test_a_removed_user_that_gets_in(site):
    site.hosts["orders"]["db_users_accounts"] = [{"name": "app"}, {"name": "gone", "state": "absent"}]
    site.hosts["orders"]["db_users_result"] = {"user_rows": [site.row("app")]}
    login = ("app1", "orders", "gone")
    site.answers[login] = {"verdict": "allowed", "current_user": "gone@%", "msg": "gone@% logged in."}
    assert unproven(site.try_all()) == {login: "gone@% logged in"}


def test_an_allowed_login_that_a_nearer_user_takes(site):
    shadow = site.row("app", "10.0.%", iam=False, plugin="mysql_native_password")
    site.hosts["orders"]["db_users_result"] = {"user_rows": [site.row("app"), site.row("report"), shadow]}
    site.answers[ALLOWED] = {"verdict": "denied", "failed_at": "login", "msg": "Access denied."}
    [reason] = unproven(site.try_all()).values()
    assert "orders takes 'app'@'10.0.%' for it, which logs in with mysql_native_password; drop or rename" in reason


def test_the_decision_of_another_client_counts(site):
    site.answers["app1", "orders", "report"] = {"verdict": "failed", "failed_at": "port", "msg": "It timed out."}
    found = site.try_all().outcomes()
    assert found["app2", "orders", "report"].proven and DENIED not in found


def test_why_a_login_was_not_tried(make_site):
    site = make_site(["app1", "app2", "app3"], ["orders", "billing"])
    site.hosts["app2"]["_rds_iam_failure"] = "Connection refused"
    site.hosts["billing"]["_rds_iam_failure"] = "There is no password."
    reasons = unproven(site.try_all())
    assert reasons["app2", "orders", "app"] == "Connection refused"
    assert reasons["app1", "billing", "report"] == "There is no password"
    assert ("app1", "orders", "report") not in reasons
    outcomes = make_site().outcomes(lost=["app2"])
    assert outcomes["app2", "orders", "app"].reason == "an earlier step failed on app2, as shown above"


@pytest.mark.parametrize("kind", [{"unreachable": True}, {"failed": False}], ids=str)
def test_a_client_whose_task_did_not_run(site, kind):
    """The task that tries the logins does not fail, see its failed_when."""
    [(client, databases), *_others] = site.plan().items()
    result = {**kind, "msg": "Connection timed out"}
    site.hosts[client]["_rds_iam_rounds"] = [{"databases": databases, "result": result}]
    assert unproven(site.try_all())[client, "orders", "app"] == "Connection timed out"


@pytest.mark.parametrize(
    ("changes", "excuse"),
    [
        ({"run": {"has_step": False, "logs_in": True}}, "step"),
        ({"run": {"has_step": True, "logs_in": False}}, "check mode"),
        ({"in_play": ["orders"]}, "limit"),
    ],
)
def test_what_a_run_was_not_to_try(site, changes, excuse):
    vars(site).update(changes)
    assert {outcome.exclusion for outcome in site.outcomes().values()} == {excuse}


def test_denials_that_an_option_leaves_out(site):
    for client in ("app1", "app2"):
        site.hosts[client]["connect_proof_denied"] = False
    found = site.try_all().outcomes()
    assert {login[2] for login, outcome in found.items() if outcome.exclusion == "option"} == {"report"}
