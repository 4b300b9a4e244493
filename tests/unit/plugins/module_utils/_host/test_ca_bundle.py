# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import datetime
import signal
import ssl

import pytest
from ansible_collections.dbops.rds_iam.plugins.module_utils._client import bundle_file
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError
from ansible_collections.dbops.rds_iam.plugins.module_utils._host import ca_bundle
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs7
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

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
    return ca_bundle.live_roots(text.encode(), "pem", "the file", NOW.timestamp())


def test_live_and_dead_roots_are_told_apart():
    live, dead = live_roots("# a comment, é\n" + DEAD + LIVE + EARLY + pem("intermediate", -DAY, DAY, issuer="live"))
    assert [root.subject for root in live] == ["live"]
    assert [root.subject for root in dead] == ["dead", "early"]
    assert live[0].not_after == (NOW + DAY).timestamp()


DAMAGED = {
    "odd": ODD + LIVE,
    "odd at the end": LIVE + ODD,
    "cut": LIVE + EARLY[:-40],
    "another letter": LIVE + LIVE.replace("MII", "MéI", 1),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_file_that_no_client_takes_is_refused(tmp_path, name):
    file = tmp_path / "bundle.pem"
    file.write_text(DAMAGED[name])
    with pytest.raises(ssl.SSLError):
        ssl.create_default_context(cafile=file)
    with pytest.raises(RdsIamError, match="is damaged or cut off"):
        live_roots(DAMAGED[name])
    assert [root.subject for root in ca_bundle.roots(DAMAGED[name].encode(), "pem")] == ["live"], "for the diff"


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


def as_pkcs7(text, encoding):
    return pkcs7.serialize_certificates(x509.load_pem_x509_certificates(text.encode()), encoding)


PEM, DER = serialization.Encoding.PEM, serialization.Encoding.DER
P7B = as_pkcs7(LIVE + DEAD, DER)


@pytest.mark.parametrize("encoding", [PEM, DER])
@pytest.mark.parametrize("text", [LIVE, DEAD + LIVE, LIVE * 3, LIVE + pem("é" * 30, -DAY, DAY)])
def test_pkcs7_holds_what_pem_holds(text, encoding):
    content = as_pkcs7(text, encoding)
    assert set(ca_bundle.roots(content, "p7b")) == set(ca_bundle.roots(text.encode(), "pem"))
    assert len(ca_bundle.roots(content, "p7b")) == text.count("BEGIN")
    live, _dead = ca_bundle.live_roots(content, "p7b", "the file", NOW.timestamp())
    assert live


@pytest.mark.parametrize(
    "content",
    [
        b"",
        LIVE.encode(),
        P7B[:-1],
        as_pkcs7(LIVE, PEM).replace(b"-----END PKCS7-----", b""),
        b"-----BEGIN PKCS7-----\nno base64\n-----END PKCS7-----\n",
        P7B.replace(bytes.fromhex("86f70d010702"), bytes.fromhex("86f70d010701")),  # another kind of content
        bytes.fromhex("3080"),  # a length that is not told
        bytes.fromhex("30ff"),
        as_pkcs7(DEAD, DER),
    ],
)
def test_what_is_no_pkcs7_bundle_is_refused(content):
    with pytest.raises(RdsIamError, match=r"holds no root certificate in PKCS7 form|All 1 root"):
        ca_bundle.live_roots(content, "p7b", "the file", NOW.timestamp())


@settings(max_examples=500, deadline=None)
@given(st.data())
def test_no_bytes_break_the_parser(data):
    changed, places = bytearray(P7B), st.integers(0, len(P7B) - 1)
    for place, byte in data.draw(st.dictionaries(places, st.integers(0, 255), max_size=5)).items():
        changed[place] = byte
    cut = data.draw(places)
    noise = data.draw(st.binary(max_size=40))
    for content in (noise, bytes(changed), bytes(changed[:cut]) + noise, base64.b64encode(changed)):
        for ending in ("p7b", "pem"):
            assert len(ca_bundle.roots(content, ending)) <= 2


def der(tag, content):
    size = len(content).to_bytes(4, "big")
    return bytes([tag, 0x84]) + size + content


def pkcs7_of(elements):
    """A file whose certificates are so many empty elements."""
    signed = der(0x02, b"\1") + der(0x31, b"") + der(0x30, b"") + der(0xA0, b"\x30\x00" * elements)
    return der(0x30, bytes.fromhex("06092a864886f70d010702") + der(0xA0, der(0x30, signed)))


BEGIN, END = b"-----BEGIN CERTIFICATE-----\n", b"-----END CERTIFICATE-----\n"
EIGHT_MEGABYTES = {
    "only beginnings": ("pem", BEGIN * 290_000),
    "only ends": ("pem", END * 310_000),
    "beginnings, and an end": ("pem", BEGIN * 290_000 + END),
    "empty certificates": ("pem", (BEGIN + END) * 150_000),
    "one long certificate": ("pem", BEGIN + b"A" * 8_000_000 + b"\n" + END),
    "beginnings of PKCS7": ("p7b", b"-----BEGIN PKCS7-----\n" * 360_000),
    "empty elements": ("p7b", pkcs7_of(4_000_000)),
    "beginnings of other things": ("pem", b"-----BEGIN " * 720_000),
}


@pytest.fixture
def a_minute():
    """Ends what takes longer: time that grows with the square of the size is hours here."""

    def end(*_arguments):
        raise AssertionError("it takes longer than a minute")

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("kind", EIGHT_MEGABYTES)
def test_time_grows_with_the_size_and_not_with_its_square(a_minute, kind):
    ending, content = EIGHT_MEGABYTES[kind]
    assert ca_bundle.roots(content, ending) == []
    with pytest.raises(RdsIamError, match=r"holds no root certificate|holds more than 2000 certificates"):
        ca_bundle.live_roots(content, ending, "the file", NOW.timestamp())
    with pytest.raises(RdsIamError, match="it was left as it is"):
        bundle_file.check_replaceable(bundle_file.BundleFile(f"bundle.{ending}", content=content), NOW.timestamp())


def named(subject):
    return ca_bundle.Certificate(subject, True, 0, 1)


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
    assert ca_bundle.uncovered(databases, live) == ([] if covered else databases)
