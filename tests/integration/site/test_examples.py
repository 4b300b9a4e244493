# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The examples of each plugin as they are printed: first in check mode, then in earnest; and what RETURN says of them.

They run with the collection from its archive. The lab has the names that they have: databases orders and billing, hosts
client1 and client2. The rest is made here.
"""

from __future__ import annotations

import json
import socket
import subprocess
from pathlib import Path

import pytest
import yaml
from ansible_collections.dbops.rds_iam.plugins.doc_fragments import attributes
from driver import ROOT

PLUGINS = ROOT / "plugins"
NAME = "rds-iam"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
# What Ansible itself adds to a result.
COMMON = {"ansible_facts", "changed", "deprecations", "diff", "failed", "invocation", "warnings"}
# Those of the modules that change nothing.
ATTRIBUTES = yaml.safe_load(attributes.ModuleDocFragment.DOCUMENTATION)["attributes"]
TYPES = {"str": str, "float": float, "int": int, "bool": bool, "list": list, "dict": dict}
ON_THE_CONTROLLER = [
    *("rds_iam_auth", "rds_iam_auth_info", "rds_iam_role_info", "rds_iam_doctor", "rds_iam_access_map"),
    *("ec2_role_attachment", "connect_policy", "rds_iam_role"),
]
ON_A_HOST = [
    *("rds_ca_bundle", "rds_iam_db_user", "rds_iam_db_user_info", "rds_auth_token", "rds_iam_ping"),
    *("rds_iam_client", "rds_iam_client_info", "lookup"),
]


def documentation(name: str) -> dict:
    """The three parts of a plugin's documentation."""
    if name == "connect_policy":
        return yaml.safe_load((PLUGINS / "filter/connect_policy.yml").read_text())
    source = PLUGINS / ("lookup/rds_auth_token.py" if name == "lookup" else f"modules/{name}.py")
    text = source.read_text()
    parts = {part: text.split(f'{part} = r"""', 1)[1].split('"""', 1)[0] for part in ("DOCUMENTATION", "RETURN")}
    examples = text.split('EXAMPLES = r"""', 1)[1].split('"""', 1)[0]
    return {**{part: yaml.safe_load(found) for part, found in parts.items()}, "EXAMPLES": examples}


def test_every_plugin_is_here():
    modules = {path.stem for path in (PLUGINS / "modules").glob("[!_]*.py")}
    assert modules | {"connect_policy", "lookup"} == {*ON_THE_CONTROLLER, *ON_A_HOST}


@pytest.fixture(scope="module")
def world(lab, installed):
    """Make what the examples take for granted."""
    if lab.info["form"] == "plain":
        pytest.skip("In the plain form the hosts share one machine, and so have paths of their own.")
    iam, rds = lab.aws("iam"), lab.aws("rds")
    rds.create_db_cluster(
        DBClusterIdentifier="ledger",
        Engine="aurora-mysql",
        MasterUsername="admin",
        MasterUserPassword="not used here",
    )
    iam.create_role(RoleName=NAME, AssumeRolePolicyDocument=json.dumps(TRUST))
    iam.create_instance_profile(InstanceProfileName=NAME)
    iam.add_role_to_instance_profile(InstanceProfileName=NAME, RoleName=NAME)
    other = subprocess.run([ROOT / "tests/tools/ansible-mysql"], capture_output=True, text=True, check=True)
    (installed / "ansible_collections/ansible").symlink_to(Path(other.stdout.strip()) / "ansible_collections/ansible")
    yield
    lab.delete_role(NAME)
    rds.delete_db_cluster(DBClusterIdentifier="ledger", SkipFinalSnapshot=True)


@pytest.fixture
def examples(lab, world, user, tmp_path):
    """Run the examples of a plugin on a host; return the results of its own tasks."""
    secret = tmp_path / "vault.json"
    secret.write_text(json.dumps({"vault_orders_master_password": lab.databases["orders"]["master_password"]}))

    def run(name, host, *arguments):
        text = documentation(name)["EXAMPLES"]
        head = f"- hosts: {host}\n  gather_facts: false\n  become: {str(host != 'localhost').lower()}\n  tasks:\n"
        play, results = tmp_path / "play.yml", tmp_path / "results"
        play.write_text(head + "\n".join(f"    {line}" for line in text.splitlines()))
        results.write_text("")
        process = lab.playbook(
            str(play),
            *("-e", f"@{secret}", *arguments),
            RESULTS=str(results),
            ANSIBLE_CALLBACK_PLUGINS=str(Path(__file__).with_name("callbacks")),
            ANSIBLE_CALLBACKS_ENABLED="results",
            **user,
        )
        assert process.status == 0, process.output
        return [json.loads(line) for line in results.read_text().splitlines()]

    return run


