# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The download of the CA bundle from servers that redirect, hold, flood, and repeat what they were asked for."""

from __future__ import annotations

import hashlib
import http.server
import itertools
import ssl
import threading
import time

import pytest
import trustme
from ansible_collections.dbops.rds_iam.plugins.module_utils._client import download
from ansible_collections.dbops.rds_iam.plugins.module_utils._errors import RdsIamError

BODY = b"the bundle"
CHECKSUM = f"sha256:{hashlib.sha256(BODY).hexdigest()}"
SECRET = "s3cret"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.asked.append(f"{self.server.scheme}{self.path}")
        try:
            self.server.answers[self.path.partition("?")[0]](self)
        except (KeyError, OSError, ssl.SSLError):  # there is no such page, or the client has gone
            self.close_connection = True

    def log_message(self, *args):
        pass

    def say(self, content=BODY, status=200, **headers):
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)

    def repeat(self, head, piece, pause=0.0):
        """Send pieces until the client goes away or the test ends."""
        self.wfile.write(head)
        while not self.server.over.wait(pause):
            self.wfile.write(piece)


def redirect(place, status=302):
    return lambda handler: handler.say(b"", status, Location=place)


class Servers:
    """One server of http and one of https, which share their pages, and remember what they were asked for."""

    def __init__(self, directory):
        authority, self.ca_file = trustme.CA(), directory / "ca.pem"
        authority.cert_pem.write_to_path(self.ca_file)
        self.answers, self.asked, self.over = {}, [], threading.Event()
        self.by_scheme = {scheme: self.start(scheme) for scheme in ("http", "https")}
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost").configure_cert(context)
        secure = self.by_scheme["https"]
        secure.socket = context.wrap_socket(secure.socket, server_side=True)
        for server in self.by_scheme.values():
            threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()

    def start(self, scheme):
        server = http.server.ThreadingHTTPServer(("localhost", 0), Handler)
        server.scheme, server.answers, server.asked, server.over = scheme, self.answers, self.asked, self.over
        server.handle_error = lambda *args: None
        return server

    def url(self, path, scheme="https", user=""):
        return f"{scheme}://{user}localhost:{self.by_scheme[scheme].server_port}{path}"

    def stop(self):
        self.over.set()
        for server in self.by_scheme.values():
            server.shutdown()
            server.server_close()


@pytest.fixture
def servers(tmp_path, monkeypatch):
    servers = Servers(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(servers.ca_file))
    yield servers
    servers.stop()


def refused(url, checksum=None, timeout=20):
    with pytest.raises(RdsIamError) as caught:
        download.fetch(url, checksum, timeout)
    message = str(caught.value)
    assert caught.value.__cause__ is None and message.endswith(".") and "\n" not in message
    return message


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_over_https_are_followed(servers, status):
    servers.answers["/start"] = redirect("/hop?signature=1", status)
    servers.answers["/hop"] = redirect(servers.url("/end"), status)
    servers.answers["/end"] = Handler.say
    assert download.fetch(servers.url("/start"), None, 20) == BODY
    assert servers.asked == ["https/start", "https/hop?signature=1", "https/end"]


@pytest.mark.parametrize("checksum", [None, CHECKSUM])
@pytest.mark.parametrize("place", ["http", "//ftp", "ftp", "file", "data", "https:", "javascript"])
def test_no_hop_but_https_is_asked(servers, place, checksum):
    """Neither as the last one nor on the way: whoever is on the path of one hop sends the rest where he likes."""
    elsewhere = {
        "http": servers.url("/hop", "http"),
        "//ftp": "ftp://localhost:1//x",
        "ftp": "ftp://localhost/hop",
        "file": f"file://{servers.ca_file}",
        "data": "data:text/plain,the%20bundle",
        "https:": "http:/hop",
        "javascript": "javascript:alert(1)",
    }[place]
    servers.answers["/start"] = redirect("/second")
    servers.answers["/second"] = redirect(elsewhere)
    servers.answers["/hop"] = redirect(servers.url("/end"))
    servers.answers["/end"] = Handler.say
    message = refused(servers.url("/start"), checksum)
    assert "redirects to" in message and "which is not https" in message
    assert servers.asked == ["https/start", "https/second"]


def test_http_with_a_checksum_may_go_on_over_both(servers):
    servers.answers["/start"] = redirect(servers.url("/hop"))
    servers.answers["/hop"] = redirect(servers.url("/end", "http"))
    servers.answers["/end"] = Handler.say
    assert download.fetch(servers.url("/start", "http"), CHECKSUM, 20) == BODY
    servers.answers["/hop"] = redirect("ftp://localhost/end")
    assert "which is not http or https" in refused(servers.url("/start", "http"), CHECKSUM)


@pytest.mark.parametrize("url", ["ftp://localhost/b.pem", "file:///etc/hostname", "localhost/b.pem", "httpsx://h/b"])
def test_other_schemes_are_not_asked(url):
    assert "is not an https address" in refused(url, CHECKSUM)


def test_redirects_without_end(servers):
    servers.answers["/start"] = redirect("/start")
    assert "redirects more than 5 times" in refused(servers.url("/start"))
    assert len(servers.asked) == 6


