# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where RDS publishes its bundles, and what is in one, with the standard library. Private to this collection."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass

from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError

_COMMERCIAL = "https://truststore.pki.rds.amazonaws.com"
_GOVCLOUD = "https://truststore.pki.us-gov-west-1.rds.amazonaws.com"
_CHINA = "https://rds-truststore.s3.cn-north-1.amazonaws.com.cn"
_ADDRESSES = {"global": _COMMERCIAL, "govcloud": _GOVCLOUD, "china": _CHINA}
# Files of old, which many instructions still name.
_OLD = {
    "rds-ca-2019-root.pem": "expired on 2024-08-22",
    "rds-combined-ca-bundle.pem": "held roots that ended one after the other, the last of them on 2024-08-22",
}
_REGION = re.compile(r"(us-gov-|cn-|)[a-z]{2,9}(?:-[a-z]+)*-\d{1,2}")
_AUTHORITY = re.compile(r"rds-ca-(rsa2048|rsa4096|ecc384)-g(\d+)")
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----\r?\n.+?\r?\n-----END CERTIFICATE-----", re.S)


def address(bundle: str) -> str:
    """Where AWS publishes the bundle of a Region, or of all Regions of a partition."""
    if bundle in _OLD:
        raise RdsIamError(f"{bundle} is of no use any more, since it {_OLD[bundle]}; set bundle to global.")
    if bundle in _ADDRESSES:
        return f"{_ADDRESSES[bundle]}/global/global-bundle.pem"
    region = _REGION.fullmatch(bundle)
    if not region or bundle.startswith("us-iso"):
        raise RdsIamError(
            f"The bundle {bundle!r} is not known; set bundle to {', '.join(_ADDRESSES)} or the name of a Region, or"
            " give the url of it."
        )
    host = {"us-gov-": _GOVCLOUD, "cn-": _CHINA}.get(region[1], _COMMERCIAL)
    return f"{host}/{bundle}/{bundle}-bundle.pem"


@dataclass(frozen=True)
class Root:
    """A root certificate of a bundle; the times are seconds since 1970."""

    subject: str
    not_before: int
    not_after: int

    def live(self, now: float) -> bool:
        return self.not_before <= now < self.not_after


def roots(pem: str) -> list[Root]:
    """The root certificates of a bundle. Each is parsed alone, so that one odd certificate does not hide the others."""
    result = []
    for block in _PEM.findall(pem):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            context.load_verify_locations(cadata=block)
        except (ssl.SSLError, ValueError):
            continue
        for certificate in context.get_ca_certs():
            if certificate["subject"] == certificate["issuer"]:
                result.append(_root(certificate))
    return result


def _root(certificate: dict) -> Root:
    names = dict(pair for part in certificate["subject"] for pair in part)
    return Root(
        names.get("commonName", "?"),
        int(ssl.cert_time_to_seconds(certificate["notBefore"])),
        int(ssl.cert_time_to_seconds(certificate["notAfter"])),
    )


def live_roots(pem: str, where: str, now: float) -> tuple[list[Root], list[Root]]:
    """The live and the dead roots of a bundle; one without live roots is refused."""
    found = roots(pem)
    live = [root for root in found if root.live(now)]
    dead = [root for root in found if not root.live(now)]
    if not found:
        raise RdsIamError(f"{where} holds no root certificate in PEM form; the file in place, if any, was kept.")
    if not live:
        raise RdsIamError(
            f"All {len(dead)} root certificates of {where} have expired or are not valid yet; the file in place, if"
            " any, was kept."
        )
    return live, dead


def uncovered(databases: list[dict], live: list[Root]) -> list[dict]:
    """The databases whose server certificate is issued by an authority that has no live root in the bundle."""
    return [database for database in databases if not _is_covered(database, live)]


def _is_covered(database: dict, live: list[Root]) -> bool:
    authority = database["ca_certificate_identifier"]
    if not authority:  # RDS does not say it of every cluster
        return True
    match = _AUTHORITY.fullmatch(authority)
    if not match:
        return False
    name = rf"Amazon RDS {database['region']} Root CA {match[1].upper()} G{match[2]}\b"
    return any(re.match(name, root.subject) for root in live)
