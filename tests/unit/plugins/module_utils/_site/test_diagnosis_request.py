# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.dbops.rds_iam.plugins.module_utils._site.diagnosis_request import diagnosis_request

REFUSED = {"verdict": "denied", "failed_at": "login", "msg": "Access denied."}


def request(site) -> dict:
    return diagnosis_request(site.outcomes().values(), site.state(), site.hosts)


def seen(*accounts: tuple[str, str]) -> dict:
    """What the role db_users registers for these wanted accounts, one result each."""
    results = [{"item": {"name": name, "host": host}, "msg": f"seen {name}@{host}"} for name, host in accounts]
    return {"results": [*results, {"item": {"name": "app", "host": "%"}, "skipped": True}]}


def test_nothing_to_ask(site):
    assert request(site.try_all()) == {"logins": [], "clients": [], "users": {}, "sql_clients": {}}


def test_a_login_that_was_refused(site):
    site.answers["app2", "orders", "app"] = REFUSED
    site.try_all()
    asked = request(site)
    assert asked["users"] == {"orders": ["app"]} and asked["sql_clients"] == {"orders": "app1"}
    assert asked["clients"] == [{"name": "app2", "instance_id": "i-app2"}]
    [login] = asked["logins"]
    assert (login["client"], login["database"], login["user"], login["expect"]) == ("app2", "orders", "app", "allowed")
    assert login["login_result"]["verdict"] == "denied" and login["error"] == "Access denied"


def test_what_mysql_user_alone_shows_is_not_asked(site):
    """The doctor has nothing to add where the server decided as expected."""
    site.hosts["orders"]["db_users_result"] = {"user_rows": [site.row("report", locked=True)]}
    assert request(site.try_all())["logins"] == []


def test_credentials_of_another_principal_are_asked_about(site):
    site.signers["app1"] = site.signer(is_expected=None, principal="arn:aws:iam::123456789012:user/ops")
    assert {login["client"] for login in request(site.try_all())["logins"]} == {"app1"}


def test_a_client_that_was_not_reached(site):
    site.hosts["app1"]["_rds_iam_failure"] = "Connection refused"
    asked = request(site.try_all())
    assert asked["clients"] == [{"name": "app1", "instance_id": "i-app1", "host_facts": {"msg": "Connection refused"}}]
    assert {login["error"] for login in asked["logins"]} == {"Connection refused"}
    assert not any("login_result" in login for login in asked["logins"])


def test_a_client_whose_module_could_not_begin(site):
    [(client, databases), *_others] = site.plan().items()
    result = {"failed": False, "msg": "PyMySQL is not installed.", "signer": site.signer()}
    site.hosts[client]["_rds_iam_rounds"] = [{"databases": databases, "result": result}]
    logins = [login for login in request(site.try_all())["logins"] if login["client"] == client]
    assert logins and not any("login_result" in login for login in logins)
    assert {login["error"] for login in logins} == {"PyMySQL is not installed"}


def test_what_the_host_has(site):
    site.answers["app1", "orders", "app"] = REFUSED
    site.try_all()
    site.hosts["app1"]["_rds_iam_rounds"][0]["result"]["host"] = {"clock_skew": 0.1}
    assert request(site)["clients"][0]["host_facts"] == {"clock_skew": 0.1}


def test_the_account_that_the_server_would_pick(site):
    """Of several accounts of one name the one that is for where the client comes from."""
    site.answers["app1", "orders", "app"] = {**REFUSED, "client_host": "10.0.1.5"}
    site.try_all()
    site.hosts["orders"]["db_users_plan_result"] = seen(("app", "192.168.%"), ("app", "10.0.%"), ("app", "%"))
    assert request(site)["logins"][0]["user_plan"]["msg"] == "seen app@10.0.%"
    site.hosts["orders"]["db_users_plan_result"] = seen(("app", "192.168.%"), ("app", "172.16.%"))
    assert request(site)["logins"][0]["user_plan"]["msg"] == "seen app@192.168.%"
    site.hosts["orders"]["db_users_plan_result"] = seen()
    assert "user_plan" not in request(site)["logins"][0]
