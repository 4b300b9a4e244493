# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The dynamic inventories, as README.md prints them, with tags on what they are to find, and no host written down."""

from __future__ import annotations

import json
import re

from driver import ROOT


def printed(name: str) -> str:
    """The file that README.md shows under this name."""
    return re.search(rf"`inventory/{re.escape(name)}`:\n\n```yaml\n(.*?)```", (ROOT / "README.md").read_text(), re.S)[1]


def tag(fleet) -> None:
    rds, tags = fleet.aws("rds"), [{"Key": "IamLogin", "Value": "yes"}]
    for database in rds.describe_db_instances()["DBInstances"]:
        rds.add_tags_to_resource(ResourceName=database["DBInstanceArn"], Tags=tags)
    instances = [client["instance_id"] for client in fleet.clients.values()]
    fleet.aws("ec2").create_tags(Resources=instances, Tags=tags)


def write(directory, name: str, text: str | dict) -> None:
    path = directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text if isinstance(text, str) else json.dumps(text))


def test_dynamic_inventories(fleet, proven, tmp_path):
    tag(fleet)
    for name in ("databases.aws_rds.yml", "clients.aws_ec2.yml"):
        write(tmp_path, name, printed(name))
    # What a user sets: the variables of the groups, and how to reach the hosts, whose addresses in EC2 are not those
    # of the lab.
    static = json.loads(open(fleet.info["inventory"]).read())["all"]
    groups = static["children"]
    accounts = next(iter(groups["rds_databases"]["hosts"].values()))["db_users_accounts"]
    passwords = {
        name: variables["db_users_login_password"]
        for name, variables in groups["rds_databases"]["hosts"].items()
        if "db_users_login_password" in variables
    }
    write(tmp_path, "group_vars/all.json", static["vars"])
    write(tmp_path, "group_vars/rds_clients.json", groups["rds_clients"]["vars"])
    write(
        tmp_path,
        "group_vars/rds_databases.json",
        {
            "db_users_accounts": accounts,
            "passwords": passwords,
            "db_users_login_password": "{{ passwords[inventory_hostname] | default('') }}",
        },
    )
    for name, variables in groups["rds_clients"]["hosts"].items():
        known = {key: value for key, value in variables.items() if key != "instance_id"}
        write(tmp_path, f"host_vars/{name}.json", known)

    run = fleet.converge("-i", str(tmp_path))
    assert set(run.changed) == {*fleet.clients, *fleet.databases, "localhost"}
    # Its order is another one than that of the static inventory, which nothing is about.
    assert set(run.changed.values()) == {0}, run.output


def test_only_what_has_the_tag(fleet, tmp_path):
    ec2 = fleet.aws("ec2")
    tag(fleet)
    ec2.delete_tags(Resources=[fleet.clients["client1"]["instance_id"]], Tags=[{"Key": "IamLogin"}])
    write(tmp_path, "clients.aws_ec2.yml", printed("clients.aws_ec2.yml"))
    hosts = fleet.inventory(tmp_path)["rds_clients"]["hosts"]
    assert set(hosts) == set(fleet.clients) - {"client1"}
