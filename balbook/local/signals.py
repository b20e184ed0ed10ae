"""Signals that this process answers for a while."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def answered(numbers: tuple[signal.Signals, ...], answer: Callable[[int, Any], object]) -> Iterator[None]:
    """Calls `answer` for these signals until the block ends. Does nothing outside the main thread, which alone can listen."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, answer) for number in numbers}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)
