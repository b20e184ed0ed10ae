"""A shell that stays open: what is made of a channel that ends."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest

from balbook.transport.shell import NoShell, Shell


class Channel:
    """A channel that ends as soon as a line was sent; `says` is what arrives before, with the mark in place of `MARK`."""

    def __init__(self, says: str = "", *, is_ended_by_host: bool = False, refuses: bool = False) -> None:
        self.says, self.is_ended_by_host, self.refuses = says, is_ended_by_host, refuses
        self.closed = self.eof_received = False
        self.arrived = b""

    def exec_command(self, command: str) -> None:
        pass

    def sendall(self, data: bytes) -> None:
        found = re.search(rb"printf '.n([0-9a-f]+)%s", data)
        assert found
        self.arrived = self.says.encode().replace(b"MARK", found[1])
        self.closed, self.eof_received = True, self.is_ended_by_host
        if self.refuses:
            raise OSError("Socket is closed")

    def recv_ready(self) -> bool:
        return bool(self.arrived)

    def recv(self, count: int) -> bytes:
        data, self.arrived = self.arrived, b""
        return data

    def recv_stderr_ready(self) -> bool:
        return False


def run(channel: Any) -> Any:
    return Shell(channel).run("touch ran", time.monotonic() + 5)


@pytest.mark.parametrize("refuses", [False, True])
def test_a_host_that_gives_no_shell_is_told_from_a_connection_that_is_lost(refuses: bool) -> None:
    with pytest.raises(NoShell):
        run(Channel("This account is closed.\n", is_ended_by_host=True, refuses=refuses))
    assert run(Channel("Welcome\n", refuses=refuses)) == (-1, "Welcome\n", ""), "it may have run: nobody may run it again"


@pytest.mark.parametrize("is_ended_by_host", [False, True])
def test_a_shell_that_has_begun_is_one(is_ended_by_host: bool) -> None:
    assert run(Channel("\nMARK0.\nbegun", is_ended_by_host=is_ended_by_host, refuses=True)) == (-1, "begun", "")
