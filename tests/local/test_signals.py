"""Signals are answered until the block ends, and as before from then on."""

from __future__ import annotations

import signal
import threading

from balbook.local.signals import answered


def test_signals_are_answered_until_the_block_ends() -> None:
    before, heard = signal.getsignal(signal.SIGTERM), list[int]()
    with answered((signal.SIGTERM, signal.SIGINT), lambda number, _: heard.append(number)):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
    assert heard == [signal.SIGINT, signal.SIGTERM]
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_thread_that_may_not_listen_goes_on_without() -> None:
    done = list[bool]()

    def work() -> None:
        with answered((signal.SIGTERM,), lambda number, _: None):
            done.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(10)
    assert done == [True]
