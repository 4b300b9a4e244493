# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one place that opens a database connection. Private to this collection.

The driver gets the secret (a token or a password) only after the server has shown a certificate for the expected name,
issued by an authority in the CA file. Drivers differ by version in what they send without TLS; this does not.

Nothing that a server says before that decides anything, since nobody has verified who says it. Until the login is
complete, all of it has one deadline and one limit of bytes.
"""

from __future__ import annotations

import os
import socket
import ssl
import sys
from collections.abc import Callable, Sequence
from typing import cast

from ansible_collections.dbops.rds_iam.plugins.module_utils import _child_process
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.base import (
    ConnectionOptions,
    MissingPrerequisiteError,
    NoConnectionError,
    SessionFacts,
    check_seconds,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.connection_errors import (
    NoTlsError,
    explain,
    explain_limit,
    mask_secrets,
    secrets,
    server_error,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.transfer_limits import (
    LimitedTransfers,
    Limits,
    OutOfTimeError,
    TooMuchSentError,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError
from ansible_collections.dbops.rds_iam.plugins.module_utils._venv import VENV  # makes its libraries importable

try:
    import pymysql
    from pymysql.connections import Connection as _DriverConnection
    from pymysql.constants import CLIENT
except ImportError:  # check_prerequisites says so before anything is opened
    pymysql = None  # type: ignore[assignment]  # a module for mypy, which has the types of PyMySQL
    _DriverConnection = object  # type: ignore[assignment,misc]  # for the same reason


# What a statement raises when the server refuses it.
class _NoDriverError(Exception):
    """An error of the driver where there is none, which nothing raises."""


DriverError: type[Exception] = pymysql.err.Error if pymysql else _NoDriverError
_OLDEST_DRIVER = (1, 0, 2)
_STATEMENT_TIMEOUT = 60  # seconds for a statement and its result; account statements are short, but may wait for a lock
# As getaddrinfo returns them: family, kind, protocol, name and address.
_Addresses = Sequence["tuple[int, int, int, str, Sequence[object]]"]


class _TlsVerified(Exception):  # noqa: N818 - no error: it ends a probe that came far enough
    """The server has shown the right certificate, and nothing more is asked of it."""


class _Socket(LimitedTransfers, socket.socket):
    """A socket of a login."""


class _TlsSocket(LimitedTransfers, ssl.SSLSocket):
    """A socket of a login within TLS."""

    def do_handshake(self, block: bool = False) -> None:
        self._within_limits(super().do_handshake, block)


class _VerifyingContext(ssl.SSLContext):
    """Expects the certificate of one server, whatever name was dialled, and reports that it was right."""

    sslsocket_class = _TlsSocket
    server_name: str
    on_verified: Callable[[], None]

    def wrap_socket(self, sock: socket.socket, *_arguments: object, **_options: object) -> _TlsSocket:
        """Do the handshake for the driver, which names the host that it dialled."""
        tls_socket = cast(
            "_TlsSocket", super().wrap_socket(sock, server_hostname=self.server_name, do_handshake_on_connect=False)
        )
        try:
            tls_socket.limits = cast("_Socket", sock).limits
            tls_socket.do_handshake()
            self.on_verified()
        except BaseException:
            tls_socket.close()
            raise
        return tls_socket


class Connection(_DriverConnection):
    """A connection that does not go on with a server without TLS.

    stage: how far it came: name, port, tls or login
    """

    options: ConnectionOptions
    limits: Limits
    login_user: str
    stage = "name"
    # Of the driver, which does not document them.
    server_capabilities: int
    _force_close: Callable[[], None]
    _sock: _TlsSocket

    @property
    def server_address(self) -> str:
        """Return the server as messages name it."""
        return self.options.server_address

    def abort(self) -> None:
        """Close the socket, which older drivers leave open after a failure, and say nothing more to the server."""
        self._force_close()

    def tls_facts(self) -> tuple[str | None, str | None]:
        """Return the version of TLS and the name of its cipher."""
        cipher = self._sock.cipher()
        return self._sock.version(), cipher and cipher[0]

    def _request_authentication(self) -> None:
        if not self.server_capabilities & CLIENT.SSL:
            raise NoTlsError
        self.stage = "tls"
        super()._request_authentication()  # type: ignore[misc]  # a private method, which the types leave out


def check_prerequisites(ca_file: str) -> None:
    """Raise MissingPrerequisiteError unless the driver, new enough, and the CA file are there."""
    if not pymysql:
        raise MissingPrerequisiteError(
            f"PyMySQL is not installed for {sys.executable} on this host, nor in {VENV}; install it (package"
            " python3-pymysql on Debian and Ubuntu, or the role dbops.rds_iam.db_client)."
        )
    if pymysql.VERSION[:3] < _OLDEST_DRIVER:
        version, oldest = (".".join(map(str, numbers[:3])) for numbers in (pymysql.VERSION, _OLDEST_DRIVER))
        raise MissingPrerequisiteError(
            f"PyMySQL {version} in {os.path.dirname(pymysql.__file__)} on this host is too old; put {oldest} or later"
            f" in its place, or remove it where {VENV} has a newer one."
        )
    if not os.path.exists(ca_file):
        raise MissingPrerequisiteError(
            f"The CA file {ca_file} does not exist on this host; install it with the role dbops.rds_iam.ca_bundle."
        )


def connect(options: ConnectionOptions, user: str, secret: str) -> Connection:
    """Log in within the time of the options, and give each statement a time of its own.

    Raises NoConnectionError, AccessDeniedError among it, and MissingPrerequisiteError.
    """
    connection = _open(options, user, secret)
    connection.limits.begin_statements(_STATEMENT_TIMEOUT)
    return connection


def log_in(options: ConnectionOptions, user: str, secret: str) -> SessionFacts:
    """Log in as connect() does, and return the facts about the session, all within the time of the login."""
    with _open(options, user, secret) as connection:
        return _read_session_facts(connection)


def probe_tls(options: ConnectionOptions) -> None:
    """Go as far as verified TLS, and end without a login. Raises NoConnectionError."""
    check_seconds("connect_timeout", options.timeout)
    missing_prerequisite = ""
    try:
        check_prerequisites(options.ca_file)
        context = _trust_authorities(options.ca_file)
    except RdsIamError as exc:  # the way to the server comes before its certificate
        missing_prerequisite, context = str(exc), _VerifyingContext(ssl.PROTOCOL_TLS_CLIENT)

    def stop_after_handshake() -> None:
        raise _TlsVerified

    connection = _prepare(options, "", context, stop_after_handshake)
    try:
        connection.connect(_open_socket(connection))
    except _TlsVerified:
        pass
    except Exception as exc:
        failure = explain(exc, connection)
        if missing_prerequisite and failure.failed_at == "certificate":
            failure = NoConnectionError("certificate", missing_prerequisite)
        raise failure from None
    finally:
        connection.abort()


def _open(options: ConnectionOptions, user: str, secret: str) -> Connection:
    check_seconds("connect_timeout", options.timeout)
    check_prerequisites(options.ca_file)
    context = _trust_authorities(options.ca_file)
    secrets.append(secret)

    def hand_over_secret() -> None:
        connection.stage = "login"
        connection.password = secret.encode()

    connection = _prepare(options, user, context, hand_over_secret)
    try:
        connection.connect(_open_socket(connection))
    except Exception as exc:  # whatever a server can make a driver raise becomes one sentence without the secret
        connection.abort()
        raise explain(exc, connection) from None
    finally:
        connection.password = b""
    return connection


def _trust_authorities(ca_file: str) -> _VerifyingContext:
    context = _VerifyingContext(ssl.PROTOCOL_TLS_CLIENT)  # demands a certificate and the right name
    try:
        context.load_verify_locations(cafile=ca_file)
    except OSError as exc:  # ssl.SSLError is one
        message = f"The CA file {ca_file} cannot be used: {exc.strerror or exc}."
        raise NoConnectionError("certificate", message) from None
    return context


def _prepare(
    options: ConnectionOptions, user: str, context: _VerifyingContext, on_verified: Callable[[], None]
) -> Connection:
    """Return a connection that has dialled nothing yet.

    on_verified: called when the certificate has proven right
    """
    context.server_name, context.on_verified = options.host, on_verified
    connection = Connection(
        host=options.connect_host or options.host,
        port=options.port,
        user=user,
        password="",
        ssl=context,
        charset="utf8mb4",
        autocommit=True,
        # Later drivers send it themselves. These take any answer for a login, which the next statement then refutes.
        init_command="SET NAMES utf8mb4" if pymysql.VERSION[:2] < (1, 1) else None,
        defer_connect=True,
    )
    connection.options, connection.limits, connection.login_user = options, Limits(options.timeout), user
    return connection


def _open_socket(connection: Connection) -> _Socket:
    """Connect to the first address of the server that answers, each of which has an equal part of the time."""
    addresses = _resolve(connection.host, connection.port, connection.limits)
    connection.stage = "port"
    failure: OSError | OutOfTimeError = OSError("it has no address")
    for number, (family, kind, protocol, _name, address) in enumerate(addresses):
        limits = Limits(connection.limits.remaining() / (len(addresses) - number))
        try:
            sock = _Socket(family, kind, protocol)
        except OSError as exc:  # a family that this host does not have
            failure = exc
            continue
        try:
            sock.limits = limits
            sock.connect(tuple(address))
            sock.limits = connection.limits
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return sock
        except (OSError, OutOfTimeError) as exc:
            sock.close()
            failure = exc
    raise failure


def _resolve(host: str, port: int, limits: Limits) -> _Addresses:
    """Return the addresses of a host, as getaddrinfo does; in a child process, since nothing interrupts a resolver."""
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        pass  # it is a name
    try:
        addresses, error = _child_process.call(_look_up, host, port, seconds=limits.remaining())
    except _child_process.ChildTimeoutError:
        raise OutOfTimeError from None
    except _child_process.ChildError as exc:
        addresses, error = [], [None, str(exc)]
    if error:
        raise socket.gaierror(*error)
    return addresses


def _look_up(host: str, port: int) -> tuple[_Addresses, list[int | str | None]]:
    """Return the addresses, or number and text of an error, in a form that JSON can express."""
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM), []
    except socket.gaierror as exc:
        return [], [exc.errno, exc.strerror]
    except UnicodeError:
        return [], [None, "it is no name of a host"]


def _read_session_facts(connection: Connection) -> SessionFacts:
    """Ask the server about the session. Raises NoConnectionError if it does not say, as then it let nobody in."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT CURRENT_USER(), USER(), VERSION()")
            row = cast("tuple[object, object, object]", cursor.fetchone())
            current_user, user, server_version = map(str, row)
        tls_version, tls_cipher = connection.tls_facts()
    except (OutOfTimeError, TooMuchSentError) as exc:
        raise explain_limit(exc, connection) from None
    except Exception as exc:  # some drivers take any answer to a login for a good one
        message = server_error(exc)[1]
        sentence = f"The server at {connection.server_address} did not go on after the login: {message}."
        raise NoConnectionError("login", sentence) from None
    return {
        "current_user": mask_secrets(current_user),
        "client_host": mask_secrets(user.rpartition("@")[2]) or None,
        "server_version": mask_secrets(server_version),
        "tls_version": tls_version,
        "tls_cipher": tls_cipher,
    }
