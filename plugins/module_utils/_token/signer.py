# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sign RDS authentication tokens. Private to this collection.

The program rds-mysql contains this file, without its imports from the collection.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from datetime import datetime, timedelta, timezone
from urllib.parse import quote

from ansible_collections.dbops.rds_iam.plugins.module_utils._token.credentials import credentials_end
from ansible_collections.dbops.rds_iam.plugins.module_utils._token.errors import TokenError

LIFETIME = 900  # seconds; RDS refuses a token that claims more
_NO_BODY = hashlib.sha256(b"").hexdigest()


def _check(endpoint: str, port: int, user: str) -> None:
    # An address, of either kind, is refused too: RDS takes tokens for the names of its endpoints only.
    if not re.fullmatch(r"(?![0-9.]+$)[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?", endpoint):
        raise TokenError(f"{endpoint!r} is not a host name; give the endpoint of the database as RDS shows it.")
    if not 1 <= port <= 65535:
        raise TokenError(f"Port {port} of {endpoint} is not between 1 and 65535.")
    if not user or any(ord(char) < 32 for char in user):
        raise TokenError(f"The database user for {endpoint} is empty or has control characters in it.")


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
