# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Time the attempts at which AWS is asked again. Private to this collection."""

from __future__ import annotations

import time
from collections.abc import Iterator

_FIRST_PAUSE, _LONGEST_PAUSE, _GROWTH = 0.5, 10.0, 1.5  # seconds, seconds, factor


def attempts(timeout: float) -> Iterator[None]:
    """Yield now, then after short and growing pauses, and for the last time C(timeout) seconds from now."""
    end, pause = time.monotonic() + timeout, _FIRST_PAUSE
    while True:
        yield
        remaining = end - time.monotonic()
        if remaining <= 0:
            return
        time.sleep(min(pause, remaining))
        pause = min(pause * _GROWTH, _LONGEST_PAUSE)
