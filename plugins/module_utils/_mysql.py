# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one place that opens a database connection. Private to this collection.

The driver gets the secret (a token or a password) only after the server has shown a certificate for the expected name,
issued by an authority in the CA file. Drivers differ by version in what they send without TLS; this does not.
"""

from __future__ import annotations

import os
import re
import socket
import ssl
import sys

from ansible_collections.dbops.rds_iam.plugins.module_utils._endpoint import parse
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError
from ansible_collections.dbops.rds_iam.plugins.module_utils._token import VENV  # and looks for libraries there, too

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
_OLDEST_DRIVER = (1, 0, 2)
_STATEMENT_TIMEOUT = 60  # seconds; account statements are short, but may wait for a lock


class NoConnection(RdsIamError):
    """There is no session. C(failed_at) says how far it came: name, port, tls, certificate or login."""

    def __init__(self, failed_at: str, message: str):
        super().__init__(message)
        self.failed_at = failed_at


class AccessDenied(NoConnection):
    """The server was reached over verified TLS, got the secret, and refused the login.

    C(client_host) is the name or address by which it knows this host, None where it does not say it.
    """

    def __init__(self, failed_at: str, message: str, client_host: str | None = None):
        super().__init__(failed_at, message)
        self.client_host = client_host


class MissingPrerequisite(RdsIamError):
    """This host lacks something that an earlier step of a playbook installs."""


class _NoTls(Exception):
    """The server does not offer TLS."""


class _Reached(Exception):
    """The server has shown the right certificate, and nothing more is asked of it."""


class _VerifiedContext(ssl.SSLContext):
    """Expects the certificate of the endpoint, whatever name was dialled, and reports that it was right."""

    server_name: str
    on_verified: callable

    def wrap_socket(self, sock, server_hostname=None, **kwargs):
        wrapped = super().wrap_socket(sock, server_hostname=self.server_name, **kwargs)
        self.on_verified()
        return wrapped


class _Connection(_DriverConnection):
    """Refuses to go on with a server that does not offer TLS."""

    def _request_authentication(self):
        if not self.server_capabilities & CLIENT.SSL:
            raise _NoTls
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
    return _Connection(
        host=host,
        port=port,
        user=user,
        password="",
        ssl=context,
        charset="utf8mb4",
        autocommit=True,
        connect_timeout=timeout,
        read_timeout=timeout,
        write_timeout=timeout,
        defer_connect=True,
    )


def _where(host: str, port: int, connect_host: str | None) -> str:
    return f"{host}:{port}" + (f" (through {connect_host})" if connect_host else "")


def connect(*, host: str, port: int, user: str, secret: str, ca_file: str, connect_host: str | None, timeout: int):
    """Log in to host, dialling connect_host if that is another name for the way there, such as a tunnel."""
    check_prerequisites(ca_file)
    context = _context(ca_file, host)
    connection = _connection(context, host=connect_host or host, port=port, user=user, timeout=timeout)

    def hand_over():
        connection.password = secret.encode()

    context.on_verified = hand_over
    where = _where(host, port, connect_host)
    try:
        connection.connect()
    except Exception as exc:  # whatever a server can make a driver raise becomes one sentence without the secret
        connection._force_close()  # older drivers leave it open
        raise _explain(exc, host, where, user, secret, ca_file) from None
    finally:
        connection.password = b""
    connection._read_timeout = _STATEMENT_TIMEOUT
    connection.where = where
    return connection


def log_in(**options) -> dict:
    """Log in as C(connect) does, and return what C(session_facts) returns. The session ends."""
    with connect(**options) as connection:
        return session_facts(connection)


def reach(*, host: str, port: int, ca_file: str, connect_host: str | None, timeout: int) -> None:
    """Go as far as verified TLS, and hang up without a login. Raises NoConnection."""
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
    try:
        connection.connect()
    except _Reached:
        pass
    except Exception as exc:
        failure = _explain(exc, host, _where(host, port, connect_host), "nobody", "", ca_file)
        if unusable and failure.failed_at == "certificate":
            failure = NoConnection("certificate", unusable)
        raise failure from None
    finally:
        connection._force_close()


def _explain(exc: Exception, host: str, where: str, user: str, secret: str, ca_file: str) -> NoConnection:
    cause = getattr(exc, "original_exception", None) or exc
    if isinstance(cause, _NoTls):
        message = f"The server at {where} does not offer TLS, so nothing was sent to it; check the endpoint."
        return NoConnection("tls", message)
    if isinstance(cause, ssl.SSLCertVerificationError):
        reason = cause.verify_message.rstrip(".")
        advice = "check that the file is the current RDS bundle and that the endpoint is the one that RDS shows"
        if parse(host).kind == "proxy":
            advice = (
                "that of an RDS Proxy is issued by Amazon's public roots, so give the file of the system's authorities"
                " as ca_file"
            )
        return NoConnection(
            "certificate",
            f"The certificate of {where} is not accepted with {ca_file}, so nothing was sent to it: {reason};"
            f" {advice}.",
        )
    if isinstance(cause, ssl.SSLError):
        return NoConnection("tls", f"TLS with {where} failed, so nothing was sent to it: {cause.reason or cause}.")
    if isinstance(cause, TimeoutError):
        return NoConnection(
            "port",
            f"The server at {where} did not answer in time; check its status, its security group and the network.",
        )
    if isinstance(cause, OSError):
        return NoConnection(
            "name" if isinstance(cause, socket.gaierror) else "port",
            f"The server at {where} cannot be reached: {cause.strerror or cause}; check its status, its security group"
            " and the network.",
        )
    code, message = server_error(exc, secret)
    if code in ACCESS_DENIED:
        known_as = re.search(r"'@'([^']*)'", message)
        sentence = f"The server at {where} refused the login of {user}: {message}."
        return AccessDenied("login", sentence, known_as and known_as[1])
    return NoConnection("login", f"The login of {user} at {where} failed: {message}.")


def server_error(exc: Exception, secret: str = "") -> tuple[int | None, str]:
    """Number and text of an error of the driver or the server; a server that repeats the secret is not repeated."""
    code = exc.args[0] if exc.args and isinstance(exc.args[0], int) else None
    text = str(exc.args[-1] if exc.args else "") or type(exc).__name__
    if secret:
        text = text.replace(secret, "********")
    text = "".join(char if char.isprintable() else "?" for char in text)[:300].rstrip(".")
    return code, f"{text} (error {code})" if code else text


def session_facts(connection) -> dict:
    """Who the server says we are, and over what; NoConnection if it does not say, as then it let nobody in."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT CURRENT_USER(), USER(), VERSION()")
            current_user, user, version = cursor.fetchone()
    except Exception as exc:  # some drivers take any answer to a login for a good one
        message = server_error(exc)[1]
        sentence = f"The server at {connection.where} did not go on after the login: {message}."
        raise NoConnection("login", sentence) from None
    return {
        "current_user": current_user,
        "client_host": user.rpartition("@")[2] or None,
        "server_version": version,
        "tls_version": connection._sock.version(),
        "tls_cipher": connection._sock.cipher()[0],
    }
