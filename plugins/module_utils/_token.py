# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sign RDS authentication tokens. Private to this collection.

The program rds-mysql runs a copy of this file on its own, so it imports nothing but botocore and the standard library.
"""

from __future__ import annotations

import functools
import re
import sys
from datetime import datetime, timedelta, timezone

try:
    from botocore.auth import SigV4QueryAuth
    from botocore.awsrequest import AWSRequest
    from botocore.exceptions import BotoCoreError
    from botocore.session import Session
except ImportError:
    SigV4QueryAuth = None

LIFETIME = 900  # seconds; RDS refuses a token that claims more


class TokenError(Exception):
    """One sentence on why there is no token."""


def _check(endpoint: str, port: int, user: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?", endpoint):
        raise TokenError(f"{endpoint!r} is not a host name; give the endpoint of the database as RDS shows it.")
    if not 1 <= port <= 65535:
        raise TokenError(f"Port {port} of {endpoint} is not between 1 and 65535.")
    if not user or any(ord(char) < 32 for char in user):
        raise TokenError(f"The database user for {endpoint} is empty or has control characters in it.")


@functools.cache
def _session(profile: str | None):
    """One session for each profile in a process: finding the credentials is the slow part of a token."""
    return Session(profile=profile)


def credentials(profile: str | None = None):
    """The credentials that botocore finds: environment, profile, web identity, container, instance profile."""
    if SigV4QueryAuth is None:
        raise TokenError(
            f"botocore is not installed for {sys.executable} on this host; install it (package python3-botocore on"
            " Debian and Ubuntu, or the role dbops.rds_iam.mysql_client)."
        )
    try:
        found = _session(profile).get_credentials()
        if found is not None:
            found.get_frozen_credentials()  # fetches them, if they are the kind that is fetched
    except BotoCoreError as exc:
        raise TokenError(f"AWS credentials could not be read: {exc}.") from None
    if found is None:
        raise TokenError(
            "No AWS credentials were found on this host; attach an instance profile to it"
            " (role dbops.rds_iam.role_attachment) or configure a profile."
        )
    return found


def sign(source, endpoint: str, port: int, user: str, region: str) -> str:
    """The token that generate_db_auth_token of botocore makes, without the cost of a service client."""
    _check(endpoint, port, user)
    url = f"https://{endpoint}:{port}"
    request = AWSRequest(method="GET", url=f"{url}/", params={"Action": "connect", "DBUser": user})
    SigV4QueryAuth(source.get_frozen_credentials(), "rds-db", region, expires=LIFETIME).add_auth(request)
    return request.url[len("https://"):]


def expires_at(source, token: str) -> datetime:
    """When RDS stops accepting the token for new logins: its own end, or that of the credentials if they end first."""
    signed_at = datetime.strptime(re.search(r"X-Amz-Date=(\w+)", token)[1], "%Y%m%dT%H%M%SZ")
    end = signed_at.replace(tzinfo=timezone.utc) + timedelta(seconds=LIFETIME)
    credentials_end = getattr(source, "_expiry_time", None)  # botocore has no public name for it
    return min(end, credentials_end) if credentials_end else end
