# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import datetime

import pytest
from ansible_collections.dbops.rds_iam.plugins.module_utils import _ca_bundle
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NOW = datetime.datetime(2026, 1, 2, tzinfo=datetime.timezone.utc)
DAY = datetime.timedelta(days=1)


def pem(name, start, end, issuer=None):
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    by = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]) if issuer else subject
    made = (
        x509.CertificateBuilder(by, subject, key.public_key(), 1, NOW + start, NOW + end)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM).decode()


LIVE, DEAD, EARLY = pem("live", -DAY, DAY), pem("dead", -2 * DAY, -DAY), pem("early", DAY, 2 * DAY)
ODD = "-----BEGIN CERTIFICATE-----\nbm90IGEgY2VydGlmaWNhdGU=\n-----END CERTIFICATE-----\n"


def live_roots(text):
    return _ca_bundle.live_roots(text, "the file", NOW.timestamp())


def test_live_and_dead_roots_are_told_apart_and_one_odd_certificate_hides_no_other():
    live, dead = live_roots("# a comment\n" + ODD + DEAD + LIVE + EARLY + pem("intermediate", -DAY, DAY, issuer="live"))
    assert [root.subject for root in live] == ["live"]
    assert [root.subject for root in dead] == ["dead", "early"]
    assert live[0].not_after == (NOW + DAY).timestamp()


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("<html>Sign in to the proxy</html>", "holds no root certificate"),
        (ODD, "holds no root certificate"),
        (pem("intermediate", -DAY, DAY, issuer="live"), "holds no root certificate"),
        (DEAD + EARLY, "All 2 root certificates"),
    ],
)
def test_what_is_no_bundle_is_refused(text, word):
    with pytest.raises(RdsIamError, match=word):
        live_roots(text)
