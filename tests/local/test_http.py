"""HTTP through proxies, with an end, and without secrets for strangers."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from balbook.errors import Failed
from balbook.local.http import ask

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@contextmanager
def server(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """Serves each connection by `serve`; the address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    try:
                        serve(connection)
                    except OSError:
                        continue

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)


def hear(connection: socket.socket, lines: list[str], answer: bytes = OK) -> None:
    """Notes a request's head, then answers the request."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536) or b"\r\n\r\n"
    lines.append(data.decode())
    connection.sendall(answer)


def test_a_request_goes_through_the_proxy_that_the_environment_names(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    with server(lambda connection: hear(connection, lines)) as proxy:
        monkeypatch.setenv("http_proxy", proxy)
        monkeypatch.setenv("no_proxy", "")
        with ask("GET", "http://artifacts.example.com/a", within_s=5, failed=Failed) as answer:
            assert (answer.status, b"".join(answer.content)) == (200, b"ok")
    assert lines[0].startswith("GET http://artifacts.example.com/a HTTP/1.1")


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1", "nonsense://127.0.0.1:1"])
def test_a_proxy_that_cannot_be_used_is_told(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    monkeypatch.setenv("all_proxy", proxy)
    monkeypatch.setenv("no_proxy", "")
    with pytest.raises(Failed, match=r"(?i)proxy"), ask("GET", "http://artifacts.example.com/a", within_s=5, failed=Failed):
        pass


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"])
def test_a_server_that_sends_a_byte_now_and_then_does_not_outlast_the_deadline(head: bytes) -> None:
    def trickle(connection: socket.socket) -> None:
        connection.sendall(head)
        for byte in OK * 20:
            connection.sendall(bytes([byte]))
            time.sleep(0.05)

    began = time.monotonic()
    with (
        server(trickle) as url,
        pytest.raises(Failed, match=r"longer than 0\.4 s"),
        ask("GET", url, within_s=0.4, failed=Failed) as answer,
    ):
        list(answer.content)
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "ftp://127.0.0.1/", "http://[", "http:///a"])
def test_what_gets_no_answer_is_our_error(url: str) -> None:
    with pytest.raises(Failed), ask("GET", url, within_s=5, failed=Failed):
        pass


@pytest.mark.parametrize(("method", "status"), [("GET", 200), ("PUT", 307)])
def test_only_what_asks_is_redirected_and_strangers_get_no_token(method: str, status: int) -> None:
    lines: list[str] = []
    with server(lambda connection: hear(connection, lines)) as other:
        moved = f"HTTP/1.1 307 Moved\r\nLocation: {other}/b\r\nContent-Length: 0\r\n\r\n".encode()
        with server(lambda connection: hear(connection, lines, moved)) as url:
            headers = {"Authorization": "Bearer canary"}
            with ask(method, url, within_s=5, failed=Failed, headers=headers) as answer:
                assert answer.status == status
    assert ["canary" in line for line in lines] == [True, False][: len(lines)]
    assert len(lines) == (2 if method == "GET" else 1)


def test_an_upload_and_a_download_take_little_memory() -> None:
    code = """
import resource, sys, tempfile
from balbook.errors import Failed
from balbook.local.http import ask
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with ask("GET", sys.argv[1], within_s=60, failed=Failed) as answer: list(answer.content)
before = peak()
with tempfile.TemporaryFile() as file:
    file.truncate(200_000_000)
    with ask("PUT", sys.argv[1], within_s=60, failed=Failed, content=file) as answer: assert answer.status == 200
with ask("GET", sys.argv[1] + "/large", within_s=60, failed=Failed) as answer: print(sum(map(len, answer.content)))
print((peak() - before) / (1024 if sys.platform == "linux" else 1024**2))
"""

    def serve(connection: socket.socket) -> None:
        head = connection.recv(65536)
        left = 200_000_000 if head.startswith(b"PUT") else 0
        left -= len(head.partition(b"\r\n\r\n")[2]) if left else 0
        while left:
            left -= len(connection.recv(1 << 20))
        connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        for _ in range(200 if b"/large" in head else 0):
            connection.sendall(bytes(1_000_000))

    with server(serve) as url:
        shown = subprocess.run([sys.executable, "-c", code, url], capture_output=True, text=True, timeout=60, check=False)
    assert shown.returncode == 0, shown.stderr
    length, more_mb = shown.stdout.split()
    assert int(length) == 200_000_000
    assert float(more_mb) < 20
