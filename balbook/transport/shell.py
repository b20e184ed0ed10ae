"""A shell on a host that stays open: commands without an input run in it one after the other.

A channel for each command costs the host a process of sshd's, the account's login shell with all that it reads, and a round trip.
Here a command is a line that a running `/bin/sh` reads, in a subshell with an empty input; what it prints is told from what comes
next by a mark that nobody can guess, printed on both streams when it has ended.
"""

from __future__ import annotations

import contextlib
import re
import secrets
import select
import time

import paramiko

from balbook.transport.streams import LOST, Ended, read

COMMAND = "exec /bin/sh"
LONGEST_WAIT_S = 1.0


class NoShell(Exception):
    """The host offers no shell; nothing was run."""


class Shell:
    """One shell on a channel of its own. Not thread-safe."""

    def __init__(self, channel: paramiko.Channel) -> None:
        self._channel = channel
        self._mark = secrets.token_hex(12)
        self._is_proven = False
        try:
            channel.exec_command(COMMAND)
        except LOST as exc:
            raise NoShell from exc

    @property
    def is_usable(self) -> bool:
        return not (self._channel.closed or self._channel.eof_received)

    def run(self, line: str, deadline: float) -> Ended:
        """The result of a line; after the deadline (monotonic) and where the connection was lost, close the shell.

        Raises NoShell where the host does not offer one, before anything has run.
        """
        ended = f"printf '\\n{self._mark}%s.\\n' $?; printf '\\n{self._mark}0.\\n' >&2\n"
        # The first mark tells a shell from whatever else a login may be forced to run.
        text = ("" if self._is_proven else ended) + f"(\n{line}\n) </dev/null\n{ended}"
        with contextlib.suppress(*LOST):  # what has come until then says more
            self._channel.sendall(text.encode())
        marks = 1 if self._is_proven else 2
        out, err = _Stream(self._mark, marks), _Stream(self._mark, marks)
        while not (out.is_whole and err.is_whole):
            left = deadline - time.monotonic()
            if left <= 0:
                return None, out.text, err.text
            self._read(out, err)
            if out.is_whole and err.is_whole:
                break
            if not self.is_usable and not self._channel.recv_ready() and not self._channel.recv_stderr_ready():
                # A connection that is lost ends no stream: then the line may have run, and only its marks have not arrived.
                if out.marks == 0 and not self._is_proven and self._channel.eof_received:
                    raise NoShell
                return -1, out.text, err.text
            select.select([self._channel], [], [], min(left, LONGEST_WAIT_S))
        self._is_proven = True
        return out.status, out.text, err.text

    def close(self) -> None:
        """Ends the shell."""
        self._channel.close()

    def _read(self, out: _Stream, err: _Stream) -> None:
        while self._channel.recv_ready():
            out.add(read(self._channel.recv))
        while self._channel.recv_stderr_ready():
            err.add(read(self._channel.recv_stderr))


class _Stream:
    """The bytes of one stream, until the last of so many marks."""

    def __init__(self, mark: str, wanted: int) -> None:
        self._pattern = re.compile(rb"\n" + mark.encode() + rb"(\d+)\.\n")
        self._longest = len(mark) + 8
        self._data = bytearray()
        self._looked = 0
        self._wanted = wanted
        self.marks = 0
        self.status = 0

    @property
    def is_whole(self) -> bool:
        return self.marks == self._wanted

    @property
    def text(self) -> str:
        return self._data.decode("utf-8", errors="replace")

    def add(self, data: bytes) -> None:
        self._data += data
        while not self.is_whole and (found := self._pattern.search(self._data, self._looked)):
            self.marks += 1
            self.status = int(found[1])
            if self.is_whole:
                del self._data[found.start() :]
            else:
                del self._data[: found.end()]  # with what a login shell says before
            self._looked = 0
        self._looked = max(0, len(self._data) - self._longest)
