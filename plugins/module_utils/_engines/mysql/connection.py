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

import collections
import os
import re
import socket
import ssl
import sys

from ansible_collections.dbops.rds_iam.plugins.module_utils import _child_process
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.masking import masked
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.transfer_limits import (
    LOGIN_BYTES,
    LimitedTransfers,
    Limits,
    OutOfTime,
    TooMuchSent,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError
from ansible_collections.dbops.rds_iam.plugins.module_utils._token.endpoint import parse
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

# 1045 is the usual one; MariaDB says 1698 where it knows no account of this name.
ACCESS_DENIED = {1045, 1698}
_ERRORS_OF_DRIVER = range(2000, 3000)
_OLDEST_DRIVER = (1, 0, 2)
_STATEMENT_TIMEOUT = 60  # seconds for a statement and its result; account statements are short, but may wait for a lock
# What may be behind the errors that come in place of a greeting.
# https://dev.mysql.com/doc/mysql-errors/en/server-error-reference.html
_BEFORE_GREETING = {
    1040: "all its connections are in use, so end some or raise max_connections",
    1129: "it blocks this host after interrupted connections, so run FLUSH HOSTS there",
    1130: "none of its users may come from this host, so change the host part of one",
}


_LET_PASS = (
    "see that it is available, and that its security group, the routes and the network ACLs let this host pass to its"
    " port"
)


class NoConnection(RdsIamError):
    """There is no session.

    C(failed_at) says how far it came: name, port, tls, certificate or login. C(server_error) is the number of the error
    that the server answered with, None if there was none.
    """

    def __init__(self, failed_at: str, message: str, server_error: int | None = None):
        super().__init__(message)
        self.failed_at = failed_at
        self.server_error = server_error


def shown(failure: NoConnection) -> dict:
    """Return where and why a connection failed, with the number of the server's error where there is one."""
    record = {"failed_at": failure.failed_at, "msg": str(failure)}
    return record if failure.server_error is None else {**record, "server_error": failure.server_error}


class AccessDenied(NoConnection):
    """The server was reached over verified TLS, got the secret, and refused the login.

    C(client_host) is the name or address by which it knows this host, None where it does not say it.
    """

    def __init__(self, message: str, server_error: int, client_host: str | None):
        super().__init__("login", message, server_error)
        self.client_host = client_host


class MissingPrerequisite(RdsIamError):
    """This host lacks something that an earlier step of a playbook installs."""


class _NoTls(Exception):
    """The server does not offer TLS."""


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


class _Connection(_DriverConnection):
    """Refuses to go on with a server that does not offer TLS. C(stage) says how far it came."""

    limits: Limits
    login_user: str
    where: str
    stage = "name"

    def _request_authentication(self):
        if not self.server_capabilities & CLIENT.SSL:
            raise _NoTls
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


def _connection(context: _VerifiedContext, *, host: str, port: int, user: str, timeout: int) -> _Connection:
    connection = _Connection(
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


def _dial(connection: _Connection) -> _Socket:
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
    _secrets.append(secret)

    def hand_over():
        connection.stage = "login"
        connection.password = secret.encode()

    context.on_verified = hand_over
    try:
        connection.connect(_dial(connection))
    except Exception as exc:  # whatever a server can make a driver raise becomes one sentence without the secret
        connection._force_close()  # older drivers leave it open
        raise _explain(exc, connection, host, ca_file) from None
    finally:
        connection.password = b""
    return connection


def reach(*, host: str, port: int, ca_file: str, connect_host: str | None, timeout: int) -> None:
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
        failure = _explain(exc, connection, host, ca_file)
        if unusable and failure.failed_at == "certificate":
            failure = NoConnection("certificate", unusable)
        raise failure from None
    finally:
        connection._force_close()


def _explain(exc: Exception, connection: _Connection, host: str, ca_file: str) -> NoConnection:
    cause, where = getattr(exc, "original_exception", None) or exc, connection.where
    if isinstance(cause, (OutOfTime, TooMuchSent)):
        return _over_limit(cause, connection)
    if connection.stage == "login":
        return _refused(exc, connection)
    if isinstance(cause, _NoTls):
        message = (
            f"The server at {where} does not offer TLS, so nothing was sent to it; check the endpoint and the port."
        )
        return NoConnection("tls", message)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return _not_accepted(cause, host, where, ca_file)
    if isinstance(cause, OSError) and connection.stage == "tls":
        reason = getattr(cause, "reason", None) or cause.strerror or cause
        return NoConnection(
            "tls", f"TLS with {where} failed, so nothing was sent to it: {reason}; check the endpoint and the port."
        )
    if connection.limits.beginning and connection.stage == "port":
        return _no_greeting(connection)
    if isinstance(cause, OSError):
        advice = "check the name and the DNS of this host" if connection.stage == "name" else _LET_PASS
        return NoConnection(
            connection.stage, f"The server at {where} cannot be reached: {cause.strerror or cause}; {advice}."
        )
    return NoConnection(
        connection.stage,
        f"The server at {where} did not go on before TLS, so nothing was sent to it: {server_error(exc)[1]}; check its"
        " status, the endpoint and the port.",
    )


def _over_limit(cause: Exception, connection: _Connection) -> NoConnection:
    """Explain a login that took too long, or more bytes than a login takes."""
    where, stage, user = connection.where, connection.stage, connection.login_user
    seconds = f"within {connection.limits.seconds:g} seconds in all (connect_timeout)"
    nothing = "so nothing was sent to it; check the endpoint and the port"
    if isinstance(cause, TooMuchSent):
        message = f"What listens at {where} sent more than {LOGIN_BYTES} bytes before TLS, {nothing}."
        if stage == "login":
            message = f"The server at {where} sent more than {LOGIN_BYTES} bytes before it let {user} in or refused it."
    elif stage == "name":
        message = f"The name of the server at {where} was not resolved {seconds}; check the DNS of this host."
    elif stage == "login":
        message = (
            f"The server at {where} did not complete the login of {user} {seconds}: timed out; look at the load and the"
            " status of the database."
        )
    elif stage == "tls" or connection.limits.beginning:
        message = f"What listens at {where} did not come to TLS {seconds}: timed out, {nothing}."
    else:
        message = f"The server at {where} did not answer {seconds}: timed out; {_LET_PASS}."
    return NoConnection(stage, message)


def _refused(exc: Exception, connection: _Connection) -> NoConnection:
    """Explain what the verified server answered, or that it did not."""
    code, message = server_error(exc)
    where, user = connection.where, connection.login_user
    if code in ACCESS_DENIED:
        known_as = re.findall(r"'@'([^']*)'", message)
        sentence = f"The server at {where} refused the login of {user}: {message}."
        return AccessDenied(sentence, code, known_as[-1] if known_as else None)
    if code in _ERRORS_OF_DRIVER:
        code = None
    return NoConnection("login", f"The login of {user} at {where} failed: {message}.", code)


def _not_accepted(cause: ssl.SSLCertVerificationError, host: str, where: str, ca_file: str) -> NoConnection:
    advice = "check that the file is the current RDS bundle and that the endpoint is the one that RDS shows"
    if parse(host).kind == "proxy":
        advice = (
            "that of an RDS Proxy is issued by Amazon's public roots, so give the file of the system's authorities as"
            " ca_file"
        )
    return NoConnection(
        "certificate",
        f"The certificate of {where} is not accepted with {ca_file}, so nothing was sent to it:"
        f" {cause.verify_message.rstrip('.')}; {advice}.",
    )


def _no_greeting(connection: _Connection) -> NoConnection:
    """Explain what came in place of a greeting: an error, or the words of something that is no database.

    An error packet is read here, since older drivers cut the text of one without an SQLSTATE, as it has none so early.
    https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_err_packet.html
    """
    data, where = connection.limits.beginning, connection.where
    packet = data[4 : 4 + int.from_bytes(data[:3], "little")]
    if len(packet) < 3 or packet[0] != 0xFF:
        return NoConnection(
            "port",
            f"What listens at {where} does not begin as MySQL and MariaDB do, so nothing was sent to it; check the"
            " endpoint and the port.",
        )
    code = int.from_bytes(packet[1:3], "little")
    text = _shown(re.sub(rb"^#.{5}", b"", packet[3:], flags=re.DOTALL).decode("utf-8", "replace"))
    advice = "check the endpoint, the port and the status of the database"
    if code in _BEFORE_GREETING:
        advice = f"if these are the words of the database, {_BEFORE_GREETING[code]}"
    return NoConnection(
        "port",
        f'What listens at {where} refused the connection before TLS, so nobody has verified who says "{text}" (error'
        f" {code}), and nothing was sent to it; {advice}.",
        code,
    )


# Of the last logins of this process: what must not be quoted, whoever repeats it.
_secrets = collections.deque(maxlen=4)


def server_error(exc: Exception) -> tuple[int | None, str]:
    """Return number and text of an error of the driver or the server; a secret that it repeats is not repeated."""
    code = exc.args[0] if exc.args and isinstance(exc.args[0], int) else None
    if code is not None:
        code &= 0xFFFF  # drivers take it for a signed number
    text = _shown(str(exc.args[-1] if exc.args else "") or type(exc).__name__)
    return code, f"{text} (error {code})" if code else text


def _masked(text: str) -> str:
    """Return text from elsewhere without secrets, and without what is too long for any use."""
    return masked(text[:4096], _secrets)


def _shown(text: str) -> str:
    """Return text from elsewhere as a part of a sentence, without line breaks, secrets, and what is too long."""
    return "".join(char if char.isprintable() else "?" for char in _masked(text))[:300].rstrip(".")


def session_facts(connection) -> dict:
    """Return who the server says we are, and over what; NoConnection if it does not say, as then it let nobody in."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT CURRENT_USER(), USER(), VERSION()")
            current_user, user, version = map(str, cursor.fetchone())
        tls_version, cipher = connection._sock.version(), connection._sock.cipher()[0]
    except (OutOfTime, TooMuchSent) as exc:
        raise _over_limit(exc, connection) from None
    except Exception as exc:  # some drivers take any answer to a login for a good one
        message = server_error(exc)[1]
        sentence = f"The server at {connection.where} did not go on after the login: {message}."
        raise NoConnection("login", sentence) from None
    return {
        "current_user": _masked(current_user),
        "client_host": _masked(user.rpartition("@")[2]) or None,
        "server_version": _masked(version),
        "tls_version": tls_version,
        "tls_cipher": cipher,
    }
