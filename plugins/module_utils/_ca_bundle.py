# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read a bundle of CA certificates with nothing but the standard library. Private to this collection."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass

from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError

_PEM = re.compile(r"-----BEGIN CERTIFICATE-----\r?\n.+?\r?\n-----END CERTIFICATE-----", re.S)


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
