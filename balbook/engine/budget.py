"""What a rollout may cost and how long it may take; what is beyond that ends it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from balbook.engine.measure import Measurement

ALWAYS_ALLOWED_P99_MS = 25.0


class Budget:
    """Judges a rollout while it goes on. `rollout` is the plan's setting: `deadline_s`, `max_p99_ratio`."""

    def __init__(self, rollout: Mapping[str, Any], measurement: Measurement, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._rollout, self._measurement, self._monotonic = rollout, measurement, monotonic
        self._began = monotonic()

    def is_spent(self) -> str:
        """Why the rollout must end; empty: it need not."""
        deadline_s = self._rollout.get("deadline_s")
        if deadline_s and self._monotonic() - self._began > float(deadline_s):
            return f"the rollout took longer than its deadline of {float(deadline_s):g} s"
        return self._measurement.is_spent() or self._slow()

    def _slow(self) -> str:
        ratio = self._rollout.get("max_p99_ratio")
        if not ratio:
            return ""
        before, during = self._measurement.p99_ms("before"), self._measurement.p99_ms("during")
        if before is None or during is None:
            return ""
        limit = max(float(ratio) * before, ALWAYS_ALLOWED_P99_MS)
        return f"p99 is {during:.0f} ms, {limit:.0f} ms are allowed ({before:.1f} ms before)" if during > limit else ""
