"""A server whose answers and faults are known, one by one: what the probe is held against."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from balbook.probe.client import ProbeProcess
from balbook.probe.config import ProbeConfig, Stream
from balbook.probe.judge import Findings

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n%s\r\nok"
ANSWERS = {
    "/ok": ANSWER,
    "/chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n%s\r\n2;x=y\r\nok\r\n10\r\n0123456789abcdef\r\n0\r\nT: r\r\n\r\n",
    "/503": b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n%s\r\nbusy",
    "/404": b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n%s\r\n",
    "/garbage": b"ICY 200 OK\r\n\r\n",
    "/cut": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n%s\r\nok",
}


class FaultyServer:
    """Does what the path says, counts it in `did`, and keeps the ids and bodies that it got."""

    def __init__(self) -> None:
        self.did: Counter[str] = Counter()
        self.ids: list[str] = []
        self.bodies: list[str] = []
        self.release = "1.0"
        self._is_over = False
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._is_over = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while not self._is_over:
            with contextlib.suppress(OSError):
                peer, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer: socket.socket) -> None:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with peer, contextlib.suppress(OSError):
            number = 0
            while not self._is_over and (head := _read_request(peer)):
                number += 1
                path = head["path"]
                self.did[path] += 1
                self.ids.append(head["x-request-id"])
                self.bodies.append(head["body"])
                if not self._answer(peer, path, number) or head["connection"] == "close":
                    return

    def _answer(self, peer: socket.socket, path: str, number: int) -> bool:
        """Do what the path says; whether the connection stays open."""
        extra = b"X-Balbook-Upstream: 10.0.0.1:1, 10.0.0.2:2\r\nX-Balbook-Release: %s\r\n" % self.release.encode()
        if path == "/hang":
            peer.settimeout(10)
            peer.recv(1)
        elif path == "/reset":
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif path.startswith("/closes-second") and number == 2:
            time.sleep(0.4 if path.endswith("late") else 0)
            self.did["closed"] += 1
        elif path != "/empty":
            answer = ANSWERS.get(path, ANSWER)
            peer.sendall(answer % extra if b"%s" in answer else answer)
            return path not in ("/cut", "/garbage", "/closes-idle")
        return False


def _read_request(peer: socket.socket) -> dict[str, str]:
    data = b""
    while b"\r\n\r\n" not in data:
        block = peer.recv(4096)
        if not block:
            return {}
        data += block
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    fields = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    while len(body) < int(fields.get("content-length", 0)):
        body += peer.recv(4096)
    return {"path": first.split(" ")[1], "body": body.decode(), **fields}


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    running = FaultyServer()
    yield running
    running.close()


@pytest.fixture
def probe_all(server: FaultyServer, tmp_path: Path) -> Callable[..., Findings]:
    """Probe the server with `count` requests over these streams, and return the findings; files are in `tmp_path/out`."""

    def probe(*streams: Stream, count: int = 60, rate: float = 100, **options: Any) -> Findings:
        config = ProbeConfig(
            "127.0.0.1", server.port, str(tmp_path / "out"), streams, rate=rate, max_seconds=(count - 0.5) / rate, timeout_s=0.6, **options
        )
        with ProbeProcess(config) as process:
            _wait_for(lambda: process.progress()["is_running"] is False)
            return process.stop()

    return probe


def _wait_for(condition: Callable[[], bool], within_s: float = 20) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.02)


@pytest.fixture
def wait_for() -> Callable[[Callable[[], bool]], None]:
    """Wait until a condition holds, and fail where it never does."""
    return _wait_for
