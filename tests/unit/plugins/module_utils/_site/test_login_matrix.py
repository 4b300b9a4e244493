# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError
from ansible_collections.dbops.rds_iam.plugins.module_utils._site.login_matrix import database_users, logins


def shown(made) -> list[tuple]:
    return [(*login.clients, login.database, login.user, login.expected) for login in logins(made)]


def test_allowed_logins_are_one_for_each_client_and_denied_ones_one_for_each_principal(site):
    assert shown(site.matrix) == [
        ("app1", "orders", "app", "allowed"),
        ("app1", "app2", "orders", "report", "denied"),
        ("app1", "billing", "app", "allowed"),
        ("app1", "app2", "billing", "report", "denied"),
        ("app2", "orders", "app", "allowed"),
        ("app2", "billing", "app", "allowed"),
    ]
    site.hosts["app2"]["iam_role_name"] = "other"
    denied = [login for login in logins(site.matrix) if login.expected == "denied"]
    assert [(login.clients, login.principal) for login in denied] == [
        (("app1",), "app-rds"),
        (("app1",), "app-rds"),
        (("app2",), "other"),
        (("app2",), "other"),
    ]
    assert site.matrix["total"] == 8


@pytest.mark.parametrize(
    ("in_play", "clients", "databases"),
    [
        (["app1"], ["app1"], ["orders", "billing"]),
        (["orders"], [], ["orders"]),
        (["orders", "app2"], ["app2"], ["orders"]),
        (["localhost"], [], ["orders", "billing"]),
    ],
)
def test_limit_takes_nothing_from_the_total(make_site, in_play, clients, databases):
    made = make_site(in_play=in_play).matrix
    assert (made["total"], made["limited_clients"], made["limited_databases"]) == (6, clients, databases)


def test_clients_whose_principal_is_not_known_have_each_one_of_its_own(site):
    for name in site.groups["rds_clients"]:
        del site.hosts[name]["iam_role_name"]
    denied = [login for login in logins(site.matrix) if login.expected == "denied"]
    assert [(login.clients, login.database) for login in denied] == [
        (("app1",), "orders"),
        (("app1",), "billing"),
        (("app2",), "orders"),
        (("app2",), "billing"),
    ]


@pytest.mark.parametrize(
    ("accounts", "role_users", "expected"),
    [
        (["app", "report"], None, (["app", "report"], [], [])),
        (["app", "report"], ["app"], (["app"], ["report"], [])),
        (["app"], [], ([], ["app"], [])),
        ([], ["app"], (["app"], [], [])),  # as on a replica, whose users are those of its source
        ([], None, ([], [], [])),
        (["app", "-gone"], None, (["app"], [], ["gone"])),
        (["app", "-gone"], ["app", "gone"], (["app"], [], ["gone"])),
        (["-gone"], ["app", "gone"], (["app"], [], ["gone"])),
        (["app", "-app"], None, (["app"], [], [])),  # one of two with that name
        (["app", "app"], None, (["app"], [], [])),
    ],
)
def test_users_of_a_database(accounts, role_users, expected):
    listed = [{"name": name.lstrip("-"), "state": "absent" if name[0] == "-" else "present"} for name in accounts]
    variables = {"db_users_accounts": listed}
    if role_users is not None:
        variables["iam_role_users"] = role_users
    assert tuple(database_users(variables).values()) == expected


@pytest.mark.parametrize(
    "variables",
    [
        {"db_users_accounts": ["app"]},
        {"db_users_accounts": {"app": {}}},
        {"db_users_accounts": [{"host": "%"}]},
        {"db_users_accounts": [{"name": 7}]},
        {"iam_role_users": "app"},
    ],
)
def test_users_in_another_form(variables):
    with pytest.raises(RdsIamError, match=r"must be a list of .*\.$"):
        database_users(variables)


def test_a_database_whose_users_cannot_be_told_is_kept(site):
    site.hosts["orders"]["db_users_accounts"] = ["app"]
    made = site.matrix
    assert made["total"] == 3
    assert "db_users_accounts must be a list" in made["databases"][0]["error"]
