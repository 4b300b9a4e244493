# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the role connect says of the logins of one client."""

from __future__ import annotations

import pytest
from ansible_collections.dbops.rds_iam.plugins.module_utils._site import client_proof

PLACE = {"endpoint": "orders.example.com", "port": 3306, "region": "eu-west-1"}
DATABASES = [{"name": "orders", **PLACE, "users": ["app"], "denied": ["report"]}]
OWN = {"source": "iam-role", "principal": "app-rds", "role_name": "app-rds", "is_expected": True, "error": None}


def login(user: str, verdict: str, as_expected: bool = True, signer=None, **more) -> dict:
    return {
        **PLACE,
        "user": user,
        "verdict": verdict,
        "as_expected": as_expected,
        "signer": OWN if signer is None else signer,
        **more,
    }


def proof(*logins, databases=None, principal="app-rds", skipped="", **more) -> dict:
    databases = DATABASES if databases is None else databases
    return client_proof.client_proof(databases, {"logins": list(logins), **more}, "app1", principal, skipped)


BOTH = (login("app", "allowed"), login("report", "denied"))


def test_logins_of_rds_iam_ping():
    proxy = {**DATABASES[0], "ca_file": "/etc/ssl/own.pem", "users": None}
    assert client_proof.ping_logins([*DATABASES, proxy], "/ca.pem") == [
        {**PLACE, "user": "app", "expect": "allowed", "ca_file": "/ca.pem"},
        {**PLACE, "user": "report", "expect": "denied", "ca_file": "/ca.pem"},
        {**PLACE, "user": "report", "expect": "denied", "ca_file": "/etc/ssl/own.pem"},
    ]
    assert len(client_proof.ping_logins(DATABASES, "/ca.pem", tries_denied=False)) == 1


def test_all_as_expected():
    found = proof(*BOTH)
    assert found["proven"]
    assert found["message"].startswith(
        "2 of 2 logins from app1 were tried, all with the expected verdict: 1 allowed, 1 den"
    )
    assert "only if the database has that user" in found["message"]
    found = proof(login("app", "allowed"), databases=[{**DATABASES[0], "denied": []}])
    assert found["message"] == "1 of 1 logins from app1 were tried, all with the expected verdict: 1 allowed, 0 denied."


def test_one_endpoint_under_two_names():
    """As with two CA files: their logins are told apart by their order."""
    databases = [{"name": name, **PLACE, "users": ["app"]} for name in ("proxy", "orders")]
    found = proof(login("app", "allowed"), login("app", "failed", as_expected=False, msg="No."), databases=databases)
    assert found["message"].endswith("1 of 2 logins is not proven: app to orders: No.")


def test_check_mode():
    found = client_proof.client_proof(DATABASES, None, "app1", "app-rds", "")
    assert found == {"proven": True, "message": "0 of 2 logins from app1 were tried: check mode logs in nowhere."}


@pytest.mark.parametrize("databases", [[], [{"name": "orders", **PLACE, "users": [], "denied": []}]])
def test_no_login(databases):
    found = proof(databases=databases)
    assert not found["proven"] and found["message"].startswith("There was no login to prove from app1")


def test_denials_that_another_host_tries():
    found = proof(login("app", "allowed"), skipped="app0 tries them, which has the same principal")
    assert found["proven"]
    assert found["message"] == (
        "1 of 2 logins from app1 were tried, all with the expected verdict: 1 allowed, 0 denied. 1 that must be denied"
        " was not tried, since app0 tries them, which has the same principal."
    )


def test_a_login_that_is_not_as_expected():
    found = proof(login("app", "denied", as_expected=False, msg="Access denied."), login("report", "denied"))
    assert not found["proven"]
    assert found["message"] == (
        "2 of 2 logins from app1 were tried. 1 of 2 logins is not proven: app to orders: Access denied."
    )


@pytest.mark.parametrize(
    ("principal", "signer", "words"),
    [
        (
            "app-rds",
            {**OWN, "is_expected": None, "principal": None, "role_name": None, "error": "STS."},
            "is not known",
        ),
        ("", {**OWN, "is_expected": None, "source": "env"}, "name the principal in connect_principal"),
    ],
)
def test_credentials_of_another_principal(principal, signer, words):
    found = proof(login("app", "allowed", signer=signer), login("report", "denied"), principal=principal)
    assert not found["proven"] and words in found["message"]


