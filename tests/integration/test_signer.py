# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The principal that signs on a host, for every source that botocore knows; and services that answer without an end."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time

import botocore.session
import pytest
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError
from ansible_collections.dbops.rds_iam.plugins.module_utils._host import signing_principal
from ansible_collections.dbops.rds_iam.plugins.module_utils._token.principal import parse_principal
from credential_services import ACCOUNT, KEYS, ROLE, CredentialServices

USER = f"arn:aws:iam::{ACCOUNT}:user/ops"
SESSION = f"arn:aws:sts::{ACCOUNT}:assumed-role/{ROLE}/i-0123456789abcdef0"
ENVIRONMENT = {"AWS_ACCESS_KEY_ID": KEYS["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": KEYS["SecretAccessKey"]}
LOADED = botocore.session  # once here, and not in each child process
STATIC = f"aws_access_key_id = {KEYS['AccessKeyId']}\naws_secret_access_key = {KEYS['SecretAccessKey']}\n"
CONFIG = f"""
[profile static]
{STATIC}
[profile assumed]
role_arn = arn:aws:iam::{ACCOUNT}:role/other
source_profile = static
[profile process]
credential_process = {sys.executable} PLACE/process.py
"""
IMDS = {"AWS_EC2_METADATA_DISABLED": "false", "AWS_EC2_METADATA_SERVICE_ENDPOINT": "URL"}
WEB = {"AWS_WEB_IDENTITY_TOKEN_FILE": "PLACE/web-identity", "AWS_ROLE_ARN": f"arn:aws:iam::{ACCOUNT}:role/web"}
# How credentials come about, as botocore calls it, and what the remedy names.
SOURCES = {
    "env": (ENVIRONMENT, "AWS_ACCESS_KEY_ID"),
    "shared-credentials-file": ({"AWS_SHARED_CREDENTIALS_FILE": "PLACE/credentials"}, "PLACE/credentials"),
    "config-file": ({"AWS_PROFILE": "static"}, "PLACE/config"),
    "custom-process": ({"AWS_PROFILE": "process"}, "PLACE/config"),
    "assume-role": ({"AWS_PROFILE": "assumed"}, "PLACE/config"),
    "assume-role-with-web-identity": (WEB, "AWS_WEB_IDENTITY_TOKEN_FILE"),
    "container-role": ({"AWS_CONTAINER_CREDENTIALS_FULL_URI": "URL/container"}, "AWS_CONTAINER_CREDENTIALS_FULL_URI"),
}


@pytest.fixture
def server():
    with CredentialServices(time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 7200))) as server:
        yield server


