# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.dbops.rds_iam.plugins.module_utils._site import (
    conclusion,
    diagnosis_request,
    inventory,
    login_plan,
    outcomes,
    run_state,
)


def test_a_run(site):
    """From the variables of the hosts to the sentence, as the filters of the playbooks do it."""
    matrix = inventory.login_matrix(site.hosts, site.groups, site.in_play)

    def state(lost=()):
        return run_state.gather(site.hosts, matrix, site.records, {}, lost)

    assert login_plan.databases_to_read(matrix, state()) == {"included": {}, "excluded": {}}
    plan = login_plan.next_logins(matrix, state())
    while plan:
        for client, given in plan.items():
            site.try_round(client, given)
        plan = login_plan.next_logins(matrix, state())
    run = {"has_step": True, "logs_in": True}
    request = diagnosis_request.diagnosis_request(outcomes.outcomes(matrix, state(), run), state(), site.hosts)
    assert request["logins"] == []
    assert conclusion.report(matrix, state(), run, {}, "app1")["proven"]
    report = conclusion.report(matrix, state({"app2"}), run, {}, "app1")
    assert report["hosts"]["app2"]["message"] == "an earlier step failed on app2, as shown above."
