# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Mask secrets in text from elsewhere, of which a server may repeat a part. Pure, and private to this collection.

The program rds-mysql contains this text, so it imports nothing but the standard library.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from urllib.parse import quote, unquote

_MASK = "********"
_SHORTEST_PART = 6  # characters of a secret, in this order, that are not shown
_SIGNED = re.compile(r"(X-Amz-(?:[A-Za-z]|-)+\s*(?:=|%3D|:))[^\s&'\"]*", re.IGNORECASE)


def mask(text: str, secrets: Iterable[str]) -> str:
    """Return a text without these passwords and tokens, and without parts of them but short ones."""
    for secret in secrets:
        for part in secret_parts(secret):
            text = _mask_parts(text, part)
    return _SIGNED.sub(rf"\1{_MASK}", text)


def secret_parts(secret: str) -> set[str]:
    """Return the strings of which no part may be shown: a password, or what is secret in a token, in all its forms.

    The rest of a token, such as the endpoint and the database user, is in every message.
    """
    parts = set(re.findall(r"X-Amz-(?:Security-Token|Signature)=([^&]*)", secret))
    parts.update(re.findall(r"X-Amz-Credential=(\w+)", secret))  # the access key; a date and a Region follow
    parts = parts or {secret}
    return parts | {unquote(part) for part in parts} | {quote(part, safe="") for part in parts}


def _ascii_lower(text: str) -> str:
    """Return text in lower case, in which each character has the place that it had."""
    return "".join(char.lower() if char.isascii() else char for char in text)


def _mask_parts(text: str, secret: str) -> str:
    """Mask each part of a text that is also one of the secret, whatever its case, if it is not a short one."""
    size = min(_SHORTEST_PART, len(secret))
    if not size:
        return text
    secret, lower_text = _ascii_lower(secret), _ascii_lower(text)
    parts = {secret[start : start + size] for start in range(len(secret) - size + 1)}
    is_masked = [False] * len(text)
    for start in range(len(text) - size + 1):
        if lower_text[start : start + size] in parts:
            is_masked[start : start + size] = [True] * size
    runs = itertools.groupby(zip(text, is_masked), key=lambda pair: pair[1])
    return "".join(_MASK if is_part else "".join(char for char, _is_masked in run) for is_part, run in runs)
