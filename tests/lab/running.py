# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A lab that runs, or what is left of one: find it, lock it, end it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
from collections.abc import Iterator

from errors import LabError
from processes import descendants, end, identity, marked
from state import State

PATIENCE = 3  # seconds that a process of the lab gets to end by itself


def end_lab(state: State) -> None:
    """End a lab in whatever state it is and remove its directory."""
    if not state.root.exists():
        return
    if not state.top.exists() and any(state.root.iterdir()):
        raise LabError(f"{state.root} is not the state directory of a lab and not empty: use another --state.")
    end_processes(state)
    if state.made_outside.exists():
        for path in state.made_outside.read_text().splitlines():
            with contextlib.suppress(OSError):  # it is not empty where others use it now
                os.rmdir(path)
    state.remove()


def end_processes(state: State) -> None:
    _end_connections(state)
    first = top(state)
    below = descendants(first) if first else []
    if first:
        os.kill(first, signal.SIGKILL)
    end(below, PATIENCE)
    # What `lab exec` and the clients of the plain form started, and what that starts before it ends.
    while processes := marked(state.root):
        end(processes, PATIENCE)


def _end_connections(state: State) -> None:
    """End the SSH connections that Ansible keeps open. Such an ssh writes its title over its mark, so it is asked."""
    for socket in state.control.glob("*"):
        ask = ["ssh", "-F", "none", "-o", f"ControlPath={socket}", "-O", "exit", "lab"]
        with contextlib.suppress(subprocess.TimeoutExpired):
            subprocess.run(ask, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE, check=False)


def top(state: State) -> int | None:
    """Return the process id of the running lab, which all others are below; None if no lab runs."""
    try:
        record = state.top.read_text()
        pid = int(record.split()[0])
    except (OSError, IndexError, ValueError):
        return None
    return pid if identity(pid) == record else None


@contextlib.contextmanager
def lock(state: State) -> Iterator[None]:
    """Let one `up` or `down` run at a time. The lock is on the directory above the state's: it leaves no file."""
    descriptor = os.open(state.root.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
