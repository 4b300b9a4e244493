# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The relay between a client program and servers, good and hostile: none of them gets a token before verified TLS."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import random
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql import login_relay
from ansible_collections.dbops.rds_iam.tests.unit.plugins.module_utils._engines.mysql.server_packets import (
    TLS,
    greeting_body,
    packet,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

TOKEN = "orders:3306/?Action=connect&X-Amz-Security-Token=secret&X-Amz-Signature=secret"
SIGNATURE = hashlib.sha256(b"signature").hexdigest()
CONNECT_WITH_DB, PLUGIN_AUTH, SESSION_TRACKING = 0x8, 0x80000, 0x800000
# What clients and servers of today have: among them protocol 4.1, compression, attributes, length-encoded passwords.
CAPABILITIES = 0x81FFF7FF & ~TLS
OK = b"\0\0\0\2\0\0\0"
DENIED = b"\xff\x15\x04#28000Access denied for user 'app'@'10.0.0.1' (using password: YES)"
SWITCH = b"\xfemysql_clear_password\0"


def certificate(issuer=None, name="localhost"):
    """(certificate, key), of an authority if there is no issuer."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "server" if issuer else "root")])
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[0].subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=not issuer, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    )
    return builder.sign(issuer[1] if issuer else key, hashes.SHA256()), key


def pem(made) -> bytes:
    key = made[1].private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return made[0].public_bytes(serialization.Encoding.PEM) + key


class Servers:
    """Contexts of servers: the right one, one of another name, and one of another authority."""

    def __init__(self, directory):
        root, other = certificate(), certificate()
        self.ca_file = str(directory / "ca.pem")
        (directory / "ca.pem").write_bytes(root[0].public_bytes(serialization.Encoding.PEM))
        self.right = self.context(directory / "right.pem", certificate(root))
        self.wrong_name = self.context(directory / "name.pem", certificate(root, "billing.example.com"))
        self.wrong_authority = self.context(directory / "authority.pem", certificate(other))

    @staticmethod
    def context(path, made):
        path.write_bytes(pem(made))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    return Servers(tmp_path_factory.mktemp("certificates"))


def greeting(capabilities=CAPABILITIES | TLS, method=b"caching_sha2_password"):
    return greeting_body(b"8.4.6", capabilities, method)


def response(user=b"app", password=b"\0", database=b"shop", method=b"caching_sha2_password", attributes=b"\x03abc"):
    capabilities = CAPABILITIES if database else CAPABILITIES & ~CONNECT_WITH_DB
    header = struct.pack("<IIB", capabilities, 1 << 24, 45) + b"\0" * 23
    return header + user + b"\0" + password + (database and database + b"\0") + method + b"\0" + attributes


def read_packet(connection) -> tuple[int, bytes]:
    header = read_exactly(connection, 4)
    return header[3], read_exactly(connection, int.from_bytes(header[:3], "little"))


def read_exactly(connection, count) -> bytes:
    received = b""
    while len(received) < count:
        part = connection.recv(count - len(received))
        if not part:
            raise EOFError
        received += part
    return received


class Server:
    """A server that runs one script for one connection, and keeps what it reads before TLS and the packets after."""

    def __init__(self, script):
        self.script = script
        self.clear = b""
        self.packets = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        with contextlib.suppress(OSError, EOFError), self.listener, self.listener.accept()[0] as connection:
            connection.settimeout(20)
            self.script(self, connection)

    def start_tls(self, connection, context):
        connection.sendall(packet(0, greeting()))
        self.clear += read_exactly(connection, 36)
        return context.wrap_socket(connection, server_side=True)

    def read(self, connection) -> bytes:
        self.packets.append(read_packet(connection))
        return self.packets[-1][1]

    def drain(self, connection):
        while data := connection.recv(65536):
            self.clear += data


def logging_in(context, *answers, after=None):
    """A script that answers the handshake response, and what comes then, with these bodies of packets."""

    def script(server, connection):
        with server.start_tls(connection, context) as secured:
            for number, answer in enumerate(answers):
                server.read(secured)
                secured.sendall(packet(2 * number + 3, answer))
            if after:
                after(secured)

    return script


class Session:
    """A client program on one side of the relay and a server on the other."""

    def __init__(self, servers, script, answer=None, timeout=10, make_token=lambda: TOKEN, **changes):
        self.server = Server(script)
        options = {"endpoint": "localhost", "port": self.server.port, "ca_file": servers.ca_file, "user": "app"}
        options |= {
            "context": login_relay.trust_authorities(servers.ca_file),
            "make_token": make_token,
            "timeout": timeout,
        }
        target = login_relay.Target(**options | {"method": b"mysql_native_password"} | changes)
        self.client, relayed = socket.socketpair()
        self.client.settimeout(20)
        self.thread = threading.Thread(target=login_relay.serve_connection, args=(relayed, target), daemon=True)
        self.thread.start()
        self.greeting = read_packet(self.client)
        self.verdict = None
        if self.greeting[1][0] != 0xFF:
            self.client.sendall(packet(1, answer or response()))
            self.verdict = read_packet(self.client)

    def end(self):
        self.client.close()
        self.thread.join(20)
        with contextlib.suppress(OSError):  # wakes a server to which nobody came
            self.server.listener.shutdown(socket.SHUT_RDWR)
        self.server.thread.join(20)
        assert not self.thread.is_alive() and not self.server.thread.is_alive()

    @property
    def error(self) -> str:
        """What the client program is told, as it shows it."""
        number, body = self.verdict or self.greeting
        assert number == (2 if self.verdict else 0) and body[:3] == b"\xff\x51\x04"
        assert body[3:9] == b"#HY000" if self.verdict else body[3:4] != b"#"
        return body[9 if self.verdict else 3 :].decode()


def test_the_client_program_logs_in_without_tls_and_without_a_secret(servers):
    session = Session(servers, logging_in(servers.right, SWITCH, OK, after=lambda secured: secured.sendall(b"rows")))
    capabilities = int.from_bytes(session.greeting[1][21:23], "little")
    assert session.greeting[0] == 0 and not capabilities & TLS
    assert session.greeting[1].endswith(b"saltsaltsalt\0mysql_native_password\0")
    assert session.verdict == (2, OK)
    assert read_exactly(session.client, 4) == b"rows"
    session.end()
    [(first, login), (second, token)] = session.server.packets
    flags = struct.unpack("<I", login[:4])[0]
    assert flags == CAPABILITIES | TLS and session.server.clear == packet(1, login[:32])
    assert login[32:] == b"app\0\0shop\0caching_sha2_password\0\x03abc"
    assert (first, second, token) == (2, 4, TOKEN.encode() + b"\0")


@pytest.mark.parametrize(
    "answer",
    [
        response(b"root"),
        response(b"root", b"\x14" + b"p" * 20),
        response(b"", b"\xfc\x2c\x01" + b"p" * 300),
        response(b"root", method=b"mysql_clear_password"),
    ],
)
def test_the_user_is_that_of_the_relay_whatever_the_client_program_says(servers, answer):
    session = Session(servers, logging_in(servers.right, SWITCH, OK), answer)
    session.end()
    assert session.server.packets[0][1][32:] == b"app\0\0shop\0caching_sha2_password\0\x03abc"


def test_a_client_program_without_a_schema(servers):
    session = Session(servers, logging_in(servers.right, SWITCH, OK), response(database=b""))
    session.end()
    assert session.server.packets[0][1][32:] == b"app\0\0caching_sha2_password\0\x03abc"


@pytest.mark.parametrize("size", [900, 4084, 4097, 70_000])
def test_a_long_token_arrives_whole(servers, size):
    token = TOKEN + "x" * size
    session = Session(servers, logging_in(servers.right, SWITCH, OK), make_token=lambda: token)
    session.end()
    assert session.server.packets[1][1] == token.encode() + b"\0"


def without_tls(server, connection):
    connection.sendall(packet(0, greeting(CAPABILITIES)))
    server.drain(connection)


def error_first(server, connection):
    connection.sendall(packet(0, b"\xff\x10\x04Too many connections"))
    server.drain(connection)


def saying(*bodies):
    def script(server, connection):
        for number, body in enumerate(bodies):
            connection.sendall(packet(number, body))
        server.drain(connection)

    return script


def dripping(server, connection):
    with contextlib.suppress(OSError):
        for byte in packet(0, greeting()):
            time.sleep(0.2)
            connection.sendall(bytes([byte]))
        server.drain(connection)


def hanging_up(server, connection):
    pass


def silent(server, connection):
    server.drain(connection)


def stopping_after_the_greeting(server, connection):
    connection.sendall(packet(0, greeting()))
    server.drain(connection)


def too_much(server, connection):
    connection.sendall(b"\xff\xff\xff\0" + b"x" * 100)
    server.drain(connection)


HOSTILE = {
    "without TLS": (without_tls, "does not offer TLS (SSL), so nothing was sent to it"),
    "an error first": (error_first, "before it shows who it is, and says: 'Too many connections'"),
    "wrong name": ("wrong_name", "is not accepted with"),
    "wrong authority": ("wrong_authority", "is not accepted with"),
    "no greeting": (saying(b"\x09old"), "does not speak the protocol of MySQL"),
    "half a greeting": (saying(greeting()[:20]), "does not speak the protocol of MySQL"),
    "a greeting without methods": (saying(greeting(CAPABILITIES & ~PLUGIN_AUTH | TLS)), "does not speak the protocol"),
    "no TLS after all": (saying(greeting(), OK), "so nothing was sent to it"),
    "a switch in clear": (saying(greeting(), SWITCH), "so nothing was sent to it"),
    "one byte after the other": (dripping, "did not answer in time"),
    "nothing": (silent, "did not answer in time"),
    "nothing after the greeting": (stopping_after_the_greeting, "did not answer in time"),
    "the end": (hanging_up, "cannot be reached: the connection ended"),
    "16 MB": (too_much, "sends a packet of 16777215 bytes before the login"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_server_that_is_not_verified_gets_nothing(servers, kind):
    script, words = HOSTILE[kind]
    if isinstance(script, str):
        script = logging_in(getattr(servers, script), SWITCH, OK)
    signed = []
    started = time.monotonic()
    session = Session(servers, script, timeout=1, make_token=lambda: signed.append(1) or TOKEN)
    error = session.error
    session.end()
    assert words in error and "\n" not in error and error.endswith(".")
    assert time.monotonic() - started < 10
    assert b"app" not in session.server.clear and b"X-Amz" not in session.server.clear
    assert session.server.packets == []


def test_a_server_that_is_not_there(servers):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    session = Session(servers, silent, port=port)
    assert f"the server at localhost:{port} cannot be reached: Connection refused" in session.error
    session.end()


@pytest.mark.parametrize(
    ("method", "answer"),
    [(b"mysql_native_password", b""), (b"caching_sha2_password", b"\0"), (b"dialog", b"\0"), (b"mysql_old", b"\0")],
)
def test_another_method_gets_no_token(servers, method, answer):
    """Of a server that is verified: so it answers for a user who has a password, or for one that it does not know."""
    session = Session(servers, logging_in(servers.right, b"\xfe" + method + b"\0salt\0", DENIED))
    assert session.verdict == (2, DENIED)
    session.end()
    assert [body for _number, body in session.server.packets[1:]] == ([answer] if answer else [b""])


def test_a_server_that_asks_for_more_and_more(servers):
    session = Session(servers, logging_in(servers.right, *[SWITCH] * 12))
    assert "does not log in as the protocol has it" in session.error
    session.end()


@pytest.mark.parametrize("text", [TOKEN, TOKEN[10:50], "X-Amz-Signature=secret"])
def test_an_error_that_quotes_the_token_is_redacted(servers, text):
    denied = b"\xff\x15\x04#28000Access denied, bad password '" + text.encode() + b"'"
    session = Session(servers, logging_in(servers.right, SWITCH, denied))
    assert session.verdict[1].startswith(b"\xff\x15\x04#28000Access denied, bad password '")
    assert b"secret" not in session.verdict[1] and b"********" in session.verdict[1]
    session.end()


@pytest.mark.parametrize("cut", [slice(-20, None), slice(-50, -30), slice(150, 170), slice(-64, -40)])
@pytest.mark.parametrize("encode", [str, str.upper, lambda text: f"{text[:10]} {text[10:]}"])
def test_an_error_that_quotes_a_part_of_the_token_is_redacted(cut, encode):
    token = f"orders:3306/?X-Amz-Security-Token={hashlib.sha512(b'session').hexdigest()}&X-Amz-Signature={SIGNATURE}"
    part = token[cut]
    for header in (b"\xff\x15\x04#28000", b"\xff\x15\x04"):
        packet = header + "bad größe: '".encode() + encode(part).encode() + b"' at app"
        text = login_relay.redact(packet, token)
        assert text.startswith(header + "bad größe: '".encode()) and text.endswith(b"' at app")
        assert not any(part[start : start + 6].encode() in text.lower() for start in range(len(part) - 5))


def test_each_connection_has_a_token_of_its_own(servers):
    tokens = iter(["first", "second"])
    for expected in (b"first\0", b"second\0"):
        session = Session(servers, logging_in(servers.right, SWITCH, OK), make_token=lambda: next(tokens))
        session.end()
        assert session.server.packets[1][1] == expected


def test_without_a_token_the_client_program_is_told_why(servers):
    def ended():
        raise ValueError("AWS credentials could not be read: they ended.")

    session = Session(servers, stopping_after_the_greeting, make_token=ended)
    assert "gets no token, since none can be signed: AWS credentials could not be read: they ended." in session.error
    session.end()


def test_a_client_program_that_speaks_another_protocol(servers):
    session = Session(servers, stopping_after_the_greeting, b"\0" * 40)
    assert "asks for none that can be passed on" in session.error
    session.end()


def test_bytes_go_both_ways_at_once_and_end_together(servers):
    """More than all buffers hold, in both directions, by a client program and a server that read late."""
    there, back = random.randbytes(6_000_000), random.randbytes(6_000_000)
    digests = {}

    def exchange(connection, name, sent, count):
        sender = threading.Thread(target=connection.sendall, args=(sent,), daemon=True)
        sender.start()
        digests[name] = hashlib.sha256(read_exactly(connection, count)).digest()
        sender.join(20)

    def serve(secured):
        # One thread reads and another writes, which a TLS connection of Python's does not like at every version.
        digests["there"] = hashlib.sha256(read_exactly(secured, len(there))).digest()
        secured.sendall(back)

    session = Session(servers, logging_in(servers.right, SWITCH, OK, after=serve))
    exchange(session.client, "back", there, len(back))
    assert session.client.recv(1) == b""
    session.end()
    assert digests == {"there": hashlib.sha256(there).digest(), "back": hashlib.sha256(back).digest()}


# Starts a relay, and becomes a program that ends.
STARTER = """
import os, sys
sys.path.insert(0, sys.argv[1])
import login_relay
if sys.argv[2] == "old":
    def missing(process):
        raise OSError
    os.pidfd_open = missing
target = login_relay.Target("localhost", 1, "", None, "app", str, b"mysql_native_password", 1)
os.execv("/bin/sh", ["sh", "-c", "test -S $0 && echo $0", login_relay.start_relay(target)])
"""


@pytest.mark.parametrize("kernel", ["new", "old"])
def test_the_relay_ends_with_the_process_that_started_it(kernel):
    command = [sys.executable, "-c", STARTER, str(Path(login_relay.__file__).parent), kernel]
    done = subprocess.run(command, text=True, capture_output=True, check=False, timeout=20)
    place = Path(done.stdout.strip()).parent
    assert place.name.startswith("rds-mysql-"), done.stderr
    end = time.monotonic() + 20
    while place.exists():
        assert time.monotonic() < end
        time.sleep(0.05)
