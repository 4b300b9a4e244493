# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The proof of logins, and what it does to the databases: real logins, and what the servers make of them."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

ROLE, POLICY = "rds-iam-lab", "rds-iam-connect"
STEP = ("--tags", "step9")
PASSWORD = "Passw0rd-of-old"


@pytest.fixture(scope="module", autouse=True)
def site(lab):
    lab.good("site.yml")
    yield
    lab.good("site.yml")
    lab.good("teardown.yml")


@pytest.fixture
def sql(lab):
    """Statements on orders, and those that undo them at the end."""
    undo = []

    def sql(statement, *undone):
        undo.extend(undone)
        lab.sql("orders", statement)

    yield sql
    for statement in undo:
        lab.sql("orders", statement)


def refused(decisions) -> Counter:
    """Count the refusals of each database user, by client."""
    return Counter(
        (decision["database"], decision["user"], decision["principal"].rpartition("/")[2])
        for decision in decisions
        if decision["outcome"] != "ok"
    )


def variables(**given) -> tuple[str, str]:
    return "-e", json.dumps(given)


def test_one_refused_login_for_each_database_and_principal(lab):
    client1 = lab.clients["client1"]["instance_id"]
    for playbook in ("site.yml", "doctor.yml"):
        with lab.decisions() as decisions:
            lab.good(playbook)
        assert refused(decisions) == {(name, "report", client1): 1 for name in lab.databases}


def test_what_is_tried_again_is_unproven(lab, sql):
    """The policy is new, and one login does not work: the others are not tried again."""
    lab.aws("iam").delete_role_policy(RoleName=ROLE, PolicyName=POLICY)
    sql(f"CREATE USER app@'10.77.%' IDENTIFIED BY '{PASSWORD}'", "DROP USER app@'10.77.%'")
    with lab.decisions() as decisions:
        run = lab.playbook("site.yml", *variables(connect_proof_retries=2))
    assert run.status != 0
    assert (
        "2 of 6 logins are not proven: client1 to orders as app, client2 to orders as app: orders takes" in run.output
    )
    assert refused(decisions).total() == len(lab.databases)
    assert len(decisions) == len(lab.databases) + len(lab.clients), "orders as app is refused without a token"


def test_a_denial_of_a_user_that_does_not_exist(lab, sql):
    sql("DROP USER report@'%'")
    for playbook, options in (("site.yml", STEP), ("doctor.yml", ())):
        run = lab.playbook(playbook, *options)
        assert run.status != 0
        assert "proves nothing about the policy, since orders has no database user report for 10.77." in run.output
        assert "6 of 6 logins were tried, and 5 are proven: 4 allowed, 1 denied." in run.output
    lab.good("site.yml", "--tags", "step3,step9")


def test_a_denial_by_a_user_with_a_nearer_host(lab, sql):
    sql(f"CREATE USER report@'10.77.0.101' IDENTIFIED BY '{PASSWORD}'", "DROP USER report@'10.77.0.101'")
    run = lab.playbook("site.yml", *STEP, "--limit", "client1,orders")
    assert run.status != 0
    assert "orders takes 'report'@'10.77.0.101' for it, which logs in with" in run.output


def test_an_anonymous_user_keeps_the_master_user_out_too(lab, sql):
    sql(f"CREATE USER ''@'10.77.0.101' IDENTIFIED BY '{PASSWORD}'", "DROP USER ''@'10.77.0.101'")
    run = lab.playbook("site.yml", *STEP, "--limit", "client1,orders")
    assert run.status != 0
    assert "whether orders has this database user is not known: " in run.output


def test_a_denial_by_a_lock(lab, sql):
    sql("ALTER USER report@'%' ACCOUNT LOCK", "ALTER USER report@'%' ACCOUNT UNLOCK")
    run = lab.playbook("doctor.yml", "--limit", "client1,orders")
    assert run.status != 0 and "orders takes 'report'@'%' for it, which is locked" in run.output


def test_a_removed_user_is_tried(lab):
    accounts = [{"name": name} for name in ("app", "report", "batch")]
    lab.good("site.yml", "--tags", "step3", *variables(db_users_accounts=accounts))
    accounts[2]["state"] = "absent"
    # Before it is removed, its denial is no proof of that.
    run = lab.playbook("site.yml", *STEP, *variables(db_users_accounts=accounts))
    assert run.status != 0 and "orders still has 'batch'@'%', which logs in with IAM" in run.output
    run = lab.good("site.yml", "--tags", "step3,step9", *variables(db_users_accounts=accounts))
    assert "8 of 8 logins were tried, and all are proven: 4 allowed, 4 denied." in run.output
    assert run.output.count("batch") == 2, "one line of the table for each database"


def test_a_removed_user_that_still_has_a_password(lab, sql):
    sql(f"CREATE USER batch@'%' IDENTIFIED BY '{PASSWORD}'", "DROP USER batch@'%'")
    accounts = [{"name": "app"}, {"name": "report"}, {"name": "batch", "state": "absent"}]
    run = lab.playbook("site.yml", *STEP, *variables(db_users_accounts=accounts), "--limit", "client1,orders")
    assert run.status != 0 and "orders still has 'batch'@'%', which logs in with" in run.output


def test_without_a_master_login(lab):
    """RDS keeps that of billing."""
    run = lab.playbook("site.yml", *STEP, *variables(db_users_login_password=""))
    assert run.status != 0
    assert (
        "whether orders has this database user is not known: there is no master login to read it with; set"
        in run.output
    )
    assert "6 of 6 logins were tried, and 5 are proven: 4 allowed, 1 denied." in run.output


