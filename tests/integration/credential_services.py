# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The services from which credentials come, on the loopback: STS, the endpoint of containers, and IMDSv2."""

from __future__ import annotations

import contextlib
import http.server
import json
import threading
from urllib.parse import parse_qs

KEYS = {"AccessKeyId": "ASIDEXAMPLE", "SecretAccessKey": "secret/with+signs=", "SessionToken": "t//oken++=="}
LATER = "2026-01-02T09:00:00Z"
ROLE, ACCOUNT = "app-rds", "123456789012"


class Handler(http.server.BaseHTTPRequestHandler):
    """STS, the endpoint of containers, and IMDSv2, which demands a session token."""

    def _respond(self):
        self.form = parse_qs(self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode())
        self.server.paths.append(f"{self.command} {self.path}")
        self.server.actions += self.form.get("Action", [])
        status, body = self.server.broken or (200, self._body())
        self.send_response(status if body else 404)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "60")
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = _respond

    def _body(self):
        if self.path == "/latest/api/token":
            return b"imds-session" if self.command == "PUT" else b""
        if self.path.startswith("/latest/meta-data/"):
            return self._metadata() if self.headers.get("X-Aws-Ec2-Metadata-Token") == "imds-session" else b""
        if self.path == "/container":
            return json.dumps(self._keys("Token")).encode()
        fields = "".join(f"<{name}>{value}</{name}>" for name, value in self._keys("SessionToken").items())
        inner = f"<Credentials>{fields}</Credentials>"
        answers = [f"<{name}Result>{inner}</{name}Result>" for name in ("AssumeRole", "AssumeRoleWithWebIdentity")]
        answers.append(f"<GetCallerIdentityResult><Arn>{self.server.arn}</Arn></GetCallerIdentityResult>")
        return f"<Response>{''.join(answers)}</Response>".encode()

    def _metadata(self):
        if self.path.endswith("/iam/info"):
            return json.dumps({"InstanceProfileArn": self.server.profile}).encode()
        if self.path.endswith("security-credentials/"):
            return self.server.role.encode()
        return json.dumps({**self._keys("Token"), "Code": "Success", "Type": "AWS-HMAC"}).encode()

    def _keys(self, token):
        keys = {**KEYS, token: KEYS["SessionToken"], "Expiration": self.server.expiration}
        return {name: value for name, value in keys.items() if name in (token, "Expiration") or "Key" in name}

    def log_message(self, *args):
        pass


@contextlib.contextmanager
def serve(expiration: str):
    """A server of all these, on whose attributes depends what it answers."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.broken, server.expiration, server.paths, server.actions = None, expiration, [], []
    server.role, server.profile = ROLE, f"arn:aws:iam::{ACCOUNT}:instance-profile/{ROLE}"
    server.arn = f"arn:aws:iam::{ACCOUNT}:user/ops"
    server.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
