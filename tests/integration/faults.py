# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A proxy on the loopback in front of the AWS API. It passes everything on, except where it is told to fail.

The request goes on as it came, with its Host header, so the API checks the signature that the caller made.
"""

from __future__ import annotations

import contextlib
import http.client
import http.server
import re
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

# What happens to a call, besides an answer (status, code, message), or a function that changes that of the API.
SILENT = "silent"  # accepted, and never answered
RESET_BEFORE = "reset before AWS saw it"
RESET_AFTER = "reset after AWS did it"

THROTTLED = 400, "Throttling", "Rate exceeded"
INTERNAL = 500, "InternalFailure", "An internal error has occurred"
EXPIRED = 403, "ExpiredToken", "The security token included in the request is expired"
FOR_EVER = 10**9
CREDENTIAL = re.compile(r"Credential=[^/]+/\d{8}/[^/]+/([^/]+)/")


@dataclass
class Fault:
    """An effect on the calls of some actions: how often it happens, and how many calls pass before it begins."""

    action: str  # regular expression
    effect: str | tuple[int, str, str] | Callable[[bytes], bytes]
    times: int = 1
    after: int = 0
    met: int = 0

    def meets(self, action: str) -> bool:
        if not re.fullmatch(self.action, action):
            return False
        if self.after:
            self.after -= 1
            return False
        if self.met == self.times:
            return False
        self.met += 1
        return True


class Proxy:
    def __init__(self, upstream: str):
        self.upstream = urlsplit(upstream).netloc
        self.faults: list[Fault] = []
        self.calls: list[str] = []
        self.lock = threading.Lock()
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.proxy = self
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self) -> Proxy:
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_exc) -> None:
        self.server.shutdown()
        self.server.server_close()

    @contextlib.contextmanager
    def failing(self, *faults: Fault):
        """The calls that are made inside the block, where every fault must have been met."""
        self.faults, self.calls = list(faults), []
        try:
            yield self.calls
        finally:
            self.faults = []
        unmet = [fault for fault in faults if not fault.met or fault.met < fault.times != FOR_EVER]
        assert unmet == [], self.calls

    def fault(self, action: str):
        with self.lock:
            self.calls.append(action)
            return next((fault.effect for fault in self.faults if fault.meets(action)), None)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        names = parse_qs(body.decode()).get("Action") or [self.headers.get("X-Amz-Target", "").rpartition(".")[2]]
        effect = self.server.proxy.fault(names[0])
        if effect == SILENT:
            self._wait_for_the_end()
        elif effect == RESET_BEFORE:
            self._reset()
        elif effect == RESET_AFTER:
            self._pass_on(body)
            self._reset()
        elif callable(effect):
            status, kind, answer = self._pass_on(body)
            self._answer(status, kind, effect(answer))
        elif effect:
            self._answer(effect[0], "text/xml", self._error(*effect[1:]))
        else:
            self._answer(*self._pass_on(body))

    def _pass_on(self, body: bytes) -> tuple[int, str, bytes]:
        connection = http.client.HTTPConnection(self.server.proxy.upstream, timeout=60)
        with contextlib.closing(connection):
            connection.putrequest("POST", self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            return answer.status, answer.headers["Content-Type"], answer.read()

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _error(self, code: str, message: str) -> bytes:
        """As the services do: EC2 has a form of its own."""
        error = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
        service = CREDENTIAL.search(self.headers["Authorization"])[1]
        form = f"<Response><Errors>{error}</Errors></Response>" if service == "ec2" else error
        return (form if service == "ec2" else f"<ErrorResponse>{error}</ErrorResponse>").encode()

    def _wait_for_the_end(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.recv(1)

    def _reset(self) -> None:
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def log_message(self, *args) -> None:
        pass
