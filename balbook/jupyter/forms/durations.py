"""How long it took before: what earlier records of the same runbook and application say."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from balbook.plan.model import Plan
from balbook.record.journal import Event
from balbook.record.statement import JOURNAL, whole_events

MOST_RECORDS = 60
"""Records that are looked at, newest first; a notebook does not wait for years of them."""


@dataclass(frozen=True)
class Expected:
    """The median of earlier runs, in seconds; None where there was none. `runs`: how many it is of."""

    seconds: float | None = None
    runs: int = 0

    def __str__(self) -> str:
        if self.seconds is None:
            return "Expected duration: unknown (no earlier run)."
        runs = "1 earlier run" if self.runs == 1 else f"{self.runs} earlier runs"
        return f"Expected duration: about {spoken(self.seconds)} (median of {runs})."


def expected(plan: Plan, records: Path) -> Expected:
    """From the runs of this runbook on this application that succeeded and changed something."""
    folders = sorted(records.glob(f"*-{plan.runbook}-*"), reverse=True)[:MOST_RECORDS]
    found = [seconds for folder in folders for seconds in _seconds(list(whole_events(folder / JOURNAL)), plan)]
    return Expected(statistics.median(found), len(found)) if found else Expected()


def spoken(seconds: float) -> str:
    """`41 s`, `3 min 5 s`."""
    whole = round(seconds)
    return f"{whole} s" if whole < 100 else f"{whole // 60} min {whole % 60} s"


def _seconds(events: list[Event], plan: Plan) -> Iterator[float]:
    opened = next((e for e in events if e["event"] == "run_opened"), {})
    if (opened.get("parameters") or {}).get("application", plan.application) != plan.application:
        return
    began = next((e for e in events if e["event"] == "apply_started"), None)
    ended = next((e for e in events if e["event"] == "apply_finished"), None)
    if began and ended and ended.get("verdict") == "succeeded" and ended.get("changes"):
        yield (datetime.fromisoformat(ended["at"]) - datetime.fromisoformat(began["at"])).total_seconds()
