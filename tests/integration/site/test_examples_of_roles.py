# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The example in the README.md of each role as it is printed, with the collection from its archive, twice."""

from __future__ import annotations

import json
import re

import pytest
from driver import ROOT, run

ROLES = ROOT / "roles"
# In the order of the steps.
STEPS = ["iam_auth", "db_client", "ca_bundle", "db_users", "iam_role", "role_attachment", "connect"]


@pytest.fixture(scope="module")
def inventory(lab, tmp_path_factory):
    """Options that add the host bastion.example.com, which is client1; and the end of what the examples made."""
    if lab.info["form"] == "plain":
        pytest.skip("In the plain form the hosts share one machine, and so have paths of their own.")
    more = tmp_path_factory.mktemp("inventory") / "bastion.json"
    bastion = json.loads(run("ansible-inventory", "--host", "client1"))
    more.write_text(json.dumps({"ungrouped": {"hosts": {"bastion.example.com": bastion}}}))
    yield ["-i", lab.info["inventory"], "-i", str(more)]
    lab.good("teardown.yml", "-e", "iam_role_name=app-servers")


def test_every_role_is_here():
    assert {path.name for path in ROLES.iterdir()} == set(STEPS)


@pytest.mark.parametrize("name", STEPS)
def test_role(lab, user, inventory, tmp_path, name):
    text = (ROLES / name / "README.md").read_text()
    [example] = re.findall(r"^```yaml\n(.*?)^```$", text, re.M | re.S)
    for written, client in (("i-0123456789abcdef0", "client1"), ("i-0fedcba9876543210", "client2")):
        example = example.replace(written, lab.clients[client]["instance_id"])
    (tmp_path / "play.yml").write_text(example)
    lab.good(str(tmp_path / "play.yml"), *inventory, **user)
    again = lab.good(str(tmp_path / "play.yml"), *inventory, **user)
    assert set(again.changed.values()) == {0}, again.output
