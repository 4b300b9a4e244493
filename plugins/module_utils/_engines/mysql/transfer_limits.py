# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bound a connection in time and in bytes, whatever its other end sends. Private to this collection.

The timeouts of a socket, and so those of a driver, are for one byte each: a server that sends one now and then holds
its client for ever.
"""

from __future__ import annotations

import time

LOGIN_BYTES = 65536  # what a server may send until the login is complete; a greeting has less than 1 kB
_KEPT = 1024  # bytes from the beginning of a connection


class OutOfTime(Exception):
    """The time for a login is over."""


class TooMuchSent(Exception):
    """A server sent more than a login takes."""


class Limits:
    """What is left of the time and the bytes of a login, and after it of the time of a statement."""

    def __init__(self, seconds: float):
        self.seconds = seconds
        self.deadline = time.monotonic() + seconds
        self.bytes_left = LOGIN_BYTES
        self.statement_seconds = None
        self.beginning = b""

    def begin_statements(self, seconds: float) -> None:
        """End the limits of the login; from here on each statement has so much time, with all of its result."""
        self.statement_seconds = seconds

    def remaining(self) -> float:
        """Return the seconds that are left; OutOfTime during a login, and TimeoutError after it."""
        left = self.deadline - time.monotonic()
        if left > 0:
            return left
        raise TimeoutError("timed out") if self.statement_seconds else OutOfTime

    def sending(self) -> float:
        """Return the seconds that are left for what is sent, with which a statement begins."""
        if self.statement_seconds:
            self.deadline = time.monotonic() + self.statement_seconds
        return self.remaining()

    def received(self, data) -> None:
        """Count what was received. Raises TooMuchSent."""
        if self.statement_seconds:
            return
        if len(self.beginning) < _KEPT:
            self.beginning += bytes(data[:_KEPT])
        self.bytes_left -= len(data)
        if self.bytes_left < 0:
            raise TooMuchSent


class LimitedTransfers:
    """Mix-in for a socket, which has its timeouts from its limits, and from nobody else."""

    limits: Limits | None = None  # None until they are set

    def settimeout(self, value):
        if not self.limits:
            super().settimeout(value)

    def recv(self, *arguments):
        data = self._within(super().recv, *arguments)
        self._count(data)
        return data

    def recv_into(self, buffer, *arguments):
        size = self._within(super().recv_into, buffer, *arguments)
        self._count(memoryview(buffer)[:size])
        return size

    def send(self, *arguments):
        return self._within(super().send, *arguments)

    def sendall(self, *arguments):
        if self.limits:
            self.limits.sending()
        return self._within(super().sendall, *arguments)

    def do_handshake(self, *arguments):
        return self._within(super().do_handshake, *arguments)

    def connect(self, address):
        return self._within(super().connect, address)

    def _within(self, operation, *arguments):
        if not self.limits:
            return operation(*arguments)
        super().settimeout(self.limits.remaining())
        try:
            return operation(*arguments)
        except OSError:
            self.limits.remaining()  # says that it is over, whatever this Python calls it
            raise

    def _count(self, data) -> None:
        if self.limits:
            self.limits.received(data)