def test_any_role_of_the_profile_without_a_principal():
    signer = {**OWN, "is_expected": None}
    logins = (login("app", "allowed", signer=signer), login("report", "denied", signer=signer))
    assert proof(*logins, principal="")["proven"]


def test_a_module_that_failed():
    found = proof(failed=True, msg="PyMySQL is not installed.")
    assert found["message"] == (
        "0 of 2 logins from app1 were tried. 2 of 2 logins are not proven: app to orders, report to orders:"
        " PyMySQL is not installed."
    )


def test_the_first_host_with_a_principal():
    hosts = {"a": {"iam_role_name": "x"}, "b": {"iam_role_name": "y"}, "c": {"connect_principal": "y"}, "d": {}}
    names = list(hosts)
    assert [client_proof.first_client(hosts, names, own) for own in names] == ["a", "b", "b", "d"]
    assert client_proof.first_client(hosts, ["a"], "d") == "d"


def test_hosts_whose_principal_is_not_known_try_their_own():
    hosts = {"a": {}, "b": {"iam_role_name": ""}}
    assert [client_proof.first_client(hosts, list(hosts), own) for own in hosts] == ["a", "b"]


BILLING = {"name": "billing", **PLACE, "endpoint": "billing.example.com", "users": ["app"], "denied": ["report"]}
ELSEWHERE = {"logins": [{**PLACE, "user": "report", "expected": "denied", "verdict": "denied"}]}
SKIPPED = "app0 tries them, which has the same principal"


@pytest.mark.parametrize(
    ("first", "endpoints"),
    [
        (ELSEWHERE, ["billing.example.com"]),
        (None, ["orders.example.com", "billing.example.com"]),
        ({"skipped": True}, ["orders.example.com", "billing.example.com"]),
        # It was to be let in there.
        (
            {"logins": [{**PLACE, "user": "report", "expected": "allowed"}]},
            ["orders.example.com", "billing.example.com"],
        ),
        ({"failed": True, "msg": "PyMySQL is not installed."}, []),
    ],
)
def test_denials_that_the_other_host_has_not_tried(first, endpoints):
    untried = client_proof.untried_logins([*DATABASES, BILLING], "/ca.pem", first)
    assert [login["endpoint"] for login in untried] == endpoints
    assert {login["expect"] for login in untried} <= {"denied"}


def test_denials_that_were_tried_afterwards():
    databases = [*DATABASES, BILLING]
    untried = client_proof.untried_logins(databases, "/ca.pem", ELSEWHERE)
    allowed = {"logins": [login("app", "allowed"), login("app", "allowed")]}
    found = client_proof.client_proof(
        databases, allowed, "app1", "app-rds", SKIPPED, untried, {"logins": [login("report", "denied")]}
    )
    assert found["proven"]
    assert found["message"].startswith(
        "3 of 4 logins from app1 were tried, all with the expected verdict: 2 allowed, 1 de"
    )
    assert found["message"].endswith(f" 1 that must be denied was not tried, since {SKIPPED}.")
    let_in = {"logins": [login("report", "allowed", as_expected=False, msg="It was let in.")]}
    found = client_proof.client_proof(databases, allowed, "app1", "app-rds", SKIPPED, untried, let_in)
    assert not found["proven"] and "1 of 4 logins is not proven: report to billing: It was let in." in found["message"]
    found = client_proof.client_proof(databases, allowed, "app1", "app-rds", SKIPPED, untried, {"msg": "No Python."})
    assert not found["proven"] and "report to billing: No Python." in found["message"]


@pytest.mark.parametrize("proof_denied", [True, False])
def test_nothing_tried_is_no_verdict(proof_denied):
    databases = [{**DATABASES[0], "users": []}]
    found = client_proof.client_proof(databases, {"logins": []}, "app1", "app-rds", SKIPPED, proof_denied=proof_denied)
    assert found["proven"] == proof_denied
    assert found["message"] == (
        f"0 of 1 logins from app1 were tried. 1 that must be denied was not tried, since {SKIPPED}."
    )
