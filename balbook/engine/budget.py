"""Limits of a rollout: its cost and its time. A rollout beyond a limit ends."""

from __future__ import annotations

import time
from collections.abc import Callable

from balbook.engine.measure import Unmeasured, too_slow
from balbook.plan.settings import RolloutSettings

P99_EVERY_S = 1.0
P99_SHARE = 4.0
"""p99 is worked out from all samples so far: at most once in so many times as long as that takes."""


class Budget:
    """Judges a rollout while it goes on."""

    def __init__(self, rollout: RolloutSettings, measurement: Unmeasured, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._rollout, self._measurement, self._monotonic = rollout, measurement, monotonic
        self._began = self._p99_due = monotonic()
        self._too_slow = ""

    def is_spent(self) -> str:
        """Why the rollout must end; empty: it need not."""
        deadline_s = self._rollout.deadline_s
        if deadline_s and self._monotonic() - self._began > deadline_s:
            return f"the rollout took longer than its deadline of {deadline_s:g} s"
        return self._measurement.is_spent() or self._slow()

    def _slow(self) -> str:
        ratio = self._rollout.max_p99_ratio
        if ratio and (began := self._monotonic()) >= self._p99_due:
            self._too_slow = self._judged_p99(ratio)
            took_s = self._monotonic() - began
            self._p99_due = began + took_s + max(P99_EVERY_S, P99_SHARE * took_s)
        return self._too_slow

    def _judged_p99(self, ratio: float) -> str:
        before, during = self._measurement.p99_ms("before"), self._measurement.p99_ms("during")
        return "" if before is None or during is None else too_slow(ratio, before, during)
