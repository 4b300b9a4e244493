# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Gather the facts of a client that decide about its logins. Private to this collection."""

from __future__ import annotations

import importlib
import os
import re
import time
from datetime import datetime, timezone

from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.client_program import (
    MARIADB,
    MYSQL,
    family_of,
    find_client_programs,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._host import ca_bundle, metadata_service, signing_principal
from ansible_collections.dbops.rds_iam.plugins.module_utils._text import one_line
from ansible_collections.dbops.rds_iam.plugins.module_utils._token.credentials import credentials_end

# What a client of each family must be told so that it verifies the server, and then sends it a token of its own.
OPTIONS = {
    MARIADB: ["--ssl", "--ssl-verify-server-cert"],
    MYSQL: ["--ssl-mode=VERIFY_IDENTITY", "--enable-cleartext-plugin"],
}


def facts(run_command, ca_file: str, signer: signing_principal.Signer) -> dict:
    """Return what the doctor wants to know of a host."""
    service = metadata()
    return {
        "clock_skew": service["clock_skew"],
        "instance_id": service["instance_id"],
        "metadata_error": service["error"],
        "credentials": credentials(signer),
        "ca_bundle": bundle(ca_file),
        "programs": programs(run_command),
        "libraries": libraries(),
    }


def metadata() -> dict:
    """Return what the instance metadata service says; what it does not say is None."""
    return metadata_service.describe()


def credentials(signer: signing_principal.Signer) -> dict:
    """Return whose credentials sign tokens on this host, where they come from, and when they end."""
    end = credentials_end(signer.keys)
    return {
        **signer.shown(),
        "expires_at": end and end.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "expired": bool(end) and end < datetime.now(timezone.utc),
        "metadata_disabled": _metadata_disabled(),
    }


def _metadata_disabled() -> bool:
    """As botocore reads it."""
    return os.environ.get("AWS_EC2_METADATA_DISABLED", "false").lower() == "true"


def programs(run_command) -> list[dict]:
    """The database clients of this host."""
    found = {}
    for path in find_client_programs():
        found.setdefault(os.path.realpath(path), path)
    return [_program(path, run_command) for path in found.values()]


def _program(path: str, run_command) -> dict:
    said = run_command([path, "--version"])[1]
    # MariaDB's Ver is that of the client in it.
    version = re.search(r"(?:Distrib|from) (\d[\w.]*)", said) or re.search(r"Ver (\d[\w.]*)", said)
    family = family_of(said)
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
            roots = ca_bundle.roots(stream.read(), "pem")
    except OSError as exc:
        return {"path": path, "certificates": 0, "not_after": None, "error": exc.strerror}
    live = [root.not_after for root in roots if root.live(time.time())]
    first = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(min(live))) if live else None
    return {"path": path, "certificates": len(live), "not_after": first, "error": None}
