# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Make parts of sentences. Pure, and private to this collection."""

from __future__ import annotations

_MAX_ITEMS = 10


def one_line(text: object) -> str:
    """Return text of another program as a part of a sentence: in one line, without the full stop at its end."""
    return " ".join(str(text).split()).rstrip(" .")


def list_items(items: list[str], separator: str = ", ", limit: int = _MAX_ITEMS) -> str:
    """Return the first items in one line, at most C(limit), and the number of those that it leaves out."""
    excess = f" and {len(items) - limit} more" if len(items) > limit else ""
    return separator.join(items[:limit]) + excess
