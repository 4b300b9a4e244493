# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Parts of sentences. Pure, and private to this collection."""

from __future__ import annotations


def one_line(text: object) -> str:
    """Text from elsewhere, fit to be a part of a sentence."""
    return " ".join(str(text).split()).rstrip(" .")


_LISTED = 10  # the most instances that a message lists


def listed(names: list[str], separator: str = ", ") -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return separator.join(names[:_LISTED]) + more
