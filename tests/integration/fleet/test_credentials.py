# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A client goes on working when its credentials are renewed, and when a token is older than its 15 minutes.

The lab renews credentials each time that they are asked for, and lets them end after as long as tests/tools/fleet says.
"""

from __future__ import annotations

import datetime
import json
import shlex
import ssl

import botocore.auth
import pymysql
import pytest
from ansible_collections.dbops.rds_iam.plugins.module_utils._token import signer
from botocore.credentials import Credentials

DENIED = 1045
FETCH = """
import json, botocore.session
keys = botocore.session.get_session().get_credentials().get_frozen_credentials()
print(json.dumps([keys.access_key, keys.secret_key, keys.token]))
"""


@pytest.fixture
def credentials(fleet, proven):
    """Those that the first client has at this moment."""

    def credentials() -> Credentials:
        process = fleet.ssh("client1", f"{fleet.sudo}python3 -c {shlex.quote(FETCH)}")
        assert process.returncode == 0, process.stderr
        return Credentials(*json.loads(process.stdout))

    return credentials


def logs_in(fleet, credentials) -> bool:
    """Tell whether a token of these credentials is good for a login."""
    database = fleet.databases["orders"]
    context = ssl.create_default_context(cafile=fleet.info["ca_file"])
    host, port = database["endpoint"], database["port"]
    token = signer.sign(credentials, host, port, "app", fleet.info["region"])
    try:
        pymysql.connect(host=host, port=port, user="app", password=token, ssl=context).close()
    except pymysql.err.OperationalError as exc:
        assert exc.args[0] == DENIED
        return False
    return True


def refusal(fleet) -> str:
    """Return the reason of the last login that the lab refused."""
    decisions = [json.loads(line) for line in (fleet.state / "verifier.jsonl").read_text().splitlines()]
    return next(one["reason"] for one in reversed(decisions) if one["outcome"] == "refused")


def check_the_client_logs_in(fleet) -> None:
    database = fleet.databases["orders"]
    process = fleet.ssh("client1", f"{fleet.sudo}{fleet.wrapper('client1')} orders -NBe 'SELECT CURRENT_USER()'")
    assert process.stdout == "app@%\n", process.stderr
    logins = [{"endpoint": database["endpoint"], "port": database["port"], "user": "app"}]
    arguments = {"logins": logins, "ca_file": fleet.bundle("client1")}
    assert fleet.result("client1", "rds_iam_ping", arguments)["logins"][0]["as_expected"]


def test_credentials_are_renewed_and_end(fleet, credentials):
    first = credentials()
    assert logs_in(fleet, first)
    check_the_client_logs_in(fleet)
    assert credentials().access_key != first.access_key
    fleet.until(lambda: not logs_in(fleet, first), timeout=120)
    assert refusal(fleet) == "InvalidCredentials"
    check_the_client_logs_in(fleet)


def test_a_token_of_16_minutes_ago(fleet, credentials, monkeypatch):
    ago = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None) - datetime.timedelta(minutes=16)
    keys = credentials()
    assert logs_in(fleet, keys)
    with monkeypatch.context() as patch:
        patch.setattr(botocore.auth, "get_current_datetime", lambda: ago)
        assert not logs_in(fleet, keys)
    assert refusal(fleet) == "ExpiredToken"
    check_the_client_logs_in(fleet)
