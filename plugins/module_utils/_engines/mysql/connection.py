# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one place that opens a database connection. Private to this collection.

The driver gets the secret (a token or a password) only after the server has shown a certificate for the expected name,
issued by an authority in the CA file. Drivers differ by version in what they send without TLS; this does not.

What a server says before that is nobody's word, so it decides nothing. Until the login is complete, all of it has one
deadline and one limit of bytes.
"""

from __future__ import annotations

import os
import socket
import ssl
import sys

from ansible_collections.dbops.rds_iam.plugins.module_utils import _child_process
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.error_texts import (
    NoConnection,
    NoTls,
    explain,
    explain_limit,
    mask_secrets,
    secrets,
    server_error,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.transfer_limits import (
    LimitedTransfers,
    Limits,
    OutOfTime,
    TooMuchSent,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError
from ansible_collections.dbops.rds_iam.plugins.module_utils._venv import VENV  # makes its libraries importable

try:
    import pymysql
    from pymysql.connections import Connection as _DriverConnection
    from pymysql.constants import CLIENT
except ImportError:
    pymysql = None
    _DriverConnection = object

# What a statement raises when the server refuses it.
DriverError = pymysql.err.Error if pymysql else Exception
_OLDEST_DRIVER = (1, 0, 2)
_STATEMENT_TIMEOUT = 60  # seconds for a statement and its result; account statements are short, but may wait for a lock


class MissingPrerequisite(RdsIamError):
    """This host lacks something that an earlier step of a playbook installs."""


class _Reached(Exception):
    """The server has shown the right certificate, and nothing more is asked of it."""


class _Socket(LimitedTransfers, socket.socket):
    """A socket of a login."""


class _TlsSocket(LimitedTransfers, ssl.SSLSocket):
    """The same within TLS."""


class _VerifiedContext(ssl.SSLContext):
    """Expects the certificate of the endpoint, whatever name was dialled, and reports that it was right."""

    sslsocket_class = _TlsSocket
    server_name: str
    on_verified: callable

    def wrap_socket(self, sock, server_hostname=None, **kwargs):
        wrapped = super().wrap_socket(sock, server_hostname=self.server_name, do_handshake_on_connect=False, **kwargs)
        try:
            wrapped.limits = sock.limits
            wrapped.do_handshake()
            self.on_verified()
        except BaseException:
            wrapped.close()
            raise
        return wrapped


class Connection(_DriverConnection):
    """Refuses to go on with a server that does not offer TLS. C(stage) says how far it came."""

    limits: Limits
    login_user: str
    where: str
    stage = "name"

    def _request_authentication(self):
        if not self.server_capabilities & CLIENT.SSL:
            raise NoTls
        self.stage = "tls"
        super()._request_authentication()


def check_seconds(option: str, seconds: int, least: int = 1, most: int = 3600) -> None:
    """Raise RdsIamError for a number of seconds that an option cannot have."""
    if not least <= seconds <= most:
        raise RdsIamError(f"{option} is {seconds}; give a number of seconds from {least} to {most}.")


def check_prerequisites(ca_file: str) -> None:
    """Raise MissingPrerequisite unless the driver, new enough, and the CA file are there."""
    if pymysql is None:
        raise MissingPrerequisite(
            f"PyMySQL is not installed for {sys.executable} on this host, nor in {VENV}; install it (package"
            " python3-pymysql on Debian and Ubuntu, or the role dbops.rds_iam.mysql_client)."
        )
    if pymysql.VERSION[:3] < _OLDEST_DRIVER:
        version, oldest = (".".join(map(str, numbers[:3])) for numbers in (pymysql.VERSION, _OLDEST_DRIVER))
        raise MissingPrerequisite(
            f"PyMySQL {version} in {os.path.dirname(pymysql.__file__)} on this host is too old; put {oldest} or later"
            f" in its place, or remove it where {VENV} has a newer one."
        )
    if not os.path.exists(ca_file):
        raise MissingPrerequisite(
            f"The CA file {ca_file} does not exist on this host; install it with the role dbops.rds_iam.ca_bundle."
        )


def _trusting_nobody(server_name: str) -> _VerifiedContext:
    context = _VerifiedContext(ssl.PROTOCOL_TLS_CLIENT)  # demands a certificate and the right name
    context.server_name = server_name
    return context


def _context(ca_file: str, server_name: str) -> _VerifiedContext:
    context = _trusting_nobody(server_name)
    try:
        context.load_verify_locations(cafile=ca_file)
    except OSError as exc:  # ssl.SSLError is one
        message = f"The CA file {ca_file} cannot be used: {exc.strerror or exc}."
        raise NoConnection("certificate", message) from None
    return context


def _connection(context: _VerifiedContext, *, host: str, port: int, user: str, timeout: int) -> Connection:
    connection = Connection(
        host=host,
        port=port,
        user=user,
        password="",
        ssl=context,
        charset="utf8mb4",
        autocommit=True,
        # Later drivers send it themselves. These take any answer for a login, which the next statement then refutes.
        init_command="SET NAMES utf8mb4" if pymysql.VERSION[:2] < (1, 1) else None,
        defer_connect=True,
    )
    connection.limits, connection.login_user = Limits(timeout), user
    return connection


def _dial(connection: Connection) -> _Socket:
    """Connect to the first address of the server that answers, each of which has an equal part of the time."""
    addresses = _resolve(connection.host, connection.port, connection.limits)
    connection.stage, failure = "port", OSError("it has no address")
    for number, (family, kind, protocol, _name, address) in enumerate(addresses):
        part = Limits(connection.limits.remaining() / (len(addresses) - number))
        try:
            sock = _Socket(family, kind, protocol)
        except OSError as exc:  # a family that this host does not have
            failure = exc
            continue
        try:
            sock.limits = part
            sock.connect(tuple(address))
            sock.limits = connection.limits
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return sock
        except (OSError, OutOfTime) as exc:
            sock.close()
            failure = exc
    raise failure


def _resolve(host: str, port: int, limits: Limits) -> list:
    """Return the addresses of a host, as getaddrinfo does; in a child process, since nothing interrupts a resolver."""
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        pass  # it is a name
    try:
        addresses, error = _child_process.call(_look_up, host, port, seconds=limits.remaining())
    except _child_process.OutOfTime:
        raise OutOfTime from None
    except _child_process.ChildFailed as exc:
        addresses, error = [], [None, str(exc)]
    if error:
        raise socket.gaierror(*error)
    return addresses


def _look_up(host: str, port: int) -> tuple[list, list | None]:
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM), None
    except socket.gaierror as exc:
        return [], [exc.errno, exc.strerror]
    except UnicodeError:
        return [], [None, "it is no name of a host"]


def _where(host: str, port: int, connect_host: str | None) -> str:
    return f"{host}:{port}" + (f" (through {connect_host})" if connect_host else "")


def connect(*, host: str, port: int, user: str, secret: str, ca_file: str, connect_host: str | None, timeout: int):
    """Log in to host, dialling connect_host if that is another name for the way there, such as a tunnel.

    The login has C(timeout) seconds in all, and then each statement a time of its own. Raises NoConnection.
    """
    connection = _open(
        host=host,
        port=port,
        user=user,
        secret=secret,
        ca_file=ca_file,
        connect_host=connect_host,
        timeout=timeout,
    )
    connection.limits.begin_statements(_STATEMENT_TIMEOUT)
    return connection


def log_in(**options) -> dict:
    """Log in as C(connect) does, and return what C(session_facts) returns, all within the time of the login."""
    with _open(**options) as connection:
        return session_facts(connection)


def _open(*, host: str, port: int, user: str, secret: str, ca_file: str, connect_host: str | None, timeout: int):
    check_seconds("connect_timeout", timeout)
    check_prerequisites(ca_file)
    context = _context(ca_file, host)
    connection = _connection(context, host=connect_host or host, port=port, user=user, timeout=timeout)
    connection.where = _where(host, port, connect_host)
    secrets.append(secret)

    def hand_over():
        connection.stage = "login"
        connection.password = secret.encode()

    context.on_verified = hand_over
    try:
        connection.connect(_dial(connection))
    except Exception as exc:  # whatever a server can make a driver raise becomes one sentence without the secret
        connection._force_close()  # older drivers leave it open
        raise explain(exc, connection, host, ca_file) from None
    finally:
        connection.password = b""
    return connection


def probe_tls(*, host: str, port: int, ca_file: str, connect_host: str | None, timeout: int) -> None:
    """Go as far as verified TLS, and hang up without a login. Raises NoConnection."""
    check_seconds("connect_timeout", timeout)
    unusable = ""
    try:
        check_prerequisites(ca_file)
        context = _context(ca_file, host)
    except RdsIamError as exc:  # the way to the server comes before its certificate
        unusable, context = str(exc), _trusting_nobody(host)

    def hang_up():
        raise _Reached

    context.on_verified = hang_up
    connection = _connection(context, host=connect_host or host, port=port, user="", timeout=timeout)
    connection.where = _where(host, port, connect_host)
    try:
        connection.connect(_dial(connection))
    except _Reached:
        pass
    except Exception as exc:
        failure = explain(exc, connection, host, ca_file)
        if unusable and failure.failed_at == "certificate":
            failure = NoConnection("certificate", unusable)
        raise failure from None
    finally:
        connection._force_close()


def session_facts(connection) -> dict:
    """Return who the server says we are, and over what; NoConnection if it does not say, as then it let nobody in."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT CURRENT_USER(), USER(), VERSION()")
            current_user, user, version = map(str, cursor.fetchone())
        tls_version, cipher = connection._sock.version(), connection._sock.cipher()[0]
    except (OutOfTime, TooMuchSent) as exc:
        raise explain_limit(exc, connection) from None
    except Exception as exc:  # some drivers take any answer to a login for a good one
        message = server_error(exc)[1]
        sentence = f"The server at {connection.where} did not go on after the login: {message}."
        raise NoConnection("login", sentence) from None
    return {
        "current_user": mask_secrets(current_user),
        "client_host": mask_secrets(user.rpartition("@")[2]) or None,
        "server_version": mask_secrets(version),
        "tls_version": tls_version,
        "tls_cipher": cipher,
    }
