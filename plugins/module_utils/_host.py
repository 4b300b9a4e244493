# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a host that logs in to databases knows about itself. Private to this collection."""

from __future__ import annotations

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

# The name of an instance profile as a source of credentials, in botocore.
FROM_PROFILE = "iam-role"
_TIMEOUT = 2  # seconds; the metadata service is on the same machine
_CLIENTS = ("mariadb", "mysql")


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
            found["error"] = f"it answers with the status {exc.code}"
        exc.close()
    except (OSError, ValueError) as exc:
        found["error"] = str(getattr(exc, "reason", "") or exc)
    return found


def credentials(role_name: str | None) -> dict:
    """Where the credentials come from that sign tokens on this host, and when they end."""
    try:
        found = _token.credentials()
    except _token.NoCredentials as exc:
        return {"source": None, "role_name": None, "expires_at": None, "expired": False, "error": str(exc)}
    end = _token.credentials_end(found)
    return {
        "source": found.method,
        "role_name": role_name if found.method == FROM_PROFILE else None,
        "expires_at": end and end.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "expired": bool(end) and end < datetime.now(timezone.utc),
        "error": None,
    }


def programs(run_command) -> list[dict]:
    """The database clients of this host."""
    found = {}
    for path in filter(None, map(shutil.which, _CLIENTS)):
        found.setdefault(os.path.realpath(path), path)
    return [_program(path, run_command([path, "--version"])[1]) for path in found.values()]


def _program(path: str, said: str) -> dict:
    version = re.search(r"(?:Distrib|Ver|from) (\d[\w.]*)", said)
    family = "MariaDB" if "MariaDB" in said else "MySQL"
    return {"path": path, "family": family, "version": version[1] if version else "of unknown version"}


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
