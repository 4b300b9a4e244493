# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The dynamic inventory of docs/examples as it stands, with tags on what it is to find, and no host written down."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from driver import ROOT

EXAMPLE = ROOT / "docs" / "examples" / "dynamic"


def tag(fleet) -> None:
    rds, tags = fleet.aws("rds"), [{"Key": "IamLogin", "Value": "yes"}]
    for database in rds.describe_db_instances()["DBInstances"]:
        rds.add_tags_to_resource(ResourceName=database["DBInstanceArn"], Tags=tags)
    instances = [client["instance_id"] for client in fleet.clients.values()]
    fleet.aws("ec2").create_tags(Resources=instances, Tags=tags)


def test_dynamic_inventory(fleet, proven, tmp_path):
    tag(fleet)
    # What differs in the lab: its role, the vault, and how hosts are reached, whose addresses in EC2 are not theirs.
    groups = json.loads(Path(fleet.info["inventory"]).read_text())["all"]["children"]
    passwords = {
        name: variables["db_users_login_password"]
        for name, variables in groups["rds_databases"]["hosts"].items()
        if "db_users_login_password" in variables
    }
    hosts = {
        name: {key: value for key, value in {**groups["rds_clients"]["vars"], **own}.items() if key != "instance_id"}
        for name, own in groups["rds_clients"]["hosts"].items()
    }
    more, vault = tmp_path / "more.json", tmp_path / "vault.json"
    more.write_text(json.dumps({"rds_clients": {"hosts": hosts}}))
    vault.write_text(json.dumps({"iam_role_name": fleet.role, "vault_master_passwords": passwords}))

    run = fleet.converge("-i", str(EXAMPLE), "-i", str(more), "-e", f"@{vault}")
    assert set(run.changed) == {*fleet.clients, *fleet.databases, "localhost"}
    # Its order is another one than that of the static inventory, which nothing is about.
    assert set(run.changed.values()) == {0}, run.output


def test_only_what_has_the_tag(fleet, tmp_path):
    ec2 = fleet.aws("ec2")
    tag(fleet)
    ec2.delete_tags(Resources=[fleet.clients["client1"]["instance_id"]], Tags=[{"Key": "IamLogin"}])
    shutil.copy(EXAMPLE / "clients.aws_ec2.yml", tmp_path)
    hosts = fleet.inventory(tmp_path)["rds_clients"]["hosts"]
    assert set(hosts) == set(fleet.clients) - {"client1"}
