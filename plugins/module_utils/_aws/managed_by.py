# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Know the tag that marks what this collection made, and so may undo. Pure, and private to this collection."""

from __future__ import annotations

TAG, COLLECTION = "ManagedBy", "dbops.rds_iam"
TAGS = [{"Key": TAG, "Value": COLLECTION}]


def managed_by(tags: list[dict[str, str]] | None) -> str | None:
    """Return the value of the tag ManagedBy; None where the tags do not have it.

    C(tags) is a list of tags as RDS, IAM and EC2 return it. Keys of tags are case-sensitive.
    """
    return next((tag["Value"] for tag in tags or [] if tag["Key"] == TAG), None)
