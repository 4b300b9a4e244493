# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Clients that are reached at first, and lost in a step: the run goes on, and its end says why, with --limit, too.

Each is reached at another port as soon as it has the result of the step before.
"""

from __future__ import annotations

import json

import pytest
from driver import teardown_table

REFUSED = "Connection refused"


@pytest.fixture(scope="module", autouse=True)
def site(lab):
    lab.good("site.yml")
    yield
    lab.good("teardown.yml")


@pytest.fixture
def lost_after(lab, tmp_path):
    """Makes options that let clients be lost when they have the result of a role."""

    def lost_after(result: str, *clients: str) -> list[str]:
        hosts = {client: {"ansible_port": f"{{{{ 1 if {result} is defined else 22 }}}}"} for client in clients}
        inventory = tmp_path / "lost.json"
        inventory.write_text(json.dumps({"rds_clients": {"hosts": hosts}}))
        return ["-i", lab.info["inventory"], "-i", str(inventory)]

    return lost_after


@pytest.mark.parametrize(
    ("result", "tags"),
    [("db_client_result", "step2,step8,step3,step9"), ("ca_bundle_result", "step8,step7,step9")],
)
def test_all_clients_are_lost(lab, lost_after, result, tags):
    run = lab.playbook("site.yml", *lost_after(result, *lab.clients), "--tags", tags)
    assert run.status != 0
    sentence = run.output.partition("logins were tried, and none is proven. ")[2]
    assert "6 of 6 logins are not proven: " in sentence
    assert REFUSED in sentence and "no attribute" not in sentence.partition('"')[0]
    assert run.failed == {*lab.clients, *(lab.databases if "step3" in tags else ())}


def test_one_of_two_is_lost(lab, lost_after):
    run = lab.playbook("site.yml", *lost_after("db_client_result", "client2"), "--tags", "step2,step8,step9")
    assert run.status != 0
    assert "2 of 6 logins are not proven: client2 to orders as app, client2 to billing as app: " in run.output
    assert "client2" in run.failed and not run.failed & {*lab.databases}


@pytest.mark.parametrize("limit", [(), ("--limit", "client1,orders"), ("--limit", "client1")], ids=" ".join)
def test_the_teardown_goes_on(lab, lost_after, limit):
    lost = [client for client in lab.clients if not limit or client in limit[1]]
    options = (*lost_after("connect_wrapper_result", *lost), *limit)
    try:
        run = lab.playbook("teardown.yml", *options, "--tags", "step7,step8,step3")
        assert run.status != 0
        table = teardown_table(run)
        assert table["rds-mysql", ", ".join(lost)][0] == "removed"
        for client in lost:  # each with its own address
            outcome, reason = table["CA bundle", client]
            assert outcome == "stays" and REFUSED in reason
        assert set(lost) <= run.failed
    finally:
        lab.good("site.yml")
