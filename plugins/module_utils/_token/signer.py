# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sign RDS authentication tokens. Private to this collection.

The program rds-mysql begins with this text, so it imports nothing but botocore and the standard library.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import os
import re
import sys
from datetime import datetime, timedelta, timezone
from urllib.parse import quote

# Where the role mysql_client puts botocore and PyMySQL on a host whose distribution has no packages of them. What is
# installed otherwise comes first.
VENV = "/opt/dbops-rds-iam"
sys.path.append(f"{VENV}/lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages")

LIFETIME = 900  # seconds; RDS refuses a token that claims more
_NO_BODY = hashlib.sha256(b"").hexdigest()


class TokenError(Exception):
    """One sentence on why there is no token."""

    failed_at = "token"


class NoCredentials(TokenError):
    """There is nothing to sign with."""

    failed_at = "credentials"


class UnreadableCredentials(NoCredentials):
    """There is something to sign with, or a reason to look for it, and it cannot be read."""


def _check(endpoint: str, port: int, user: str) -> None:
    # An address, of either kind, is refused too: RDS takes tokens for the names of its endpoints only.
    if not re.fullmatch(r"(?![0-9.]+$)[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?", endpoint):
        raise TokenError(f"{endpoint!r} is not a host name; give the endpoint of the database as RDS shows it.")
    if not 1 <= port <= 65535:
        raise TokenError(f"Port {port} of {endpoint} is not between 1 and 65535.")
    if not user or any(ord(char) < 32 for char in user):
        raise TokenError(f"The database user for {endpoint} is empty or has control characters in it.")


@functools.cache
def _session(profile: str | None):
    """One session for each profile in a process: finding the credentials is the slow part of a token."""
    from botocore.session import Session

    return Session(profile=profile)


def _find(profile: str | None):
    """What a session of botocore finds, which looks into the environment first, unless a profile is named.

    Most of the time of a first token is spent on loading what a session needs, and the environment needs none of it.
    """
    from botocore.credentials import EnvProvider

    named = profile or os.environ.get("AWS_PROFILE") or os.environ.get("AWS_DEFAULT_PROFILE")
    return (None if named else EnvProvider().load()) or _session(profile).get_credentials()


def credentials(profile: str | None = None):
    """The credentials that botocore finds: environment, profile, web identity, container, instance profile."""
    try:
        found = _find(profile)
        if found is not None:
            found.get_frozen_credentials()  # fetches them, if they are the kind that is fetched
    except ImportError:
        raise UnreadableCredentials(
            f"botocore is not installed for {sys.executable} on this host, nor in {VENV}; install it (package"
            " python3-botocore on Debian and Ubuntu, or the role dbops.rds_iam.mysql_client)."
        ) from None
    except Exception as exc:  # files, programs and services that answer with anything; each becomes one sentence
        reason = " ".join(str(exc).split())[:300].rstrip(".") or type(exc).__name__
        raise UnreadableCredentials(
            f"AWS credentials could not be read: {reason}; correct the profile, the variable or the service that they"
            " come from."
        ) from None
    if found is None:
        raise NoCredentials(
            "No AWS credentials were found on this host; attach an instance profile to it"
            " (role dbops.rds_iam.role_attachment) or configure a profile."
        )
    return found


def sign(source, endpoint: str, port: int, user: str, region: str) -> str:
    """The token that generate_db_auth_token of botocore makes, without the cost of a client and of its generality.

    It is a URL with a signature of version 4 in its query: one GET, one header (the host), no body.
    """
    _check(endpoint, port, user)
    keys = source.get_frozen_credentials()
    stamp = _now().strftime("%Y%m%dT%H%M%SZ")
    scope = f"{stamp[:8]}/{region}/rds-db/aws4_request"
    query = (
        f"Action=connect&DBUser={_quoted(user)}&X-Amz-Algorithm=AWS4-HMAC-SHA256"
        f"&X-Amz-Credential={_quoted(f'{keys.access_key}/{scope}')}&X-Amz-Date={stamp}&X-Amz-Expires={LIFETIME}"
    )
    session = f"&X-Amz-Security-Token={_quoted(keys.token)}" if keys.token else ""
    headers = "&X-Amz-SignedHeaders=host"
    host = endpoint.lower() if port == 443 else f"{endpoint.lower()}:{port}"  # 443 is what https means
    # What is signed is sorted; the token keeps the order of botocore, in which the session comes last.
    request = f"GET\n/\n{query}{session}{headers}\nhost:{host}\n\nhost\n{_NO_BODY}"
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = f"AWS4{keys.secret_key}".encode()
    for part in (*scope.split("/"), text):
        key = hmac.digest(key, part.encode(), "sha256")
    return f"{endpoint}:{port}/?{query}{headers}{session}&X-Amz-Signature={key.hex()}"


def _now() -> datetime:
    return datetime.now(timezone.utc)


def _quoted(text: str) -> str:
    return quote(text, safe="-._~")


def expires_at(source, token: str) -> datetime:
    """When RDS stops accepting the token for new logins: its own end, or that of the credentials if they end first."""
    signed_at = datetime.strptime(re.search(r"X-Amz-Date=(\w+)", token)[1], "%Y%m%dT%H%M%SZ")
    end = signed_at.replace(tzinfo=timezone.utc) + timedelta(seconds=LIFETIME)
    return min(filter(None, (end, credentials_end(source))))


def credentials_end(source) -> datetime | None:
    """When temporary credentials end."""
    return getattr(source, "_expiry_time", None)  # botocore has no public name for it
