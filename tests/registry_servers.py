"""Servers of a test's own: S3, and a raw HTTP repository as Nexus has it, where what stands there is not replaced."""

from __future__ import annotations

import base64
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CREDENTIALS = "ci:correct horse battery"


class RawRepository(ThreadingHTTPServer):
    """`contents` by path. `refuses_with`: the status for a PUT over something; `moved_to`: where GETs are redirected."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.contents: dict[str, bytes] = {}
        self.authorizations: list[str | None] = []
        self.refuses_with = 400
        self.moved_to = ""
        self.is_cutting_off = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/repository/raw"


@contextmanager
def raw_repository() -> Iterator[RawRepository]:
    server = RawRepository()
    with served(server):
        yield server


@contextmanager
def served(server: ThreadingHTTPServer) -> Iterator[str]:
    """The server answers in a thread until the block ends; its address."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


@contextmanager
def s3_bucket(name: str) -> Iterator[str]:
    """A new bucket in an S3 server of the test's own, to which fsspec goes meanwhile."""
    import fsspec
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    before = dict(os.environ)
    os.environ |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test-secret", "AWS_DEFAULT_REGION": "us-east-1"}
    os.environ["AWS_ENDPOINT_URL"] = f"http://{host}:{port}"
    # Instances are kept by their arguments, which do not name the server; the test module before this one had another.
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    fsspec.filesystem("s3").mkdir(name)
    yield f"s3://{name}"
    os.environ.clear()
    os.environ |= before
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    server.stop()


class _Handler(BaseHTTPRequestHandler):
    server: RawRepository

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._give(is_whole=False)

    def do_GET(self) -> None:
        self._give(is_whole=True)

    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        if not self._is_allowed():
            return
        if self.path in self.server.contents:
            self._say(self.server.refuses_with)
            return
        self.server.contents[self.path] = content
        self._say(201)

    def _give(self, *, is_whole: bool) -> None:
        if self.server.moved_to:
            self.send_response(302)
            self.send_header("Location", self.server.moved_to + self.path.removeprefix("/repository/raw"))
            self.end_headers()
            return
        if not self._is_allowed():
            return
        content = self.server.contents.get(self.path)
        if content is None:
            self._say(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if is_whole:
            self.wfile.write(content[: len(content) // 2] if self.server.is_cutting_off else content)

    def _is_allowed(self) -> bool:
        given = self.headers.get("Authorization")
        self.server.authorizations.append(given)
        if given == "Basic " + base64.b64encode(CREDENTIALS.encode()).decode():
            return True
        self._say(401)
        return False

    def _say(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()
