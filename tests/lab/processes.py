# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The processes of a lab: they die with their parent, and are found by id, start time and a mark, never by name."""

from __future__ import annotations

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
    """Process id and start time: together they are never used twice. Nothing for a process that is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    state, start_time = fields[0], fields[19]
    return None if state in "ZX" else f"{pid} {start_time}"


def marked(state: Path) -> list[int]:
    """The processes that carry the mark of this state directory, without the caller and its own parents."""
    mark = f"\0{MARK}={state}\0".encode()
    spared = _with_parents(os.getpid())
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) in spared:
            continue
        try:
            environment = (entry / "environ").read_bytes()
        except OSError:
            continue
        if mark in b"\0" + environment + b"\0":
            found.append(int(entry.name))
    return found


def descendants(pid: int) -> list[int]:
    """All processes below this one."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            children.setdefault(_parent(int(entry.name)), []).append(int(entry.name))
    found, waiting = [], [pid]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def end(pids: list[int], patience: float) -> None:
    """End these processes: politely, so that they can remove their own files, and after `patience` seconds for good."""
    known = {pid: identity(pid) for pid in pids}
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in _still(known):
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass
        deadline = time.monotonic() + patience
        while _still(known) and time.monotonic() < deadline:
            time.sleep(0.02)


def _still(known: dict[int, str | None]) -> list[int]:
    return [pid for pid, was in known.items() if was and identity(pid) == was]


def _with_parents(pid: int) -> set[int]:
    family = set()
    while pid > 0 and pid not in family:
        family.add(pid)
        pid = _parent(pid)
    return family


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0
