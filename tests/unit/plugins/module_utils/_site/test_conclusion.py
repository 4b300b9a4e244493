# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

STEP, CHECK = {"has_step": False, "logs_in": True}, {"has_step": True, "logs_in": False}
FAILED = {"verdict": "failed", "failed_at": "port", "msg": "It timed out."}


def test_all_proven(site):
    report = site.try_all().report()
    assert report["proven"]
    assert report["sentence"] == "6 of 6 logins were tried, and all are proven: 4 allowed, 2 denied."
    assert report["hosts"] == {"app1": {"proven": True, "message": report["sentence"]}}
    assert report["counts"] == {"logins": 6, "tried": 6, "proven": 6, "not_proven": 0}


def test_table(site):
    site.answers["app2", "billing", "app"] = FAILED
    assert site.try_all().report()["table"] == [
        "client  database  user    signed by  CURRENT_USER()  TLS      expected  verdict  proven",
        "app1    orders    app     app-rds    app@%           TLSv1.3  allowed   allowed  yes",
        "app1    orders    report  app-rds    -               -        denied    denied   yes",
        "app1    billing   app     app-rds    app@%           TLSv1.3  allowed   allowed  yes",
        "app1    billing   report  app-rds    -               -        denied    denied   yes",
        "app2    orders    app     app-rds    app@%           TLSv1.3  allowed   allowed  yes",
        "app2    billing   app     app-rds    app@%           TLSv1.3  allowed   failed   NOT PROVEN",
    ]


@pytest.mark.parametrize(
    ("in_play", "sentence"),
    [
        (
            ["app1", "orders"],
            "2 of 6 logins were tried, and all of these are proven: 1 allowed, 1 denied."
            " 4 were not tried, since --limit leaves out billing, app2.",
        ),
        (
            ["app2"],
            "4 of 6 logins were tried, and all of these are proven: 2 allowed, 2 denied."
            " 2 were not tried, since --limit leaves out app1.",
        ),
    ],
)
def test_a_part(make_site, in_play, sentence):
    report = make_site(in_play=in_play, limit=",".join(in_play)).try_all().report()
    assert (report["proven"], report["sentence"]) == (True, sentence)


@pytest.mark.parametrize(
    ("limit", "in_play", "passed"),
    [
        ("orders", ["orders"], "orders,rds_clients"),
        ("rds_databases", ["orders", "billing"], "rds_databases,rds_clients"),
        ("all:!rds_clients", ["orders", "billing"], "orders,billing,rds_clients"),
        ("orders:billing", ["orders", "billing"], "orders,billing,rds_clients"),
        ("~ord.*", ["orders"], "'~ord.*,rds_clients'"),
    ],
)
def test_no_client_is_left_in(make_site, limit, in_play, passed):
    report = make_site(in_play=in_play, limit=limit).try_all().report()
    names = ", ".join(in_play)
    assert not report["proven"]
    assert report["sentence"] == (
        f"0 of 6 logins were tried: --limit {limit} leaves out all clients. Pass --limit {passed} to try the logins to"
        f" {names}."
    )


def test_a_run_that_is_not_to_log_in(site):
    for run, sentence in (
        (STEP, "0 of 6 logins were tried, since this run leaves step 9 out."),
        (CHECK, "0 of 6 logins were tried: check mode logs in nowhere."),
    ):
        site.run = run
        report = site.report()
        assert (report["proven"], report["sentence"], report["table"]) == (True, sentence, [])


@pytest.mark.parametrize("run", [STEP, CHECK])
def test_failures_count_where_nothing_is_tried(site, run):
    site.run = run
    site.hosts["app2"]["_rds_iam_failure"] = "No package matching 'x' is available."
    report = site.report()
    assert not report["proven"]
    assert report["sentence"].endswith(" app2: No package matching 'x' is available.")
    assert report["hosts"]["app2"] == {"proven": False, "message": "No package matching 'x' is available."}


def test_reasons_are_said_once(make_site):
    site = make_site(["app1", "app2", "app3"])
    site.hosts["app2"]["_rds_iam_failure"] = "Connection refused."
    site.hosts["app3"]["_rds_iam_failure"] = "Connection refused."
    report = site.try_all().report()
    assert report["sentence"] == (
        "4 of 8 logins were tried, and all of these are proven: 2 allowed, 2 denied. 4 of 8 logins are not proven:"
        " app2 to orders as app, app2 to billing as app, app3 to orders as app, app3 to billing as app:"
        " Connection refused."
    )
    assert not report["proven"] and set(report["hosts"]) == {"app1", "app2", "app3"}


