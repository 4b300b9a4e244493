# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Databases that RDS describes and modifies too, and that this collection is not for: nothing changes them."""

from __future__ import annotations

import itertools
import json

import pytest
from driver import ROOT

FLAG = "IAMDatabaseAuthenticationEnabled"
NAME = "graph"
LOGIN = {"MasterUsername": "admin", "MasterUserPassword": "Passw0rd-for-a-test"}


@pytest.fixture(params=itertools.product(["neptune", "docdb", "aurora-postgresql", "aurora"], [True, False]))
def cluster(lab, request):
    """A cluster of another engine, with the flag on or off."""
    rds, (engine, enabled) = lab.aws("rds"), request.param
    rds.create_db_cluster(DBClusterIdentifier=NAME, Engine=engine, EnableIAMDatabaseAuthentication=enabled, **LOGIN)
    yield engine
    rds.delete_db_cluster(DBClusterIdentifier=NAME, SkipFinalSnapshot=True)


@pytest.mark.parametrize("arguments", [(), ("--check",)], ids=["real", "check"])
def test_a_cluster_of_another_engine_stays_as_it_is(lab, cluster, arguments, tmp_path):
    described = lab.aws("rds").describe_db_clusters(DBClusterIdentifier=NAME)["DBClusters"]
    for enabled in (True, False):
        variables = {"iam_auth_db_cluster_identifier": NAME, "iam_auth_enabled": enabled}
        play = {"hosts": "localhost", "gather_facts": False, "roles": [{"role": "dbops.rds_iam.iam_auth", **variables}]}
        (tmp_path / "play.json").write_text(json.dumps([play]))
        with lab.calls() as calls:
            run = lab.playbook(str(tmp_path / "play.json"), *arguments)
        assert run.status != 0 and lab.changing(calls) == []
        [sentence] = run.failures
        assert sentence.startswith(f"The DB cluster {NAME} runs {cluster}, and this collection switches")
        assert sentence.endswith("; nothing was changed.")
    assert lab.aws("rds").describe_db_clusters(DBClusterIdentifier=NAME)["DBClusters"] == described


@pytest.mark.parametrize("playbook", ["site.yml", "teardown.yml"])
def test_the_playbooks_refuse_it(lab, cluster, playbook):
    variables = {"db_cluster_identifier": NAME, "iam_role_users": []}
    with lab.calls() as calls:
        run = lab.playbook(playbook, "--tags", "step1", "--extra-vars", json.dumps(variables))
    assert run.status != 0 and lab.changing(calls) == []
    assert f"runs {cluster}, and these playbooks work with mysql, mariadb, aurora-mysql" in run.output


def test_the_playbooks_have_the_list_of_the_plugins():
    assert "aurora-mysql" not in (ROOT / "playbooks/vars/databases.yml").read_text()
