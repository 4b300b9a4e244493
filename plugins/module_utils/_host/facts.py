# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Gather the facts of a client that decide about its logins. Private to this collection."""

from __future__ import annotations

import importlib
import os
import re
import time
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Callable

from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.client_program import (
    MARIADB,
    MYSQL,
    family_of,
    find_client_programs,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._host import ca_bundle, metadata_service
from ansible_collections.dbops.rds_iam.plugins.module_utils._host.results import (
    BundleFacts,
    HostCredentials,
    HostFacts,
    ProgramFacts,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._host.signing_principal import Signer
from ansible_collections.dbops.rds_iam.plugins.module_utils._text import one_line
from ansible_collections.dbops.rds_iam.plugins.module_utils._token.credentials import expiry_of

# The options by which a client of each family verifies the server, and then sends it a token of its own.
OPTIONS = {
    MARIADB: ["--ssl", "--ssl-verify-server-cert"],
    MYSQL: ["--ssl-mode=VERIFY_IDENTITY", "--enable-cleartext-plugin"],
}
_TIME = "%Y-%m-%dT%H:%M:%SZ"
# Runs a command as AnsibleModule.run_command does, and returns its status, output and errors.
CommandRunner = Callable[[Sequence[str]], tuple[int, str, str]]


def gather_facts(run_command: CommandRunner, ca_file: str, signer: Signer) -> HostFacts:
    """Return the facts about this host, without targets."""
    metadata = metadata_service.read_metadata()
    return {
        "clock_skew": metadata["clock_skew"],
        "instance_id": metadata["instance_id"],
        "metadata_error": metadata["error"],
        "credentials": describe_credentials(signer),
        "ca_bundle": describe_bundle(ca_file),
        "programs": find_programs(run_command),
        "libraries": {name: _library_version(name) for name in ("botocore", "pymysql")},
    }


def describe_credentials(signer: Signer) -> HostCredentials:
    end = expiry_of(signer.keys) if signer.keys else None
    return {
        **signer.to_result(),
        "expires_at": end.strftime(_TIME) if end else None,
        "expired": end is not None and end < datetime.now(timezone.utc),
        # As botocore reads it.
        "metadata_disabled": os.environ.get("AWS_EC2_METADATA_DISABLED", "false").lower() == "true",
    }


def find_programs(run_command: CommandRunner) -> list[ProgramFacts]:
    """Return the database clients of this host, one of two names once."""
    paths: dict[str, str] = {}
    for path in find_client_programs():
        paths.setdefault(os.path.realpath(path), path)
    return [_describe_program(path, run_command) for path in paths.values()]


def _describe_program(path: str, run_command: CommandRunner) -> ProgramFacts:
    output = run_command([path, "--version"])[1]
    # MariaDB's Ver is that of the client in it.
    version = re.search(r"(?:Distrib|from) (\d[\w.]*)", output) or re.search(r"Ver (\d[\w.]*)", output)
    family = family_of(output)
    options = OPTIONS[family]
    # Some say what they do not know, and end well all the same.
    status, _output, error = run_command([path, "--no-defaults", *options, "--version"])
    is_refused = status != 0 or "unknown" in error
    return {
        "path": path,
        "family": family,
        "version": version[1] if version else "of unknown version",
        "options": options,
        "error": (one_line(error)[:300] or f"it ends with the status {status}") if is_refused else None,
    }


def _library_version(name: str) -> str | None:
    try:
        return importlib.import_module(name).__version__
    except ImportError:
        return None


def describe_bundle(path: str) -> BundleFacts:
    try:
        with open(path, "rb") as stream:
            roots = ca_bundle.roots(stream.read(), "pem")
    except OSError as exc:
        return {"path": path, "certificates": 0, "not_after": None, "error": exc.strerror}
    ends = [root.not_after for root in roots if root.is_live(time.time())]
    first_end = time.strftime(_TIME, time.gmtime(min(ends))) if ends else None
    return {"path": path, "certificates": len(ends), "not_after": first_end, "error": None}
