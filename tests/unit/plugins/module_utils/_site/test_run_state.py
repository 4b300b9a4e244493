# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


def test_a_client_that_is_lost_at_its_logins_takes_part_in_nothing_more(site):
    lost = {"unreachable": True, "msg": "Connection refused"}
    site.hosts["app1"]["_rds_iam_rounds"] = [{"databases": site.plan()["app1"], "result": lost}]
    site.try_all()
    assert site.state().clients["app1"].failure == "Connection refused"
    assert {client for client, _database, _user in site.given} == {"app2"}
    assert site.state().sql_client("orders") == "app2"


def test_the_report_names_it(site):
    lost = {"unreachable": True, "msg": "Connection refused"}
    site.hosts["app2"]["_rds_iam_rounds"] = [{"databases": site.plan()["app2"], "result": lost}]
    hosts = site.try_all().report()["hosts"]
    assert hosts["app2"] == {"proven": False, "message": "Connection refused."}
