# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hostile servers: whatever they do, they do not get a byte of the secret unless their certificate is right."""

from __future__ import annotations

import contextlib
import datetime
import importlib.util
import ipaddress
import os
import random
import resource
import socket
import ssl
import struct
import sys
import threading

import pytest
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines import base
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql import connection as mysql_connection
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql import connection_errors, masking
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError
from ansible_collections.dbops.rds_iam.plugins.module_utils._token import signer
from ansible_collections.dbops.rds_iam.tests.unit.plugins.module_utils._engines.mysql.server_packets import (
    TLS,
    greeting_body,
    packet,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NAME = "orders.cabcdefghijk.eu-west-1.rds.amazonaws.com"
SECRET = "a-secret-that-nobody-should-see"
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


def greeting(capabilities=CAPABILITIES, plugin=b"mysql_native_password"):
    return packet(0, greeting_body(b"10.11.8-MariaDB", capabilities, plugin))


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


def connection_options(authority, host=NAME, connect_host="127.0.0.1", port=3306, ca_file=None, timeout=3):
    return base.ConnectionOptions(host, port, ca_file or str(authority.file), connect_host, timeout)


def login_arguments(authority, user="app", secret=SECRET, **options):
    """Return the arguments of a login."""
    return connection_options(authority, **options), user, secret


def attempt(authority, script, listener=None, **changes):
    server = Server(script, listener)
    options = {"port": server.port, "user": "app", "secret": SECRET, **changes}
    try:
        with pytest.raises(RdsIamError) as failure:
            mysql_connection.log_in(*login_arguments(authority, **options))
    finally:
        # Wakes a server to which nobody came.
        with contextlib.suppress(OSError):
            server.listener.shutdown(socket.SHUT_RDWR)
        server.thread.join(20)
    assert SECRET not in str(failure.value)
    assert "\n" not in str(failure.value)
    assert failure.value.__cause__ is None and failure.value.__suppress_context__
    server.failure = failure.value
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
    with pytest.raises(base.AccessDeniedError, match="refused the login of app"):
        mysql_connection.connect(*login_arguments(authority, port=server.port))


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
    with pytest.raises(base.MissingPrerequisiteError, match="does not exist"):
        mysql_connection.check_prerequisites("/no/such/file")
    monkeypatch.setattr(mysql_connection, "pymysql", None)
    with pytest.raises(base.MissingPrerequisiteError, match="PyMySQL is not installed"):
        mysql_connection.check_prerequisites(str(authority.file))


@pytest.mark.parametrize("version", [(0, 10, 1, None), (1, 0, 1, None)])
def test_a_driver_that_is_too_old(authority, monkeypatch, version):
    monkeypatch.setattr(mysql_connection.pymysql, "VERSION", version)
    number = ".".join(map(str, version[:3]))
    with pytest.raises(base.MissingPrerequisiteError, match=rf"PyMySQL {number} in .* is too old"):
        mysql_connection.check_prerequisites(str(authority.file))


def test_a_ca_file_without_certificates_is_named(tmp_path, authority):
    empty = tmp_path / "empty.pem"
    empty.write_text("")
    _server, message = attempt(authority, lambda server, connection: None, ca_file=str(empty))
    assert str(empty) in message


def refusal(code, text, state=b"#HY000"):
    return packet(0, b"\xff" + struct.pack("<H", code) + state + text)


@pytest.mark.parametrize("state", [b"", b"#28000"])
@pytest.mark.parametrize(
    ("code", "text", "advice"),
    [
        (1040, "Too many connections", "max_connections"),
        (1045, "Access denied for user 'app'@'10.0.0.1' (using password: YES)", "check the endpoint"),
        (1129, "Host '10.0.0.1' is blocked because of many connection errors", "FLUSH HOSTS"),
        (1130, "Host '10.0.0.1' is not allowed to connect to this MariaDB server", "host part"),
        (1698, "Access denied for user 'app'@'10.0.0.1'", "check the endpoint"),
        (65535, "of a number that is negative for drivers", "check the endpoint"),
    ],
)
def test_an_error_in_place_of_the_greeting_is_nobodys_word(authority, code, text, advice, state):
    def script(server, connection):
        connection.sendall(refusal(code, text.encode(), state))
        server.read_all(connection)

    server, message = attempt(authority, script)
    assert not isinstance(server.failure, base.AccessDeniedError) and server.received == b""
    assert (server.failure.failed_at, server.failure.server_error) == ("port", code)
    assert f'nobody has verified who says "{text}" (error {code})' in message and advice in message


def test_an_error_in_place_of_tls_is_nobodys_word(authority):
    def script(server, connection):
        connection.sendall(greeting(CAPABILITIES | TLS))
        server.read(connection)
        connection.sendall(packet(2, refusal(1045, b"Access denied for user", b"#28000")[4:]))
        server.read_all(connection)

    server, _message = attempt(authority, script)
    assert not isinstance(server.failure, base.AccessDeniedError) and server.failure.failed_at == "tls"


def test_an_error_that_is_sent_along_with_the_greeting_is_not_read(authority):
    """Somebody on the way adds it, where the driver would find it when it waits for the answer to the login."""
    context = authority.context(authority.ours)
    forged = packet(3, refusal(1045, b"Access denied for user", b"#28000")[4:])

    def script(server, connection):
        connection.sendall(greeting(CAPABILITIES | TLS) + forged)
        server.received += connection.recv(36)
        server.read_all(context.wrap_socket(connection, server_side=True))

    server, _message = attempt(authority, script, timeout=1)
    assert not isinstance(server.failure, base.AccessDeniedError)


@pytest.mark.parametrize(
    ("words", "failed_at"),
    [(refusal(1045, b"Access denied"), "port"), (greeting(), "tls"), (b"220 smtp\r\n" * 9, "port")],
)
def test_reaching_a_server_that_is_not_verified_ends_where_it_is(authority, words, failed_at):
    server = Server(lambda server, connection: (connection.sendall(words), server.read_all(connection)))
    with pytest.raises(base.NoConnectionError) as failure:
        mysql_connection.probe_tls(connection_options(authority, port=server.port, timeout=3))
    server.thread.join(20)
    assert failure.value.failed_at == failed_at and server.received == b""


class Endless:
    """Sends a piece again and again, until the client has hung up; or until it has sent so many."""

    def __init__(self, piece, pieces, pause=0.0):
        self.piece, self.pieces, self.pause = piece, pieces, pause
        self.hung_up = threading.Event()

    def send(self, connection):
        try:
            for _number in range(self.pieces):
                connection.sendall(self.piece)
                if self.hung_up.wait(self.pause):
                    break
        except OSError:
            self.hung_up.set()


def dripping():
    return Endless(b"\0", 600, 0.05)


def flooding():
    """Packets that go on in the next one, as those of more than 16 MB do."""
    return Endless(b"\xff\xff\xff\0" + b"\0" * 0xFFFFFF, 64)


@pytest.mark.parametrize("stage", ["greeting", "tls", "login", "facts"])
@pytest.mark.parametrize("make", [dripping, flooding])
def test_a_server_that_never_ends(authority, stage, make):
    """It has no hold on the client, neither in time nor in memory, and nothing of the attempt is left."""
    context, endless = authority.context(authority.ours), make()

    def script(server, connection):
        if stage == "greeting":
            connection.sendall(b"\xff\xff\xff\0\x0a")
            return endless.send(connection)
        if stage == "tls":
            connection.sendall(greeting(CAPABILITIES | TLS))
            server.read(connection)
            connection.sendall(b"\x16\x03\x03\x40\x00")
            return endless.send(connection)
        secure = server.start_tls(connection, context)
        server.read(secure)
        if stage == "facts":
            secure.sendall(packet(3, OK))
            server.read(secure)
        secure.sendall(b"\xff\xff\xff" + (b"\x03" if stage == "login" else b"\x01"))
        return endless.send(secure)

    threads, before = threading.active_count(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    server, message = attempt(authority, script, timeout=1)
    server.thread.join(20)
    assert endless.hung_up.is_set(), "the client waited for all of it"
    assert threading.active_count() <= threads
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 65536, "kB"
    assert server.failure.failed_at == {"greeting": "port", "facts": "login"}.get(stage, stage)
    assert message.count("seconds in all (connect_timeout)") + message.count("more than 65536 bytes") <= 1


def test_a_server_that_is_only_reached_and_never_ends(authority):
    endless = dripping()
    server = Server(lambda server, connection: (connection.sendall(b"\xff\xff\xff\0\x0a"), endless.send(connection)))
    with pytest.raises(base.NoConnectionError, match="did not come to TLS within 1 seconds in all") as failure:
        mysql_connection.probe_tls(connection_options(authority, port=server.port, timeout=1))
    server.thread.join(20)
    assert failure.value.failed_at == "port" and endless.hung_up.is_set()


def test_a_verified_server_that_never_ends_the_result_of_a_statement(authority, monkeypatch):
    """A statement has a time of its own, with all of its result."""
    monkeypatch.setattr(mysql_connection, "_STATEMENT_TIMEOUT", 1)
    context, endless = authority.context(authority.ours), dripping()

    def script(server, connection):
        secure = server.start_tls(connection, context)
        server.read(secure)
        secure.sendall(packet(3, OK))
        while b"SELECT" not in server.read(secure):
            secure.sendall(packet(1, OK))
        secure.sendall(b"\xff\xff\xff\x01")
        endless.send(secure)

    server = Server(script)
    arguments = login_arguments(authority, port=server.port, timeout=5)
    timed_out = pytest.raises(mysql_connection.DriverError, match="timed out")
    with timed_out, mysql_connection.connect(*arguments) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    server.thread.join(20)
    assert endless.hung_up.is_set()


def test_a_resolver_that_does_not_answer(authority, monkeypatch):
    over = threading.Event()
    monkeypatch.setattr(mysql_connection, "_look_up", lambda host, port: over.wait(60))
    with pytest.raises(base.NoConnectionError, match="was not resolved within 1 seconds in all") as failure:
        mysql_connection.probe_tls(connection_options(authority, connect_host=None, timeout=1))
    assert failure.value.failed_at == "name"
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


@pytest.mark.parametrize("host", ["no-such-name.invalid", "a" * 64 + ".example.com", "a..b"])
def test_a_name_that_does_not_resolve(authority, host):
    with pytest.raises(base.NoConnectionError, match="cannot be reached") as failure:
        mysql_connection.probe_tls(connection_options(authority, host, connect_host=None, timeout=10))
    assert failure.value.failed_at == "name"


@pytest.mark.parametrize("seconds", [0, -1, 3601, 31536001, 10**12])
def test_times_that_cannot_be(authority, seconds):
    options = connection_options(authority, connect_host=None, timeout=seconds)
    for call, more in ((mysql_connection.connect, ("app", SECRET)), (mysql_connection.probe_tls, ())):
        with pytest.raises(
            RdsIamError, match=rf"connect_timeout is {seconds}; give a number of seconds from 1 to 3600"
        ):
            call(options, *more)


class Keys:
    access_key, secret_key, token = "ASIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG", "session//token++==" * 40

    def get_frozen_credentials(self):
        return self


TOKEN = signer.sign(Keys(), NAME, 3306, "inventory_service", "eu-west-1")
SIGNATURE = TOKEN.rpartition("=")[2]


@pytest.mark.parametrize(
    ("secret", "cut"),
    [
        *((TOKEN, cut) for cut in (slice(None), slice(-90, None), slice(-20, None), slice(40, -30), slice(-300, -9))),
        *(("pa55word-of-16+!", cut) for cut in (slice(None), slice(-9, None), slice(7), slice(4, 10))),
    ],
)
@pytest.mark.parametrize("encode", [str, lambda text: text.replace("=", "%3D").replace("+", "%2B"), str.swapcase])
def test_a_part_of_a_secret_is_not_repeated(authority, secret, cut, encode):
    """Neither in the refusal of a verified server nor in its answer to the first statement."""
    repeated = encode(secret[cut])
    context = authority.context(authority.ours)

    def script(server, connection):
        secure = server.start_tls(connection, context)
        server.read(secure)
        secure.sendall(packet(3, refusal(1064, f"near '{repeated}' at line 1".encode())[4:]))
        server.read_all(secure)

    _server, message = attempt(authority, script, secret=secret)
    parts = masking.secret_parts(secret)
    for part in [*parts, *map(str.swapcase, parts)]:
        assert not any(part[start : start + 6] in message for start in range(max(len(part) - 5, 1))), message
    assert "near '" in message and "********" in message


@pytest.mark.parametrize("secret", ["", "no", "here"])
def test_a_short_secret_masks_no_more_than_itself(authority, secret):
    def script(server, connection):
        secure = server.start_tls(connection, authority.context(authority.ours))
        server.read(secure)
        secure.sendall(packet(3, refusal(1064, b"no error here")[4:]))
        server.read_all(secure)

    connection_errors.secrets.clear()  # those of the tests before this one
    server = Server(script)
    with pytest.raises(base.NoConnectionError) as failure:
        mysql_connection.log_in(*login_arguments(authority, port=server.port, secret=secret))
    server.thread.join(20)
    words = "no error here".replace(secret, "********") if secret else "no error here"
    assert f"failed: {words} (error 1064)" in str(failure.value)


def test_what_is_no_secret_in_a_token_is_said(authority):
    context = authority.context(authority.ours)
    words = f"Access denied for user 'inventory_service'@'10.0.0.1' of {NAME} in eu-west-1"

    def script(server, connection):
        secure = server.start_tls(connection, context)
        server.read(secure)
        secure.sendall(packet(3, refusal(1045, words.encode(), b"#28000")[4:]))
        server.read_all(secure)

    server, message = attempt(authority, script, secret=TOKEN)
    assert words in message and server.failure.client_host == "10.0.0.1"


PLUGINS = [
    *(b"mysql_native_password", b"mysql_clear_password", b"caching_sha2_password", b"sha256_password", b"dialog"),
    *(b"client_ed25519", b"mysql_old_password", b""),
]
PIECES = [
    *(CLEAR_PASSWORD, OK, b"\xff\x15\x04#28000x", b"\x01\x04", b"\x01\x03", b"\xfedialog\0\x02Password: "),
    *(b"\xfecaching_sha2_password\0" + b"s" * 20 + b"\0", b"\xfb/etc/passwd", b"\xfe"),
]


def mutated(chance, data):
    """The data with up to four bytes or runs of them changed, cut off, put in or added."""
    data = bytearray(data)
    for _number in range(chance.randint(0, 4)):
        place = chance.randrange(len(data) + 1)
        how = chance.random()
        if how < 0.4:
            data[place : place + 1] = bytes([chance.randrange(256)])
        elif how < 0.6:
            del data[place:]
        else:
            data[place:place] = chance.randbytes(chance.randint(1, 20))
    return bytes(data)


@pytest.mark.parametrize("seed", range(60))
def test_greetings_by_chance(authority, seed):
    """Random greetings and answers, in clear and in TLS: no secret in clear, no verdict before TLS, one sentence."""
    chance = random.Random(seed)
    capabilities = CAPABILITIES | TLS if chance.random() < 0.8 else chance.getrandbits(32)
    first = mutated(chance, greeting(capabilities, chance.choice(PLUGINS)))
    if chance.random() < 0.7:  # else its length is wrong
        first = packet(0, first[4:])
    answers = [
        mutated(chance, packet(chance.randint(2, 5), chance.choice(PIECES))) for _n in range(chance.randint(0, 4))
    ]
    in_clear, context, plain = chance.random() < 0.5, authority.context(authority.ours), []

    def script(server, connection):
        connection.settimeout(0.05)  # the client may wait for more, too
        connection.sendall(first)
        server.received += connection.recv(36)
        plain.append(server.received)
        secure = connection if in_clear else context.wrap_socket(connection, server_side=True)
        for answer in answers:
            secure.sendall(answer)
            server.read(secure)
            plain[0] = server.received if in_clear else plain[0]

    server, _message = attempt(authority, script, timeout=2)
    assert SECRET.encode() not in b"".join(plain)
    if in_clear:
        assert not isinstance(server.failure, base.AccessDeniedError) and server.failure.failed_at in (
            "port",
            "tls",
        )


def test_without_the_driver_no_other_error_is_one_of_it(monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "pymysql"]:
        monkeypatch.setitem(sys.modules, name, None)
    spec = importlib.util.spec_from_file_location("connection_without_driver", mysql_connection.__file__)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    assert not issubclass(base.MissingPrerequisiteError, module.DriverError)
    with pytest.raises(base.MissingPrerequisiteError, match="PyMySQL is not installed"):
        module.check_prerequisites("/nowhere/ca.pem")
