# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The files in docs/examples as they stand. What differs in the lab, as how to reach hosts, is in its own inventory."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from driver import ROOT

EXAMPLES = ROOT / "docs" / "examples"


@pytest.fixture(scope="module")
def reach(lab, tmp_path_factory):
    """Write an inventory of how to reach the hosts of the lab, a vaulted variable, and the group of the application."""
    known = json.loads(Path(lab.info["inventory"]).read_text())["all"]["children"]["rds_clients"]
    hosts = {"client1": {**known["vars"], **known["hosts"]["client1"]}}
    path = tmp_path_factory.mktemp("examples") / "reach.json"
    path.write_text(
        json.dumps(
            {
                "all": {
                    "vars": {"vault_orders_master_password": lab.databases["orders"]["master_password"]},
                    "children": {
                        "rds_clients": {"hosts": hosts},
                        "app_servers": {"children": {"rds_clients": {}}},
                    },
                }
            }
        )
    )
    return ("-i", str(EXAMPLES / "static.yml"), "-i", str(path))


@pytest.fixture(scope="module", autouse=True)
def site(lab, reach):
    yield lab.good("site.yml", *reach)
    lab.good("teardown.yml", *reach)


def test_every_example_is_run():
    """Those of dynamic/ are run by tests with a fleet."""
    run = {"static.yml", "dynamic", "fleet.yml", "application.yml", "ansible_mysql.yml"}
    assert {path.name for path in EXAMPLES.iterdir()} == run


def test_static_inventory(lab, site, reach):
    assert "4 of 4 logins were tried, and all are proven: 2 allowed, 2 denied." in site.output
    assert set(lab.good("site.yml", *reach).changed.values()) == {0}


def test_roles_in_a_playbook_of_ones_own(lab, reach):
    lab.good(str(EXAMPLES / "fleet.yml"), *reach)
    run = lab.good(str(EXAMPLES / "fleet.yml"), *reach)
    assert "2 of 2 logins from client1 were tried, all with the expected verdict: 1 allowed, 1 denied." in run.output
    assert set(run.changed.values()) == {0}


def test_application(lab, reach):
    lab.good(str(EXAMPLES / "application.yml"), *reach, "-vvv")
    kept = lab.ssh("client1", f"{lab.sudo}cat /etc/shop/database.cnf").stdout
    assert "ssl-ca=" in kept and "X-Amz" not in kept
    run = lab.playbook(str(EXAMPLES / "application.yml"), *reach, "-vvv", "-e", "database_user=report")
    assert run.status != 0 and "X-Amz-Signature" not in run.output
    lab.ssh("client1", f"{lab.sudo}rm -r /etc/shop")


def test_modules_of_ansible_mysql(lab, reach, tmp_path):
    """They log in; and not where the server's certificate is none of the file."""
    found = subprocess.run([ROOT / "tests/tools/ansible-mysql"], capture_output=True, text=True, check=True)
    bundle = tmp_path / "bundle.pem"

    def run(*arguments):
        arguments = (*reach, "-e", f"ca_file={bundle}", *arguments)
        place = found.stdout.strip()
        return lab.playbook(str(EXAMPLES / "ansible_mysql.yml"), *arguments, ANSIBLE_COLLECTIONS_PATH=place)

    good = run()
    assert good.status == 0 and good.output.count("app@%") == len(lab.databases), good.output
    shutil.copy("/etc/ssl/certs/ca-certificates.crt", bundle)
    refused = run("--start-at-task", "Read the database")
    assert refused.status != 0 and "CERTIFICATE_VERIFY_FAILED" in refused.output, refused.output
