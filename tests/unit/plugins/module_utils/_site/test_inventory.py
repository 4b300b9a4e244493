# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.dbops.rds_iam.plugins.module_utils._site import inventory

ENGINES = ("mysql", "mariadb", "aurora-mysql")


def record(**changes) -> dict:
    return {"engine": "mysql", "endpoint": "x.example.com", "port": 3306, "region": "eu-west-1", **changes}


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, {"db_instance_identifier": "orders"}),
        ({"db_instance_identifier": "orders-1"}, {"db_instance_identifier": "orders-1"}),
        ({"db_cluster_identifier": "", "db_instance_identifier": ""}, {"db_instance_identifier": "orders"}),
        ({"db_cluster_identifier": "sales", "db_instance_identifier": "x"}, {"db_cluster_identifier": "sales"}),
    ],
)
def test_identifiers(variables, expected):
    found = inventory.identifiers({"orders": variables}, {"rds_databases": ["orders"]})
    assert found == [{**expected, "name": "orders"}]
    assert inventory.identifiers({}, {}) == []


def test_records_of_this_run_and_of_those_that_limit_leaves_out(site):
    site.hosts["orders"]["_rds_iam_info"] = {"databases": [record()]}
    left_out = [{"item": "billing", "databases": [record(engine="mariadb")]}]
    found = inventory.readable_databases(site.hosts, site.groups, left_out, ENGINES)
    assert [(one["name"], one["engine"], one["users"], one["denied"]) for one in found] == [
        ("orders", "mysql", ["app"], ["report"]),
        ("billing", "mariadb", ["app"], ["report"]),
    ]
    assert inventory.connect_database(found[0]) == {
        **{key: found[0][key] for key in ("name", "endpoint", "port", "region")},
        "users": ["app"],
        "denied": ["report"],
    }


@pytest.mark.parametrize("changes", [{"engine": "postgres"}, {"endpoint": None}])
def test_a_database_of_no_use(site, changes):
    site.hosts["orders"]["_rds_iam_info"] = {"databases": [record(**changes)]}
    assert inventory.readable_databases(site.hosts, site.groups, [], ENGINES) == []


def test_why_a_database_that_limit_leaves_out_was_not_read(site):
    left_out = [{"item": "billing", "msg": "There is no DB instance billing."}]
    made = inventory.login_matrix(site.hosts, site.groups, ["app1", "orders"], left_out, "app1,orders")
    assert [entry["unread"] for entry in made["databases"]] == ["", "There is no DB instance billing."]


@pytest.mark.parametrize(
    ("role_users", "unknown"), [(["app"], []), (["app", "stranger"], ["stranger"]), (["gone"], []), (None, [])]
)
def test_names_in_iam_role_users_that_are_no_users(site, role_users, unknown):
    for name in site.groups["rds_databases"]:
        site.hosts[name] = {"db_users_accounts": [{"name": "app"}, {"name": "gone", "state": "absent"}]}
        if role_users:
            site.hosts[name]["iam_role_users"] = role_users
    assert inventory.unknown_users(site.hosts, site.groups) == unknown
    site.hosts["orders"]["db_users_accounts"] = []
    assert inventory.unknown_users(site.hosts, site.groups) == []


def test_the_client_that_sends_sql(site):
    names = ["app1", "app2"]
    assert inventory.sql_client(site.hosts, names) == "app1"
    site.hosts["app1"]["_rds_iam_failure"] = "Connection refused"
    assert inventory.sql_client(site.hosts, names) == "app2"
    site.hosts["app2"]["_rds_iam_failure"] = "No route to host"
    assert inventory.sql_client(site.hosts, names) == "app1"


def test_accounts_for_the_access_map(make_site):
    site = make_site(databases=["orders", "billing", "sales", "left"])
    site.hosts["orders"]["db_users_read_result"] = {"users": [{"name": "app"}]}
    site.hosts["billing"]["db_users_read_result"] = {"skipped": True}
    site.hosts["sales"]["_rds_iam_info"] = {"failed": True, "msg": "There is\nnone."}
    found = {one["name"]: one for one in inventory.report_databases(site.hosts, site.groups)}
    assert found["orders"] == {"name": "orders", "db_instance_identifier": "orders", "users": [{"name": "app"}]}
    assert found["billing"]["not_collected_reason"] == "there is no master login for it, set db_users_login_password"
    assert found["sales"]["not_collected_reason"] == "There is none."
    assert found["left"]["not_collected_reason"] == "this run did not read it"