def test_a_certificate_of_another_authority_is_refused(servers, monkeypatch):
    servers.answers["/start"] = Handler.say
    monkeypatch.delenv("SSL_CERT_FILE")
    message = refused(servers.url("/start"))
    assert "certificate verify failed" in message and servers.asked == []


OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
SLOW = {
    "a byte of the body now and then": lambda handler: handler.repeat(OK + b"Content-Length: 99999\r\n\r\n", b"#", 0.1),
    "a byte of a chunk's size": lambda handler: handler.repeat(CHUNKED, b"0", 0.1),
    "a byte of a header": lambda handler: handler.repeat(OK + b"X-Slow: ", b"#", 0.1),
    "header after header": lambda handler: handler.repeat(OK, b"X-Slow: 1\r\n", 0.1),
    "continue, continue": lambda handler: handler.repeat(b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.1),
    "nothing": lambda handler: handler.server.over.wait(),
    "redirects": lambda handler: handler.server.over.wait(0.4) or handler.say(b"", 302, Location="/slow"),
}


@pytest.mark.parametrize("kind", SLOW)
def test_one_deadline_holds_for_all_of_it(servers, kind):
    servers.answers["/slow"] = SLOW[kind]
    began = time.monotonic()
    message = refused(servers.url("/slow"), timeout=1)
    assert "it timed out after 1 s" in message
    assert time.monotonic() - began < 10, "the server goes on for as long as it is listened to"


FLOODS = {
    "body": (OK + b"\r\n", b"#" * 65536),
    "announced body": (OK + b"Content-Length: 99999999999\r\n\r\n", b"#" * 65536),
    "chunks": (CHUNKED, b"10000\r\n" + b"#" * 65536 + b"\r\n"),
}


@pytest.mark.parametrize("kind", FLOODS)
def test_a_body_without_end_is_cut(servers, kind):
    servers.answers["/flood"] = lambda handler: handler.repeat(*FLOODS[kind])
    assert f"holds more than {download.LIMIT} bytes" in refused(servers.url("/flood"))


def test_a_header_without_end_is_cut(servers):
    servers.answers["/flood"] = lambda handler: handler.repeat(OK + b"X-Flood: ", b"#" * 65536)
    assert "could not be fetched: LineTooLong" in refused(servers.url("/flood"))


def test_an_expanding_body_is_not_expanded(servers):
    servers.answers["/bomb"] = lambda handler: handler.say(b"\x1f\x8b" + b"\0" * 8, Content_Encoding="gzip")
    assert download.fetch(servers.url("/bomb"), None, 20) == b"\x1f\x8b" + b"\0" * 8


@pytest.mark.parametrize("length", ["20", "x", "-1"])
def test_a_body_that_breaks_off_is_refused(servers, length):
    def answer(handler):
        handler.wfile.write(OK + f"Content-Length: {length}\r\n\r\n".encode() + BODY)
        handler.close_connection = True

    servers.answers["/cut"] = answer
    if length == "20":
        assert "was cut off after 10 of 20 bytes" in refused(servers.url("/cut"))
    else:
        assert download.fetch(servers.url("/cut"), CHECKSUM, 20) == BODY


ADDRESSES = [f"?X-Amz-Signature={SECRET}", f"?{SECRET}", f"#{SECRET}", f";{SECRET}"]
ANSWERS = {
    "error": lambda handler: handler.say(b"", 500),
    "repeats the address as its reason": lambda handler: handler.wfile.write(
        f"HTTP/1.1 404 no {handler.path} {SECRET}\r\nContent-Length: 0\r\n\r\n".encode()
    ),
    "repeats the address, and speaks no HTTP": lambda handler: handler.wfile.write(
        f"{handler.path} {SECRET}\r\n\r\n".encode()
    ),
    "cut off": lambda handler: handler.wfile.write(OK + b"Content-Length: 99\r\nConnection: close\r\n\r\n"),
    "other checksum": lambda handler: handler.say(b"other"),
    "redirect to http": redirect(f"http://{SECRET}@localhost:1/x?{SECRET}"),
    "redirect to ftp": redirect(f"ftp://{SECRET}@localhost:1/{SECRET}"),
    "redirect to where nobody is": redirect(f"https://{SECRET}@localhost:1/x?{SECRET}"),
    "redirect to a port that is none": redirect(f"https://{SECRET}@localhost:{SECRET}/x?{SECRET}"),
    "redirect to a host that is none": redirect(f"https://[{SECRET}/x?{SECRET}"),
    "redirect with a space": redirect(f"/x y?{SECRET}"),
}


@pytest.mark.parametrize(("answer", "place"), list(itertools.product(ANSWERS, ADDRESSES)))
def test_no_error_repeats_what_may_be_secret(servers, answer, place):
    def then(handler):
        ANSWERS[answer](handler)
        handler.close_connection = True

    servers.answers.update(dict.fromkeys(("/b.pem", f"/b.pem;{SECRET}"), then))
    for user in ("", f"reader:{SECRET}@"):
        message = refused(servers.url(f"/b.pem{place}", user=user), CHECKSUM)
        assert SECRET not in message and servers.url("/b.pem") in message
