# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The client as it goes over the wire: a server on the loopback that fails in the ways of AWS."""

from __future__ import annotations

import http.server
import threading
from types import SimpleNamespace

import botocore.endpoint
import pytest
from ansible_collections.dbops.rds_iam.plugins.module_utils._aws import client as aws_client
from ansible_collections.dbops.rds_iam.plugins.module_utils._aws import rds
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError

GOOD = b"""<DescribeDBInstancesResponse><DescribeDBInstancesResult><DBInstances><DBInstance>
<DBInstanceIdentifier>orders</DBInstanceIdentifier>
<DBInstanceArn>arn:aws:rds:eu-west-1:123456789012:db:orders</DBInstanceArn>
</DBInstance></DBInstances></DescribeDBInstancesResult></DescribeDBInstancesResponse>"""


def error(code):
    return f"<ErrorResponse><Error><Code>{code}</Code><Message>no</Message></Error></ErrorResponse>".encode()


THROTTLED, INTERNAL, RESET = (400, error("Throttling")), (500, error("InternalFailure")), None


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.calls += 1
        answers = self.server.answers
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if answer is RESET:
            self.close_connection = True
            self.connection.close()
            return
        status, body = answer
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


class Module:
    """As much of AnsibleAWSModule as connect() uses."""

    def __init__(self, url, region="eu-west-1", profile=None):
        keys = {} if profile else {"access_key": "AKID", "secret_key": "secret"}
        self.params = {"endpoint_url": url, "region": region, "profile": profile, **keys}


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(botocore.endpoint, "time", SimpleNamespace(sleep=lambda seconds: None))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.calls, server.answers = 0, []
    server.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("fault", [THROTTLED, INTERNAL, RESET], ids=["throttled", "internal", "reset"])
def test_faults_that_pass_are_retried(server, fault):
    server.answers = [fault, fault, fault, (200, GOOD)]
    client = aws_client.connect(Module(server.url), "rds")
    assert rds.describe(client, rds.INSTANCE, "orders")["identifier"] == "orders"
    assert server.calls == 4


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (THROTTLED, "AWS still throttled DescribeDBInstances after all retries"),
        (INTERNAL, "AWS answered DescribeDBInstances with an error of its own"),
        (RESET, "AWS could not be reached"),
    ],
    ids=["throttled", "internal", "reset"],
)
def test_faults_that_stay_are_one_sentence(server, fault, sentence):
    server.answers = [fault]
    client = aws_client.connect(Module(server.url), "rds")
    with pytest.raises(RdsIamError, match=f"^Failed to describe the DB instance orders: {sentence}"):
        rds.describe(client, rds.INSTANCE, "orders")
    assert server.calls == 8


def test_no_region(monkeypatch, tmp_path):
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.delenv("AWS_REGION", raising=False)
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    with pytest.raises(RdsIamError, match="no AWS region is set"):
        aws_client.connect(Module("http://127.0.0.1:1", region=None), "rds")


def test_the_users_configuration_has_the_last_word():
    module = Module("http://127.0.0.1:1")
    module.params["aws_config"] = {"read_timeout": 7}
    config = aws_client.connect(module, "rds").meta.config
    assert (config.connect_timeout, config.read_timeout, config.retries["total_max_attempts"]) == (10, 7, 8)


def test_an_endpoint_that_is_none():
    with pytest.raises(RdsIamError, match=r"^Failed to connect to AWS: Invalid endpoint: nowhere\."):
        aws_client.connect(Module("nowhere"), "rds")


def test_unknown_profile(monkeypatch, tmp_path):
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    (tmp_path / "config").write_text("[profile one]\n")
    with pytest.raises(RdsIamError, match=r"there is no profile two .*\(profiles there: one\)"):
        aws_client.connect(Module("http://127.0.0.1:1", profile="two"), "rds")


def test_unknown_profile_of_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_PROFILE", "two")  # where AnsibleAWSModule takes it from
    with pytest.raises(RdsIamError, match=r"there is no profile two .*\(profiles there: none\)"):
        aws_client.connect(Module("http://127.0.0.1:1", profile="two"), "rds")


@pytest.mark.parametrize("profile", ["one", None])
def test_a_configuration_that_cannot_be_read(monkeypatch, tmp_path, profile):
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setattr(aws_client, "_session", aws_client._session.__wrapped__)
    (tmp_path / "config").write_text("[profile one\n")
    with pytest.raises(RdsIamError, match=r"^Failed to connect to AWS: Unable to parse config file: .*/config"):
        aws_client.connect(Module("http://127.0.0.1:1", profile=profile), "rds")
