# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decide on IAM logins as RDS does. The plugin in each database server asks over a Unix stream socket.

Request: the line "AWSAUTH/1", then lines "KEY HEX", then an empty line. Keys:
    tls     "1" yes, "0" no, "2" the plugin cannot tell
    user    name of the account that logs in
    as      the account's authentication string; RDS accounts have "RDS"
    local   "IP PORT" of the server's end of the connection: this, never the token, says which endpoint was dialled
    token   what the client sent as password
    flavor, host, peer   for the person who reads a trace; they decide nothing
Answer: "OK PRINCIPAL" or "NO REASON", one line. The reason is for the server's log; the SQL client never sees it.
"""

from __future__ import annotations

import datetime
import ipaddress
import json
import os
import socketserver
import threading
from dataclasses import dataclass
from pathlib import Path

import auth_log
import policies
from ministack.core.iam_evaluator import AuthError, resolve_principal
from ministack.core.rds_iam import RdsIamTokenError, verify_rds_iam_token
from ministack.core.responses import request_scope
from ministack.services import iam, rds

ENGINES = {"mysql", "mariadb", "aurora-mysql"}
# A server that AWS shows in another state does not take logins.
OPEN_STATES = {"available", "modifying", "backing-up", "storage-optimization"}
KEYS = {"tls", "flavor", "user", "host", "as", "local", "peer", "token"}
NEEDED_KEYS = {"tls", "user", "as", "local", "token"}
MAX_LINE = 256 * 1024
TLS_WORDS = {"0": "no", "1": "yes", "2": "unknown"}


class LoginRefusedError(Exception):
    """A login that is not let in: a fixed code, and words without any part of the token."""

    def __init__(self, code: str, detail: str, principal: str | None = None) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.principal = principal


@dataclass(frozen=True)
class Login:
    """A login as the server describes it; only the token comes from the client."""

    tls: str
    user: str
    auth_string: str
    local: str
    token: str


@dataclass(frozen=True)
class Endpoint:
    """A name under which a database is reached. It decides for which name the token must be signed."""

    name: str
    port: int
    database: str
    is_cluster: bool
    member: str | None  # of a cluster, if the endpoint is that of one instance


class Verifier:
    """The decision, over the state of the API that runs in this process."""

    def __init__(self, plan: dict) -> None:
        self.account_id, self.region = plan["account_id"], plan["region"]
        self.endpoints = {}
        for item in plan["databases"]:
            members = {member["endpoint"]: member["identifier"] for member in item["members"]}
            for address, name in item["addresses"].items():
                self.endpoints[ipaddress.ip_address(address), item["port"]] = Endpoint(
                    name,
                    item["port"],
                    item["identifier"],
                    item["kind"] == "cluster",
                    members.get(name),
                )

    def endpoint(self, local: str) -> Endpoint:
        """Return the endpoint that has this address."""
        try:
            host, port = local.split(" ")
            address = ipaddress.ip_address(host)
            endpoint = self.endpoints.get((getattr(address, "ipv4_mapped", None) or address, int(port)))
        except ValueError:
            endpoint = None
        if not endpoint:
            raise LoginRefusedError("UnknownServer", "no database of the lab listens on this address")
        return endpoint

    def decide(self, endpoint: Endpoint, login: Login) -> str:
        """Return the principal that may log in. Raises LoginRefusedError."""
        resource_id = self._check_database(endpoint)
        self._check_connection(login)
        identity = verify_rds_iam_token(
            login.token,
            hostname=endpoint.name,
            port=endpoint.port,
            db_user=login.user,
            region=self.region,
            account_id=self.account_id,
        )
        if isinstance(identity, RdsIamTokenError):
            raise LoginRefusedError(identity.code, "the token is not a valid one for this endpoint and user")
        resource = f"arn:aws:rds-db:{self.region}:{self.account_id}:dbuser:{resource_id}/{login.user}"
        with request_scope(self.account_id, self.region):
            self._check_policies(identity, resource)
        return identity.principal_arn

    def export(self, endpoint: Endpoint, user: str, refusal: LoginRefusedError) -> None:
        """Write of the refusal where the database has its log exported."""
        records = rds._clusters if endpoint.is_cluster else rds._instances
        with request_scope(self.account_id, self.region):
            record = records.get(endpoint.database) or {}
            if auth_log.LOG in record.get("EnabledCloudwatchLogsExports", ()):
                kind = "cluster" if endpoint.is_cluster else "instance"
                member = endpoint.member or endpoint.database
                auth_log.write(kind, endpoint.database, member, user, refusal.code, refusal.principal)

    def _check_database(self, endpoint: Endpoint) -> str:
        """The resource id that policies name: the cluster's also where the endpoint is that of one of its members."""
        if endpoint.member:
            self._check_open(rds._instances, endpoint.member, "DBInstanceStatus")
        if endpoint.is_cluster:
            database = self._check_open(rds._clusters, endpoint.database, "Status")
        else:
            database = self._check_open(rds._instances, endpoint.database, "DBInstanceStatus")
        if database["IAMDatabaseAuthenticationEnabled"] is not True:
            raise LoginRefusedError(
                "IamAuthenticationDisabled", f"IAM authentication is not in effect on {endpoint.database}"
            )
        return database["DbClusterResourceId" if endpoint.is_cluster else "DbiResourceId"]

    def _check_open(self, records, identifier: str, status: str) -> dict:
        record = records.get_scoped(self.account_id, self.region, identifier)
        if record is None:
            raise LoginRefusedError("DatabaseNotFound", f"{identifier} does not exist any more")
        if record["Engine"] not in ENGINES:
            raise LoginRefusedError("UnsupportedEngine", f"{identifier} is {record['Engine']}")
        if record[status] not in OPEN_STATES:
            raise LoginRefusedError("DatabaseNotAvailable", f"{identifier} is {record[status]}")
        return record

    @staticmethod
    def _check_connection(login: Login) -> None:
        if login.tls != "1":
            raise LoginRefusedError(
                "TlsRequired", f"the connection is encrypted: {TLS_WORDS.get(login.tls, 'unknown')}"
            )
        if login.auth_string != "RDS":
            raise LoginRefusedError(
                "NotAnIamAccount", "the account is not IDENTIFIED WITH AWSAuthenticationPlugin AS 'RDS'"
            )
        if not login.user.isprintable():
            raise LoginRefusedError("InvalidToken", "the user name has control characters")

    def _check_policies(self, identity, resource: str) -> None:
        arn = identity.principal_arn
        principal = resolve_principal(identity.access_key_id, self.account_id)
        if isinstance(principal, AuthError) or principal.arn != arn or principal.policies is None:
            raise LoginRefusedError("InvalidCredentials", "the caller is not a user or role of the account", arn)
        if principal.type == "AssumedRole" and not self._role_exists(principal):
            raise LoginRefusedError("InvalidCredentials", "the caller's role does not exist any more", arn)
        try:
            decision = policies.decide(principal, resource, self.region)
        except policies.UndecidableError as error:
            raise LoginRefusedError("NotEvaluable", str(error), arn) from None
        if decision != "Allow":
            raise LoginRefusedError(decision, f"{policies.ACTION} on {resource}", arn)

    def _role_exists(self, principal) -> bool:
        """A new role of the same name does not revive the sessions of the old one."""
        role = iam._roles.get_scoped(self.account_id, None, principal.arn.split("/")[1])
        return bool(role) and principal.keys["aws:userid"].startswith(role["RoleId"] + ":")


