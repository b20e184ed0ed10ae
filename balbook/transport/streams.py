"""What goes through one channel to a command and comes back from it: bytes, both streams, the exit status."""

from __future__ import annotations

import hashlib
import select
import time
from collections.abc import Callable
from typing import BinaryIO

import paramiko

STALLED_S = 30.0
"""Nothing moves for so long."""
CHUNK = 1 << 18
Ended = tuple[int | None, str, str]
"""Exit status and both streams; None after the deadline, -1 where the connection was lost."""


def send(channel: paramiko.Channel, password: bytes, file: BinaryIO, report: Callable[[int], None]) -> int:
    """The file to the command's standard input, `password` before it; the bytes that were sent, which `report` hears of.

    Fewer than all where the command ended early (disk full, say): its own words follow. Raises TimeoutError with that number.
    """
    channel.settimeout(STALLED_S)
    sent = 0
    try:
        if password:
            channel.sendall(password)
        while chunk := file.read(CHUNK):
            channel.sendall(chunk)
            sent += len(chunk)
            report(sent)
        channel.shutdown_write()
    except TimeoutError as exc:
        raise TimeoutError(sent) from exc
    except OSError:
        pass
    return sent


def receive(channel: paramiko.Channel, file: BinaryIO) -> str:
    """The command's standard output into the file; its sha256. Raises TimeoutError."""
    channel.settimeout(STALLED_S)
    sha256 = hashlib.sha256()
    while chunk := channel.recv(CHUNK):
        file.write(chunk)
        sha256.update(chunk)
    return sha256.hexdigest()


def drain(channel: paramiko.Channel, deadline: float) -> Ended:
    """Both streams to their end and the exit status."""
    out, err = bytearray(), bytearray()
    while True:
        while channel.recv_ready():
            out += channel.recv(CHUNK)
        while channel.recv_stderr_ready():
            err += channel.recv_stderr(CHUNK)
        is_over = channel.eof_received or channel.closed
        if is_over and not channel.recv_ready() and not channel.recv_stderr_ready():
            break
        left = deadline - time.monotonic()
        if left <= 0:
            return None, _text(out), _text(err)
        select.select([channel], [], [], min(left, 1.0))
    has_status = channel.status_event.wait(max(0.0, min(deadline - time.monotonic(), 5.0)))
    return (channel.exit_status if has_status else None), _text(out), _text(err)


def _text(data: bytearray) -> str:
    return data.decode("utf-8", errors="replace")
