# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Define the error that every part of this collection raises. Pure, and private to this collection."""

from __future__ import annotations


class RdsIamError(Exception):
    """A failure that the user reads. The message is the whole sentence: what failed, where, why, and what to do.

    C(changed) says whether something was changed before the failure.
    """

    changed: bool = False
