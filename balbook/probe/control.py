"""Orders to the probe from outside: lines on standard input, signals, and the end of its starter."""

from __future__ import annotations

import contextlib
import gc
import os
import resource
import selectors
import signal
import sys
from collections.abc import Callable

_SPARE_DESCRIPTORS = 1 << 16


class Control:
    """`why_stopped` is empty until the probe is to end, then says why.

    It ends on a `stop` line, the end of standard input, SIGTERM, SIGINT, the death of the starter, or when its time is
    up. A line `phase NAME` goes to `mark`.
    """

    def __init__(self, selector: selectors.BaseSelector, mark: Callable[[str], None]) -> None:
        self.why_stopped = ""
        self._mark = mark
        self._selector = selector
        self._starter = os.getppid()
        self._text = b""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda n, _: self._stop(signal.Signals(n).name))
        try:
            selector.register(0, selectors.EVENT_READ, self._read)
        except (PermissionError, OSError, ValueError):  # a file, or closed: nothing more will come from there
            self._stop("end of standard input")

    def look(self, is_time_up: bool) -> None:
        """Checks the two ends that come without an event: the time is up, the starter is dead."""
        if is_time_up or os.getppid() != self._starter:
            self._stop("max_seconds" if is_time_up else "death of the starter")

    def _read(self) -> None:
        data = os.read(0, 4096)
        if not data:
            self._selector.unregister(0)
            self._stop("end of standard input")
        *lines, self._text = (self._text + data).split(b"\n")
        for line in lines:
            word, _, rest = line.decode("utf-8", "replace").strip().partition(" ")
            if word == "stop":
                self._stop("stop")
            elif word == "phase" and rest:
                self._mark(rest)
            elif word:
                print(f"unknown order {word!r}: use `stop` or `phase NAME`", file=sys.stderr)

    def _stop(self, why: str) -> None:
        self.why_stopped = self.why_stopped or why


def calm_process() -> None:
    """Takes away the causes of a late loop: garbage collection, long turns of the recorder's thread, low priority.

    Reference counts free all that the loop makes; a higher priority and more descriptors are taken where allowed.
    """
    gc.collect()
    gc.freeze()
    gc.disable()
    sys.setswitchinterval(0.0001)
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, -10)
    if hasattr(os, "sched_setscheduler"):  # Linux; its kernel keeps 5 % of the time for everyone else
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _SPARE_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _SPARE_DESCRIPTORS)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
