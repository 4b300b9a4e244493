# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The certificates of a lab: roots like those of RDS, the servers that they sign, and the web CA of the trust store."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, pkcs7
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

TRUSTSTORE = "truststore.pki.rds.amazonaws.com"
STS = "sts.{region}.amazonaws.com"
DAY = datetime.timedelta(days=1)


@dataclass
class Authority:
    """A certificate authority. Its key lives only as long as `lab up` runs."""

    certificate: x509.Certificate
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

    def sign(self, host: str, *aliases: str) -> tuple[bytes, bytes]:
        """Return a server certificate for these host names and its key, both PEM."""
        key = rsa.generate_private_key(65537, 2048)
        builder = _builder(_name(host), self.certificate.subject, key.public_key(), 365)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_key_usage(signs_certificates=False), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        names = [x509.DNSName(name) for name in (host, *aliases)]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        certificate = builder.add_extension(issuer, critical=False).sign(self.key, hashes.SHA256())
        return certificate.public_bytes(Encoding.PEM), private_pem(key)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)


def make_authority(common_name: str, key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> Authority:
    name = _name(common_name)
    builder = _builder(name, name, key.public_key(), 40 * 365)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    builder = builder.add_extension(_key_usage(signs_certificates=True), critical=True)
    digest = hashes.SHA384() if isinstance(key, ec.EllipticCurvePrivateKey) else hashes.SHA256()
    return Authority(builder.sign(key, digest), key)


def make_rds_authorities(region: str) -> list[Authority]:
    """Make the three roots that RDS has in a region. The first, the default of RDS, signs the lab's servers."""
    keys = {
        "RSA2048": rsa.generate_private_key(65537, 2048),
        "RSA4096": rsa.generate_private_key(65537, 4096),
        "ECC384": ec.generate_private_key(ec.SECP384R1()),
    }
    return [make_authority(f"Amazon RDS {region} Root CA {kind} G1 lab", key) for kind, key in keys.items()]


def write_truststore(root: Path, region: str, authorities: list[Authority]) -> Path:
    """Write the bundles at the paths where Amazon has them. Return the path of the global PEM bundle."""
    certificates = [authority.certificate for authority in authorities]
    pem = b"".join(authority.pem for authority in authorities)
    for folder, name in (("global", "global-bundle"), (region, f"{region}-bundle")):
        (root / folder).mkdir(parents=True)
        (root / folder / f"{name}.pem").write_bytes(pem)
        (root / folder / f"{name}.p7b").write_bytes(pkcs7.serialize_certificates(certificates, Encoding.PEM))
    return root / "global" / "global-bundle.pem"


def private_pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _name(common_name: str) -> x509.Name:
    # A common name holds 64 characters at most; an endpoint may be longer, and only its subjectAltName counts.
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64])])


def _builder(subject: x509.Name, issuer: x509.Name, public_key, days: int) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.timezone.utc)
    serial = x509.random_serial_number()
    builder = x509.CertificateBuilder(issuer, subject, public_key, serial, now - DAY, now + days * DAY)
    return builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=not signs_certificates,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
