# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read a CA bundle with the standard library, and check its roots. Private to this collection."""

from __future__ import annotations

import base64
import re
import ssl
from dataclasses import dataclass
from typing import Any, TypedDict

from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError

_AUTHORITY = re.compile(r"rds-ca-(rsa2048|rsa4096|ecc384)-g(\d+)")
MAX_CERTIFICATES = 2000  # the bundle of all Regions has some 120, and each takes a fraction of a millisecond
_BEGIN, _END = b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----"
_BEGIN_PKCS7, _END_PKCS7 = b"-----BEGIN PKCS7-----", b"-----END PKCS7-----"
_SIGNED_DATA = bytes.fromhex("06092a864886f70d010702")  # the object identifier in DER
_SEQUENCE, _SET, _INTEGER, _ZERO = 0x30, 0x31, 0x02, 0xA0  # tags in DER


def form(path: str) -> str:
    """Return the form of a bundle, by the ending of its file: p7b, or pem for all others."""
    return "p7b" if path.lower().endswith(".p7b") else "pem"


class BundleDatabase(TypedDict):
    """An entry of the option databases of rds_ca_bundle."""

    identifier: str
    region: str
    ca_certificate_identifier: str | None


@dataclass(frozen=True)
class Certificate:
    """The certificate of an authority in a bundle; the times are seconds since 1970."""

    subject: str
    is_root: bool
    not_before: int
    not_after: int

    def is_live(self, now: float) -> bool:
        """Return whether clients accept it at a time, in seconds since 1970."""
        return self.not_before <= now < self.not_after

    @property
    def is_of_rds(self) -> bool:
        """Return whether it is of an authority of RDS, by the name that AWS gives to all of them since 2015."""
        return self.subject.startswith("Amazon RDS ")


def certificates(content: bytes, ending: str) -> list[Certificate | None]:
    """Return the certificates of a bundle, None for one that is odd, or is not an authority's.

    Each is parsed alone, so that one odd certificate does not hide the others. The time grows linearly with the size.

    ending: the form of the content, pem or p7b
    """
    return [_parse(certificate) for certificate in _split(content, ending)[:MAX_CERTIFICATES]]


def roots(content: bytes, ending: str) -> list[Certificate]:
    """Return the root certificates of a bundle."""
    return [certificate for certificate in certificates(content, ending) if certificate and certificate.is_root]


def holds_other_kind(content: bytes, ending: str) -> bool:
    """Return whether one of the certificates is not an authority's: RDS publishes none, and a client may trust it."""
    return any(_is_other_kind(certificate) for certificate in _split(content, ending)[:MAX_CERTIFICATES])


def _is_other_kind(certificate: str | bytes) -> bool:
    try:
        return not _load(certificate)
    except (ssl.SSLError, ValueError):  # it is odd, and no client takes it
        return False


def _split(content: bytes, ending: str) -> list[str] | list[bytes]:
    return _in_pkcs7(content) if ending == "p7b" else _in_pem(content)


def _parse(certificate: str | bytes) -> Certificate | None:
    try:
        loaded = _load(certificate)
        return _certificate(loaded[0]) if loaded else None
    except (ssl.SSLError, ValueError):
        return None


