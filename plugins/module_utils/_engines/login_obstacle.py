# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Say why a server lets nobody log in with a token as a database user. Pure, and private to this collection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# A login with a token has no client certificate.
_WITH_CERTIFICATE = ("X509", "SPECIFIED")


def login_obstacle(row: Mapping[str, Any]) -> str:
    """Return what stands against a login with a token, whatever IAM allows, as the end of a sentence about the user.

    Empty where nothing does.

    row: a database user as rds_iam_db_user and rds_iam_db_user_info return it
    """
    if not row["iam"]:
        return f"logs in with {row['plugin'] or 'a password'}"
    if row.get("locked"):
        return "is locked"
    if row.get("expired"):
        return "has expired as if it had a password"
    if row.get("require") in _WITH_CERTIFICATE:
        return f"requires a client certificate ({row['require']})"
    return ""
