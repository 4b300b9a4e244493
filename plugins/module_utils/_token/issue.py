# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Issue tokens: tell the Region, find the credentials, and sign. Private to this collection.

The program rds-mysql contains this file, without its imports from the collection.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Callable, Optional

from ansible_collections.dbops.rds_iam.plugins.module_utils._token.credentials import Credentials, find_credentials
from ansible_collections.dbops.rds_iam.plugins.module_utils._token.endpoint import resolve_region
from ansible_collections.dbops.rds_iam.plugins.module_utils._token.signer import expires_at, sign

CredentialFinder = Callable[[Optional[str]], Credentials]


@dataclass(frozen=True)
class Token:
    """A token for one database user."""

    secret: str = field(repr=False)
    region: str  # that it was signed for
    expires_at: datetime  # from then on RDS refuses new logins with it


def issue(
    endpoint: str,
    port: int,
    user: str,
    region: str | None = None,
    profile: str | None = None,
    *,
    find: CredentialFinder = find_credentials,
) -> Token:
    """Return a fresh token.

    region: the Region of the database; None for that of the endpoint
    profile: a profile of the AWS configuration files; None for the credentials that botocore finds
    find: returns the credentials of a profile, for callers that have them already, or look for them with limits

    Raises TokenError, which is the only error of an endpoint without a Region, of credentials, and of signing.
    """
    signing_region = resolve_region(endpoint, region)
    credentials = find(profile)
    secret = sign(credentials, endpoint, port, user, signing_region)
    return Token(secret, signing_region, expires_at(credentials, secret))
