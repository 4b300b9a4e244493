# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one place that opens a database connection. Private to this collection.

The driver gets the secret (a token or a password) only after the server has shown a certificate for the expected name,
issued by an authority in the CA file. Drivers differ by version in what they send without TLS; this does not.
"""

from __future__ import annotations

import os
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
_STATEMENT_TIMEOUT = 60  # seconds; account statements are short, but may wait for a lock


class AccessDenied(RdsIamError):
    """The server was reached over verified TLS, got the secret, and refused the login."""


class MissingPrerequisite(RdsIamError):
    """This host lacks something that an earlier step of a playbook installs."""


class _NoTls(Exception):
    """The server does not offer TLS."""


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


def check_prerequisites(ca_file: str) -> None:
    """Raise MissingPrerequisite unless the driver and the CA file are there."""
    if pymysql is None:
        raise MissingPrerequisite(
            f"PyMySQL is not installed for {sys.executable} on this host, nor in {VENV}; install it (package"
            " python3-pymysql on Debian and Ubuntu, or the role dbops.rds_iam.mysql_client)."
        )
    if not os.path.exists(ca_file):
        raise MissingPrerequisite(
            f"The CA file {ca_file} does not exist on this host; install it with the role dbops.rds_iam.ca_bundle."
        )


def _context(ca_file: str, server_name: str) -> _VerifiedContext:
    context = _VerifiedContext(ssl.PROTOCOL_TLS_CLIENT)  # demands a certificate and the right name
    context.server_name = server_name
    try:
        context.load_verify_locations(cafile=ca_file)
    except OSError as exc:  # ssl.SSLError is one
        raise RdsIamError(f"The CA file {ca_file} cannot be used: {exc.strerror or exc}.") from None
    return context


def connect(*, host: str, port: int, user: str, secret: str, ca_file: str, connect_host: str | None, timeout: int):
    """Log in to host, dialling connect_host if that is another name for the way there, such as a tunnel."""
    check_prerequisites(ca_file)
    context = _context(ca_file, host)
    connection = _Connection(
        host=connect_host or host,
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

    def hand_over():
        connection.password = secret.encode()

    context.on_verified = hand_over
    where = f"{host}:{port}" + (f" (through {connect_host})" if connect_host else "")
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


def _explain(exc: Exception, host: str, where: str, user: str, secret: str, ca_file: str) -> RdsIamError:
    cause = getattr(exc, "original_exception", None) or exc
    if isinstance(cause, _NoTls):
        return RdsIamError(f"The server at {where} does not offer TLS, so nothing was sent to it; check the endpoint.")
    if isinstance(cause, ssl.SSLCertVerificationError):
        reason = cause.verify_message.rstrip(".")
        advice = "check that the file is the current RDS bundle and that the endpoint is the one that RDS shows"
        if parse(host).kind == "proxy":
            advice = (
                "that of an RDS Proxy is issued by Amazon's public roots, so give the file of the system's authorities"
                " as ca_file"
            )
        return RdsIamError(
            f"The certificate of {where} is not accepted with {ca_file}, so nothing was sent to it: {reason}; {advice}."
        )
    if isinstance(cause, ssl.SSLError):
        return RdsIamError(f"TLS with {where} failed, so nothing was sent to it: {cause.reason or cause}.")
    if isinstance(cause, TimeoutError):
        return RdsIamError(
            f"The server at {where} did not answer in time; check its status, its security group and the network."
        )
    if isinstance(cause, OSError):
        return RdsIamError(
            f"The server at {where} cannot be reached: {cause.strerror or cause}; check its status, its security group"
            " and the network."
        )
    code, message = server_error(exc, secret)
    if code in ACCESS_DENIED:
        return AccessDenied(f"The server at {where} refused the login of {user}: {message}.")
    return RdsIamError(f"The login of {user} at {where} failed: {message}.")


def server_error(exc: Exception, secret: str = "") -> tuple[int | None, str]:
    """Number and text of an error of the driver or the server; a server that repeats the secret is not repeated."""
    code = exc.args[0] if exc.args and isinstance(exc.args[0], int) else None
    text = str(exc.args[-1] if exc.args else "") or type(exc).__name__
    if secret:
        text = text.replace(secret, "********")
    text = "".join(char if char.isprintable() else "?" for char in text)[:300].rstrip(".")
    return code, f"{text} (error {code})" if code else text


def session_facts(connection) -> dict:
    """Who the server says we are, and over what; RdsIamError if it does not say, as then it let nobody in."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT CURRENT_USER(), VERSION()")
            current_user, version = cursor.fetchone()
    except Exception as exc:  # some drivers take any answer to a login for a good one
        message = server_error(exc)[1]
        raise RdsIamError(f"The server at {connection.where} did not go on after the login: {message}.") from None
    return {
        "current_user": current_user,
        "server_version": version,
        "tls_version": connection._sock.version(),
        "tls_cipher": connection._sock.cipher()[0],
    }
