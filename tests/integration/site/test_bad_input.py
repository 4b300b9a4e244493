# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bad input is answered in one sentence, before anything is changed."""

from __future__ import annotations

import pytest


def failure(lab, host, module, arguments, **environment):
    """Return the message of a module that fails, and that made no changing call."""
    with lab.calls() as calls:
        run = lab.module(host, module, arguments, **environment)
    assert run.status != 0, run.output
    assert "Traceback" not in run.output
    assert lab.changing(calls) == []
    [message] = run.failures
    assert "\n" not in message
    return message


@pytest.fixture(scope="module")
def aws_databases(lab):
    """Databases that cannot have IAM logins."""
    rds = lab.aws("rds")
    common = {"AllocatedStorage": 20, "MasterUsername": "admin", "MasterUserPassword": "Passw0rd-for-a-test"}
    rds.create_db_instance(DBInstanceIdentifier="ledger", Engine="oracle-ee", DBInstanceClass="db.m5.large", **common)
    rds.create_db_instance(DBInstanceIdentifier="tiny", Engine="mysql", DBInstanceClass="db.t2.micro", **common)
    yield
    for identifier in ("ledger", "tiny"):
        rds.delete_db_instance(DBInstanceIdentifier=identifier, SkipFinalSnapshot=True)


@pytest.mark.parametrize(
    ("identifier", "words"),
    [("nowhere", "nowhere"), ("ledger", "oracle"), ("tiny", "db.t2.micro")],
)
def test_databases_that_cannot(lab, aws_databases, identifier, words):
    message = failure(lab, "localhost", "dbops.rds_iam.rds_iam_auth", {"db_instance_identifier": identifier})
    assert words in message


def test_no_region(lab):
    arguments = {"db_instance_identifier": "orders"}
    no_region = {"AWS_REGION": "", "AWS_DEFAULT_REGION": ""}
    message = failure(lab, "localhost", "dbops.rds_iam.rds_iam_auth", arguments, **no_region)
    assert "region" in message


def test_unknown_instance(lab):
    arguments = {"instance_ids": ["i-0123456789abcdef0"], "instance_profile_name": "rds-iam-lab"}
    message = failure(lab, "localhost", "dbops.rds_iam.ec2_role_attachment", arguments)
    assert "i-0123456789abcdef0" in message


def master_login(lab, **changes):
    database = lab.databases["orders"]
    login = {
        "login_host": database["endpoint"],
        "login_user": database["master_username"],
        "login_password": database["master_password"],
        "ca_file": lab.info["ca_file"],
        "connect_timeout": 3,
    }
    return {**login, **changes}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"users": [{"name": "x" * 33}]}, "33 characters"),
        ({"users": [{"name": "fine"}, {"name": "app", "privileges": {"app.*": ["SELEKT"]}}]}, "SELEKT"),
        ({"users": [{"name": "n"}], "login_password": "not-the-password"}, "refused the login of admin"),
        ({"users": [{"name": "n"}], "login_port": 3999}, "cannot be reached"),
        ({"users": [{"name": "n"}], "login_host": "no-such-host.example"}, "cannot be reached"),
    ],
)
def test_accounts(lab, changes, words):
    accounts = lab.accounts("orders")
    message = failure(lab, "localhost", "dbops.rds_iam.rds_iam_db_user", master_login(lab, **changes))
    assert words in message
    assert lab.accounts("orders") == accounts


@pytest.mark.parametrize("missing", ["pymysql", "botocore"])
def test_missing_libraries(lab, missing, tmp_path):
    """A host without a library: the module runs with a Python that cannot import it."""
    (tmp_path / f"{missing}.py").write_text("raise ImportError\n")
    login = {"endpoint": lab.databases["orders"]["endpoint"], "user": "app"}
    arguments = {"logins": [login], "ca_file": lab.info["ca_file"]}
    message = failure(lab, "localhost", "dbops.rds_iam.rds_iam_ping", arguments, PYTHONPATH=str(tmp_path))
    assert {"pymysql": "PyMySQL", "botocore": "botocore"}[missing] in message
    assert "is not installed" in message
