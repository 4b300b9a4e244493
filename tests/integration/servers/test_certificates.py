# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Logins with tokens to an RDS Proxy, whose certificate is not issued by the authorities of RDS."""

from __future__ import annotations

import contextlib
import io
import json

import certificates
import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.dbops.rds_iam.plugins.modules import rds_iam_ping
from cryptography.hazmat.primitives.asymmetric import rsa

PROXY = "orders.proxy-cabcdefghijk.eu-west-1.rds.amazonaws.com"


@pytest.fixture
def amazon(server, tmp_path):
    """The server shows the certificate of a proxy; the file of the root that issued it."""
    file, files = tmp_path / "amazon.pem", [server.place / "server.pem", server.place / "server.key"]
    before = [file.read_bytes() for file in files]
    root = certificates.make_authority("Amazon Root CA 1", rsa.generate_private_key(65537, 2048))

    file.write_bytes(root.pem)

    def show(texts, issuer):
        for one, text in zip(files, texts):
            one.write_bytes(text)
        mysql = [f"SET GLOBAL ssl_ca = '{issuer}'", "ALTER INSTANCE RELOAD TLS"]
        server.sql(*(mysql if server.is_mysql else ["FLUSH SSL"]))

    show(root.sign(PROXY), file)
    yield file
    show(before, server.ca_file)


def ping(monkeypatch, **options):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    output = io.StringIO()
    with patch_module_args(options), contextlib.redirect_stdout(output), pytest.raises(SystemExit):
        rds_iam_ping.main()
    return json.loads(output.getvalue())


def test_a_proxy_is_verified_with_the_file_for_it(server, amazon, monkeypatch):
    """The refusal of the login by the server shows that it was verified and got the token."""
    login = {"endpoint": PROXY, "port": server.port, "connect_host": "127.0.0.1", "user": "app", "expect": "denied"}
    result = ping(monkeypatch, logins=[login, {**login, "ca_file": str(amazon)}], ca_file=str(server.ca_file))
    refused, verified = result["logins"]
    assert "Amazon's public roots" in refused["msg"] and refused["verdict"] == "failed"
    assert verified["verdict"] == "denied" and verified["as_expected"]
    other = ping(monkeypatch, logins=[{**login, "endpoint": server.name}], ca_file=str(amazon))
    assert "current RDS bundle" not in result["msg"] and "current RDS bundle" in other["msg"]
