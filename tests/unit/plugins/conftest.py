# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""AWS clients whose answers are written down, checked against botocore's models, and a clock that does not wait."""

from __future__ import annotations

import json

import boto3
import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.dbops.rds_iam.plugins.module_utils._aws import polling
from botocore.stub import Stubber

REGION = "eu-west-1"


class Clock:
    """Stands for the module time: sleeping takes no time, and is written down."""

    def __init__(self):
        self.now, self.pauses = 0.0, []

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.pauses.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(polling, "time", clock)
    return clock


@pytest.fixture
def stubbed():
    """Make a client that expects these calls, in this order, and no others."""
    stubs = []

    def make(service, *calls):
        client = boto3.client(service, region_name=REGION, aws_access_key_id="AKID", aws_secret_access_key="secret")
        stub = Stubber(client)
        for operation, expected, answer in calls:
            if isinstance(answer, tuple):
                code, message = answer
                stub.add_client_error(operation, code, message, expected_params=expected)
            else:
                stub.add_response(operation, answer, expected)
        stub.activate()
        stubs.append(stub)
        return client

    yield make
    for stub in stubs:
        stub.assert_no_pending_responses()


@pytest.fixture
def run_module(monkeypatch, capsys):
    """Run a module's main() with these options and this client; return what it printed."""

    def run(module, client, check=False, **options):
        monkeypatch.setattr(module, "connect", lambda *args: client)
        common = {"_ansible_check_mode": check, "_ansible_remote_tmp": "/tmp", "_ansible_keep_remote_files": False}
        with patch_module_args({**options, **common}), pytest.raises(SystemExit):
            module.main()
        result = json.loads(capsys.readouterr().out)
        result.pop("invocation", None)  # ansible-core up to 2.20 repeats the options here
        return result

    return run
