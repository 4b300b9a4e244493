# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is computed about logins grows as their number does. Counted are calls of functions, which no load disturbs."""

from __future__ import annotations

import sys

import pytest
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
