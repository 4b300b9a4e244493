# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bound a connection in time and in bytes, whatever its other end sends. Private to this collection.

The timeouts of a socket, and so those of a driver, are for one byte each: a server that sends one now and then holds
its client for ever.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from _socket import socket as _Transport  # noqa: N812 - the mix-in is put before a class of sockets

    from _typeshed import ReadableBuffer, WriteableBuffer
else:
    _Transport = object

LOGIN_BYTES = 65536  # that a server may send until the login is complete; a greeting has less than 1 kB
_BEGINNING_BYTES = 1024  # kept from the beginning of a connection

_Result = TypeVar("_Result")


class OutOfTimeError(Exception):
    """The time for a login is over."""


class TooMuchSentError(Exception):
    """A server sent more than a login takes."""


class Limits:
    """The time and the bytes that a login may still take, and after it the time of each statement."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.deadline = time.monotonic() + seconds
        self.bytes_left = LOGIN_BYTES
        self.statement_seconds: float | None = None  # None until the login is complete
        self.beginning = b""

    def begin_statements(self, seconds: float) -> None:
        """End the limits of the login; from here on each statement has so much time, with all of its result."""
        self.statement_seconds = seconds

    def remaining(self) -> float:
        """Return the remaining seconds. Raises OutOfTimeError during a login, and TimeoutError after it."""
        seconds = self.deadline - time.monotonic()
        if seconds > 0:
            return seconds
        raise TimeoutError("timed out") if self.statement_seconds else OutOfTimeError

    def begin_sending(self) -> None:
        """Start the time of a statement, which begins with what is sent."""
        if self.statement_seconds:
            self.deadline = time.monotonic() + self.statement_seconds
        self.remaining()

    def count_received(self, data: bytes | memoryview) -> None:
        """Count the bytes that were received. Raises TooMuchSentError."""
        if self.statement_seconds:
            return
        if len(self.beginning) < _BEGINNING_BYTES:
            self.beginning += bytes(data[:_BEGINNING_BYTES])
        self.bytes_left -= len(data)
        if self.bytes_left < 0:
            raise TooMuchSentError


class LimitedTransfers(_Transport):
    """Mix-in for a socket, which has its timeouts from its limits, and from nothing else."""

    limits: Limits | None = None  # None until they are set

    def settimeout(self, value: float | None, /) -> None:
        if not self.limits:
            super().settimeout(value)

    def connect(self, addr: object) -> None:
        self._within_limits(super().connect, addr)

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        data = self._within_limits(super().recv, buflen, flags)
        self._count(data)
        return data

    def recv_into(self, buffer: WriteableBuffer, nbytes: int | None = None, flags: int = 0) -> int:
        view = memoryview(buffer)
        # A socket without TLS takes no None for all of the buffer, and one with TLS no 0.
        size = self._within_limits(super().recv_into, buffer, nbytes or view.nbytes, flags)
        self._count(view[:size])
        return size

    def send(self, data: ReadableBuffer, flags: int = 0) -> int:
        return self._within_limits(super().send, data, flags)

    def sendall(self, data: ReadableBuffer, flags: int = 0) -> None:
        if self.limits:
            self.limits.begin_sending()
        self._within_limits(super().sendall, data, flags)

    def _within_limits(self, operation: Callable[..., _Result], *arguments: object) -> _Result:
        """Return what an operation of the socket returns, with the remaining time as its timeout."""
        if not self.limits:
            return operation(*arguments)
        super().settimeout(self.limits.remaining())
        try:
            return operation(*arguments)
        except OSError:
            self.limits.remaining()  # raises where the time is over, whatever this Python calls that
            raise

    def _count(self, data: bytes | memoryview) -> None:
        if self.limits:
            self.limits.count_received(data)
