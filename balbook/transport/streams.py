"""Traffic of one channel: bytes to a command, both its streams, its exit status."""

from __future__ import annotations

import base64
import hashlib
import secrets
import select
import time
from collections.abc import Callable
from typing import BinaryIO

import paramiko

STALLED_S = 30.0
"""The longest time without a byte."""
STATUS_WITHIN_S = 5.0
"""The exit status follows the end of both streams."""
CHUNK = 1 << 18
LOST = (paramiko.SSHException, EOFError, OSError)
"""Errors of paramiko where the connection is gone; the moment decides which one."""
Ended = tuple[int | None, str, str]
"""Exit status and both streams; None after the deadline, -1 where the connection was lost."""
MARK = secrets.token_hex(12)
"""A text that no other program prints."""
LONGEST_GREETING = 1 << 20
NOT_RUN = 127, "", "the login ran another program instead (is a command forced on this key?)"


def for_any_login(line: str) -> str:
    """A line that has `/bin/sh` run `line` under any login shell: csh and fish read quotes, `!` and line ends otherwise.

    MARK goes before it on both streams: what comes earlier is how the login greets.
    """
    text = f"printf '{MARK}\\n'; printf '{MARK}\\n' >&2; exec {line}"
    return f"""exec /bin/sh -c 'eval "$(echo {base64.b64encode(text.encode()).decode()} | base64 -d || echo exit 127)"'"""


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
    except LOST:
        pass
    return sent


def receive(channel: paramiko.Channel, file: BinaryIO) -> tuple[str, int | None]:
    """The command's standard output into the file; its sha256, and the exit status as in `Ended`. Raises TimeoutError."""
    channel.settimeout(STALLED_S)
    sha256 = hashlib.sha256()
    greeting, has_begun = b"", False
    while chunk := read(channel.recv):
        if not has_begun:
            greeting += chunk
            _, has_begun, chunk = _at_mark(greeting)
        if has_begun:
            file.write(chunk)
            sha256.update(chunk)
        elif len(greeting) > LONGEST_GREETING:
            break
    return sha256.hexdigest(), _status(channel, time.monotonic() + STALLED_S)


def read(receive: Callable[[int], bytes]) -> bytes:
    """The bytes that `channel.recv` or `recv_stderr` has; none after the end of the stream or of the connection. Raises TimeoutError."""
    try:
        return receive(CHUNK)
    except TimeoutError:
        raise
    except LOST:  # raised where it acknowledges what it has read
        return b""


def drain(channel: paramiko.Channel, deadline: float) -> Ended:
    """Both streams to their end, without what the login says before, and the exit status."""
    out, err = bytearray(), bytearray()
    while True:
        while channel.recv_ready():
            out += read(channel.recv)
        while channel.recv_stderr_ready():
            err += read(channel.recv_stderr)
        is_over = channel.eof_received or channel.closed
        if is_over and not channel.recv_ready() and not channel.recv_stderr_ready():
            break
        left = deadline - time.monotonic()
        if left <= 0:
            return None, _said(out), _said(err)
        select.select([channel], [], [], min(left, 1.0))
    status = _status(channel, deadline)
    if status == 0 and not _at_mark(out)[1]:
        return NOT_RUN
    return status, _said(out), _said(err)


def _status(channel: paramiko.Channel, deadline: float) -> int | None:
    has_come = channel.status_event.wait(max(0.0, min(deadline - time.monotonic(), STATUS_WITHIN_S)))
    return channel.exit_status if has_come else None


def _at_mark(data: bytes | bytearray) -> tuple[bytes, bool, bytes]:
    """The bytes before the mark, True where the mark was found, the bytes after it."""
    before, mark, after = bytes(data).partition(f"{MARK}\n".encode())
    return before, bool(mark), after


def _said(data: bytearray) -> str:
    """The output of the command; where the command never began, the output of the login."""
    before, has_begun, after = _at_mark(data)
    return (after if has_begun else before).decode("utf-8", errors="replace")
