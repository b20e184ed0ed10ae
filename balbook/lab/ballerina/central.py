"""A stand-in for Ballerina Central: tokens per org, versions that never change, and faults on demand.

Endpoints, below `Central.url`: `GET packages/ORG/NAME` (the versions), `GET packages/ORG/NAME/VERSION` (302 to the
archive), `POST packages` with the multipart field `bala-file` (204).
"""

from __future__ import annotations

import json
import sys
import tempfile
import threading
from collections.abc import Mapping
from contextlib import suppress
from email import message_from_bytes
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from balbook.errors import BadInput
from balbook.lab.ballerina.bala import identity
from balbook.lab.ballerina.central_client import already_there
from balbook.lab.ballerina.package import precedence
from balbook.lab.ballerina.said import Refusal
from balbook.local.atomic_files import write_bytes
from balbook.local.names import require_word

Fault = Literal["", "unauthorized", "error", "hang"]
MAX_BODY = 64 * 1024 * 1024


class Central:
    """A registry on 127.0.0.1 that keeps its archives in `directory`; start it, or use it as a context.

    `tokens` maps a token to the orgs that it may push to. `fault` answers every push with 401 or 500, or with nothing
    until it is set back.
    """

    def __init__(self, directory: Path, tokens: Mapping[str, tuple[str, ...]], *, host: str = "127.0.0.1", port: int = 0) -> None:
        self.directory = directory
        self.tokens = dict(tokens)
        self._lock = threading.Lock()
        self._is_free = threading.Event()
        self._is_free.set()
        self._fault: Fault = ""
        self._server = _Server((host, port), _Request)
        self._server.central = self
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def url(self) -> str:
        """The base URL, which hosts have as `BALBOOK_LAB_CENTRAL`."""
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}/2.0/registry"

    @property
    def fault(self) -> Fault:
        return self._fault

    @fault.setter
    def fault(self, fault: Fault) -> None:
        self._fault = fault
        if fault == "hang":
            self._is_free.clear()
        else:
            self._is_free.set()

    def start(self) -> Self:
        """Serves from a thread of its own."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Ends the server and frees its port."""
        self._is_free.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def serve_forever(self) -> None:
        """Serves from this thread until an interruption; for a process of its own."""
        try:
            self._server.serve_forever()
        finally:
            self._server.server_close()

    def versions(self, org: str, name: str) -> list[str]:
        """The versions of a package, newest first."""
        found = (path.stem for path in (self.directory / org / name).glob("*.bala"))
        return sorted(found, key=precedence, reverse=True)

    def archive(self, org: str, name: str, version: str) -> Path:
        """The path of an archive."""
        return self.directory / org / name / f"{version}.bala"

    def push(self, token: str, content: bytes) -> tuple[int, str]:
        """Takes an archive; HTTP status and message of the answer."""
        self._is_free.wait()
        if self._fault == "error":
            return 500, "Internal Server Error"
        with tempfile.TemporaryDirectory() as directory:
            received = Path(directory) / "received.bala"
            received.write_bytes(content)
            try:
                org, name, version = (require_word(word, "the package's") for word in identity(received))
                precedence(version)
            except (Refusal, BadInput):
                return 400, "invalid bala file"
        if self._fault == "unauthorized" or org not in self.tokens.get(token, ()):
            return 401, "the access token is not valid for this organization"
        return self._kept(org, name, version, content)

    def _kept(self, org: str, name: str, version: str, content: bytes) -> tuple[int, str]:
        path = self.archive(org, name, version)
        with self._lock:
            if path.exists():
                return 400, already_there(org, name, version)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(path, content, is_durable=False)
        return 204, ""


class _Server(ThreadingHTTPServer):
    central: Central
    daemon_threads = True
    block_on_close = False


class _Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        central = self.server.central
        match self._words():
            case ["packages", org, name] if versions := central.versions(org, name):
                self._answer(200, json.dumps(versions).encode())
            case ["packages", org, name, version] if central.archive(org, name, version).is_file():
                self._answer(302, b"", {"Location": f"{central.url}/archives/{org}/{name}/{version}"})
            case ["archives", org, name, version] if central.archive(org, name, version).is_file():
                self._answer(200, central.archive(org, name, version).read_bytes(), {"Content-Type": "application/octet-stream"})
            case ["packages", org, name, *_]:
                self._fail(404, f"package not found: {org}/{name}")
            case _:
                self._fail(404, "not found")

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", "0"))
        content = self.rfile.read(length) if length <= MAX_BODY else b""
        if self._words() != ["packages"]:
            self._fail(404, "not found")
            return
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        status, message = self.server.central.push(token, _bala_field(self.headers.get("Content-Type", ""), content))
        if status == 204:
            self._answer(204, b"")
        else:
            self._fail(status, message)

    def _words(self) -> list[str]:
        """The words of the path below the base; empty where a word is not safe as a part of a path."""
        words = self.path.split("?")[0].removeprefix("/2.0/registry").strip("/").split("/")
        try:
            return [require_word(word, "the path's") for word in words]
        except BadInput:
            return []

    def _fail(self, status: int, message: str) -> None:
        self._answer(status, json.dumps({"message": message}).encode())

    def _answer(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        with suppress(ConnectionError):  # the client can have given up
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
                self.send_header(name, value)
            if status != 204:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Prints nothing, so that no token gets into the output."""


def _bala_field(content_type: str, body: bytes) -> bytes:
    """The multipart field `bala-file`; empty without one."""
    if not content_type.startswith("multipart/form-data"):
        return b""
    message = message_from_bytes(b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + body, policy=HTTP)
    for part in message.iter_parts():
        if part.get_param("name", header="content-disposition") == "bala-file":
            return bytes(part.get_payload(decode=True))
    return b""


def main() -> None:
    """Runs `python -m balbook.lab.ballerina.central DIRECTORY PORT ADDRESS`, with the tokens as JSON on standard input."""
    directory, port, address = sys.argv[1:]
    tokens = {token: tuple(orgs) for token, orgs in json.load(sys.stdin).items()}
    central = Central(Path(directory), tokens, host=address, port=int(port))
    print(central.url, flush=True)
    central.serve_forever()


if __name__ == "__main__":
    main()