def check_documented(documented: dict, found: dict, where: str) -> None:
    """Whatever is returned is documented, with its type; and what is said to be returned always is."""
    for key, value in found.items():
        assert key in documented, f"{where}: {key} is not in RETURN"
        said = documented[key]
        if value is None:
            continue
        assert isinstance(value, TYPES[said["type"]]), f"{where}: {key} is not of the type {said['type']}"
        if "contains" in said:
            for one in value if isinstance(value, list) else [value]:
                check_documented(said["contains"], one, f"{where}: {key}")
        elif isinstance(value, list) and value:
            assert isinstance(value[0], TYPES[said["elements"]]), f"{where}: {key}"
    missing = {key for key, said in documented.items() if said["returned"] in ("always", "success")} - set(found)
    assert not missing, f"{where}: {missing} should be there"


def check(lab, name, host, examples):
    documented = documentation(name)
    with lab.calls() as calls:
        checked = examples(name, host, "--check", "--diff")
    assert lab.changing(calls) == []
    results = examples(name, host, "--diff")
    ours = [result for result in results if result["action"] == f"dbops.rds_iam.{name}"]
    if name in ("lookup", "connect_policy"):
        return results
    assert ours
    for one in ours:
        if "censored" in one["result"]:  # by the no_log of the example
            one["result"] = lab.result(host, name, yaml.safe_load(documented["EXAMPLES"])[0][f"dbops.rds_iam.{name}"])
        found = {key: value for key, value in one["result"].items() if key not in COMMON and not key.startswith("_")}
        check_documented(documented["RETURN"], found, f"{name}, {one['name']}")
    changed = [one for one in ours + checked if one["action"] == f"dbops.rds_iam.{name}" and one["result"]["changed"]]
    own = documented["DOCUMENTATION"].get("attributes", {})
    supports = {name: {**attribute, **own.get(name, {})} for name, attribute in ATTRIBUTES.items()}
    assert supports["check_mode"]["support"] == "full"
    if supports["diff_mode"]["support"] == "full":
        assert all(one["result"]["diff"] for one in changed)
    return ours


@pytest.mark.parametrize("name", ON_THE_CONTROLLER)
def test_on_the_controller(lab, name, examples):
    check(lab, name, "localhost", examples)


@pytest.fixture(scope="module")
def role(lab):
    """The role that the examples name, of which nothing is left when all of them have run."""
    options = ("-e", "iam_role_name=app-rds")
    yield options
    lab.good("teardown.yml", *options)


@pytest.fixture
def site(lab, world, role):
    """The site, with the role, the account and the table that the examples name besides those of the inventory."""
    lab.good("site.yml", *role)
    lab.sql("orders", "CREATE TABLE app.customers (id INT, note TEXT)")
    lab.sql("orders", "CREATE USER legacy IDENTIFIED BY 'an old password'")
    yield
    lab.sql("orders", "DROP TABLE app.customers")
    lab.sql("orders", "DROP USER IF EXISTS legacy")


@pytest.mark.parametrize("name", ON_A_HOST)
def test_on_a_host(lab, site, name, examples):
    results = check(lab, name, "client1", examples)
    if name == "lookup":
        [info] = [result["result"] for result in results]
        assert info["version"]["full"], "logged in with a token"


def test_what_is_said_of_a_host_that_cannot_log_in(lab):
    orders, billing = (lab.databases[name] for name in ("orders", "billing"))
    here = {"endpoint": orders["endpoint"], "user": "app"}
    with socket.create_server(("127.0.0.1", 0)) as silent:
        logins = [
            {**here, "port": orders["port"]},
            {**here, "port": billing["port"] + 1, "connect_host": billing["endpoint"]},
            {**here, "port": silent.getsockname()[1], "connect_host": "127.0.0.1"},
        ]
        options = {"logins": logins, "profile": "nobody", "ca_file": lab.info["ca_file"], "connect_timeout": 1}
        process = lab.module("localhost", "dbops.rds_iam.rds_iam_ping", options)
    assert process.status != 0
    host = json.loads(process.output.split("=>", 1)[1])["host"]
    check_documented(documentation("rds_iam_ping")["RETURN"]["host"]["contains"], host, "host of rds_iam_ping")
    assert "nobody" in host["credentials"]["error"]
    straight, astray, stuck = host["targets"]
    assert straight["failed_at"] is None, straight
    assert f"(through {billing['endpoint']})" in astray["msg"]
    assert "timed out" in stuck["msg"]
