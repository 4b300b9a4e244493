# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sign RDS authentication tokens. Private to this collection.

The program rds-mysql contains this file, without its imports from the collection.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

from ansible_collections.dbops.rds_iam.plugins.module_utils._token.credentials import Credentials, expiry_of
from ansible_collections.dbops.rds_iam.plugins.module_utils._token.errors import TokenError

LIFETIME = 900  # seconds; RDS refuses a token that claims more
_MAX_PORT = 65535
# An address, of either kind, is refused too: RDS takes tokens for the names of its endpoints only.
_HOST_NAME = re.compile(r"(?![0-9.]+$)[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")


def sign(credentials: Credentials, endpoint: str, port: int, user: str, region: str) -> str:
    """Return the token that C(generate_db_auth_token) of botocore makes, without the cost of a client of RDS.

    It is a URL without its scheme, with a signature of version 4 in its query: one GET, one header (the host), no body.
    Raises TokenError for what no token can be for, and ImportError without botocore, which there are no credentials
    without.
    """
    from botocore.auth import SigV4QueryAuth  # noqa: PLC0415 - find_credentials explains where botocore is missing
    from botocore.awsrequest import AWSRequest  # noqa: PLC0415 - as above
    from botocore.credentials import ReadOnlyCredentials  # noqa: PLC0415 - as above

    _check(endpoint, port, user)
    # As data, and not as params, which botocore signs since version 1.27 only.
    request = AWSRequest("GET", f"https://{endpoint}:{port}/", data={"Action": "connect", "DBUser": user})
    keys = credentials.get_frozen_credentials()
    # Some files have an empty session token, which is none.
    keys = ReadOnlyCredentials(keys.access_key, keys.secret_key, keys.token or None)
    SigV4QueryAuth(keys, "rds-db", region, expires=LIFETIME).add_auth(request)
    return request.url[len("https://") :]


def _check(endpoint: str, port: int, user: str) -> None:
    if not _HOST_NAME.fullmatch(endpoint):
        raise TokenError(f"{endpoint!r} is not a host name; give the endpoint of the database as RDS shows it.")
    if not 1 <= port <= _MAX_PORT:
        raise TokenError(f"Port {port} of {endpoint} is not between 1 and {_MAX_PORT}.")
    if not user or any(char < " " for char in user):
        raise TokenError(f"The database user for {endpoint} is empty or has control characters in it.")


def expires_at(credentials: Credentials, token: str) -> datetime:
    """Return the time from which RDS refuses new logins with a token: its own end, or that of its credentials."""
    _text, _date, query = token.partition("X-Amz-Date=")
    signed_at = datetime.strptime(query.partition("&")[0], "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc)
    end, credentials_end = signed_at + timedelta(seconds=LIFETIME), expiry_of(credentials)
    return min(end, credentials_end) if credentials_end else end