def test_denials_can_be_left_out(lab):
    with lab.decisions() as decisions:
        run = lab.good("site.yml", *STEP, *variables(connect_proof_denied=False, db_users_login_password=""))
    assert refused(decisions) == {}
    assert (
        "4 of 6 logins were tried, and all of these are proven: 4 allowed, 0 denied. No denial was tried" in run.output
    )


def test_credentials_of_somebody_else(lab):
    """A client that signs with other keys proves nothing, and another one of its role proves the denials."""
    if lab.info["form"] == "plain":
        pytest.skip("The clients of the plain form are one machine.")
    admin = lab.info["admin"]
    keys = f"aws_access_key_id={admin['access_key_id']}\naws_secret_access_key={admin['secret_access_key']}\n"
    home = f"{lab.sudo}sh -c 'mkdir -p /root/.aws && cat > /root/.aws/credentials'"
    assert lab.ssh("client1", home, input=f"[default]\n{keys}").returncode == 0
    try:
        with lab.decisions() as decisions:
            run = lab.playbook("site.yml", *STEP)
    finally:
        lab.ssh("client1", f"{lab.sudo}rm -r /root/.aws")
    assert run.status != 0
    assert "4 of 6 logins were tried" in run.output
    assert "2 of 6 logins are not proven: client1 to orders as app, client1 to billing as app: " in run.output
    assert {decision["principal"].rpartition("/")[2] for decision in decisions} == {
        lab.clients["client2"]["instance_id"]
    }


def test_users_that_cannot_be_told(lab, tmp_path):
    """The other database is proven, and the run does not say that all is."""
    more = tmp_path / "more.json"
    more.write_text(json.dumps({"rds_databases": {"hosts": {"billing": {"db_users_accounts": ["app", "report"]}}}}))
    run = lab.playbook("site.yml", "-i", lab.info["inventory"], "-i", str(more))
    assert run.status != 0
    assert "billing: db_users_accounts must be a list of database users with a name each" in run.output
    assert {"billing"} <= run.failed


def test_a_step_that_fails_is_named(lab):
    """Also where it is an assert, which registers nothing."""
    program = "/bin/true"  # is a program of somebody else
    run = lab.playbook("site.yml", "--tags", "step7,step9", *variables(connect_wrapper_path=program))
    assert run.status != 0
    assert "0 of 6 logins were tried, and none is proven. 6 of 6 logins are not proven: " in run.output
    assert "an earlier step failed" not in run.output
    assert f"{program} on client1 is not a program that" in run.output.partition("are not proven: ")[2]


def test_a_new_database_as_the_documentation_adds_it(lab, tmp_path):
    """docs/operations.md: the clients get it, too."""
    inventory = json.loads(Path(lab.info["inventory"]).read_text())
    billing = inventory["all"]["children"]["rds_databases"]["hosts"].pop("billing")
    one = tmp_path / "one.json"
    one.write_text(json.dumps(inventory))
    lab.good("site.yml", "-i", str(one))
    login = f"{lab.wrapper('client2')} billing -e 'select current_user()'"
    assert lab.ssh("client2", login).returncode != 0

    inventory["all"]["children"]["rds_databases"]["hosts"]["billing"] = billing
    one.write_text(json.dumps(inventory))
    run = lab.playbook("site.yml", "-i", str(one), "--limit", "billing")
    assert run.status != 0 and "Pass --limit billing,rds_clients to try the logins to billing." in run.output
    run = lab.good("site.yml", "-i", str(one), "--limit", "billing,rds_clients")
    assert "3 of 6 logins were tried, and all of these are proven: 2 allowed, 1 denied." in run.output
    assert "app@%" in lab.ssh("client2", login).stdout


def test_the_role_by_itself(lab, tmp_path):
    """One host of the play is refused for all of them; check mode claims nothing."""
    databases = [
        {**{key: one[key] for key in ("endpoint", "port")}, "name": name, "region": lab.info["region"]}
        for name, one in lab.databases.items()
    ]
    play = {"hosts": "rds_clients", "become": True, "gather_facts": False, "tasks": []}
    include = {"name": "dbops.rds_iam.connect", "tasks_from": "proof"}
    given = {"connect_databases": [{**database, "users": ["app"], "denied": ["report"]} for database in databases]}
    play["tasks"] = [{"ansible.builtin.include_role": include, "vars": given}]
    file = tmp_path / "play.json"
    file.write_text(json.dumps([play]))

    with lab.decisions() as decisions:
        run = lab.good(str(file))
    assert refused(decisions) == {(name, "report", lab.clients["client1"]["instance_id"]): 1 for name in lab.databases}
    assert "4 of 4 logins from client1 were tried, all with the expected verdict: 2 allowed, 2 denied." in run.output
    assert "2 of 4 logins from client2 were tried, all with the expected verdict: 2 allowed, 0 denied." in run.output
    assert "client1 tries them, which has the same principal" in run.output
    with lab.decisions() as decisions:
        run = lab.good(str(file), "--check")
    assert decisions == [] and "0 of 4 logins from client1 were tried: check mode logs in nowhere." in run.output
    run = lab.playbook(str(file), *variables(connect_principal="somebody-else"))
    assert run.status != 0 and "4 of 4 logins are not proven" in run.output

    # The first host was not given the database of the second one.
    play["vars"] = {
        "given": dict(zip(lab.clients, ([connect_database] for connect_database in given["connect_databases"])))
    }
    play["tasks"][0]["vars"] = {"connect_databases": "{{ given[inventory_hostname] }}"}
    file.write_text(json.dumps([play]))
    with lab.decisions() as decisions:
        run = lab.good(str(file))
    instances = [lab.clients[name]["instance_id"] for name in play["vars"]["given"]]
    assert refused(decisions) == {(name, "report", one): 1 for name, one in zip(lab.databases, instances)}
    assert "2 of 2 logins from client2 were tried, all with the expected verdict: 1 allowed, 1 denied." in run.output
