# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tests that drive the playbooks against a lab. They run inside its network: C(make integration) starts them there."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from driver import Lab, state_of_the_lab


@pytest.fixture(scope="session")
def lab() -> Lab:
    return Lab(state_of_the_lab())


@pytest.fixture
def with_rights(lab):
    """The environment of an IAM user who has exactly these statements as rights."""
    iam, name = lab.aws("iam"), "limited"
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]

    def with_rights(*statements: dict) -> dict[str, str]:
        document = json.dumps({"Version": "2012-10-17", "Statement": statements})
        iam.put_user_policy(UserName=name, PolicyName="rights", PolicyDocument=document)
        return {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}

    yield with_rights
    iam.delete_user_policy(UserName=name, PolicyName="rights")
    iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
    iam.delete_user(UserName=name)
