# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections import Counter

from ansible_collections.dbops.rds_iam.plugins.module_utils._site.login_plan import databases_to_read


def denied(given) -> list[tuple]:
    return [login for login in given if login[2] != "app"]


def test_one_client_is_refused_for_all_of_its_principal(make_site):
    clients = [f"app{number}" for number in range(100)]
    site = make_site(clients).try_all()
    assert denied(site.given) == [("app0", "orders", "report"), ("app0", "billing", "report")]
    assert Counter(client for client, _database, _user in site.given) == {**dict.fromkeys(clients, 2), "app0": 4}


def test_each_principal_is_asked(make_site):
    site = make_site(["app1", "app2", "etl1"])
    site.hosts["etl1"]["iam_role_name"] = "etl"
    site.try_all()
    assert {client for client, _database, _user in denied(site.given)} == {"app1", "etl1"}


def test_each_client_is_asked_where_no_principal_is_known(site):
    for name in site.groups["rds_clients"]:
        del site.hosts[name]["iam_role_name"]
    assert {client for client, _database, _user in denied(site.try_all().given)} == {"app1", "app2"}


def test_denied_logins_come_after_those_that_show_who_signs(site):
    site.signers["app1"] = site.signer(
        is_expected=False, principal="arn:aws:iam::123456789012:user/ops", role_name=None
    )
    site.try_all()
    assert {client for client, _database, _user in denied(site.given)} == {"app2"}


def test_no_client_that_signs_as_the_principal(site):
    site.signers = {client: site.signer(is_expected=False) for client in ("app1", "app2")}
    site.try_all()
    assert denied(site.given) == []


def test_the_next_client_is_asked_where_the_first_one_got_no_decision(site):
    site.answers["app1", "orders", "report"] = {"verdict": "failed", "failed_at": "port", "msg": "It timed out."}
    site.try_all()
    assert denied(site.given) == [
        ("app1", "orders", "report"),
        ("app1", "billing", "report"),
        ("app2", "orders", "report"),
    ]


def test_clients_that_reached_the_database_come_first(site):
    site.answers["app1", "orders", "app"] = {"verdict": "failed", "failed_at": "port", "msg": "It timed out."}
    site.try_all()
    assert ("app2", "orders", "report") in site.given and ("app1", "orders", "report") not in site.given


def test_a_database_that_nobody_reaches_costs_one_attempt(make_site):
    clients = [f"app{number}" for number in range(20)]
    site = make_site(clients)
    failed = {"verdict": "failed", "failed_at": "port", "msg": "It timed out."}
    site.answers = {(client, "orders", user): failed for client in clients for user in ("app", "report")}
    site.try_all()
    assert [login for login in denied(site.given) if login[1] == "orders"] == [("app0", "orders", "report")]


def test_a_decision_ends_it_whatever_it_is(site):
    site.answers["app1", "orders", "report"] = {"verdict": "allowed", "current_user": "report@%", "msg": "It is in."}
    site.try_all()
    assert len(denied(site.given)) == 2


def test_where_no_login_must_be_allowed_a_few_clients_are_asked(make_site):
    clients = [f"app{number}" for number in range(20)]
    site = make_site(clients, ["orders"])
    site.hosts["orders"]["iam_role_users"] = []
    site.answers = {(client, "orders", "app"): {"verdict": "failed", "msg": "It timed out."} for client in clients}
    site.answers |= {(client, "orders", "report"): {"verdict": "failed", "msg": "It timed out."} for client in clients}
    site.try_all()
    assert {client for client, _database, _user in site.given} == {"app0", "app1", "app2"}


def test_failed_hosts_and_unread_databases_are_left_out(make_site):
    site = make_site(["app1", "app2", "app3"], ["orders", "billing", "ghost"])
    site.hosts["app1"]["_rds_iam_failure"] = "Connection refused"
    site.hosts["billing"]["_rds_iam_failure"] = "There is no password."
    site.unread = {"ghost"}
    site.try_all()
    assert set(site.given) == {("app2", "orders", "app"), ("app3", "orders", "app"), ("app2", "orders", "report")}


def test_limit(make_site):
    site = make_site(in_play=["app2", "orders"]).try_all()
    assert site.given == [("app2", "orders", "app"), ("app2", "orders", "report")]
    assert make_site(in_play=["orders"]).try_all().given == []


def test_denials_can_be_left_out(site):
    for client in ("app1", "app2"):
        site.hosts[client]["connect_proof_denied"] = "no"
    site.try_all()
    assert denied(site.given) == [] and len(site.given) == 4


def test_a_removed_user_is_tried(site):
    site.hosts["orders"]["db_users_accounts"] = [{"name": "app"}, {"name": "gone", "state": "absent"}]
    site.hosts["orders"]["db_users_result"] = {"user_rows": [site.row("app")]}
    site.try_all()
    assert ("app1", "orders", "gone") in site.given


def test_users_are_read_where_a_denial_rests_on_them(make_site):
    site = make_site(
        databases=["orders", "billing", "replica", "left"], in_play=["app1", "orders", "billing", "replica"]
    )
    site.hosts["billing"].pop("db_users_result")
    site.hosts["replica"] = {"db_users_accounts": [], "iam_role_users": ["app"]}
    assert databases_to_read(site.matrix, site.state()) == {"included": {"billing": "app1"}, "excluded": {}}
    site = make_site(in_play=["app2"])
    for name in ("orders", "billing"):
        site.hosts[name].pop("db_users_result")
    excluded = {"orders": "app2", "billing": "app2"}
    assert databases_to_read(site.matrix, site.state()) == {"included": {}, "excluded": excluded}
    site.hosts["app2"]["connect_proof_denied"] = False
    assert databases_to_read(site.matrix, site.state()) == {"included": {}, "excluded": {}}
    assert databases_to_read(make_site(in_play=["orders"]).matrix, make_site(in_play=["orders"]).state()) == {
        "included": {},
        "excluded": {},
    }


def test_a_client_that_reached_the_database_sends_the_sql(site):
    site.answers["app1", "orders", "app"] = {"verdict": "failed", "failed_at": "port", "msg": "It timed out."}
    site.answers["app1", "orders", "report"] = site.answers["app1", "orders", "app"]
    for name in ("orders", "billing"):
        site.hosts[name].pop("db_users_result")
    site.try_all()
    assert databases_to_read(site.matrix, site.state())["included"] == {"orders": "app2", "billing": "app1"}
    site.hosts["app1"]["_rds_iam_failure"] = site.hosts["app2"]["_rds_iam_failure"] = "Connection refused"
    assert databases_to_read(site.matrix, site.state())["included"] == {}
