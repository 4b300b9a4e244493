# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hostile servers: whatever they do, they do not get a byte of the secret unless their certificate is right."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import socket
import ssl
import struct
import threading

import pytest
from ansible_collections.dbops.rds_iam.plugins.module_utils import _mysql
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NAME = "orders.cabcdefghijk.eu-west-1.rds.amazonaws.com"
SECRET = "a-secret-that-nobody-should-see"
TLS = 0x00000800
CAPABILITIES = 0x000FF7FF & ~TLS
ISSUED = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)


def certificate(subject, issuer=None, name=NAME, days=36500):
    """(certificate, key); a self-signed authority if there is no issuer."""
    key = ec.generate_private_key(ec.SECP256R1())
    by, by_key = (issuer[0].subject, issuer[1]) if issuer else (None, key)
    own = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(own)
        .issuer_name(by or own)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(ISSUED - datetime.timedelta(days=3650))
        .not_valid_after(ISSUED + datetime.timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    )
    if issuer:
        names = [x509.DNSName(name), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        builder = builder.add_extension(x509.SubjectAlternativeName(names[:1]), critical=False)
    return builder.sign(by_key, hashes.SHA256()), key


class Authority:
    def __init__(self, directory):
        self.directory = directory
        self.ours = certificate("our root")
        self.other = certificate("another root")
        self.file = directory / "ca.pem"
        self.file.write_bytes(self.ours[0].public_bytes(serialization.Encoding.PEM))

    def context(self, issuer, **changes):
        made, key = certificate("server", issuer, **changes)
        path = self.directory / "server.pem"
        path.write_bytes(
            made.public_bytes(serialization.Encoding.PEM)
            + key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"))


def packet(number, body):
    return struct.pack("<I", len(body))[:3] + bytes([number]) + body


def greeting(capabilities=CAPABILITIES, plugin=b"mysql_native_password"):
    low, high = capabilities & 0xFFFF, capabilities >> 16
    body = b"\x0a10.11.8-MariaDB\0" + struct.pack("<I", 1) + b"saltsalt\0" + struct.pack("<H", low) + b"\x21\x02\0"
    return packet(0, body + struct.pack("<H", high) + b"\x15" + b"\0" * 10 + b"saltsaltsalt\0" + plugin + b"\0")


class Server:
    """Runs one script against one client, and keeps every byte that the script reads."""

    def __init__(self, script, listener=None):
        self.received = b""
        self.script = script
        self.listener = listener or socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(20)
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        with contextlib.suppress(OSError, EOFError), self.listener, self.listener.accept()[0] as connection:
            connection.settimeout(20)
            self.script(self, connection)

    def read(self, connection):
        data = connection.recv(65536)
        self.received += data
        if not data:
            raise EOFError
        return data

    def read_all(self, connection):
        while True:
            self.read(connection)

    def start_tls(self, connection, context):
        connection.sendall(greeting(CAPABILITIES | TLS))
        self.received += connection.recv(36)
        return context.wrap_socket(connection, server_side=True)


def attempt(authority, script, listener=None, **changes):
    server = Server(script, listener)
    options = {"host": NAME, "connect_host": "127.0.0.1", "port": server.port, "user": "app", "secret": SECRET}
    options |= {"ca_file": str(authority.file), "timeout": 3, **changes}
    try:
        with pytest.raises(RdsIamError) as failure, _mysql.connect(**options) as connection:
            # PyMySQL 1.0 takes any answer to a login for a good one.
            connection._read_timeout = options["timeout"]
            _mysql.session_facts(connection)
    finally:
        # Wakes a server to which nobody came.
        with contextlib.suppress(OSError):
            server.listener.shutdown(socket.SHUT_RDWR)
        server.thread.join(20)
    assert SECRET not in str(failure.value)
    assert "\n" not in str(failure.value)
    assert failure.value.__cause__ is None and failure.value.__suppress_context__
    return server, str(failure.value)


@pytest.mark.parametrize("plugin", [b"mysql_native_password", b"mysql_clear_password", b"caching_sha2_password"])
def test_without_tls_nothing_is_sent(authority, plugin):
    def script(server, connection):
        connection.sendall(greeting(plugin=plugin))
        server.read_all(connection)

    server, message = attempt(authority, script)
    assert server.received == b""
    assert "does not offer TLS" in message


@pytest.mark.parametrize(
    ("issuer", "changes", "reason"),
    [
        ("other", {}, "unable to get local issuer certificate"),
        ("ours", {"name": "other.cabcdefghijk.eu-west-1.rds.amazonaws.com"}, "Hostname mismatch"),
        ("ours", {"days": -1}, "certificate has expired"),
    ],
)
def test_with_a_wrong_certificate_nothing_is_sent(authority, issuer, changes, reason):
    context = authority.context(getattr(authority, issuer), **changes)

    def script(server, connection):
        server.read_all(server.start_tls(connection, context))

    server, message = attempt(authority, script)
    assert reason in message
    assert len(server.received) == 36, "the request for TLS, and nothing after it"
    assert SECRET.encode() not in server.received


def test_the_endpoint_is_verified_and_not_the_name_dialled(authority):
    context = authority.context(authority.ours, name="localhost")

    def script(server, connection):
        server.read_all(server.start_tls(connection, context))

    _server, message = attempt(authority, script, connect_host="localhost")
    assert "Hostname mismatch" in message


@pytest.mark.parametrize("switches", [1, 2])
def test_a_verified_server_may_have_the_secret_but_not_repeat_it(authority, switches):
    context = authority.context(authority.ours)
    error = packet(6, b"\xff\x15\x04#28000no " + SECRET.encode() + b" here\nand there")

    def script(server, connection):
        secure = server.start_tls(connection, context)
        server.read(secure)
        for number in range(switches):
            secure.sendall(packet(3 + 2 * number, b"\xfemysql_clear_password\0"))
            server.read(secure)
        secure.sendall(packet(3 + 2 * switches, error[4:]))
        server.read_all(secure)

    server, _message = attempt(authority, script)
    assert SECRET.encode() in server.received


@pytest.mark.parametrize("code", [1045, 1698])
def test_access_denied_is_told_from_all_else(authority, code):
    context = authority.context(authority.ours)

    def script(server, connection):
        secure = server.start_tls(connection, context)
        server.read(secure)
        secure.sendall(packet(3, b"\xff" + struct.pack("<H", code) + b"#28000Access denied for user"))
        server.read_all(secure)

    server = Server(script)
    options = {"host": NAME, "connect_host": "127.0.0.1", "port": server.port, "user": "app", "secret": SECRET}
    with pytest.raises(_mysql.AccessDenied, match="refused the login of app"):
        _mysql.connect(**options, ca_file=str(authority.file), timeout=3)


@pytest.mark.parametrize(
    "script",
    [
        lambda server, connection: None,
        lambda server, connection: connection.sendall(b"\0" * 3),
        lambda server, connection: connection.sendall(packet(0, b"\xff" * 80)),
        lambda server, connection: connection.sendall(packet(0, b"\x0anot a version\0" + b"x" * 60)),
        lambda server, connection: connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
        lambda server, connection: connection.sendall(greeting(CAPABILITIES | TLS)[:-30]),
        lambda server, connection: (connection.sendall(greeting(CAPABILITIES | TLS)), server.read(connection)),
        lambda server, connection: (
            connection.sendall(greeting(CAPABILITIES | TLS)),
            server.read(connection),
            connection.sendall(b"no tls after all"),
            server.read_all(connection),
        ),
        lambda server, connection: (
            connection.sendall(greeting(CAPABILITIES | TLS)),
            server.read(connection),
            connection.sendall(packet(2, b"\xfemysql_clear_password\0")),
            server.read_all(connection),
        ),
        lambda server, connection: (connection.sendall(greeting(CAPABILITIES | TLS)), server.read_all(connection)),
        lambda server, connection: server.read_all(connection),
    ],
    ids=[
        *("closes", "cut", "error", "garbage", "http", "half", "no handshake", "no tls", "asks for it before tls"),
        *("stalls in tls", "stalls"),
    ],
)
def test_broken_servers_get_nothing(authority, script):
    server, _message = attempt(authority, script, timeout=1)
    assert SECRET.encode() not in server.received


CLEAR_PASSWORD = b"\xfemysql_clear_password\0"
OK = b"\0\0\0\x02\0\0\0"


@pytest.mark.parametrize(
    "end",
    [b"", None, b"\xff" * 9, b"\0" * 3, packet(9, b"\xfb/etc/passwd"), b"HTTP/1.1 400 \r\n\r\n"],
    ids=["closes", "stalls", "garbage", "cut", "asks for a file", "http"],
)
@pytest.mark.parametrize("answers", [[], [CLEAR_PASSWORD], [CLEAR_PASSWORD, CLEAR_PASSWORD], [OK]])
def test_verified_servers_that_break_off(authority, answers, end):
    """After so many good answers it closes, stalls (None), or sends garbage. The secret is in TLS, or nowhere."""
    context = authority.context(authority.ours)
    plain = []

    def script(server, connection):
        secure = server.start_tls(connection, context)
        plain.append(server.received)
        server.read(secure)
        for number, answer in enumerate(answers):
            secure.sendall(packet(3 + 2 * number, answer))
            server.read(secure)
        if end is None:
            server.read_all(secure)
        secure.sendall(end)

    _server, message = attempt(authority, script, timeout=1)
    assert len(plain[0]) == 36, "the request for TLS is all that went in clear"
    assert f"{NAME}:" in message


def test_an_address_of_ipv6_is_dialled(authority):
    context = authority.context(authority.ours, name="another.example.com")
    try:
        listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("This machine has no IPv6.")

    def script(server, connection):
        server.read_all(server.start_tls(connection, context))

    server, message = attempt(authority, script, listener=listener, connect_host="::1")
    assert "Hostname mismatch" in message
    assert "(through ::1)" in message
    assert len(server.received) == 36


def test_what_is_missing_on_the_host(authority, monkeypatch):
    with pytest.raises(_mysql.MissingPrerequisite, match="does not exist"):
        _mysql.check_prerequisites("/no/such/file")
    monkeypatch.setattr(_mysql, "pymysql", None)
    with pytest.raises(_mysql.MissingPrerequisite, match="PyMySQL is not installed"):
        _mysql.check_prerequisites(str(authority.file))


@pytest.mark.parametrize("version", [(0, 10, 1, None), (1, 0, 1, None)])
def test_a_driver_that_is_too_old(authority, monkeypatch, version):
    monkeypatch.setattr(_mysql.pymysql, "VERSION", version)
    number = ".".join(map(str, version[:3]))
    with pytest.raises(_mysql.MissingPrerequisite, match=rf"PyMySQL {number} in .* is too old"):
        _mysql.check_prerequisites(str(authority.file))


def test_a_ca_file_without_certificates_is_named(tmp_path, authority):
    empty = tmp_path / "empty.pem"
    empty.write_text("")
    _server, message = attempt(authority, lambda server, connection: None, ca_file=str(empty))
    assert str(empty) in message
