# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Log in to a database for a client program that never gets the secret. Private to this collection.

The program rds-mysql contains this text, so it imports nothing but the standard library and what is in it too.

The client program connects to a Unix socket of the relay, without TLS and without a password. For each connection the
relay opens one to the database, verifies certificate and host name, logs in with a fresh token as the one user that
was asked for, passes the verdict of the server on, and copies bytes in both directions from then on. So no option, no
variable, no plugin and no command of the client (C(connect), C(system), a pager) decides where the token goes.

Sources: https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase.html and
https://mariadb.com/kb/en/connection/ for the packets up to the login.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import shutil
import signal
import socket
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.masking import mask

# Flags of the capabilities of client and server.
_CONNECT_WITH_DB, _PROTOCOL_41, _TLS, _PLUGIN_AUTH, _LENGTH_ENCODED_AUTH = 0x8, 0x200, 0x800, 0x80000, 0x200000
_SECURE_CONNECTION = 0x8000
_OK, _ERROR, _METHOD_SWITCH = 0x00, 0xFF, 0xFE
_HEADER_OF_RESPONSE = 32  # bytes: capabilities, packet size, character set, and a reserved part
_HEADER_OF_ERROR, _HEADER_OF_ERROR_WITHOUT_STATE = 9, 3  # bytes: 0xFF and the number, and an SQLSTATE behind #
_PROTOCOL_VERSION = 10  # of all greetings since MySQL 3.21
_FIRST_LONG_LENGTH = 251  # a length below it has one byte
_CLEAR_PASSWORD = b"mysql_clear_password"  # the client side of AWSAuthenticationPlugin
_FAST_AUTH_DONE = b"\x01\x03"  # of caching_sha2_password
# How a client answers each method when it has no password; an empty string in the others.
_NO_PASSWORD = {b"mysql_native_password": b""}
_LONGEST_PACKET = 65_536 + 1024  # bytes, up to the login; connection attributes may have 64 KiB
_MAX_PACKETS = 10  # up to the login; it takes two
_CHUNK = 65_536
# For failures of which the server says nothing. A client of MariaDB takes no numbers of its own library from a server.
_UNKNOWN_ERROR = 1105
_LONGEST_PARENT = 70  # bytes; the path of a socket has at most 107
_STANDARD_ERROR = 2  # the last of the three standard streams
_LAST_BYTES = 2  # seconds for what is still to be sent when a connection ends


class RelayError(Exception):
    """There is no session. The message is what the server does, as the end of a sentence, without the secret."""


@dataclass(frozen=True)
class Target:
    """The login that a relay makes for each connection of the client.

    make_token: returns a fresh token, or raises an exception whose text is one sentence
    method: the authentication method that the client program is offered, which it must know without a plugin
    """

    endpoint: str
    port: int
    ca_file: str
    context: ssl.SSLContext
    user: str
    make_token: Callable[[], str]
    method: bytes
    timeout: float  # seconds from dialling to the verdict

    @property
    def address(self) -> str:
        return f"{self.endpoint}:{self.port}"


def trust_authorities(ca_file: str) -> ssl.SSLContext:
    """Return a context that demands a certificate of the dialled name from these authorities. Raises OSError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(cafile=ca_file)
    return context


class _Deadline:
    """One end for everything up to the login, however slowly the bytes come."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def limit(self, connection: socket.socket) -> None:
        remaining = self._end - time.monotonic()
        if remaining <= 0:
            raise TimeoutError
        connection.settimeout(remaining)


