# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.dbops.rds_iam.plugins.filter.site import FilterModule

FILTERS = FilterModule().filters()


def test_a_run(site):
    """From the variables of the hosts to the sentence, by the filters as the playbooks use them."""
    matrix = FILTERS["login_matrix"](site.hosts, site.groups, site.in_play)
    databases = site.records
    assert FILTERS["databases_to_read"](site.hosts, matrix, databases) == {"inside": {}, "outside": {}}
    plan = FILTERS["next_logins"](site.hosts, matrix, databases)
    while plan:
        for client, given in plan.items():
            site.try_round(client, given)
        plan = FILTERS["next_logins"](site.hosts, matrix, databases)
    run = {"has_step": True, "logs_in": True}
    request = FILTERS["login_diagnosis_request"](site.hosts, matrix, databases, run, site.in_play)
    assert request["logins"] == []
    report = FILTERS["login_report"](site.hosts, matrix, databases, run, "app1", site.in_play, {}, {"logins": []})
    assert report["proven"]
    report = FILTERS["login_report"](site.hosts, matrix, databases, run, "app1", ["app1", "orders", "billing"])
    assert report["hosts"]["app2"]["text"] == "an earlier step failed on app2, as shown above."
