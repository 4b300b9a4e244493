# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The services from which credentials come, on the loopback: STS, the endpoint of containers, and IMDSv2."""

from __future__ import annotations

import json

from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

KEYS = {"AccessKeyId": "ASIDEXAMPLE", "SecretAccessKey": "secret/with+signs=", "SessionToken": "t//oken++=="}
LATER = "2026-01-02T09:00:00Z"
ROLE, ACCOUNT = "app-rds", "123456789012"


class CredentialServices(HTTPServer):
    """A server of all these, on whose attributes its answers depend.

    `expiration` is the end of the credentials, as AWS writes it. `broken` is the status and the body of every answer.
    """

    def __init__(self, expiration: str):
        super().__init__("127.0.0.1", threaded=True)
        self.broken, self.expiration, self.role = None, expiration, ROLE
        self.profile = f"arn:aws:iam::{ACCOUNT}:instance-profile/{ROLE}"
        self.arn = f"arn:aws:iam::{ACCOUNT}:user/ops"

    @property
    def url(self) -> str:
        return self.url_for("").rstrip("/")

    @property
    def paths(self) -> list[str]:
        return [f"{request.method} {request.path}" for request, _response in self.log]

    @property
    def actions(self) -> list[str]:
        """The calls of STS."""
        return [request.form["Action"] for request, _response in self.log if "Action" in request.form]

    def dispatch(self, request: Request) -> Response:
        status, body = self.broken or (200, self._body(request))
        return Response(body, status if body else 404)

    def _body(self, request: Request) -> str:
        if request.path == "/latest/api/token":
            return "imds-session" if request.method == "PUT" else ""
        if request.path.startswith("/latest/meta-data/"):
            has_session = request.headers.get("X-Aws-Ec2-Metadata-Token") == "imds-session"
            return self._metadata(request.path) if has_session else ""
        if request.path == "/container":
            return json.dumps(self._keys("Token"))
        fields = "".join(f"<{name}>{value}</{name}>" for name, value in self._keys("SessionToken").items())
        inner = f"<Credentials>{fields}</Credentials>"
        answers = [f"<{name}Result>{inner}</{name}Result>" for name in ("AssumeRole", "AssumeRoleWithWebIdentity")]
        answers.append(f"<GetCallerIdentityResult><Arn>{self.arn}</Arn></GetCallerIdentityResult>")
        return f"<Response>{''.join(answers)}</Response>"

    def _metadata(self, path: str) -> str:
        if path.endswith("/iam/info"):
            return json.dumps({"InstanceProfileArn": self.profile})
        if path.endswith("security-credentials/"):
            return self.role
        return json.dumps({**self._keys("Token"), "Code": "Success", "Type": "AWS-HMAC"})

    def _keys(self, token: str) -> dict[str, str]:
        return {
            "AccessKeyId": KEYS["AccessKeyId"],
            "SecretAccessKey": KEYS["SecretAccessKey"],
            token: KEYS["SessionToken"],
            "Expiration": self.expiration,
        }
