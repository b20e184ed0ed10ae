"""A connection through a jump host ends once the host behind it says nothing."""

from __future__ import annotations

import threading
import time
from typing import Any

from balbook.transport.silence import watch


class Host:
    """A connection to a host that answers so many times; `ended` once it is closed."""

    def __init__(self, answers: int) -> None:
        self.answers, self.asked, self.ended = answers, 0, threading.Event()

    def is_active(self) -> bool:
        return not self.ended.is_set()

    def global_request(self, kind: str, wait: bool) -> None:
        assert wait, "else nobody would answer"
        self.asked += 1
        if self.asked > self.answers:
            self.ended.wait(30)

    def join(self, timeout: float) -> None:
        self.ended.wait(timeout)

    def close(self) -> None:
        self.ended.set()


def test_a_host_that_no_longer_answers_is_given_up() -> None:
    host: Any = Host(answers=3)
    began = time.monotonic()
    watch(host, every_s=0.01, silent_s=0.3).join(20)
    assert not host.is_active()
    assert host.asked == 4
    assert time.monotonic() - began >= 0.3


def test_one_that_answers_is_not_and_the_watch_ends_with_the_connection() -> None:
    host: Any = Host(answers=1_000_000)
    asking = watch(host, every_s=0.01, silent_s=0.1)
    time.sleep(0.4)
    assert host.is_active()
    host.close()
    asking.join(20)
    assert not asking.is_alive()


def test_a_connection_that_is_lost_while_it_is_asked_ends_the_watch() -> None:
    class Lost(Host):
        def global_request(self, kind: str, wait: bool) -> None:
            self.ended.set()
            raise EOFError

    host: Any = Lost(answers=0)
    asking = watch(host, every_s=10, silent_s=10)
    asking.join(20)
    assert not asking.is_alive()
