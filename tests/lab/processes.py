# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The processes of a lab: they die with their parent, and are found by id, start time and a mark, never by name."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time
from pathlib import Path

MARK = "LAB_STATE"
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent ends. For preexec_fn, where the user is changed already."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def identity(pid: int) -> str | None:
    """Return process id and start time, which together are never used twice; None for a process that has ended."""
    fields = _stat(pid)
    return f"{pid} {fields[19]}" if fields and fields[0] not in "ZX" else None


def marked(state: Path) -> list[int]:
    """Return the processes that bear the mark of this state directory, without the caller and those above it."""
    mark = f"\0{MARK}={state}\0".encode()
    callers = _with_parents(os.getpid())
    pids = []
    for pid in _pids():
        with contextlib.suppress(OSError):
            if pid not in callers and mark in b"\0" + Path(f"/proc/{pid}/environ").read_bytes() + b"\0":
                pids.append(pid)
    return pids


def descendants(pid: int) -> list[int]:
    """Return all processes below this one."""
    children: dict[int, list[int]] = {}
    for child in _pids():
        children.setdefault(_parent(child), []).append(child)
    below = list(children.get(pid, []))
    for child in below:  # which grows
        below += children.get(child, [])
    return below


def end(pids: list[int], patience: float) -> None:
    """End processes: politely, so that they can remove their own files, and after `patience` seconds for good."""
    identities = {pid: identity(pid) for pid in pids}
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in _running(identities):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        deadline = time.monotonic() + patience
        while _running(identities) and time.monotonic() < deadline:
            time.sleep(0.02)


def _running(identities: dict[int, str | None]) -> list[int]:
    return [pid for pid, before in identities.items() if before and identity(pid) == before]


def _with_parents(pid: int) -> set[int]:
    family = set()
    while pid > 0 and pid not in family:
        family.add(pid)
        pid = _parent(pid)
    return family


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _parent(pid: int) -> int:
    fields = _stat(pid)
    return int(fields[1]) if fields else 0


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat from the state on, the third one of proc(5); none for no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
