# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The reasons why there is no session, as sentences without secrets. Private to this collection."""

from __future__ import annotations

import collections
import re
import ssl
from typing import Protocol

from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.masking import masked
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.transfer_limits import (
    LOGIN_BYTES,
    Limits,
    OutOfTime,
    TooMuchSent,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError
from ansible_collections.dbops.rds_iam.plugins.module_utils._token.endpoint import parse

# 1045 is the usual one; MariaDB says 1698 where it knows no account of this name.
ACCESS_DENIED = {1045, 1698}
_ERRORS_OF_DRIVER = range(2000, 3000)
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


def to_result(failure: NoConnection) -> dict:
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


class NoTls(Exception):
    """The server does not offer TLS."""


class Attempt(Protocol):
    """An attempt to open a session, as far as its failure is explained."""

    limits: Limits
    login_user: str
    where: str  # the server, as messages name it
    stage: str  # how far it came: name, port, tls, login


def explain(exc: Exception, connection: Attempt, host: str, ca_file: str) -> NoConnection:
    cause, where = getattr(exc, "original_exception", None) or exc, connection.where
    if isinstance(cause, (OutOfTime, TooMuchSent)):
        return explain_limit(cause, connection)
    if connection.stage == "login":
        return _refused(exc, connection)
    if isinstance(cause, NoTls):
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


def explain_limit(cause: Exception, connection: Attempt) -> NoConnection:
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


def _refused(exc: Exception, connection: Attempt) -> NoConnection:
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


def _no_greeting(connection: Attempt) -> NoConnection:
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
secrets = collections.deque(maxlen=4)


def server_error(exc: Exception) -> tuple[int | None, str]:
    """Return number and text of an error of the driver or the server; a secret that it repeats is not repeated."""
    code = exc.args[0] if exc.args and isinstance(exc.args[0], int) else None
    if code is not None:
        code &= 0xFFFF  # drivers take it for a signed number
    text = _shown(str(exc.args[-1] if exc.args else "") or type(exc).__name__)
    return code, f"{text} (error {code})" if code else text


def mask_secrets(text: str) -> str:
    """Return text from elsewhere without secrets, and without what is too long for any use."""
    return masked(text[:4096], secrets)


def _shown(text: str) -> str:
    """Return text from elsewhere as a part of a sentence, without line breaks, secrets, and what is too long."""
    return "".join(char if char.isprintable() else "?" for char in mask_secrets(text))[:300].rstrip(".")
