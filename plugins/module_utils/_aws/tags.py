# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read tags as RDS, IAM and EC2 return them. Pure, and private to this collection."""

from __future__ import annotations


def tag_values(tags: list[dict[str, str]] | None) -> dict[str, str]:
    """Return the value of each tag by its key; C(tags) are dicts with C(Key) and C(Value)."""
    return {tag["Key"]: tag["Value"] for tag in tags or []}
