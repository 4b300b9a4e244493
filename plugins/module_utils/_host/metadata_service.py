# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ask the instance metadata service, in its version 2. Private to this collection.

It is at an address that any program on the way can take, so what asks it runs in a child process with limits.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import time
import urllib.error
import urllib.request
from email.utils import parsedate_to_datetime

from ansible_collections.dbops.rds_iam.plugins.module_utils import _child_process

SECONDS = 10  # for all requests together
_TIMEOUT = 2  # seconds without a byte; the metadata service is on the same machine
_LONGEST = 4096  # bytes of an answer


def _ask(path: str, method: str = "GET", **headers: str) -> tuple[str, float | None]:
    """Return the answer, and by how many seconds the clock of this host is ahead of that of the service."""
    base = os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT") or "http://169.254.169.254"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(f"{base.rstrip('/')}/latest/{path}", method=method, headers=named)
    with opener.open(request, timeout=_TIMEOUT) as answer:
        date = answer.headers.get("Date")
        skew = time.time() - parsedate_to_datetime(date).timestamp() if date else None
        text = answer.read(_LONGEST + 1).decode("utf-8", "replace")
        if len(text) > _LONGEST:
            raise ValueError(f"its answer has more than {_LONGEST} characters")
        return text, skew


def _open_session() -> tuple[dict, float | None]:
    """Return the header that later requests need, and the skew of the clock."""
    token, skew = _ask("api/token", "PUT", X_aws_ec2_metadata_token_ttl_seconds="60")
    return {"X_aws_ec2_metadata_token": token}, skew


def profile_account() -> str | None:
    """Return the AWS account of the attached instance profile, and so of its role; None where it is not told.

    An instance profile holds roles of its own account only. For callers that are in a child process already.
    """
    try:
        session, _skew = _open_session()
        arn = json.loads(_ask("meta-data/iam/info", **session)[0])["InstanceProfileArn"]
        return re.fullmatch(r"arn:[\w-]+:iam::(\d{12}):instance-profile/.+", arn)[1]
    except (OSError, ValueError, TypeError, KeyError, http.client.HTTPException):
        return None


def describe() -> dict:
    """Return C(clock_skew), C(instance_id), C(role_name) and C(error); what the service does not tell is None."""
    nothing = {"clock_skew": None, "instance_id": None, "role_name": None}
    try:
        return _child_process.call(_describe, seconds=SECONDS)
    except _child_process.ChildError as exc:
        return {**nothing, "error": str(exc)}


def _describe() -> dict:
    facts = {"clock_skew": None, "instance_id": None, "role_name": None, "error": None}
    try:
        session, facts["clock_skew"] = _open_session()
        facts["instance_id"] = _ask("meta-data/instance-id", **session)[0]
        facts["role_name"] = _ask("meta-data/iam/security-credentials/", **session)[0].split("\n")[0] or None
    except urllib.error.HTTPError as exc:
        if exc.code != 404:  # which says that there is no profile
            off = ", so it is switched off or refuses the host" if exc.code == 403 else ""
            facts["error"] = f"it answers with the status {exc.code}{off}"
        exc.close()
    except (OSError, ValueError, http.client.HTTPException) as exc:  # it may be another program that answers
        facts["error"] = str(getattr(exc, "reason", "") or exc)
    return facts