class Server:
    """The socket and the log of decisions."""

    def __init__(self, plan: dict, log: Path) -> None:
        self.path = Path(plan["verifier_socket"])
        self.verifier = Verifier(plan)
        self.log = log
        self.lock = threading.Lock()
        self.path.unlink(missing_ok=True)
        self._server = _ThreadingServer(str(self.path), _Handler)
        self._server.owner = self
        # The database servers run as other users.
        os.chmod(self.path, 0o666)

    def start(self) -> None:
        threading.Thread(target=self._server.serve_forever, name="verifier", daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self.path.unlink(missing_ok=True)

    def answer(self, read_line) -> str:
        """Answer one request and log the decision. Whatever goes wrong is a refusal."""
        entry = {"database": None, "endpoint": None, "user": None, "tls": None}
        endpoint = None
        try:
            login = read_login(read_line)
            entry.update(user=login.user, tls=TLS_WORDS.get(login.tls, "unknown"))
            endpoint = self.verifier.endpoint(login.local)
            entry.update(database=endpoint.database, endpoint=endpoint.name)
            principal = self.verifier.decide(endpoint, login)
        except LoginRefusedError as refusal:
            self._write(entry, "refused", refusal.code, str(refusal), refusal.principal)
            if endpoint:
                self.verifier.export(endpoint, login.user, refusal)
            return f"NO {refusal}"
        except Exception as error:  # pylint: disable=broad-exception-caught
            self._write(entry, "refused", "InternalError", type(error).__name__, None)
            return "NO InternalError"
        self._write(entry, "ok", None, None, principal)
        return f"OK {principal}"

    def _write(self, entry: dict, outcome: str, reason: str | None, detail: str | None, principal: str | None) -> None:
        now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds")
        line = json.dumps(
            {
                "time": now,
                **entry,
                "outcome": outcome,
                "reason": reason,
                "detail": detail,
                "principal": principal,
            }
        )
        with self.lock, self.log.open("a") as file:
            file.write(line + "\n")


class _ThreadingServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request, client_address) -> None:
        """A client that went away; the login it asked for is refused by its own plugin."""


class _Handler(socketserver.StreamRequestHandler):
    timeout = 10

    def handle(self) -> None:
        answer = self.server.owner.answer(lambda: self.rfile.readline(MAX_LINE))
        self.wfile.write(answer.encode("utf-8", "backslashreplace").replace(b"\n", b" ") + b"\n")


def read_login(read_line) -> Login:
    """Read a request. Anything but the protocol, to the letter, is refused."""
    malformed = LoginRefusedError("MalformedRequest", "the plugin's request is not understood")
    fields: dict[str, str] = {}
    if read_line() != b"AWSAUTH/1\n":
        raise malformed
    while (line := read_line()) != b"\n":
        key, _space, value = line.decode("ascii", "replace").rstrip("\n").partition(" ")
        if not line.endswith(b"\n") or key not in KEYS or key in fields:
            raise malformed
        try:
            fields[key] = bytes.fromhex(value).decode()
        except ValueError:
            raise malformed from None
    if NEEDED_KEYS - fields.keys():
        raise malformed
    return Login(fields["tls"], fields["user"], fields["as"], fields["local"], fields["token"])
