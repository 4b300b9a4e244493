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


COMMERCIAL = "https://truststore.pki.rds.amazonaws.com"
GOVCLOUD = "https://truststore.pki.us-gov-west-1.rds.amazonaws.com"
CHINA = "https://rds-truststore.s3.cn-north-1.amazonaws.com.cn"


@pytest.mark.parametrize(
    ("bundle", "address"),
    [
        ("global", f"{COMMERCIAL}/global/global-bundle.pem"),
        ("eu-west-1", f"{COMMERCIAL}/eu-west-1/eu-west-1-bundle.pem"),
        ("ap-southeast-7", f"{COMMERCIAL}/ap-southeast-7/ap-southeast-7-bundle.pem"),
        ("govcloud", f"{GOVCLOUD}/global/global-bundle.pem"),
        ("us-gov-east-1", f"{GOVCLOUD}/us-gov-east-1/us-gov-east-1-bundle.pem"),
        ("china", f"{CHINA}/global/global-bundle.pem"),
        ("cn-northwest-1", f"{CHINA}/cn-northwest-1/cn-northwest-1-bundle.pem"),
    ],
)
def test_addresses(bundle, address):
    assert _ca_bundle.address(bundle) == address


@pytest.mark.parametrize(
    ("bundle", "word"),
    [
        ("rds-ca-2019-root.pem", "expired on 2024-08-22"),
        ("rds-combined-ca-bundle.pem", "the last of them on 2024-08-22"),
        ("us-iso-east-1", "give the url"),
        ("Global", "is not known"),
        ("../x", "is not known"),
    ],
)
def test_bundles_that_are_refused(bundle, word):
    with pytest.raises(RdsIamError, match=word):
        _ca_bundle.address(bundle)


def named(subject):
    return _ca_bundle.Root(subject, 0, 1)


@pytest.mark.parametrize(
    ("region", "authority", "covered"),
    [
        ("eu-west-1", "rds-ca-rsa2048-g1", True),
        ("eu-west-1", None, True),
        ("eu-west-1", "rds-ca-rsa2048-g2", False),
        ("eu-west-1", "rds-ca-rsa4096-g1", False),
        ("eu-west-2", "rds-ca-rsa2048-g1", False),
        ("eu-west-1", "rds-ca-2019", False),
    ],
)
def test_the_authority_of_a_server_certificate(region, authority, covered):
    live = [named("Amazon RDS eu-west-1 Root CA RSA2048 G1"), named("Amazon RDS eu-west-1 Root CA RSA4096 G10")]
    databases = [{"identifier": "orders", "region": region, "ca_certificate_identifier": authority}]
    assert _ca_bundle.uncovered(databases, live) == ([] if covered else databases)
