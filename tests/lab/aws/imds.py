# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Instance metadata service, version 2 only, for one instance.

The credentials are those of the role in the profile that is associated with the instance at this moment in the EC2
API. They are sessions like those of AssumeRole, so the API and the verifier know them.
"""

from __future__ import annotations

import ctypes
import datetime
import http.server
import json
import os
import re
import secrets
import socket
import threading
import time
from dataclasses import dataclass

import gaps
import policies
from ministack.core.iam_evaluator import EvalContext, evaluate_resource_policy, parse_policy_document
from ministack.core.responses import request_scope
from ministack.services import ec2, iam, sts

ADDRESS = ("169.254.169.254", 80)
# A rehearsal may have shorter ones: those of less than RENEW_SECONDS are new each time that they are asked for.
CREDENTIAL_SECONDS = float(os.environ.get("LAB_CREDENTIAL_SECONDS", "21600"))
RENEW_SECONDS = 300
MAX_TTL = 21600
CLONE_NEWNET = 0x40000000
TTL_HEADER = "X-aws-ec2-metadata-token-ttl-seconds"
TOKEN_HEADER = "X-aws-ec2-metadata-token"
ROLE_DOCS = "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/iam-roles-for-amazon-ec2.html#troubleshoot-iam-role"


def _stamp(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True)
class _Issued:
    role_id: str
    profile_id: str
    expires: float
    document: dict


class Metadata:
    """The metadata of one instance."""

    def __init__(self, account_id: str, region: str, instance_id: str) -> None:
        self.account_id, self.region, self.instance_id = account_id, region, instance_id
        self._issued: _Issued | None = None
        self._lock = threading.Lock()

    def is_off(self) -> bool:
        with request_scope(self.account_id, self.region):
            return gaps.metadata_options(self._instance())["HttpEndpoint"] == "disabled"

    def get(self, path: str) -> str | None:
        """Return the text at a path, or None for 404. A slash at the end makes no difference."""
        path = path.rstrip("/")
        credentials = "/latest/meta-data/iam/security-credentials"
        with request_scope(self.account_id, self.region):
            if path.startswith(credentials + "/"):
                return self._credentials(path[len(credentials) + 1 :])
            handlers = {
                "/latest/meta-data": lambda: "iam/\ninstance-id\nplacement/",
                "/latest/meta-data/instance-id": lambda: self.instance_id,
                "/latest/meta-data/placement": lambda: "availability-zone\nregion",
                "/latest/meta-data/placement/region": lambda: self.region,
                "/latest/meta-data/placement/availability-zone": self._zone,
                "/latest/meta-data/iam": lambda: "info\nsecurity-credentials/" if self._profile() else None,
                "/latest/meta-data/iam/info": self._info,
                credentials: self._role_name,
                "/latest/dynamic/instance-identity/document": self._identity,
            }
            return handlers[path]() if path in handlers else None

    def _instance(self) -> dict:
        return ec2._instances[self.instance_id]

    def _zone(self) -> str:
        return self._instance()["Placement"]["AvailabilityZone"]

    def _profile(self) -> dict | None:
        """Return the profile that is associated now, as IAM knows it."""
        association = ec2._find_active_iam_instance_profile_association(self.instance_id)
        return iam._lookup_instance_profile(arn=association["IamInstanceProfile"]["Arn"]) if association else None

    def _role(self) -> dict | None:
        profile = self._profile()
        return iam._roles.get(profile["Roles"][0]) if profile and profile["Roles"] else None

    def _role_name(self) -> str | None:
        role = self._role()
        return role["RoleName"] if role else None

    def _info(self) -> str | None:
        profile = self._profile()
        return profile and json.dumps(
            {
                "Code": "Success",
                "LastUpdated": _stamp(time.time()),
                "InstanceProfileArn": profile["Arn"],
                "InstanceProfileId": profile["InstanceProfileId"],
            }
        )

    def _identity(self) -> str:
        instance = self._instance()
        return json.dumps(
            {
                "accountId": self.account_id,
                "architecture": "x86_64",
                "availabilityZone": self._zone(),
                "imageId": instance["ImageId"],
                "instanceId": self.instance_id,
                "instanceType": instance["InstanceType"],
                "privateIp": instance["PrivateIpAddress"],
                "region": self.region,
                "version": "2017-09-30",
            }
        )

    def _credentials(self, name: str) -> str | None:
        role = self._role()
        if not role or role["RoleName"] != name:
            return None
        if not ec2_may_assume(role, self.account_id, self.region):
            return json.dumps(
                {
                    "Code": "AssumeRoleUnauthorizedAccess",
                    "Message": f"EC2 cannot assume the role {name}. Please see documentation at {ROLE_DOCS}.",
                    "LastUpdated": _stamp(time.time()),
                }
            )
        with self._lock:
            return json.dumps(self._current(role, self._profile()["InstanceProfileId"]).document)

    def _current(self, role: dict, profile_id: str) -> _Issued:
        """Return the credentials handed out last, or new ones when they end soon or the role or profile is another."""
        issued = self._issued
        if not (
            issued
            and (issued.role_id, issued.profile_id) == (role["RoleId"], profile_id)
            and issued.expires > time.time() + RENEW_SECONDS
        ):
            self._issued = issued = self._issue(role, profile_id)
        return issued

    def _issue(self, role: dict, profile_id: str) -> _Issued:
        now = time.time()
        key, secret, token = iam._gen_session_access_key(), iam._gen_secret(), iam._gen_session_token()
        sts.register_session(
            key,
            {
                "Arn": f"arn:aws:sts::{self.account_id}:assumed-role/{role['RoleName']}/{self.instance_id}",
                "UserId": f"{role['RoleId']}:{self.instance_id}",
                "SecretAccessKey": secret,
                "SessionToken": token,
                "Expiration": now + CREDENTIAL_SECONDS,
                "AccountId": self.account_id,
                "PrincipalType": "AssumedRole",
            },
        )
        return _Issued(
            role["RoleId"],
            profile_id,
            now + CREDENTIAL_SECONDS,
            {
                "Code": "Success",
                "LastUpdated": _stamp(now),
                "Type": "AWS-HMAC",
                "AccessKeyId": key,
                "SecretAccessKey": secret,
                "Token": token,
                "Expiration": _stamp(now + CREDENTIAL_SECONDS),
            },
        )


def ec2_may_assume(role: dict, account_id: str, region: str) -> bool:
    """Tell whether the trust policy lets EC2 in. A statement that the lab cannot evaluate keeps EC2 out."""
    document = role["AssumeRolePolicyDocument"]
    document = json.loads(document) if isinstance(document, str) else document
    statements = document.get("Statement", [])
    statements = statements if isinstance(statements, list) else [statements]
    context = EvalContext(
        principal_arn="ec2.amazonaws.com",
        principal_type="AWSService",
        principal_account=account_id,
        action="sts:AssumeRole",
        resource_arn=role["Arn"],
        region=region,
    )
    for statement in parse_policy_document(document):
        try:
            policies.check_statement(statement, context.action, context.resource_arn)
        except policies.UndecidableError:
            return False
    if any("NotPrincipal" in statement for statement in statements):
        return False
    return evaluate_resource_policy(document, context, service="ec2.amazonaws.com").decision == "Allow"


class Server:
    """The HTTP service of one instance, on the plan's address or at the real one inside a network namespace."""

    def __init__(self, address: dict, account_id: str, region: str, instance_id: str) -> None:
        listen_address = (address["host"], address["port"]) if "host" in address else ADDRESS
        self._server = http.server.ThreadingHTTPServer(listen_address, _Handler, bind_and_activate=False)
        self._server.daemon_threads = True
        self._server.metadata = Metadata(account_id, region, instance_id)
        self._server.tokens = {}
        self._server.socket.close()
        in_namespace = "netns_pid" in address
        self._server.socket = (
            listen_in(address["netns_pid"], listen_address) if in_namespace else listen(listen_address)
        )

    def start(self) -> None:
        threading.Thread(target=self._server.serve_forever, name="imds", daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def listen(address: tuple[str, int]) -> socket.socket:
    listener = socket.socket()
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(64)
    except OSError:
        listener.close()
        raise
    return listener


def listen_in(pid: int, address: tuple[str, int]) -> socket.socket:
    """Return a listening socket inside the network namespace of a process.

    setns changes one thread, and a socket stays where it was made: so a thread goes there and ends.
    """
    result: list = []

    def work() -> None:
        try:
            with open(f"/proc/{pid}/ns/net", "rb") as namespace:
                if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), f"cannot enter the network namespace of process {pid}")
            result.append(listen(address))
        except OSError as error:
            result.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if isinstance(result[0], OSError):
        raise result[0]
    return result[0]


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "EC2ws"
    sys_version = ""
    timeout = 30

    def do_PUT(self) -> None:  # pylint: disable=invalid-name
        length = self.headers.get("Content-Length", "0")
        if not length.isdigit() or int(length) > 1024:
            self.close_connection = True
            return self._send(400)
        self.rfile.read(int(length))
        if self.server.metadata.is_off():
            return self._send(403)
        if self.path != "/latest/api/token":
            return self._send(404)
        # A proxy that was tricked into asking adds this header.
        if "X-Forwarded-For" in self.headers:
            return self._send(403)
        ttl = self.headers.get(TTL_HEADER, "")
        if not re.fullmatch(r"[0-9]{1,5}", ttl) or not 1 <= int(ttl) <= MAX_TTL:
            return self._send(400)
        token = secrets.token_urlsafe(42)
        now = time.monotonic()
        tokens = self.server.tokens
        for old in [old for old, ends in list(tokens.items()) if ends < now]:
            tokens.pop(old, None)
        tokens[token] = now + int(ttl)
        return self._send(200, token, {TTL_HEADER: ttl})

    def do_GET(self) -> None:  # pylint: disable=invalid-name
        if self.server.metadata.is_off():
            return self._send(403)
        if self.server.tokens.get(self.headers.get(TOKEN_HEADER, ""), 0) < time.monotonic():
            return self._send(401)
        text = self.server.metadata.get(self.path)
        return self._send(404) if text is None else self._send(200, text)

    def _send(self, status: int, text: str = "", headers: dict | None = None) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format, *args) -> None:  # pylint: disable=redefined-builtin
        """Not logged: paths and answers hold nothing that the API log does not say."""
