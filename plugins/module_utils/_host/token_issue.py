# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sign a token with the credentials of this host. Private to this collection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError
from ansible_collections.dbops.rds_iam.plugins.module_utils._host import signing_principal
from ansible_collections.dbops.rds_iam.plugins.module_utils._token import signer as token_signer
from ansible_collections.dbops.rds_iam.plugins.module_utils._token.endpoint import region_of


def issue_token(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the result of the module rds_auth_token for its options. Raises RdsIamError and TokenError."""
    endpoint, port, user = options["endpoint"], options["port"], options["user"]
    region = region_of(endpoint, options["region"])
    signer = signing_principal.look(options["profile"], region=None, expected=None)
    if not signer.keys:
        raise RdsIamError(signer.error)
    token = token_signer.sign(signer.keys, endpoint, port, user, region)
    return {
        "token": token,
        "expires_at": token_signer.expires_at(signer.keys, token).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": region,
        "endpoint": endpoint,
        "port": port,
        "user": user,
    }
