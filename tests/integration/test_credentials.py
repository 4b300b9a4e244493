# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every source of credentials that botocore knows, served by the loopback, and each of them broken.

The known-good token is that of boto3's client in the same process, for which the clock stands still.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from credential_services import KEYS, LATER, CredentialServices

MOMENT = "2026-01-02 03:04:05"
SOON = "2026-01-02T03:10:00Z"
PROGRAM = """
import sys, boto3
from ansible_collections.dbops.rds_iam.plugins.module_utils._token import signer
from ansible_collections.dbops.rds_iam.plugins.module_utils._token.credentials import find_credentials
from ansible_collections.dbops.rds_iam.plugins.module_utils._token.errors import TokenError
host, profile = "orders.cabcdefghijk.eu-west-1.rds.amazonaws.com", (sys.argv[1:] or [None])[0]
try:
    source = find_credentials(profile)
except TokenError as exc:
    print(exc)
    sys.exit(3)
token = signer.sign(source, host, 3306, "app", "eu-west-1")
client = boto3.Session(profile_name=profile).client("rds", region_name="eu-west-1")
print(token == client.generate_db_auth_token(host, 3306, "app"))
print(signer.expires_at(source, token).strftime("%H:%M:%S"))
"""


@pytest.fixture
def server():
    with CredentialServices(LATER) as server:
        yield server


STATIC = f"aws_access_key_id = {KEYS['AccessKeyId']}\naws_secret_access_key = {KEYS['SecretAccessKey']}\n"
ENVIRONMENT = {"AWS_ACCESS_KEY_ID": KEYS["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": KEYS["SecretAccessKey"]}
ARN = "arn:aws:iam::123456789012:role/app-rds"
CONFIG = f"""
[profile static]
{STATIC}
[profile assumed]
role_arn = {ARN}
source_profile = static

[profile process]
credential_process = {sys.executable} PLACE/process.py

[profile broken]
credential_process = PLACE/no-such-program

[profile circular]
role_arn = {ARN}
source_profile = nowhere
"""


@pytest.fixture
def run(server, tmp_path):
    """Run the program in one of these surroundings; return its status and lines."""
    (tmp_path / "config").write_text(CONFIG.replace("PLACE", str(tmp_path)))
    (tmp_path / "web-identity").write_text("identity")

    def run(profile=None, process=None, **environment):
        text = json.dumps({"Version": 1, **KEYS, "Expiration": server.expiration}) if process is None else process
        (tmp_path / "process.py").write_text(text if process else f"print({text!r})")
        own = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        own |= {"TZ": "UTC", "AWS_CONFIG_FILE": str(tmp_path / "config"), "AWS_EC2_METADATA_DISABLED": "true"}
        own |= {"AWS_SHARED_CREDENTIALS_FILE": os.devnull, "AWS_ENDPOINT_URL_STS": server.url, "AWS_MAX_ATTEMPTS": "1"}
        for name, value in environment.items():
            own[name] = value.replace("PLACE", str(tmp_path)).replace("URL", server.url)
        command = ["faketime", "-f", MOMENT, sys.executable, "-c", PROGRAM, *([profile] if profile else [])]
        done = subprocess.run(command, env=own, capture_output=True, text=True, check=False)
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, done.stdout.splitlines()

    return run


IMDS = {"AWS_EC2_METADATA_DISABLED": "false", "AWS_EC2_METADATA_SERVICE_ENDPOINT": "URL"}
CONTAINER = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "URL/container"}
WEB = {"AWS_WEB_IDENTITY_TOKEN_FILE": "PLACE/web-identity", "AWS_ROLE_ARN": ARN, "AWS_DEFAULT_REGION": "eu-west-1"}
FETCHED = {
    "assumed role": ({"profile": "assumed", "AWS_DEFAULT_REGION": "eu-west-1"}, "POST /"),
    "web identity": (WEB, "POST /"),
    "container": (CONTAINER, "GET /container"),
    "IMDSv2": (IMDS, "PUT /latest/api/token"),
}


@pytest.mark.parametrize(
    "how",
    [
        ENVIRONMENT,
        {**ENVIRONMENT, "AWS_SESSION_TOKEN": KEYS["SessionToken"]},
        {"profile": "static"},
        {"AWS_PROFILE": "static"},
        # A profile that is asked for comes before the environment, and one in the environment after it.
        {**ENVIRONMENT, "profile": "process"},
        {**ENVIRONMENT, "AWS_PROFILE": "process"},
    ],
)
def test_credentials_at_hand(run, how):
    end = "03:19:05"
    assert run(**how) == (0, ["True", end])


@pytest.mark.parametrize("name", FETCHED)
def test_credentials_that_are_fetched(run, server, name):
    how, asked = FETCHED[name]
    assert run(**how) == (0, ["True", "03:19:05"])
    assert asked in server.paths


# Not IMDSv2: what it serves shortly before its end counts for longer with botocore, as AWS renews it late.
@pytest.mark.parametrize("name", ["assumed role", "web identity", "container", "process", "environment"])
def test_a_token_ends_with_its_credentials(run, server, name):
    server.expiration = SOON
    how = {"process": {"profile": "process"}, "environment": {**ENVIRONMENT, "AWS_CREDENTIAL_EXPIRATION": SOON}}
    how |= {source: surroundings for source, (surroundings, _asked) in FETCHED.items()}
    status, lines = run(**how[name])
    assert (status, lines[-1]) == (0, "03:10:00")


def check_one_sentence(result, *words):
    status, lines = result
    assert status == 3
    assert len(lines) == 1, "one line"
    assert lines[0].endswith(".")
    assert all(word in lines[0] for word in words), lines
    assert KEYS["SecretAccessKey"] not in lines[0] and KEYS["SessionToken"] not in lines[0]


def test_none(run):
    check_one_sentence(run(), "No AWS credentials were found on this host", "attach an instance profile")


@pytest.mark.parametrize(
    ("how", "word"),
    [
        ({"AWS_ACCESS_KEY_ID": "AKID"}, "Partial credentials"),
        ({"profile": "nowhere"}, "nowhere"),
        ({"AWS_PROFILE": "nowhere"}, "nowhere"),
        ({**ENVIRONMENT, "AWS_PROFILE": "nowhere"}, "nowhere"),  # as with botocore, which reads it
        ({"profile": "circular"}, "nowhere"),
        ({"profile": "broken"}, "no-such-program"),
        ({"profile": "process", "process": "import sys; sys.exit('it\\nfailed')"}, "it failed"),
        ({"profile": "process", "process": "print('no JSON')"}, "could not be read"),
        ({"profile": "process", "process": "print('{}')"}, "could not be read"),
        ({**WEB, "AWS_WEB_IDENTITY_TOKEN_FILE": "PLACE/missing"}, "missing"),
        ({"AWS_CONFIG_FILE": "PLACE"}, "AWS credentials"),
    ],
)
def test_broken_at_hand(run, how, word):
    check_one_sentence(run(**how), word)


@pytest.mark.parametrize("name", FETCHED)
@pytest.mark.parametrize("broken", [(403, b"no"), (500, b""), (200, b"no JSON"), (200, b'{"Code": "Failed"}')])
def test_broken_services(run, server, name, broken):
    server.broken = broken
    check_one_sentence(run(**FETCHED[name][0]), "AWS credentials")


@pytest.mark.parametrize("name", FETCHED)
def test_services_that_are_not_there(run, server, name):
    server.stop()
    check_one_sentence(run(**FETCHED[name][0]), "AWS credentials")
