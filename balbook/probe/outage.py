"""Failure and return of one instance as clients saw them, from the samples and marks of a probe."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from balbook.probe.phases import IN_SERVICE, Mark, read_marks
from balbook.probe.samples import OK, Sample, read_samples

SLOW_MS = 500.0


@dataclass(frozen=True)
class Failover:
    """Times in seconds since the probe's start; `…_s` of durations. None: it did not happen.

    `failover_s`: from the fault to the intended send of the last request that failed or was slow because of it, 0 where
    none was. `return_s`: from the repair to the first answer of the instance.
    """

    fault_at_s: float | None
    repair_at_s: float | None
    failed_get: int
    failed_other: int
    slow: int
    worst_ms: float
    failover_s: float
    return_s: float | None
    sent: int

    def rows(self) -> list[tuple[str, str]]:
        """The figures for people."""
        returned = f"{self.return_s:.2f} s" if self.return_s is not None else "never"
        return [
            ("requests from the fault to the end", f"{self.sent:,}"),
            ("failed GET", str(self.failed_get)),
            ("failed requests of other methods (never sent again: they may have run)", str(self.failed_other)),
            (f"slower than {SLOW_MS:.0f} ms", str(self.slow)),
            ("worst latency", f"{self.worst_ms:.0f} ms"),
            ("from the fault to the last request that it hit", f"{self.failover_s:.2f} s"),
            ("from the repair to the first answer of the instance", returned),
        ]


def failover_of(out_dir: Path, instance: str) -> Failover:
    """The figures for `instance`, whose states the marks name."""
    marks = [mark for mark in read_marks(out_dir) if mark.name.startswith(f"{instance} ")]
    outages = (mark for mark in marks if mark.name.partition(" ")[2] not in IN_SERVICE)
    fault, repair = next(outages, None), next(outages, None)
    begin_s = fault.at_s if fault else 0.0
    samples = [s for s in read_samples(out_dir) if s.intended_s >= begin_s - 1 and s.completed_s >= begin_s]
    failed = [s for s in samples if s.is_failed]
    slow = [s for s in samples if s.has_latency and s.latency_ms > SLOW_MS]
    met = [s.intended_s for s in (*failed, *slow) if repair is None or s.intended_s < repair.at_s]
    return Failover(
        fault_at_s=fault.at_s if fault else None,
        repair_at_s=repair.at_s if repair else None,
        failed_get=sum(s.stream.startswith("GET ") for s in failed),
        failed_other=sum(not s.stream.startswith("GET ") for s in failed),
        slow=len(slow),
        worst_ms=max((s.latency_ms for s in samples if s.has_latency), default=0.0),
        failover_s=max(0.0, max(met) - begin_s) if met else 0.0,
        return_s=_returned_after(samples, instance, repair),
        sent=len(samples),
    )


def _returned_after(samples: list[Sample], instance: str, repair: Mark | None) -> float | None:
    if repair is None:
        return None
    answers = [s.completed_s for s in samples if s.instance == instance and s.kind == OK and s.intended_s >= repair.at_s]
    return min(answers) - repair.at_s if answers else None
