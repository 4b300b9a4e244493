# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is computed about logins grows as their number does.

Counted are calls of functions and lines that run, a loop among them once for each item; no load disturbs that.
"""

from __future__ import annotations

import sys

import pytest
from ansible_collections.dbops.rds_iam.plugins.module_utils._site import client_proof, login_plan
from ansible_collections.dbops.rds_iam.plugins.module_utils._site.diagnosis_request import diagnosis_request

REFUSED = {"verdict": "denied", "failed_at": "login", "msg": "Access denied.", "client_host": "10.0.1.5"}


def calls(function) -> int:
    """How many functions are called, those of C among them."""
    count = 0

    def profile(_frame, event, _arg):
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(profile)
    try:
        function()
    finally:
        sys.setprofile(None)
    return count


def broken_site(make_site, clients: int, databases: int, users: int):
    """A site of this size in which every login that must be allowed is refused."""
    names = [f"user{number}" for number in range(users)]
    site = make_site([f"app{number}" for number in range(clients)], [f"db{number}" for number in range(databases)])
    for database in site.groups["rds_databases"]:
        site.hosts[database] = {"db_users_accounts": [{"name": name} for name in [*names, "report"]]}
        site.hosts[database]["iam_role_users"] = names
        site.hosts[database]["db_users_result"] = {"user_rows": [site.row(name) for name in [*names, "report"]]}
        for client in site.groups["rds_clients"]:
            site.answers |= {(client, database, name): REFUSED for name in names}
    return site.try_all()


def cost(make_site, *size: int) -> int:
    site = broken_site(make_site, *size)
    found = list(site.outcomes().values())
    logins = diagnosis_request(found, site.state(), site.hosts)["logins"]
    assert len(logins) == size[0] * size[1] * size[2]
    diagnoses = {
        (login["client"], login["database"], login["user"]): {"reason": f"cause {number}", "checks": []}
        for number, login in enumerate(logins)
    }
    return (
        calls(site.plan)
        + calls(lambda: site.report(diagnoses))
        + calls(lambda: diagnosis_request(site.outcomes().values(), site.state(), site.hosts))
    )


@pytest.mark.parametrize("larger", [(40, 10, 3), (20, 20, 3), (20, 10, 6)])
def test_twice_the_logins_cost_twice_as_much(make_site, larger):
    assert cost(make_site, *larger) < 2.2 * cost(make_site, 20, 10, 3)


def lines(function) -> int:
    """How many lines run, and of a loop its line once for each item."""
    count = 0

    def trace(_frame, event, _arg):
        nonlocal count
        count += event == "line"
        return trace

    tracer = sys.gettrace()
    sys.settrace(trace)
    try:
        function()
    finally:
        sys.settrace(tracer)
    return count


def denying_site(make_site, clients: int, databases: int, denied: int, *, fails: bool):
    """A site with one user who must log in, and many who must not; with C(fails) each login ends the other way."""
    names = [f"other{number}" for number in range(denied)]
    site = make_site([f"app{number}" for number in range(clients)], [f"db{number}" for number in range(databases)])
    for database in site.groups["rds_databases"]:
        site.hosts[database] = {"db_users_accounts": [{"name": name} for name in ["app", *names]]}
        site.hosts[database]["iam_role_users"] = ["app"]
        rows = {"user_rows": [site.row(name) for name in ["app", *names]]}
        plans = [{"item": {"name": name}} for name in ["app", *names]]
        site.hosts[database] |= {"db_users_result": rows, "db_users_plan_result": {"results": plans}}
        for client in site.groups["rds_clients"] if fails else ():
            site.answers |= {(client, database, name): {"verdict": "allowed", "msg": "No."} for name in names}
            site.answers[client, database, "app"] = REFUSED
    return site.try_all()


def request(site):
    return diagnosis_request(site.outcomes().values(), site.state(), site.hosts)


def cost_of_filters(site) -> int:
    """The cost of what the filters do for the playbooks, after the logins were tried."""
    diagnoses = {
        (login["client"], login["database"], login["user"]): {"reason": "No.", "checks": []}
        for login in request(site)["logins"]
    }
    client = site.groups["rds_clients"][0]
    databases, result = site.hosts[client]["_rds_iam_rounds"][-1].values()
    tasks = [
        site.plan,
        lambda: login_plan.databases_to_read(site.matrix, site.state()),
        lambda: request(site),
        lambda: site.report(diagnoses),
        lambda: site.report(diagnoses, shows_reasons=False),
        lambda: client_proof.ping_logins(databases, "/ca.pem"),
        lambda: client_proof.client_proof(databases, result, client, site.role, ""),
    ]
    return sum(map(lines, tasks))


# By what grows: clients, databases and users who must not log in, before and after.
GROWTH = {"clients": ((20, 3, 2), (80, 3, 8)), "databases": ((2, 20, 2), (2, 80, 2)), "users": ((2, 3, 20), (8, 3, 80))}


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("name", GROWTH)
def test_four_times_the_logins_cost_the_filters_four_times_as_much(make_site, name, fails):
    small, large = (denying_site(make_site, *size, fails=fails) for size in GROWTH[name])
    assert large.matrix["total"] == 4 * small.matrix["total"]
    assert cost_of_filters(large) < 4.2 * cost_of_filters(small)