@pytest.fixture
def look(server, tmp_path, monkeypatch):
    """Look for the signer in these surroundings, which also have an instance profile."""
    (tmp_path / "config").write_text(CONFIG.replace("PLACE", str(tmp_path)))
    (tmp_path / "credentials").write_text(f"[default]\n{STATIC}")
    (tmp_path / "web-identity").write_text("identity")
    (tmp_path / "process.py").write_text(f"print({json.dumps({'Version': 1, **KEYS})!r})")

    def look(expected=None, profile=None, **environment):
        own = {**IMDS, "AWS_CONFIG_FILE": "PLACE/config", "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
        own |= {"AWS_ENDPOINT_URL_STS": "URL", "AWS_DEFAULT_REGION": "eu-west-1", **environment}
        with monkeypatch.context() as patch:
            for name in [name for name in os.environ if name.startswith("AWS_")]:
                patch.delenv(name)
            for name, value in own.items():
                patch.setenv(name, value.replace("PLACE", str(tmp_path)).replace("URL", server.url))
            principal = None if expected is None else parse_principal(expected)
            signer = signing_principal.find_signer(profile, "eu-west-1", principal)
        found = {**signer.to_result(), "obstacle": signer.obstacle, "may_change": signer.may_change}
        assert KEYS["SecretAccessKey"] not in f"{found} {signer}" and KEYS["SessionToken"] not in f"{found} {signer}"
        return found

    return look


@pytest.mark.parametrize(
    "expected", [None, ROLE, "App-RDS", f"arn:aws:iam::{ACCOUNT}:role/with/a/path/App-rds", SESSION]
)
def test_the_instance_profile_comes_with_its_role(look, server, expected):
    found = look(expected)
    assert (found["source"], found["principal"], found["role_name"]) == ("iam-role", ROLE, ROLE)
    assert found["is_expected"] is (expected and True) and found["obstacle"] == "" and found["error"] is None
    assert server.actions == [], "no call to AWS"
    account = ["PUT /latest/api/token", "GET /latest/meta-data/iam/info"] if expected and ":" in expected else []
    assert server.paths[0] == "PUT /latest/api/token"
    assert len(server.paths) == 3 + len(account) and server.paths[3:] == account


@pytest.mark.parametrize(
    ("expected", "words"),
    [
        ("other", "those of the IAM role app-rds, and not with those of the IAM role other"),
        (f"arn:aws:iam::210987654321:role/{ROLE}", f"of the account {ACCOUNT}, and not with those of"),
        (f"arn:aws:iam::{ACCOUNT}:user/{ROLE}", "prove nothing about that user"),
    ],
)
def test_another_profile_than_the_expected_one(look, expected, words):
    found = look(expected)
    assert found["is_expected"] is False and found["may_change"]
    assert words in found["obstacle"] and found["obstacle"].endswith(".")


def test_an_account_that_the_metadata_service_does_not_tell_is_asked_for(look, server):
    server.profile, server.arn = None, SESSION
    assert look(f"arn:aws:iam::{ACCOUNT}:role/{ROLE}")["is_expected"] is True
    assert look(f"arn:aws:iam::210987654321:role/{ROLE}")["is_expected"] is False
    assert server.actions == ["GetCallerIdentity"] * 2
    server.role = "<html>not a role</html>"
    assert look(ROLE)["principal"] == SESSION


@pytest.mark.parametrize("source", SOURCES)
def test_credentials_of_another_principal(look, server, tmp_path, source):
    how, remedy = SOURCES[source]
    found = look(ROLE, **how)
    assert (found["source"], found["principal"], found["role_name"]) == (source, USER, None)
    assert found["is_expected"] is False and not found["may_change"]
    said = f"signs with credentials from {source}, those of {USER}, and not with those of the IAM role {ROLE}, so"
    assert said in found["obstacle"]
    assert remedy.replace("PLACE", str(tmp_path)) in found["obstacle"]
    assert server.actions.count("GetCallerIdentity") == 1


@pytest.mark.parametrize("source", SOURCES)
def test_the_roles_own_session_from_elsewhere(look, server, source):
    server.arn = SESSION
    found = look("APP-rds", **SOURCES[source][0])
    assert (found["is_expected"], found["role_name"], found["obstacle"]) == (True, ROLE, "")
    assert look(**SOURCES[source][0])["is_expected"] is None


@pytest.mark.parametrize(
    ("arn", "expected", "is_expected"),
    [
        (USER, USER, True),
        (f"arn:aws:iam::{ACCOUNT}:user/team/Ops", USER, True),
        (USER, "arn:aws:iam::210987654321:user/ops", False),
        (USER, "ops", False),
        (f"arn:aws:sts::210987654321:assumed-role/{ROLE}/x", f"arn:aws:iam::{ACCOUNT}:role/{ROLE}", False),
        (f"arn:aws-cn:sts::{ACCOUNT}:assumed-role/{ROLE}/x", ROLE, True),
        (f"arn:aws:sts::{ACCOUNT}:assumed-role/other/{ROLE}", ROLE, False),
        (f"arn:aws:sts::{ACCOUNT}:federated-user/{ROLE}", ROLE, False),
        (f"arn:aws:iam::{ACCOUNT}:root", ROLE, False),
    ],
)
def test_principals_are_compared_by_kind_name_and_account(look, server, arn, expected, is_expected):
    server.arn = arn
    assert look(expected, **ENVIRONMENT)["is_expected"] is is_expected


@pytest.mark.parametrize(
    "broken", [(403, b"<Response><Error><Code>InvalidClientTokenId</Code></Error></Response>"), (500, b"")]
)
def test_a_principal_that_sts_does_not_tell_is_not_the_expected_one(look, server, broken):
    server.broken = broken
    found = look(ROLE, **ENVIRONMENT)
    assert (found["source"], found["principal"], found["is_expected"]) == ("env", None, False)
    assert (
        "which are not known to be those of the IAM role" in found["obstacle"] and found["error"] in found["obstacle"]
    )
    found = look(**ENVIRONMENT)
    assert found["is_expected"] is None and found["obstacle"] == "" and "AWS STS" in found["error"]


def test_sts_that_does_not_answer_is_waited_for_once(look):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        found = look(ROLE, **{**ENVIRONMENT, "AWS_ENDPOINT_URL_STS": url})
        silent.settimeout(0)
        silent.accept()[0].close()
        with pytest.raises(BlockingIOError):
            silent.accept()
    assert found["is_expected"] is False and "could not be reached" in found["error"]


def test_without_credentials(look, server):
    server.role = ""
    found = look(ROLE)
    assert (found["source"], found["is_expected"], found["may_change"]) == (None, False, True)
    assert "No AWS credentials were found" in found["error"]
    found = look(ROLE, AWS_PROFILE="nowhere")
    assert "nowhere" in found["error"] and not found["may_change"], "no time mends that"


@pytest.mark.parametrize("text", ["", "two words", "arn:aws:iam::123456789012:role/", "arn:aws:s3:::app-rds", "a" * 65])
def test_a_principal_that_cannot_be(look, text):
    with pytest.raises(RdsIamError, match="is neither the name of an IAM role nor the ARN"):
        look(text)


class Endless:
    """A program at the address of the metadata service that never comes to an end."""

    def __init__(self, script):
        self.script, self.over, self.finished = script, threading.Event(), False
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        while True:
            try:
                connection, _address = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection):
        try:
            with connection:
                connection.recv(65536)
                self.script(self, connection)
        except OSError:
            pass

    def close(self):
        self.over.set()
        self.listener.shutdown(socket.SHUT_RDWR)  # ends accept(), which might go on with another socket of this number
        self.thread.join()
        self.listener.close()