class _Packets:
    """The packets of one connection up to the login, within a deadline and a limit."""

    def __init__(self, connection: socket.socket, deadline: _Deadline) -> None:
        self.connection = connection
        self.deadline = deadline
        self.number = 0  # of the next packet

    def read(self) -> bytes:
        header = self._read_bytes(4)
        length = int.from_bytes(header[:3], "little")
        if not 0 < length <= _LONGEST_PACKET:
            raise RelayError(f"sends a packet of {length} bytes before the login")
        self.number = (header[3] + 1) % 256
        return self._read_bytes(length)

    def _read_bytes(self, count: int) -> bytes:
        received = b""
        while len(received) < count:
            self.deadline.limit(self.connection)
            part = self.connection.recv(count - len(received))
            if not part:
                raise ConnectionResetError(errno.ECONNRESET, "the connection ended")
            received += part
        return received

    def write(self, body: bytes) -> None:
        self.deadline.limit(self.connection)
        self.connection.sendall(len(body).to_bytes(3, "little") + bytes([self.number]) + body)
        self.number = (self.number + 1) % 256

    def write_error(self, text: str) -> None:
        """Write an error packet. Before the greeting it has no SQLSTATE, since nothing was agreed upon yet."""
        state = b"#HY000" if self.number else b""
        message = f"rds-mysql: {text}".encode("utf-8", "replace")[:500]  # the client libraries keep 511 bytes
        self.deadline = _Deadline(_LAST_BYTES)  # also where that of the login has passed
        self.write(bytes([_ERROR]) + _UNKNOWN_ERROR.to_bytes(2, "little") + state + message)


def offer_greeting(greeting: bytes, method: bytes) -> tuple[bytes, bytes]:
    """Return the server's greeting as the client program gets it, and the server's own authentication method.

    The client program gets it without TLS, which the relay does, and with its own method. Raises ValueError or
    IndexError for bytes that are no greeting.
    """
    if greeting[0] != _PROTOCOL_VERSION:
        raise ValueError
    low = greeting.index(0, 1) + 14  # version and its end, thread (4), scramble (8), filler (1)
    capabilities = int.from_bytes(greeting[low : low + 2], "little") | greeting[low + 5] << 16 | greeting[low + 6] << 24
    if not capabilities & _TLS:
        raise RelayError("does not offer TLS (SSL), so nothing was sent to it; check the endpoint")
    scramble = max(13, greeting[low + 7] - 8)
    end = low + 18 + scramble  # low (2), character set (1), status (2), high (2), length (1), reserved (10)
    if len(greeting) <= end or not capabilities & _PLUGIN_AUTH:
        raise ValueError
    without_tls = (capabilities & ~_TLS & 0xFFFF).to_bytes(2, "little")
    return greeting[:low] + without_tls + greeting[low + 2 : end] + method + b"\0", greeting[end:].split(b"\0")[0]


def replace_login(response: bytes, user: bytes, method: bytes) -> bytes:
    """Return the client's handshake response with TLS, this user and no password, whatever the client said.

    Database, character set, connection attributes and all other capabilities stay. Raises ValueError or IndexError
    for bytes that are no handshake response.
    """
    capabilities = int.from_bytes(response[:4], "little")
    if capabilities & _TLS or not capabilities & _PROTOCOL_41 or not capabilities & _PLUGIN_AUTH:
        raise ValueError
    _user, remainder = response[_HEADER_OF_RESPONSE:].split(b"\0", 1)
    if not capabilities & (_LENGTH_ENCODED_AUTH | _SECURE_CONNECTION):
        _password, remainder = remainder.split(b"\0", 1)
    elif remainder[0] < _FIRST_LONG_LENGTH:
        remainder = remainder[1 + remainder[0] :]
    else:  # the length has two bytes; the relay's client has no password to make use of more
        remainder = remainder[3 + int.from_bytes(remainder[1:3], "little") :]
    database = b""
    if capabilities & _CONNECT_WITH_DB:
        name, remainder = remainder.split(b"\0", 1)
        database = name + b"\0"
    _method, attributes = remainder.split(b"\0", 1)
    header = (capabilities | _TLS).to_bytes(4, "little") + response[4:_HEADER_OF_RESPONSE]
    return header + user + b"\0" + b"\0" + database + method + b"\0" + attributes


def _authenticate(server: _Packets, token: str) -> bytes:
    """Answer the server, which is verified, until it gives its verdict; return that, an OK or an error packet."""
    for _packet in range(_MAX_PACKETS):
        packet = server.read()
        if packet[0] == _METHOD_SWITCH:
            method = packet[1:].split(b"\0")[0]
            server.write(token.encode() + b"\0" if method == _CLEAR_PASSWORD else _NO_PASSWORD.get(method, b"\0"))
        elif packet[0] in (_OK, _ERROR):
            return redact(packet, token)
        elif packet[:2] != _FAST_AUTH_DONE:
            break
    raise RelayError("does not log in as the protocol has it")


