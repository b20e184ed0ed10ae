"""A tiny backend with the manners of Ballerina's listener: `python backend_process.py PORT LOG GRACE_S`.

A stop closes the listening socket first, goes on with what it has for GRACE_S, then closes every connection. Headers and
body are written apart and Nagle's algorithm is on, as in servers that a balancer has to cope with. Each POST that it
executes is logged with its id. `?s=SECONDS` makes it take its time, `?until=FILE` wait for a file.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        asked = parse_qs(urlsplit(self.path).query)
        time.sleep(float(asked.get("s", ["0"])[0]))
        while not all(Path(name).exists() for name in asked.get("until", [])):
            time.sleep(0.02)
        is_missing = self.path == "/health" and Path(f"{LOG}.sick").exists()
        self.answer(503 if is_missing else 200, b"x" * 300)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        with Path(LOG).open("a") as log:
            log.write(f"{self.headers.get('X-Request-Id', '-')}\n")
        time.sleep(float(parse_qs(urlsplit(self.path).query).get("s", ["0"])[0]))
        self.answer(201, str(len(body)).encode())

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name in ("Host", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Request-Id", "Connection"):
            if name in self.headers:
                self.send_header(f"Saw-{name}", self.headers[name])
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing: the balancer's log says more."""


class Server(ThreadingHTTPServer):
    request_queue_size = 512
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A client that went away is no news."""


def main() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # in every thread; sigwait takes it
    server = Server(("127.0.0.1", int(sys.argv[1])), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    signal.sigwait({signal.SIGTERM})
    server.shutdown()
    server.socket.setblocking(False)
    with contextlib.suppress(BlockingIOError):  # what came while the loop above ended; a reset would be this file's fault
        while True:
            server.process_request(*server.get_request())
    server.socket.close()  # refuses from here on
    time.sleep(float(sys.argv[3]))
    os._exit(0)


LOG = sys.argv[2] if len(sys.argv) > 2 else os.devnull
if __name__ == "__main__":
    main()
