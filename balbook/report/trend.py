"""Comparison of each measure in the earlier and in the later half of the time: better or worse?

A measure is better or worse when it moved by more than a tenth (rates: by more than five percentage points); a measure with fewer
than three values in a half is not judged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from balbook.report.dora import dora

if TYPE_CHECKING:
    import pandas as pd

LEAST_VALUES = 3
NOISE_SHARE, NOISE_RATE = 0.10, 0.05
BETTER, WORSE, SAME, UNKNOWN = "better", "worse", "about the same", "too few to say"


@dataclass(frozen=True)
class Trend:
    """One measure. `is_up_good`: more of it is better. `before` and `now` are of the earlier and the later half."""

    name: str
    unit: str
    is_up_good: bool
    before: float | None
    now: float | None
    values_before: int
    values_now: int

    @property
    def verdict(self) -> str:
        """`better`, `worse`, `about the same`, or `too few to say`."""
        if self.before is None or self.now is None or min(self.values_before, self.values_now) < LEAST_VALUES:
            return UNKNOWN
        noise = NOISE_RATE if self.unit == "%" else NOISE_SHARE * abs(self.before)
        if abs(self.now - self.before) <= noise:
            return SAME
        return BETTER if (self.now > self.before) == self.is_up_good else WORSE


def trends(runs: pd.DataFrame, deployments: pd.DataFrame, begin: pd.Timestamp, end: pd.Timestamp) -> list[Trend]:
    """The four DORA measures, failover latency, and build times, each kind of artifact apart."""
    middle = begin + (end - begin) / 2
    halves = [(begin, middle), (middle, end)]
    early, late = (deployments[(deployments["at"] >= a) & (deployments["at"] < b)] for a, b in halves)
    before, now = (dora(deployments, a, b) for a, b in halves)
    counts = len(early), len(late)
    found = [
        Trend("Deployment frequency", "a week", True, before.per_week, now.per_week, *counts),
        Trend("Lead time", "h", False, before.lead_time_h, now.lead_time_h, *_counts("lead_time_h", early, late)),
        Trend("Change failure rate", "%", False, before.failure_rate, now.failure_rate, *counts),
        Trend("Time to restore", "h", False, before.restore_h, now.restore_h, *_counts("restore_h", early, late)),
    ]
    parts = [runs[(runs["at"] >= a) & (runs["at"] < b)] for a, b in halves]
    found.append(_failover_trend(parts))
    for kind, label in (("jar", "Build time of jars"), ("native", "Build time of native binaries")):
        found.append(_median_trend(label, "build_s", [part[part["kind"] == kind] for part in parts]))
    return [trend for trend in found if trend.before is not None or trend.now is not None]


def headline(found: Sequence[Trend]) -> tuple[str, str]:
    """The answer in a word (`better`, `worse`, `mixed`, `about the same`, `too few to say`) and in a sentence."""
    judged = [t for t in found if t.verdict != UNKNOWN]
    better, worse = ([t.name.lower() for t in judged if t.verdict == which] for which in (BETTER, WORSE))
    if not judged:
        return UNKNOWN, "There are too few runs to compare an earlier half with a later one."
    word = "mixed" if better and worse else BETTER if better else WORSE if worse else SAME
    for clear, many, few in ((BETTER, better, worse), (WORSE, worse, better)):
        word = clear if len(many) >= 2 * max(1, len(few)) else word
    parts = [f"{len(better)} of {len(judged)} measures improved"]
    parts += [f"worse: {', '.join(worse)}"] if worse else ["no measure got worse"]
    return word, "; ".join(parts) + "."


def _median_trend(name: str, column: str, parts: Sequence[pd.DataFrame]) -> Trend:
    before, now = (float(part[column].median()) if part[column].notna().any() else None for part in parts)
    return Trend(name, "s", False, before, now, *_counts(column, *parts))


def _failover_trend(parts: Sequence[pd.DataFrame]) -> Trend:
    """The mean of the medians by strategy and fault, over those that were drilled in both halves: another mix is no progress."""
    medians = [part.dropna(subset=["failover_s"]).groupby(["strategy", "fault"])["failover_s"].median() for part in parts]
    shared = medians[0].index.intersection(medians[1].index)
    before, now = (float(found[shared].mean()) if len(shared) else None for found in medians)
    return Trend("Failover latency", "s", False, before, now, *_counts("failover_s", *parts))


def _counts(column: str, *parts: pd.DataFrame) -> tuple[int, int]:
    first, second = (int(part[column].notna().sum()) for part in parts)
    return first, second
