# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make what labs share, once: by one of them at a time, and whole or not at all."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Callable
from pathlib import Path


def make_once(place: Path, make: Callable[[Path], None], is_whole: Callable[[], bool] = lambda: True) -> Path:
    """Return a file or directory of the cache. If it is not there, or not whole, make it now, beside its place."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.with_name(f".{place.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if place.exists() and not is_whole():
            shutil.rmtree(place)
        if not place.exists():
            unfinished = place.with_name(f"{place.name}.new")
            shutil.rmtree(unfinished, ignore_errors=True)
            make(unfinished)
            unfinished.rename(place)
    return place