def redact(packet: bytes, token: str) -> bytes:
    """Return an error packet without the parts of the token that a server may quote; others as they are."""
    if packet[0] != _ERROR:
        return packet
    start = _HEADER_OF_ERROR if packet[3:4] == b"#" else _HEADER_OF_ERROR_WITHOUT_STATE
    text = packet[start:].decode("latin-1")  # in which every byte has its place
    return packet[:start] + mask(text, [token]).encode("latin-1")


def _open_socket(target: Target, deadline: _Deadline) -> socket.socket:
    """Connect to the first address of the endpoint that answers, all of them within the deadline."""
    failure: OSError = OSError(errno.EHOSTUNREACH, "the name has no address")
    addresses = socket.getaddrinfo(target.endpoint, target.port, type=socket.SOCK_STREAM)
    for family, kind, protocol, _name, address in addresses:
        connection = socket.socket(family, kind, protocol)
        try:
            deadline.limit(connection)
            connection.connect(address)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return connection
        except OSError as exc:
            connection.close()
            failure = exc
    raise failure


def _log_in(client: _Packets, connection: socket.socket, target: Target, deadline: _Deadline) -> ssl.SSLSocket | None:
    """Log in to the server for the client program, and pass the verdict on; return the session if it is one."""
    server = _Packets(connection, deadline)
    greeting = server.read()
    if greeting[0] == _ERROR:  # from a server that is not verified, as it comes before the certificate
        text = greeting[3:].decode("utf-8", "replace")[:300]
        raise RelayError(f"ends the connection before it shows who it is, and says: {text!r}")
    try:
        offer, method = offer_greeting(greeting, target.method)
    except (ValueError, IndexError):
        raise RelayError("does not speak the protocol of MySQL") from None
    client.write(offer)
    try:
        response = replace_login(client.read(), target.user.encode(), method)
    except (ValueError, IndexError):
        raise RelayError("gets no login, since the client program asks for none that can be passed on") from None
    try:
        token = target.make_token()
    except Exception as exc:  # the sources of credentials come up with anything
        raise RelayError(f"gets no token, since none can be signed: {exc}".rstrip(".")) from None
    server.write(response[:_HEADER_OF_RESPONSE])
    deadline.limit(connection)
    server.connection = tls_connection = target.context.wrap_socket(connection, server_hostname=target.endpoint)
    server.write(response)
    verdict = _authenticate(server, token)
    client.write(verdict)
    return tls_connection if verdict[0] == _OK else None


def explain(error: Exception, target: Target) -> str:
    """Return one sentence about a failure up to the login, without the secret."""
    server = f"the server at {target.address}"
    advice = "check its status, its security group and the network"
    if isinstance(error, RelayError):
        return f"{server} {error}."
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = error.verify_message.rstrip(".")
        refusal = f"the certificate of {target.address} is not accepted with {target.ca_file}"
        return f"TLS/SSL error: {refusal}, so nothing was sent to it: {reason}."
    if isinstance(error, ssl.SSLError):
        reason = error.reason or str(error)
        return f"TLS/SSL error: the handshake with {server} failed, so nothing was sent to it: {reason}."
    if isinstance(error, (TimeoutError, socket.timeout)):
        return f"{server} did not answer in time; {advice}."
    if isinstance(error, OSError):
        return f"{server} cannot be reached: {error.strerror or error}; {advice}."
    return f"{server} was not logged in to: {type(error).__name__}: {error}."


def serve_connection(connection: socket.socket, target: Target) -> None:
    """Log in for one connection of the client program, and copy its bytes until one side ends."""
    with contextlib.suppress(OSError), connection, contextlib.ExitStack() as connections:
        session = _open_session(connection, target, connections)
        if session:
            _copy_both_ways(connection, session)


def _open_session(connection: socket.socket, target: Target, connections: contextlib.ExitStack) -> ssl.SSLSocket | None:
    deadline = _Deadline(target.timeout)
    client = _Packets(connection, deadline)
    try:
        server = connections.enter_context(_open_socket(target, deadline))
        session = _log_in(client, server, target, deadline)
    except Exception as exc:  # servers can raise anything in here
        client.write_error(explain(exc, target))
        return None
    return session and connections.enter_context(session)


