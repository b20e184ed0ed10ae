"""The expected duration of a plan, by earlier records of the same runbook and application."""

from __future__ import annotations

import statistics
from contextlib import suppress
from pathlib import Path

from balbook.errors import BadInput
from balbook.plan.model import Plan
from balbook.record.journal import history_of

MOST_RECORDS = 60
"""The number of records that are read, newest first; a notebook does not wait for years of records."""


UNKNOWN = "Expected duration: unknown (no earlier run)."


def expected(plan: Plan, records: Path) -> str:
    """A sentence: the median of the runs of this runbook on this application that succeeded and changed something."""
    found = []
    for folder in sorted(records.glob(f"*-{plan.runbook}-*"), reverse=True)[:MOST_RECORDS]:
        with suppress(BadInput):
            history = history_of(folder)
            began, ended = history.first_begun, history.applied
            is_like = history.parameters.get("application", plan.application) == plan.application
            if is_like and began and ended and ended.verdict == "succeeded" and ended.changes:
                found.append((ended.time - began.time).total_seconds())
    runs = "1 earlier run" if len(found) == 1 else f"{len(found)} earlier runs"
    return f"Expected duration: about {spoken(statistics.median(found))} (median of {runs})." if found else UNKNOWN


def spoken(seconds: float) -> str:
    """`41 s`, `3 min 5 s`."""
    whole = round(seconds)
    return f"{whole} s" if whole < 100 else f"{whole // 60} min {whole % 60} s"
