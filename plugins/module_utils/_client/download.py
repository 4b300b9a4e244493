# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Download a file, verified, within a deadline and a number of bytes. Private to this collection."""

from __future__ import annotations

import hashlib
import http.client
import re
import string
import threading
import urllib.error
from collections.abc import Callable
from urllib.parse import quote, urljoin

from ansible.module_utils.urls import open_url
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError
from ansible_collections.dbops.rds_iam.plugins.module_utils._text import one_line

LIMIT = 8 * 1024 * 1024  # bytes; the bundle of all Regions has some 200 kB
_REDIRECTS = {301, 302, 303, 307, 308}
_MAX_REDIRECTS = 5
_KEPT = "the file in place, if any, was kept"
# Scheme, user, host and port, path. All that may hold a secret comes after these, or makes it no such address.
_ADDRESS = re.compile(
    r"(https?)://(?:[^/?#@]*@)?((?:\[[\da-f:.]+\]|[\w.-]+)(?::\d+)?)(/[^;?#@\s]*)?(?:[;?#][^@]*)?", re.I
)


def public_address(url: str) -> str:
    """Return scheme, host and path of an address: user, password, query and fragment may be secrets.

    An address in which it cannot be said where they are is not repeated at all.
    """
    match = _ADDRESS.fullmatch(url)
    return f"{match[1].lower()}://{match[2]}{match[3] or ''}" if match else "the address in url"


def fetch(url: str, checksum: str | None, timeout: int) -> bytes:
    """Return the bytes behind an address, which have the SHA-256 checksum if one is given (C(sha256:...)).

    Every address on the way is one of https; with a checksum, and if the first one is of http, also of http. Raises
    RdsIamError where one is not, and where the whole does not arrive within C(timeout) seconds and C(LIMIT) bytes.
    """
    if checksum and not re.fullmatch(r"sha256:[0-9a-fA-F]{64}", checksum):
        raise RdsIamError(f"The checksum {checksum!r} is not sha256: followed by 64 hexadecimal digits.")
    public_url, scheme = public_address(url), _scheme(url)
    if scheme != "https" and not (checksum and scheme == "http"):
        raise RdsIamError(
            f"{public_url} is not an https address; CA certificates are fetched over http only with a checksum."
        )
    content = _call_within(timeout, public_url, lambda: _follow(url, {"https", scheme}, timeout))
    if checksum and hashlib.sha256(content).hexdigest() != checksum[len("sha256:") :].lower():
        raise RdsIamError(f"{public_url} does not have the checksum {checksum}; {_KEPT}.")
    return content


def _scheme(url: str) -> str:
    return url.partition("://")[0].lower()


def _call_within(timeout: int, public_url: str, request: Callable[[], bytes]) -> bytes:
    """Return the result of C(request), or raise what it raises, if that takes no longer than so many seconds.

    A timeout of a socket is one for each packet, and a resolver has none; a thread can be left behind with both.
    """
    outcomes: list[tuple[bytes, RdsIamError | None]] = []

    def run() -> None:
        try:
            outcomes.append((request(), None))
        except RdsIamError as exc:
            outcomes.append((b"", exc))
        except Exception as exc:  # urllib, http.client, ssl and socket have nothing in common but this
            outcomes.append((b"", RdsIamError(f"{public_url} could not be fetched: {_reason(exc, timeout)}; {_KEPT}.")))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(timeout)
    if not outcomes:
        raise RdsIamError(f"{public_url} could not be fetched: {_timeout_reason(timeout)}; {_KEPT}.")
    content, failure = outcomes[0]
    if failure:
        raise failure from None
    return content


def _follow(url: str, schemes: set[str], timeout: int) -> bytes:
    """Return the content of an address, or of where it redirects to, which is checked before it is asked."""
    first_address = public_address(url)
    for _hop in range(_MAX_REDIRECTS + 1):
        response, location = _open(url, timeout)
        if response:
            with response:
                return _read(response, first_address)
        url = urljoin(url, quote(location, encoding="iso-8859-1", safe=string.punctuation))
        if _scheme(url) not in schemes:
            raise RdsIamError(
                f"{first_address} redirects to {_public_target(url)}, which is not {' or '.join(sorted(schemes))};"
                f" {_KEPT}."
            )
    raise RdsIamError(f"{first_address} could not be fetched: it redirects more than {_MAX_REDIRECTS} times; {_KEPT}.")


def _open(url: str, timeout: int) -> tuple[http.client.HTTPResponse | None, str]:
    """Return the response of an address, or where it redirects to. Raises what urllib raises."""
    try:
        return open_url(url, timeout=timeout, follow_redirects="none", decompress=False), ""
    except urllib.error.HTTPError as exc:
        location = exc.headers.get("Location") if exc.code in _REDIRECTS else None
        exc.close()
        if not location:
            raise
        return None, location


def _public_target(url: str) -> str:
    public_url = public_address(url)
    return public_url if "://" in public_url else "another address"


def _read(response: http.client.HTTPResponse, public_url: str) -> bytes:
    content = response.read(LIMIT + 1)
    if len(content) > LIMIT:
        raise RdsIamError(f"{public_url} holds more than {LIMIT} bytes, so it is no CA bundle; {_KEPT}.")
    announced = response.headers.get("Content-Length") or "0"
    # Reading a part of a response does not notice that the connection broke off.
    if announced.isdecimal() and len(content) < int(announced):
        raise RdsIamError(f"{public_url} was cut off after {len(content)} of {announced} bytes; {_KEPT}.")
    return content


def _timeout_reason(timeout: int) -> str:
    return f"it timed out after {timeout} s"


def _reason(exc: Exception, timeout: int) -> str:
    """Return why a request failed, without what a server or urllib quotes of the address."""
    if isinstance(exc, urllib.error.HTTPError):
        return f"the server answers {exc.code} {http.client.responses.get(exc.code, '')}".rstrip()
    cause = exc.reason if isinstance(exc, urllib.error.URLError) else exc
    if isinstance(cause, TimeoutError):  # in Python 3.9 socket.timeout is a class of its own, below OSError
        return _timeout_reason(timeout)
    if isinstance(cause, OSError):
        return _timeout_reason(timeout) if "timed out" in str(cause) else one_line(cause) or type(cause).__name__
    return f"{type(cause).__name__}, which is no answer of a web server"
