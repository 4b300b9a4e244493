# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The seam between engines: what a login needs from the engine of a database. Pure, and private to this collection.

Nothing outside this package asks which engine a database has. The implementations are found by the name of an engine:
that of Connector in connectors.py, that of RowMatcher in row_matchers.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol, TypedDict

from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError


@dataclass(frozen=True)
class ConnectionOptions:
    """The way to a server, and the certificate that it must show."""

    host: str  # the name in the certificate
    port: int
    ca_file: str  # the path of the authorities that may have issued it, in PEM form
    connect_host: str | None  # dialled in place of host, such as the end of a tunnel
    timeout: int  # seconds for all of the login

    @property
    def server_address(self) -> str:
        """Return the server as messages name it."""
        return f"{self.host}:{self.port}" + (f" (through {self.connect_host})" if self.connect_host else "")


class SessionFacts(TypedDict):
    """Facts about a session, as the server states them."""

    current_user: str  # user@host as which the session acts
    client_host: str | None  # the address or the name by which the server knows the client
    server_version: str
    tls_version: str | None
    tls_cipher: str | None


class _FailureRecordBase(TypedDict):
    failed_at: str
    msg: str


class FailureRecord(_FailureRecordBase, total=False):
    """A failed connection as rds_iam_ping returns it; server_error only where the server answered with one."""

    server_error: int


class MissingPrerequisiteError(RdsIamError):
    """The client lacks something that an earlier step of a playbook installs."""


class NoConnectionError(RdsIamError):
    """There is no session.

    failed_at: the stage that failed: name, port, tls, certificate or login
    server_error: the number of the error that the server answered with; None if there was none
    """

    def __init__(self, failed_at: str, message: str, server_error: int | None = None) -> None:
        super().__init__(message)
        self.failed_at = failed_at
        self.server_error = server_error

    def to_result(self) -> FailureRecord:
        record: FailureRecord = {"failed_at": self.failed_at, "msg": str(self)}
        if self.server_error is not None:
            record["server_error"] = self.server_error
        return record


class AccessDeniedError(NoConnectionError):
    """The server was reached over verified TLS, got the secret, and refused the login.

    client_host: the name or address by which it knows this client; None where it does not say it
    """

    def __init__(self, message: str, server_error: int, client_host: str | None) -> None:
        super().__init__("login", message, server_error)
        self.client_host = client_host


def check_seconds(option: str, seconds: int, minimum: int = 1, maximum: int = 3600) -> None:
    """Raise RdsIamError for a number of seconds that an option cannot have."""
    if not minimum <= seconds <= maximum:
        raise RdsIamError(f"{option} is {seconds}; give a number of seconds from {minimum} to {maximum}.")


class Connector(Protocol):
    """Opens connections to the databases of an engine.

    The server gets the secret, a token or a password, only after it has shown a certificate for the host of the options
    from an authority in their CA file. No error has the secret in its message.
    """

    def check_prerequisites(self, ca_file: str) -> None:
        """Raise MissingPrerequisiteError unless this client has the driver, new enough, and the CA file."""

    def log_in(self, options: ConnectionOptions, user: str, secret: str) -> SessionFacts:
        """Log in, read the facts about the session, and end it, all within the time of the login.

        Raises AccessDeniedError where the server refuses, NoConnectionError for each other failure on the way, and
        MissingPrerequisiteError.
        """

    def probe_tls(self, options: ConnectionOptions) -> None:
        """Go as far as verified TLS, and end without a login. Raises NoConnectionError."""


class UserRow(TypedDict):
    """A database user as a server has it, in the form in which rds_iam_db_user and rds_iam_db_user_info return it."""

    name: str
    host: str
    plugin: str
    iam: bool
    locked: bool
    expired: bool
    require: str


class RowMatcher(Protocol):
    """Finds the rows among which is the one that a server picks for a login."""

    def __call__(self, rows: Iterable[UserRow], user: str, client_host: str | None) -> list[UserRow | None]:
        """Return the candidates in the order of the server; None among them if there may be no row for this login.

        rows: all rows that the server may pick for this user
        client_host: the address or name by which the server knows the client; None if unknown
        """