def test_a_database_that_could_not_be_read(make_site):
    site = make_site(databases=["orders", "ghost"])
    site.unread = {"ghost"}
    report = site.try_all().report()
    assert "app2 to ghost as app: the database could not be read, there is none." in report["sentence"]
    assert report["hosts"]["ghost"]["message"] == "the database could not be read, there is none."


def test_a_failed_host_without_logins(make_site):
    site = make_site(databases=["orders", "replica"])
    site.hosts["replica"] = {"db_users_accounts": [], "_rds_iam_failure": "It is stopped."}
    report = site.try_all().report()
    assert not report["proven"]
    assert report["sentence"].endswith(": 2 allowed, 1 denied. replica: It is stopped.")


def test_users_that_cannot_be_told(site):
    site.hosts["billing"]["db_users_accounts"] = ["app"]
    report = site.try_all().report()
    assert not report["proven"]
    assert report["sentence"].startswith(
        "3 of 3 logins were tried, and all are proven: 2 allowed, 1 denied. billing: db_"
    )


def test_nothing_in_the_inventory(site):
    for name in ("orders", "billing"):
        site.hosts[name] = {"db_users_accounts": []}
    report = site.try_all().report()
    assert not report["proven"] and report["sentence"].startswith("There was no login to prove; set db_users_accounts")
    site.run = STEP
    assert site.report()["proven"]


def test_no_denial_was_tried(site):
    for client in ("app1", "app2"):
        site.hosts[client]["connect_proof_denied"] = False
    report = site.try_all().report()
    assert report["proven"]
    assert report["sentence"] == (
        "4 of 6 logins were tried, and all of these are proven: 4 allowed, 0 denied. No denial was tried (2 of 2 are"
        " left out by connect_proof_denied=false), so nothing is known of them."
    )


def test_nothing_was_tried_where_all_is_left_out(site):
    for name in ("orders", "billing"):
        site.hosts[name]["iam_role_users"] = []
    for client in ("app1", "app2"):
        site.hosts[client]["connect_proof_denied"] = False
    report = site.try_all().report()
    assert not report["proven"] and report["sentence"].startswith("0 of 4 logins were tried, and none is proven.")


@pytest.fixture
def refused(site):
    """One login that is refused, with what the doctor finds."""
    site.answers["app1", "orders", "app"] = {"verdict": "denied", "failed_at": "login", "msg": "Access denied."}
    checks = [{"name": "iam_auth", "status": "failed", "message": "the flag is off"}]
    found = {"reason": "the flag is off; to repair it, switch it on", "checks": checks, "status": "failed"}
    return site.try_all(), {("app1", "orders", "app"): found}


def test_the_doctor_is_quoted(refused):
    site, diagnoses = refused
    report = site.report(diagnoses)
    assert report["sentence"] == (
        "6 of 6 logins were tried, and 5 are proven: 3 allowed, 2 denied. 1 of 6 logins is not proven: app1 to orders"
        " as app: the flag is off; to repair it, switch it on."
    )
    report = site.report(diagnoses, shows_reasons=False)
    assert report["sentence"].endswith("1 of 6 logins is not proven, for the reasons above.")
    assert report["details"] == [
        "app on orders from app1: the flag is off; to repair it, switch it on.",
        "  iam_auth       failed  the flag is off",
    ]


def test_a_row_that_refuses_is_said_where_the_doctor_has_no_cause(refused):
    site, diagnoses = refused
    shadow = site.row("app", "10.0.%", iam=False, plugin="mysql_native_password")
    site.hosts["orders"]["db_users_result"]["user_rows"].append(shadow)
    assert "the flag is off" in site.report(diagnoses)["sentence"]
    diagnoses["app1", "orders", "app"]["checks"][0]["name"] = "login"
    assert "orders takes 'app'@'10.0.%' for it" in site.report(diagnoses)["sentence"]


def test_a_long_list_of_hosts_is_counted(make_site):
    site = make_site([f"app{number}" for number in range(10)], in_play=["app0"], limit="app0").try_all()
    assert site.report()["sentence"].endswith("18 were not tried, since --limit leaves out 9 hosts.")
