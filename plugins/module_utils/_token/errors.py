# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The errors of finding credentials and signing. Pure, and private to this collection.

The program rds-mysql contains this file, without its imports from the collection.
"""

from __future__ import annotations

from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError


class TokenError(RdsIamError):
    """There is no token."""


class MissingCredentialsError(TokenError):
    """There are no credentials that sign."""


class UnreadableCredentialsError(MissingCredentialsError):
    """There are credentials, or settings that name them, and they cannot be read."""
