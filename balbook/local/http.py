"""HTTP to foreign servers: through the environment's proxies, by the machine's own certificates, and with a deadline for every request.

Bodies are streamed both ways, so that an artifact takes no more memory than a web page.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import IO, Any

from balbook.errors import BalbookError

SILENT_S = 60.0
"""The longest wait for the next byte."""


@dataclass(frozen=True)
class Answer:
    """A server's answer; `content` can be read once, as it arrives, and is never unpacked."""

    status: int
    reason: str
    content: Iterator[bytes]


@contextlib.contextmanager
def ask(
    method: str,
    url: str,
    *,
    within_s: float,
    failed: Callable[[str], BalbookError],
    content: IO[bytes] | bytes | None = None,
    headers: Mapping[str, str] | None = None,
    credentials: str = "",
) -> Iterator[Answer]:
    """The answer, of any status; raises `failed(why)` where no answer comes, or not the whole answer `within_s`.

    `credentials`, `user:password`, and an `Authorization` header never go to another server: only GET and HEAD follow a
    redirect, without them. `why` does not repeat the address, which may hold a secret.
    """
    import httpx

    deadline = _Deadline(within_s)
    user, _, password = credentials.partition(":")
    try:
        with (
            deadline,
            httpx.Client(verify=_certificates(), timeout=min(SILENT_S, within_s)) as client,
            client.stream(
                method,
                url,
                content=content,
                headers={"User-Agent": "balbook", "Accept-Encoding": "identity", **(headers or {})},
                auth=httpx.BasicAuth(user, password) if credentials else None,
                follow_redirects=method in ("GET", "HEAD"),
                extensions={"trace": deadline.on_event},
            ) as response,
        ):
            yield Answer(response.status_code, response.reason_phrase, response.iter_raw())
    # ImportError: a SOCKS proxy in the environment. ValueError: a proxy's address or a header's value that cannot be one.
    except (httpx.HTTPError, httpx.InvalidURL, ImportError, ValueError) as exc:
        raise failed(deadline.why or str(exc) or type(exc).__name__) from exc


class _Deadline:
    """Shuts a request's connections at its deadline, which a peer that sends a byte now and then does not outlast."""

    def __init__(self, seconds: float) -> None:
        self.why, self._seconds = "", seconds
        self._streams: list[Any] = []
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    def on_event(self, name: str, about: Mapping[str, Any]) -> None:
        if name.endswith((".connect_tcp.complete", ".start_tls.complete")):
            self._streams.append(about["return_value"])

    def _end(self) -> None:
        self.why = f"the request took longer than {self._seconds:g} s"
        for stream in self._streams:
            # By a descriptor of its own: Python's TLS sockets forget their keys when they are shut down.
            with contextlib.suppress(OSError), socket.fromfd(stream.get_extra_info("socket").fileno(), 0, 0) as same:
                same.shutdown(socket.SHUT_RDWR)


@cache
def _certificates() -> ssl.SSLContext:
    """The certificates that this machine trusts, a company's own included, and not the collection that comes with httpx."""
    return ssl.create_default_context()
