# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Let only signed calls of the API in, and write one line for each to the API log.

A line: {"time", "service", "action", "caller" (ARN of the access key's owner, or null), "outcome" ("ok" or the error
code), "status"}. Parameters are not logged, so a password or policy never is.
"""

from __future__ import annotations

import datetime
import json
import re
import threading
from pathlib import Path
from urllib.parse import parse_qs

from ministack.core.iam_evaluator import resolve_caller_identity
from ministack.core.responses import request_scope
from ministack.services import sts

MAX_BODY = 1024 * 1024
CREDENTIAL = re.compile(
    r"AWS4-HMAC-SHA256 .*?Credential=([A-Za-z0-9]{1,128})/[0-9]{8}/[a-z0-9-]+/([a-z0-9-]+)/aws4_request"
)
ERROR_CODE = re.compile(r"<Code>([^<]+)</Code>|\"__type\"\s*:\s*\"(?:[^\"#]*#)?([^\"]+)\"")


class _CallRefusedError(Exception):
    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


class Gateway:
    """ASGI application in front of ministack's."""

    def __init__(self, inner, plan: dict, log: Path) -> None:
        self.inner = inner
        self.account_id, self.region = plan["account_id"], plan["region"]
        self.log = log
        self.lock = threading.Lock()

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    async def _http(self, scope, receive, send) -> None:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        call = {"service": None, "action": None, "caller": None}
        answer = _Answer(send, lambda outcome, status: self._write({**call, "outcome": outcome, "status": status}))
        try:
            key, call["service"] = _credential(headers)
            _only_api_calls(scope)
            body = await _read(receive)
            call["action"] = _action(headers, body)
            call["caller"] = self._caller(key)
            await self.inner(scope, _replay(body, receive), answer)
        except _CallRefusedError as refusal:
            await answer.refuse(refusal, json_protocol="x-amz-target" in headers)
        finally:
            answer.log()

    def _caller(self, key: str) -> str | None:
        account = (sts._sessions.get(key) or {}).get("AccountId", self.account_id)
        with request_scope(account, self.region):
            return (resolve_caller_identity(key) or {}).get("userArn")

    def _write(self, call: dict) -> None:
        now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds")
        line = json.dumps({"time": now, **call})
        with self.lock, self.log.open("a") as file:
            file.write(line + "\n")


class _Answer:
    """Pass the answer on; the call is in the log before the caller has all of its answer."""

    def __init__(self, send, write) -> None:
        self.send = send
        self.write = write
        self.status = 0
        self.body = b""

    async def __call__(self, message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        elif message["type"] == "http.response.body":
            if self.status >= 400:
                self.body += message.get("body", b"")
            if not message.get("more_body"):
                self.log()
        await self.send(message)

    def log(self) -> None:
        """Write the line of the log, once, at the end of the answer or when there is none."""
        write, self.write = self.write, None
        if write:
            write(self.outcome(), self.status)

    async def refuse(self, refusal: _CallRefusedError, json_protocol: bool) -> None:
        if json_protocol:
            kind, text = b"application/x-amz-json-1.1", json.dumps({"__type": refusal.code, "message": str(refusal)})
        else:
            error = f"<Type>Sender</Type><Code>{refusal.code}</Code><Message>{refusal}</Message>"
            kind, text = b"text/xml", f"<ErrorResponse><Error>{error}</Error></ErrorResponse>"
        body = text.encode()
        headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
        await self({"type": "http.response.start", "status": refusal.status, "headers": headers})
        await self({"type": "http.response.body", "body": body})

    def outcome(self) -> str:
        if 200 <= self.status < 300:
            return "ok"
        match = ERROR_CODE.search(self.body.decode("utf-8", "replace"))
        return (match[1] or match[2]) if match else f"HTTP {self.status}"


def _credential(headers: dict) -> tuple[str, str]:
    """Return access key and service of a signed request. ministack checks the signature; unsigned ones end here."""
    match = CREDENTIAL.match(headers.get("authorization", ""))
    if not match:
        raise _CallRefusedError(403, "MissingAuthenticationToken", "Request is missing Authentication Token")
    return match[1], match[2]


def _only_api_calls(scope) -> None:
    """The APIs of the lab are all POST on "/". ministack's own pages, which ask nobody for a key, are elsewhere.

    A query string is refused, since ministack would check the permission for the action that is named there,
    and then run the action in the body.
    """
    if scope["method"] != "POST" or scope["path"] != "/" or scope["query_string"]:
        raise _CallRefusedError(403, "AccessDenied", "The lab serves signed AWS API calls only.")


async def _read(receive) -> bytes:
    body = b""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise _CallRefusedError(400, "IncompleteBody", "The request ended early.")
        body += message.get("body", b"")
        if len(body) > MAX_BODY:
            raise _CallRefusedError(413, "RequestEntityTooLarge", "The request is too large.")
        if not message.get("more_body"):
            return body


def _replay(body: bytes, receive):
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay():
        return messages.pop() if messages else await receive()

    return replay


def _action(headers: dict, body: bytes) -> str:
    """Return the one action that the request names: in X-Amz-Target (JSON) or as Action in the form."""
    names = [headers["x-amz-target"].rpartition(".")[2]] if "x-amz-target" in headers else []
    if headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        names += parse_qs(body.decode("utf-8", "replace")).get("Action", [])
    if len(names) != 1:
        raise _CallRefusedError(400, "InvalidAction", "The request must name exactly one action.")
    return names[0]


async def _lifespan(receive, send) -> None:
    """Start-up and end are not passed on: ministack would start listeners, schedulers and a search for Docker."""
    while True:
        message = await receive()
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return
