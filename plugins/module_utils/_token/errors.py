# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The reasons why there is no token. Pure, and private to this collection."""

from __future__ import annotations


class TokenError(Exception):
    """One sentence on why there is no token."""

    failed_at = "token"


class NoCredentials(TokenError):
    """There is nothing to sign with."""

    failed_at = "credentials"


class UnreadableCredentials(NoCredentials):
    """There is something to sign with, or a reason to look for it, and it cannot be read."""