class _Direction:
    """Bytes on their way from one side to the other."""

    def __init__(self, source: socket.socket, sink: socket.socket) -> None:
        self.source, self.sink = source, sink
        self.unsent = b""
        self.at_end = False
        self.until_readable: set[socket.socket] = set()
        self.until_writable: set[socket.socket] = set()

    def move(self) -> bool:
        """Move the bytes that can be moved at once, and return whether any were; else note the sides to wait for."""
        self.until_readable, self.until_writable = set(), set()
        if self.unsent:
            with self._note_blocking(self.sink, self.until_writable):
                self.unsent = self.unsent[self.sink.send(self.unsent) :]
                return True
        elif not self.at_end:
            with self._note_blocking(self.source, self.until_readable):
                self.unsent = self._read()
                self.at_end = not self.unsent
                return True
        return False

    @contextlib.contextmanager
    def _note_blocking(self, side: socket.socket, sides: set[socket.socket]) -> Iterator[None]:
        """Note that this side would block. TLS may have to read before it writes, and the other way round."""
        try:
            yield
        except ssl.SSLWantReadError:
            self.until_readable.add(side)
        except ssl.SSLWantWriteError:
            self.until_writable.add(side)
        except BlockingIOError:
            sides.add(side)

    def _read(self) -> bytes:
        try:
            return self.source.recv(_CHUNK)
        except (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError):
            return b""


def _copy_both_ways(client: socket.socket, server: ssl.SSLSocket) -> None:
    """Copy bytes until one side has ended, and the other side has got all that it sent."""
    client.setblocking(False)
    server.setblocking(False)
    directions = [_Direction(client, server), _Direction(server, client)]
    while not any(direction.at_end and not direction.unsent for direction in directions):
        progress = [direction.move() for direction in directions]
        if not any(progress):
            readable = set().union(*(direction.until_readable for direction in directions))
            writable = set().union(*(direction.until_writable for direction in directions))
            select.select(readable, writable, [])


def start_relay(target: Target) -> str:
    """Start a relay beside this process, which then becomes the client program; return the path of its socket.

    The relay ends when this process ends, whatever program it has become. Raises OSError.
    """
    parent = tempfile.gettempdir()
    if len(os.fsencode(parent)) > _LONGEST_PARENT:
        parent = "/tmp"
    directory = tempfile.mkdtemp(prefix="rds-mysql-", dir=parent)  # nobody else may enter it
    try:
        path = os.path.join(directory, "socket")
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen()
        client_process = os.getpid()
        if os.fork() == 0:
            _run_relay(listener, target, client_process, directory)
    except BaseException:
        shutil.rmtree(directory, ignore_errors=True)
        raise
    listener.close()
    return path


def _run_relay(listener: socket.socket, target: Target, client_process: int, directory: str) -> None:
    """Be the relay. Never returns."""
    try:
        _detach(listener)
        _serve(listener, target, client_process)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        os._exit(0)  # without the tasks that the other process has at its end


def _detach(listener: socket.socket) -> None:
    """Leave the terminal, whose signals are for the client program, and close files on whose end others wait."""
    os.setsid()
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    null_device = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(null_device, descriptor)
    for descriptor in map(int, os.listdir("/proc/self/fd")):
        if descriptor > _STANDARD_ERROR and descriptor != listener.fileno():
            with contextlib.suppress(OSError):  # that of the directory itself is closed already
                os.close(descriptor)


def _serve(listener: socket.socket, target: Target, client_process: int) -> None:
    """Serve each connection of the client program until that ends."""
    threads = []
    descriptors: list[socket.socket | int] = [listener]
    interval: float | None = 1  # seconds
    with contextlib.suppress(AttributeError, OSError):  # an older kernel
        descriptors.append(os.pidfd_open(client_process))
        interval = None
    while os.getppid() == client_process:
        if listener in select.select(descriptors, [], [], interval)[0]:
            connection, _address = listener.accept()
            threads.append(threading.Thread(target=serve_connection, args=(connection, target), daemon=True))
            threads[-1].start()
    for thread in threads:
        thread.join(_LAST_BYTES)
