# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The ways to run the plays: strategies, batches, some of the hosts, single steps; and what that costs in AWS calls."""

from __future__ import annotations

import json

import pytest
from driver import Run, counted, include

# In the order of site.yml.
STEPS = ("step1", "step2", "step8", "step3", "step4", "step5", "step6", "step7", "step9")


def test_calls_do_not_grow_with_clients(fleet, proven):
    with fleet.calls() as one:
        fleet.good("site.yml", "--limit", "client1:rds_databases")
    with fleet.calls() as all_of_them:
        fleet.nothing_to_do()
    assert counted(one) == counted(all_of_them)
    assert counted(all_of_them)["rds:DescribeDBInstances"] == len(fleet.databases)


def test_strategy_free(fleet, proven):
    """Each step for all hosts is done once, and nothing warns that it is not."""
    with fleet.calls() as nothing:
        fleet.good("site.yml", "--tags", "step6")
    fleet.detach(*fleet.clients)
    with fleet.calls() as calls:
        fleet.good("site.yml", "--tags", "step6", ANSIBLE_STRATEGY="free")
    # Read before it is attached, and once more to see that it is.
    new = {"ec2:AssociateIamInstanceProfile": len(fleet.clients), "ec2:DescribeInstances": 2}
    assert counted(calls) - counted(nothing) == new

    fleet.aws("iam").delete_role_policy(RoleName=fleet.role, PolicyName="rds-iam-connect")
    fleet.sql("orders", "DROP USER app@'%'")
    assert fleet.ssh("client3", f"{fleet.sudo}rm {fleet.bundle('client3')}").returncode == 0
    with fleet.calls() as calls:
        run = fleet.converge(ANSIBLE_STRATEGY="free")
    assert fleet.changing(calls) == ["iam:PutRolePolicy"]
    assert "run_once" not in run.output


READ = {
    "dbops.rds_iam.rds_iam_auth_info": {"db_instance_identifier": "{{ inventory_hostname }}"},
    "register": "rds",
    "delegate_to": "localhost",
}
RECORDS = "groups['rds_databases'] | map('extract', hostvars) | map(attribute='rds.databases') | map('first')"


def test_a_play_of_ones_own(fleet, proven, tmp_path):
    """Somebody's own plays of the single roles, over what site.yml made: they find it as they want it."""
    how = {"gather_facts": False, "serial": 1, "strategy": "free"}
    connect = [
        {"name": one["identifier"], "endpoint": one["endpoint"], "port": one["port"], "region": fleet.info["region"]}
        for one in fleet.databases.values()
    ]
    attached = {
        "role_attachment_instance_ids": [client["instance_id"] for client in fleet.clients.values()],
        "role_attachment_instance_profile_name": fleet.role,
    }
    tasks = {
        "rds_databases": [READ, include("iam_auth"), include("db_users", db_users_database="{{ rds.databases[0] }}")],
        "localhost": [
            include("iam_role", iam_role_databases=f"{{{{ {RECORDS} | map('combine', {{'users': ['app']}}) }}}}"),
            include("role_attachment", **attached),
        ],
        "rds_clients": [
            include("db_client"),
            include("ca_bundle"),
            include("connect", connect_databases=[{**one, "users": ["app"], "denied": ["report"]} for one in connect]),
        ],
    }
    plays = [{"hosts": hosts, "become": hosts == "rds_clients", **how, "tasks": tasks[hosts]} for hosts in tasks]
    file = tmp_path / "play.json"
    file.write_text(json.dumps(plays))
    run = fleet.good(str(file))
    assert set(run.changed.values()) == {0}, run.output


def steps(fleet, *arguments: str) -> Run:
    """Each step alone, from nothing; the last one proves the logins."""
    fleet.teardown()
    for step in STEPS:
        run = fleet.good("site.yml", "--tags", step, *arguments)
        assert sum(run.changed.values()) > 0 or step in ("step2", "step9"), run.output
    return run


def test_steps_of_a_part(fleet, proven):
    """The other hosts are not touched, and the next run does the rest."""
    run = steps(fleet, "--limit", "client2:orders")
    assert f"2 of {fleet.logins()} logins were tried, and all of these are proven: 1 allowed, 1 denied." in run.output
    assert fleet.profiles() == {"client2": fleet.role}
    assert not {"app", "report"} & {account[0] for account in fleet.accounts("db3")}
    fleet.converge()


def test_steps(fleet, proven):
    if not fleet.soak:
        pytest.skip("part of make soak")
    steps(fleet)
    fleet.nothing_to_do()
