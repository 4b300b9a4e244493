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
from http import HTTPStatus
from typing import TypedDict

from ansible_collections.dbops.rds_iam.plugins.module_utils import _child_process

SECONDS = 10  # for all requests together
_TIMEOUT = 2  # seconds without a byte; the metadata service is on the same machine
_MAX_CHARACTERS = 4096  # of an answer


class MetadataFacts(TypedDict):
    """The facts about an EC2 instance that its metadata service tells; None for each that it does not tell."""

    clock_skew: float | None  # seconds by which the clock of this host is ahead of that of the service
    instance_id: str | None
    role_name: str | None  # of the attached instance profile
    error: str | None  # why facts are missing, as a clause; None where the service answered


def _request(path: str, method: str = "GET", headers: dict[str, str] | None = None) -> tuple[str, float | None]:
    """Return the answer, and the seconds by which the clock of this host is ahead of that of the service."""
    base = os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT") or "http://169.254.169.254"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(f"{base.rstrip('/')}/latest/{path}", method=method, headers=headers or {})
    with opener.open(request, timeout=_TIMEOUT) as answer:
        date = answer.headers.get("Date")
        skew = time.time() - parsedate_to_datetime(date).timestamp() if date else None
        text = answer.read(_MAX_CHARACTERS + 1).decode("utf-8", "replace")
        if len(text) > _MAX_CHARACTERS:
            raise ValueError(f"its answer has more than {_MAX_CHARACTERS} characters")
        return text, skew


def _open_session() -> tuple[dict[str, str], float | None]:
    """Return the header that later requests need, and the skew of the clock in seconds."""
    token, skew = _request("api/token", "PUT", {"X-aws-ec2-metadata-token-ttl-seconds": "60"})
    return {"X-aws-ec2-metadata-token": token}, skew


def read_profile_account() -> str | None:
    """Return the AWS account of the attached instance profile, and so of its role; None where it is not told.

    An instance profile holds roles of its own account only. For callers that are in a child process already.
    """
    try:
        session, _skew = _open_session()
        arn = json.loads(_request("meta-data/iam/info", headers=session)[0])["InstanceProfileArn"]
        match = re.fullmatch(r"arn:[\w-]+:iam::(\d{12}):instance-profile/.+", arn)
    except (OSError, ValueError, TypeError, KeyError, http.client.HTTPException):
        return None
    return match[1] if match else None


def read_metadata() -> MetadataFacts:
    """Ask the service in a child process, within 10 seconds."""
    try:
        return _child_process.call(_read_metadata, seconds=SECONDS)
    except _child_process.ChildError as exc:
        return {**_no_facts(), "error": str(exc)}


def _no_facts() -> MetadataFacts:
    return {"clock_skew": None, "instance_id": None, "role_name": None, "error": None}


def _read_metadata() -> MetadataFacts:
    facts = _no_facts()
    try:
        session, facts["clock_skew"] = _open_session()
        facts["instance_id"] = _request("meta-data/instance-id", headers=session)[0]
        roles = _request("meta-data/iam/security-credentials/", headers=session)[0]
        facts["role_name"] = roles.split("\n")[0] or None
    except urllib.error.HTTPError as exc:
        if exc.code != HTTPStatus.NOT_FOUND:  # which says that there is no profile
            cause = ", so it is switched off or refuses the host" if exc.code == HTTPStatus.FORBIDDEN else ""
            facts["error"] = f"it answers with the status {exc.code}{cause}"
        exc.close()
    except (OSError, ValueError, http.client.HTTPException) as exc:  # it may be another program that answers
        facts["error"] = str(getattr(exc, "reason", "") or exc)
    return facts
