# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plain files over HTTP or HTTPS: the trust store and the package repository."""

from __future__ import annotations

import functools
import http.server
import ssl
import threading


class _Handler(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30

    def list_directory(self, path):
        self.send_error(404)

    def log_message(self, format, *args):  # pylint: disable=redefined-builtin
        pass


class _HttpServer(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request, client_address):
        """A client that went away or did not like the certificate."""


class Server:
    """One static server; with a certificate in the plan it speaks TLS."""

    def __init__(self, plan: dict) -> None:
        handler = functools.partial(_Handler, directory=plan["root"])
        self._server = _HttpServer((plan["host"], plan["port"]), handler)
        if "certificate" in plan:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            context.load_cert_chain(plan["certificate"], plan["key"])
            # The handshake runs in the request's thread, so that a silent client blocks nobody else.
            self._server.socket = context.wrap_socket(
                self._server.socket,
                server_side=True,
                do_handshake_on_connect=False,
            )

    def start(self) -> None:
        threading.Thread(target=self._server.serve_forever, name="static", daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
