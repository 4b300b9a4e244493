# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run a function in a child process that is bounded in time and memory. Private to this collection.

Some of what a login needs cannot be interrupted in this process (the resolver of the C library), and some is code of
others that takes as much as a server sends (the requests of botocore). A child process can be ended whatever it does.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import signal
import time
from typing import Any, Callable, NoReturn

_MEMORY = 256 * 1024 * 1024  # bytes that the child may have more than this process
_ANSWER = 1024 * 1024  # bytes of an answer


class ChildError(Exception):
    """The child did not return what the function returns. The message is a part of a sentence."""


class ChildTimeoutError(ChildError):
    """The child did not return in time, and was ended."""


def call(function: Callable[..., Any], *arguments: object, seconds: float) -> Any:
    """Call a function in a child process, and return its result, which must be something that JSON can express.

    Raises ChildTimeoutError after so many seconds, and ChildError where the function raises or needs too much memory.
    Nothing of the child is left, nor of what it started.
    """
    deadline = time.monotonic() + seconds
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        _answer(writer, function, arguments)
    os.close(writer)
    try:
        answer = _read(reader, deadline)
    except TimeoutError:
        raise ChildTimeoutError(f"there was no answer within {seconds:g} seconds") from None
    finally:
        os.close(reader)
        _end(child)
    try:
        outcome = json.loads(answer)
    except ValueError:
        raise ChildError("the process ended without an answer") from None
    if "error" in outcome:
        raise ChildError(outcome["error"])
    return outcome["result"]


def _answer(writer: int, function: Callable[..., Any], arguments: tuple[object, ...]) -> NoReturn:
    """Write the answer, in the child, and end it without running anything that this process is to run at its end."""
    try:
        os.setpgid(0, 0)
        _limit_memory()
        try:
            outcome = {"result": function(*arguments)}
        except MemoryError:
            outcome = {"error": "the answer is too large"}
        except Exception as exc:
            outcome = {"error": " ".join(str(exc).split())[:300] or type(exc).__name__}
        with os.fdopen(writer, "w") as stream:
            json.dump(outcome, stream)
    finally:
        os._exit(0)


def _limit_memory() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # there may be secrets in it
    with contextlib.suppress(OSError, ValueError):  # without /proc the time is the limit
        with open("/proc/self/statm", encoding="ascii") as stream:
            limit = int(stream.read().split()[0]) * resource.getpagesize() + _MEMORY
        hard_limit = resource.getrlimit(resource.RLIMIT_AS)[1]
        if hard_limit == resource.RLIM_INFINITY or hard_limit > limit:
            resource.setrlimit(resource.RLIMIT_AS, (limit, hard_limit))


def _read(reader: int, deadline: float) -> bytes:
    answer, poll = b"", select.poll()
    poll.register(reader, select.POLLIN)
    while len(answer) <= _ANSWER:
        if not poll.poll(max(0, deadline - time.monotonic()) * 1000):
            raise TimeoutError
        part = os.read(reader, 65536)
        if not part:
            break
        answer += part
    return answer


def _end(child: int) -> None:
    for kill in (os.killpg, os.kill):  # the group does not exist before the child has made it
        with contextlib.suppress(ProcessLookupError, PermissionError):
            kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