def drip(server, connection):
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    send(server, connection, b"x", 0.3)


def drip_headers(server, connection):
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    send(server, connection, b"x", 0.3)


def flood(server, connection):
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000000\r\n\r\n")
    send(server, connection, b"x" * 1048576, 0)


def send(server, connection, piece, pause):
    for _number in range(2000):
        connection.sendall(piece)
        if server.over.wait(pause):
            return
    server.finished = True


LIMITED = """
import json, re, resource
from ansible_collections.dbops.rds_iam.plugins.module_utils._host import metadata_service, signing_principal
signing_principal._SECONDS = metadata_service.SECONDS = 3
signer, service = signing_principal.find_signer(None, "eu-west-1", None), metadata_service.read_metadata()
# Not ru_maxrss, which a process has from the one that started it.
parent = int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1]) // 1024
child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
print(json.dumps([signer.error, service["error"], parent, child]))
"""


@pytest.mark.parametrize("script", [drip, drip_headers, flood])
def test_a_service_that_never_ends_neither_holds_the_host_nor_fills_its_memory(script):
    server = Endless(script)
    own = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    own |= {"AWS_EC2_METADATA_SERVICE_ENDPOINT": server.url, "AWS_CONFIG_FILE": os.devnull, "HOME": "/nonexistent"}
    try:
        process = subprocess.run([sys.executable, "-c", LIMITED], env=own, capture_output=True, text=True, check=True)
    finally:
        server.close()
    error, metadata_error, parent, child = json.loads(process.stdout)
    assert error and metadata_error and not server.finished, "the host waited for all of it"
    assert parent < 200 and child < 500, "MB"
