"""One TCP connection that carries one request at a time, without ever blocking.

`send` starts a request, `on_ready` goes on when the socket is ready; both answer with the outcome's kind once it is
known, and with "" before. Nothing is sent twice.
"""

from __future__ import annotations

import contextlib
import errno
import selectors
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from balbook.errors import HostUnreachable
from balbook.probe.response import BadResponse, ResponseReader
from balbook.probe.samples import CLOSED_BY_RELOAD, DROPPED, OK, RACE_S

RECEIVE = 1 << 16
_KINDS = {
    errno.ECONNREFUSED: "refused",
    errno.ETIMEDOUT: "timeout",
    **dict.fromkeys((errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN, errno.EHOSTDOWN), "unreachable"),
    **dict.fromkeys((errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.ENOBUFS, errno.ENOMEM), DROPPED),
}


@dataclass(slots=True)
class Request:
    """A request in flight; times in seconds of the probe's clock."""

    index: int
    stream: int
    due: float
    sent: float
    deadline: float
    payload: bytes
    connection: Connection | None = None


class Target(NamedTuple):
    """The resolved address that connections go to."""

    family: int
    address: tuple[str, int] | tuple[str, int, int, int]


def resolve(name: str, port: int) -> Target:
    """The address behind a name, looked up once; of several the first that accepts a connection, else the first."""
    try:
        found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    except socket.gaierror as exc:
        raise HostUnreachable(name, f"the name {name} has no address: {exc.strerror}", advice="Set connect_to to an address.") from exc
    targets = [Target(entry[0], entry[4]) for entry in found]  # type: ignore[arg-type]  # a pair, or IPv6's four
    return next((target for target in targets if _accepts(target)), targets[0]) if len(targets) > 1 else targets[0]


def with_every_address(instances: Mapping[str, str]) -> dict[str, str]:
    """`HOST:PORT` → instance, with every address that each host's name has: a balancer says an address, never a name.

    Looked up where the probe runs, since a plan must not change with what a name has today. One that has no address here
    stays as it is. IPv6 addresses stand with brackets, as NGINX writes them, and without, as HAProxy does.
    """
    found = dict(instances)
    for place, instance in instances.items():
        name, _, port = place.rpartition(":")
        with contextlib.suppress(OSError, ValueError):
            for entry in socket.getaddrinfo(name.strip("[]"), int(port), type=socket.SOCK_STREAM):
                address = entry[4][0]
                found |= {f"{address}:{port}": instance, **({f"[{address}]:{port}": instance} if ":" in str(address) else {})}
    return found


def _accepts(target: Target) -> bool:
    with socket.socket(target.family, socket.SOCK_STREAM) as attempt:
        attempt.settimeout(1.0)
        return attempt.connect_ex(target.address) == 0


class Connection:
    """A non-blocking connection to the target. Opening it may raise OSError only for a lack of descriptors."""

    __slots__ = ("_unsent", "events", "is_connected", "is_reused", "reader", "request", "socket", "stream")

    def __init__(self, target: Target, stream: int) -> None:
        self.socket = socket.socket(target.family, socket.SOCK_STREAM)
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.stream = stream
        self.events = 0  # what the loop's selector watches for
        self.is_connected = False
        self.is_reused = False
        self.request: Request | None = None
        self.reader = ResponseReader()
        self._unsent = b""

    def open(self, target: Target) -> str:
        """Begin to connect; the kind of failure where that fails at once."""
        code = self.socket.connect_ex(target.address)
        return "" if code in (0, errno.EINPROGRESS, errno.EWOULDBLOCK) else failure_kind(code)

    @property
    def is_stale(self) -> bool:
        """True where the peer closed the idle connection, or sent bytes without a request."""
        try:
            self.socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return True

    @property
    def wanted_events(self) -> int:
        """The events to wait for; a server may answer before it has read the whole request."""
        if not self._unsent:
            return selectors.EVENT_READ
        return selectors.EVENT_READ | selectors.EVENT_WRITE if self.is_connected else selectors.EVENT_WRITE

    def send(self, request: Request) -> str:
        """Start a request; on a connection that is still being made it leaves as soon as that is done."""
        self.request = request
        request.connection = self
        self.reader = ResponseReader()
        self._unsent = request.payload
        return self._write(request.sent)

    def on_ready(self, now: float) -> str:
        """Go on with the request in hand; the outcome's kind once there is one."""
        if self._unsent and (kind := self._write(now)):
            return kind
        if not self.is_connected:
            return ""
        try:
            data = self.socket.recv(RECEIVE)
        except BlockingIOError:
            return ""
        except OSError as exc:
            return self._closed(failure_kind(exc.errno), now)
        try:
            if data:
                return OK if self.reader.feed(data) else ""
            if not self.reader.is_started:
                return self._closed("reset", now)
            self.reader.end()
        except BadResponse:
            return "bad_response"
        return OK

    def close(self) -> None:
        """Let go of the socket and of the request."""
        if self.request is not None:
            self.request.connection = None
            self.request = None
        self.socket.close()

    def _write(self, now: float) -> str:
        try:
            count = self.socket.send(self._unsent)
        except BlockingIOError:
            return ""
        except OSError as exc:
            if exc.errno in (errno.ENOTCONN, errno.EALREADY, errno.EINPROGRESS):
                return ""
            # A server may answer and close before it has read all: what it said counts.
            return self._answer_before_close(failure_kind(exc.errno), now)
        self.is_connected = True
        self._unsent = self._unsent[count:]
        return ""

    def _answer_before_close(self, kind: str, now: float) -> str:
        self._unsent = b""
        if not self.is_connected:
            return kind
        try:
            data = self.socket.recv(RECEIVE)
            if data and self.reader.feed(data):
                self.reader.is_reusable = False
                return OK
        except (OSError, BadResponse):
            pass
        return self._closed(kind, now)

    def _closed(self, kind: str, now: float) -> str:
        """A close by the peer: told apart from the race with a reload's close of idle connections (see `samples`)."""
        if kind != "reset" or not self.is_reused or self.reader.is_started or self.request is None:
            return kind
        return CLOSED_BY_RELOAD if now - self.request.sent <= RACE_S else kind


def failure_kind(code: int | None) -> str:
    """The sample kind of an `errno`."""
    return _KINDS.get(code or 0, "reset")
