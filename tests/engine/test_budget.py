"""What ends a rollout: failed requests, a p99 beyond what is allowed, the deadline."""

from __future__ import annotations

from typing import Any

import pytest

from balbook.engine.budget import Budget
from balbook.plan.settings import RolloutSettings


class Measured:
    """Stands in for a measurement: `failed` is what it says of failed requests."""

    def __init__(self, failed: str = "", **p99_ms: float | None) -> None:
        self.failed, self.latencies = failed, p99_ms

    def is_spent(self) -> str:
        return self.failed

    def p99_ms(self, phase: str) -> float | None:
        return self.latencies.get(phase)


def budget(measured: Measured, now: list[float] | None = None, **rollout: Any) -> Budget:
    times = iter(now or [0.0] * 9)
    return Budget(RolloutSettings(**rollout), measured, lambda: next(times))  # type: ignore[arg-type]


def test_nothing_is_spent_where_nothing_is_measured() -> None:
    assert budget(Measured()).is_spent() == ""


def test_failed_requests_end_it() -> None:
    assert budget(Measured("3 requests failed (limit 0)")).is_spent() == "3 requests failed (limit 0)"


def test_the_deadline_ends_it_once_it_has_passed() -> None:
    held = budget(Measured(), [100.0, 109.0, 111.0], deadline_s=10)
    assert held.is_spent() == ""
    assert "deadline of 10 s" in held.is_spent()


@pytest.mark.parametrize(("before", "during", "is_over"), [(20.0, 61.0, True), (20.0, 59.0, False), (2.0, 24.0, False), (2.0, 26.0, True)])
def test_p99_is_held_against_the_time_before_and_25_ms_are_always_allowed(before: float, during: float, is_over: bool) -> None:
    assert bool(budget(Measured(before=before, during=during), max_p99_ratio=3).is_spent()) == is_over


def test_p99_is_not_judged_where_the_samples_cannot_carry_it_or_nobody_asked() -> None:
    assert budget(Measured(before=None, during=500.0), max_p99_ratio=3).is_spent() == ""
    assert budget(Measured(before=1.0, during=None), max_p99_ratio=3).is_spent() == ""
    assert budget(Measured(before=1.0, during=500.0)).is_spent() == ""


def test_p99_is_not_worked_out_at_every_look() -> None:
    measured = Measured(before=1.0, during=10.0)
    held = budget(measured, [0.0, 0.0, 0.1, 0.5, 1.2, 1.3], max_p99_ratio=3)
    assert held.is_spent() == ""
    measured.latencies["during"] = 500.0
    assert held.is_spent() == "", "half a second later"
    assert held.is_spent().startswith("p99 is 500 ms"), "a second later"
