# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a host that logs in to databases knows about itself. Private to this collection."""

from __future__ import annotations

import http.client
import importlib
import os
import re
import shutil
import time
import urllib.error
import urllib.request
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime

from ansible_collections.dbops.rds_iam.plugins.module_utils import _ca_bundle, _token
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import one_line

# The name of an instance profile as a source of credentials, in botocore.
FROM_PROFILE = "iam-role"
_TIMEOUT = 2  # seconds; the metadata service is on the same machine
_CLIENTS = ("mariadb", "mysql")  # as rds-mysql looks for them
# What a client of each family is told by rds-mysql, so that it verifies the server, and then sends it the token.
OPTIONS = {
    "MariaDB": ["--ssl", "--ssl-verify-server-cert"],
    "MySQL": ["--ssl-mode=VERIFY_IDENTITY", "--enable-cleartext-plugin"],
}


def _ask(path: str, method: str = "GET", **headers: str) -> tuple[str, float | None]:
    """The answer of the instance metadata service, and how many seconds the clock is ahead of the service's."""
    base = os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT") or "http://169.254.169.254"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(f"{base.rstrip('/')}/latest/{path}", method=method, headers=named)
    with opener.open(request, timeout=_TIMEOUT) as answer:
        said = answer.headers.get("Date")
        skew = time.time() - parsedate_to_datetime(said).timestamp() if said else None
        return answer.read(4096).decode("utf-8", "replace"), skew


def facts(run_command, ca_file: str, profile: str | None) -> dict:
    """What the doctor wants to know of a host."""
    said = metadata()
    return {
        "clock_skew": said["clock_skew"],
        "instance_id": said["instance_id"],
        "metadata_error": said["error"],
        "credentials": credentials(said["role_name"], profile),
        "ca_bundle": bundle(ca_file),
        "programs": programs(run_command),
        "libraries": libraries(),
    }


def metadata() -> dict:
    """What the instance metadata service says, in its version 2; what it does not say is None."""
    found = {"clock_skew": None, "instance_id": None, "role_name": None, "error": None}
    try:
        token, found["clock_skew"] = _ask("api/token", "PUT", X_aws_ec2_metadata_token_ttl_seconds="60")
        session = {"X_aws_ec2_metadata_token": token}
        found["instance_id"] = _ask("meta-data/instance-id", **session)[0]
        found["role_name"] = _ask("meta-data/iam/security-credentials/", **session)[0].split("\n")[0] or None
    except urllib.error.HTTPError as exc:
        if exc.code != 404:  # which says that there is no profile
            off = ", so it is switched off or refuses the host" if exc.code == 403 else ""
            found["error"] = f"it answers with the status {exc.code}{off}"
        exc.close()
    except (OSError, ValueError, http.client.HTTPException) as exc:  # it may be another program that answers
        found["error"] = str(getattr(exc, "reason", "") or exc)
    return found


def credentials(role_name: str | None, profile: str | None) -> dict:
    """Where the credentials come from that sign tokens on this host, and when they end."""
    try:
        found = _token.credentials(profile)
    except _token.NoCredentials as exc:
        nothing = {"source": None, "role_name": None, "expires_at": None, "expired": False}
        return {**nothing, "error": str(exc), "metadata_disabled": _metadata_disabled()}
    end = _token.credentials_end(found)
    return {
        "source": found.method,
        "role_name": role_name if found.method == FROM_PROFILE else None,
        "expires_at": end and end.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "expired": bool(end) and end < datetime.now(timezone.utc),
        "error": None,
        "metadata_disabled": _metadata_disabled(),
    }


def _metadata_disabled() -> bool:
    """As botocore reads it."""
    return os.environ.get("AWS_EC2_METADATA_DISABLED", "false").lower() == "true"


def programs(run_command) -> list[dict]:
    """The database clients of this host."""
    found = {}
    for path in filter(None, map(shutil.which, _CLIENTS)):
        found.setdefault(os.path.realpath(path), path)
    return [_program(path, run_command) for path in found.values()]


def _program(path: str, run_command) -> dict:
    said = run_command([path, "--version"])[1]
    # MariaDB's Ver is that of the client in it.
    version = re.search(r"(?:Distrib|from) (\d[\w.]*)", said) or re.search(r"Ver (\d[\w.]*)", said)
    family = "MariaDB" if "MariaDB" in said else "MySQL"
    options = OPTIONS[family]
    # Some say what they do not know, and end well all the same.
    status, _out, error = run_command([path, "--no-defaults", *options, "--version"])
    refused = status != 0 or "unknown" in error
    return {
        "path": path,
        "family": family,
        "version": version[1] if version else "of unknown version",
        "options": options,
        "error": (one_line(error)[:300] or f"it ends with the status {status}") if refused else None,
    }


def libraries() -> dict:
    """The versions of the Python libraries that a login needs, None for one that is not there."""
    return {name: _version(name) for name in ("botocore", "pymysql")}


def _version(name: str) -> str | None:
    try:
        return importlib.import_module(name).__version__
    except ImportError:
        return None


def bundle(path: str) -> dict:
    """The roots in the CA file."""
    try:
        with open(path, "rb") as stream:
            roots = _ca_bundle.roots(stream.read(), "pem")
    except OSError as exc:
        return {"path": path, "certificates": 0, "not_after": None, "error": exc.strerror}
    live = [root.not_after for root in roots if root.live(time.time())]
    first = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(min(live))) if live else None
    return {"path": path, "certificates": len(live), "not_after": first, "error": None}
