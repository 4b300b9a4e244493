# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The reasons why there is no session, as sentences without secrets. Private to this collection."""

from __future__ import annotations

import collections
import re
import ssl
from typing import Protocol

from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.base import (
    AccessDeniedError,
    ConnectionOptions,
    NoConnectionError,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.masking import mask
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.transfer_limits import (
    LOGIN_BYTES,
    Limits,
    OutOfTimeError,
    TooMuchSentError,
)
from ansible_collections.dbops.rds_iam.plugins.module_utils._token.endpoint import parse_endpoint

# 1045 is the usual one; MariaDB says 1698 where it knows no account of this name.
_ACCESS_DENIED = {1045, 1698}
_ERRORS_OF_DRIVER = range(2000, 3000)
# The likely causes of the errors that come in place of a greeting.
# https://dev.mysql.com/doc/mysql-errors/en/server-error-reference.html
_BEFORE_GREETING = {
    1040: "all its connections are in use, so end some or raise max_connections",
    1129: "it blocks this host after interrupted connections, so run FLUSH HOSTS there",
    1130: "none of its users may come from this host, so change the host part of one",
}
_ERROR_PACKET, _SHORTEST_ERROR = 0xFF, 3  # the first byte of an error packet, and the bytes with the number behind it
_LET_PASS = (
    "see that it is available, and that its security group, the routes and the network ACLs let this host pass to its"
    " port"
)
# The secrets of the last logins of this process, which must not be quoted, whoever repeats them.
secrets: collections.deque[str] = collections.deque(maxlen=4)


class NoTlsError(Exception):
    """The server does not offer TLS."""


class Attempt(Protocol):
    """An attempt to open a session, as far as its failure is explained."""

    options: ConnectionOptions
    limits: Limits
    login_user: str
    stage: str  # how far it came: name, port, tls, login

    @property
    def server_address(self) -> str:
        """Return the server as messages name it."""


def explain(exc: Exception, attempt: Attempt) -> NoConnectionError:
    """Return the failure of an attempt for what the driver raised, as one sentence without the secret."""
    cause = getattr(exc, "original_exception", None) or exc
    if isinstance(cause, (OutOfTimeError, TooMuchSentError)):
        return explain_limit(cause, attempt)
    if attempt.stage == "login":
        return _explain_refusal(exc, attempt)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return _explain_certificate(cause, attempt)
    if isinstance(cause, NoTlsError) or (isinstance(cause, OSError) and attempt.stage == "tls"):
        return _explain_tls(cause, attempt)
    if attempt.limits.beginning and attempt.stage == "port":
        return _explain_beginning(attempt)
    return _explain_network(exc, cause, attempt)


def _explain_tls(cause: Exception, attempt: Attempt) -> NoConnectionError:
    address, advice = attempt.server_address, "check the endpoint and the port"
    if isinstance(cause, NoTlsError):
        message = f"The server at {address} does not offer TLS, so nothing was sent to it; {advice}."
    else:
        reason = getattr(cause, "reason", None) or getattr(cause, "strerror", None) or cause
        message = f"TLS with {address} failed, so nothing was sent to it: {reason}; {advice}."
    return NoConnectionError("tls", message)


def _explain_network(exc: Exception, cause: Exception, attempt: Attempt) -> NoConnectionError:
    if isinstance(cause, OSError):
        advice = "check the name and the DNS of this host" if attempt.stage == "name" else _LET_PASS
        message = f"The server at {attempt.server_address} cannot be reached: {cause.strerror or cause}; {advice}."
    else:
        message = (
            f"The server at {attempt.server_address} did not go on before TLS, so nothing was sent to it:"
            f" {server_error(exc)[1]}; check its status, the endpoint and the port."
        )
    return NoConnectionError(attempt.stage, message)


def explain_limit(cause: Exception, attempt: Attempt) -> NoConnectionError:
    """Return the failure of a login that took too long, or more bytes than a login takes."""
    address, stage, user = attempt.server_address, attempt.stage, attempt.login_user
    seconds = f"within {attempt.limits.seconds:g} seconds in all (connect_timeout)"
    nothing_sent = "so nothing was sent to it; check the endpoint and the port"
    if isinstance(cause, TooMuchSentError):
        message = f"What listens at {address} sent more than {LOGIN_BYTES} bytes before TLS, {nothing_sent}."
        if stage == "login":
            message = (
                f"The server at {address} sent more than {LOGIN_BYTES} bytes before it let {user} in or refused it."
            )
    elif stage == "name":
        message = f"The name of the server at {address} was not resolved {seconds}; check the DNS of this host."
    elif stage == "login":
        message = (
            f"The server at {address} did not complete the login of {user} {seconds}: timed out; look at the load and"
            " the status of the database."
        )
    elif stage == "tls" or attempt.limits.beginning:
        message = f"What listens at {address} did not come to TLS {seconds}: timed out, {nothing_sent}."
    else:
        message = f"The server at {address} did not answer {seconds}: timed out; {_LET_PASS}."
    return NoConnectionError(stage, message)


def _explain_refusal(exc: Exception, attempt: Attempt) -> NoConnectionError:
    """Explain what the verified server answered, or that it did not."""
    code, message = server_error(exc)
    address, user = attempt.server_address, attempt.login_user
    if code in _ACCESS_DENIED:
        client_hosts = re.findall(r"'@'([^']*)'", message)
        sentence = f"The server at {address} refused the login of {user}: {message}."
        return AccessDeniedError(sentence, code, client_hosts[-1] if client_hosts else None)
    if code in _ERRORS_OF_DRIVER:
        code = None
    return NoConnectionError("login", f"The login of {user} at {address} failed: {message}.", code)


def _explain_certificate(cause: ssl.SSLCertVerificationError, attempt: Attempt) -> NoConnectionError:
    advice = "check that the file is the current RDS bundle and that the endpoint is the one that RDS shows"
    if parse_endpoint(attempt.options.host).kind == "proxy":
        advice = (
            "that of an RDS Proxy is issued by Amazon's public roots, so give the file of the system's authorities as"
            " ca_file"
        )
    return NoConnectionError(
        "certificate",
        f"The certificate of {attempt.server_address} is not accepted with {attempt.options.ca_file}, so nothing was"
        f" sent to it: {cause.verify_message.rstrip('.')}; {advice}.",
    )


def _explain_beginning(attempt: Attempt) -> NoConnectionError:
    """Explain what came in place of a greeting: an error, or the words of something that is no database.

    An error packet is read here, since older drivers cut the text of one without an SQLSTATE, as it has none so early.
    https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_err_packet.html
    """
    data, address = attempt.limits.beginning, attempt.server_address
    packet = data[4 : 4 + int.from_bytes(data[:3], "little")]
    if len(packet) < _SHORTEST_ERROR or packet[0] != _ERROR_PACKET:
        return NoConnectionError(
            "port",
            f"What listens at {address} does not begin as MySQL and MariaDB do, so nothing was sent to it; check the"
            " endpoint and the port.",
        )
    code = int.from_bytes(packet[1:3], "little")
    text = _clean_text(re.sub(rb"^#.{5}", b"", packet[3:], flags=re.DOTALL).decode("utf-8", "replace"))
    advice = "check the endpoint, the port and the status of the database"
    if code in _BEFORE_GREETING:
        advice = f"if these are the words of the database, {_BEFORE_GREETING[code]}"
    return NoConnectionError(
        "port",
        f'What listens at {address} refused the connection before TLS, so nobody has verified who says "{text}" (error'
        f" {code}), and nothing was sent to it; {advice}.",
        code,
    )


def server_error(exc: Exception) -> tuple[int | None, str]:
    """Return number and text of an error of the driver or the server, without the secrets that the text repeats.

    The number is None for what has none. The text has it too, and is a part of a sentence.
    """
    code = exc.args[0] if exc.args and isinstance(exc.args[0], int) else None
    if code is not None:
        code &= 0xFFFF  # drivers take it for a signed number
    text = _clean_text(str(exc.args[-1] if exc.args else "") or type(exc).__name__)
    return code, f"{text} (error {code})" if code else text


def mask_secrets(text: str) -> str:
    """Return text from elsewhere without secrets, and without what is too long for any use."""
    return mask(text[:4096], secrets)


def _clean_text(text: str) -> str:
    """Return text from elsewhere as a part of a sentence, without line breaks, secrets, and what is too long."""
    return "".join(char if char.isprintable() else "?" for char in mask_secrets(text))[:300].rstrip(".")