def _load(certificates: str | bytes) -> list[dict[str, Any]]:
    """Return the certificates of authorities in PEM text, or in DER, as C(ssl) describes them."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=certificates)
    return context.get_ca_certs()


def _text(pem: bytes) -> str:
    return pem.decode("ascii", "replace").replace("\ufffd", "?")


def _is_usable(pem: bytes) -> bool:
    """Return whether clients take the file: OpenSSL takes nothing of one with an odd or cut-off certificate."""
    try:
        return bool(_load(_text(pem)))
    except (ssl.SSLError, ValueError):
        return False


def _in_pem(content: bytes) -> list[str]:
    """Return each certificate of a PEM file, from the last line that begins one to the first that ends it."""
    parts = (part.partition(_END) for part in content.split(_BEGIN)[1:])
    return [_text(_BEGIN + body + end) for body, end, _after in parts if end]


def _in_pkcs7(content: bytes) -> list[bytes]:
    """Return the certificates of a PKCS7 file, in DER; none where it is no such file, or is cut off."""
    _before, begin, armoured = content.partition(_BEGIN_PKCS7)
    body, end, _after = armoured.partition(_END_PKCS7)
    try:
        file, _after_file = _take(_SEQUENCE, memoryview(base64.b64decode(body) if begin and end else content))
        if file[: len(_SIGNED_DATA)] != _SIGNED_DATA:
            return []
        signed_data, _after_data = _take(_ZERO, file[len(_SIGNED_DATA) :])
        fields, _after_fields = _take(_SEQUENCE, signed_data)
        for tag in (_INTEGER, _SET, _SEQUENCE):  # the version, the digests, and the signed content, empty here
            _field, fields = _take(tag, fields)
        elements, _after_elements = _take(_ZERO, fields)
        certificates: list[bytes] = []
        while elements and len(certificates) <= MAX_CERTIFICATES:
            _content, following = _take(_SEQUENCE, elements)
            certificates.append(bytes(elements[: len(elements) - len(following)]))
            elements = following
    except ValueError:  # of b64decode too
        return []
    return certificates


def _take(tag: int, data: memoryview) -> tuple[memoryview, memoryview]:
    """Return the content of the DER element at the beginning, which must have this tag, and the bytes after it."""
    size = data[1] & 0x7F if len(data) > 1 and data[1] & 0x80 else 0  # the bytes of a long length
    start = 2 + size
    if len(data) < start or data[0] != tag:
        raise ValueError("no such element")
    end = start + (int.from_bytes(data[2:start], "big") if size else data[1])
    if len(data) < end:
        raise ValueError("cut off")
    return data[start:end], data[end:]


def _certificate(certificate: dict[str, Any]) -> Certificate:
    names = dict(pair for part in certificate["subject"] for pair in part)
    return Certificate(
        names.get("commonName") or names.get("organizationName") or "?",
        certificate["subject"] == certificate["issuer"],
        int(ssl.cert_time_to_seconds(certificate["notBefore"])),
        int(ssl.cert_time_to_seconds(certificate["notAfter"])),
    )


def live_roots(content: bytes, ending: str, source: str, now: float) -> tuple[list[Certificate], list[Certificate]]:
    """Return the live and the dead roots of a bundle. Raises RdsIamError for one that clients cannot use.

    source: the place that the bundle is from, for messages
    now: seconds since 1970
    """
    if len(_split(content, ending)) > MAX_CERTIFICATES:
        raise RdsIamError(
            f"{source} holds more than {MAX_CERTIFICATES} certificates; the file in place, if any, was kept."
        )
    all_roots = roots(content, ending)
    valid_roots = [root for root in all_roots if root.is_live(now)]
    invalid_roots = [root for root in all_roots if not root.is_live(now)]
    if not all_roots:
        kind = {"pem": "PEM", "p7b": "PKCS7"}[ending]
        raise RdsIamError(f"{source} holds no root certificate in {kind} form; the file in place, if any, was kept.")
    if ending == "pem" and not _is_usable(content):
        raise RdsIamError(
            f"A certificate in {source} is damaged or cut off, and no client takes such a file; the file in place, if"
            " any, was kept."
        )
    if not valid_roots:
        raise RdsIamError(
            f"All {len(invalid_roots)} root certificates of {source} have expired or are not valid yet; the file in"
            " place, if any, was kept."
        )
    return valid_roots, invalid_roots


def uncovered(databases: list[BundleDatabase], valid_roots: list[Certificate]) -> list[BundleDatabase]:
    """Return the databases whose server certificate is of an authority without a live root in the bundle."""
    return [database for database in databases if not _is_covered(database, valid_roots)]


def _is_covered(database: BundleDatabase, valid_roots: list[Certificate]) -> bool:
    authority = database["ca_certificate_identifier"]
    if not authority:  # RDS does not report it for every cluster
        return True
    match = _AUTHORITY.fullmatch(authority)
    if not match:
        return False
    name = rf"Amazon RDS {database['region']} Root CA {match[1].upper()} G{match[2]}\b"
    return any(re.match(name, root.subject) for root in valid_roots)
