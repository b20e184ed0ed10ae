"""The report at the end of the demonstration. Pure."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from balbook.show.table import Table

FEWEST_FRESH = 2000
"""The least number of requests on fresh connections from which a count of failures means anything."""


@dataclass(frozen=True)
class Shown:
    """The outcome of one runbook of an act. `record`: the folder of the record, None without one."""

    title: str
    runbook: str
    verdict: str
    seconds: float
    changes: int = 0
    why: str = ""
    measurements: Mapping[str, Any] = field(default_factory=dict)
    record: Path | None = None
    is_under_load: bool = False


def missed(shown: Sequence[Shown]) -> list[str]:
    """The broken promises of the demonstration, a sentence each; empty where all promises hold."""
    found = [f"{act.title}: {act.verdict}: {act.why}" for act in shown if act.verdict not in ("up", "succeeded")]
    for act in shown:
        if act.is_under_load and act.verdict == "succeeded":
            found += [f"{act.title}: {sentence}" for sentence in _missed_requests(act.measurements)]
    return found


def text(shown: Sequence[Shown], missed: Sequence[str], seconds: float, *, relative_to: Path) -> str:
    """The whole report."""
    parts = [str(_acts(shown))]
    parts += [str(_requests(act)) for act in shown if "sent" in act.measurements]
    files = [path for act in shown for path in _files(act)]
    if files:
        parts.append("Look at\n" + "\n".join(f"  {os.path.relpath(path, relative_to)}" for path in files))
    end = "Not as it should be:\n" + "\n".join(f"  {sentence}" for sentence in missed) if missed else "All as it should be."
    return "\n\n".join([*parts, f"{end} The demo took {seconds:.0f} s."])


def fresh_and_kept(measurements: Mapping[str, Any]) -> tuple[int, int]:
    """Answered requests on fresh and on kept-alive connections, of all streams and instances."""
    served: Mapping[str, Mapping[str, int]] = measurements.get("served", {})
    fresh = sum(sum(by.values()) for stream, by in served.items() if stream.endswith("fresh"))
    return fresh, sum(sum(by.values()) for by in served.values()) - fresh


def _missed_requests(measurements: Mapping[str, Any]) -> list[str]:
    fresh, _ = fresh_and_kept(measurements)
    found = []
    if fresh < FEWEST_FRESH:
        found.append(f"only {fresh:,} requests on fresh connections were answered (limit {FEWEST_FRESH:,})")
    for key, sentence in (
        ("failed", "requests failed"),
        ("missing_posts", "acknowledged POSTs were never executed"),
        ("duplicate_posts", "acknowledged POSTs were executed more than once"),
    ):
        if measurements.get(key, 0):
            found.append(f"{measurements[key]} {sentence}")
    if "acknowledged_posts" not in measurements:
        found.append(f"the number of executed POSTs is not known: {measurements.get('posts', 'no POST was sent')}")
    return found


def _acts(shown: Sequence[Shown]) -> Table:
    rows = [(act.title, act.runbook or "-", f"{act.seconds:.1f} s", act.changes if act.runbook else "-", act.verdict) for act in shown]
    return Table(("step", "runbook", "time", "changes", "verdict"), rows, title="Steps")


def _requests(act: Shown) -> Table:
    measured = act.measurements
    fresh, kept = fresh_and_kept(measured)
    rows: list[tuple[str, object]] = [
        ("sent", measured["sent"]),
        ("answered on fresh connections", fresh),
        ("answered on kept-alive connections", kept),
        ("failed", measured["failed"]),
        *((f"  of them {kind.replace('_', ' ')}", count) for kind, count in measured.get("failed_by_kind", {}).items()),
        ("kept-alive connections closed by a reload before any answer", measured["closed_by_reload"]),
        ("POSTs acknowledged", measured.get("acknowledged_posts", "unknown")),
        ("  never executed", measured.get("missing_posts", "unknown")),
        ("  executed more than once", measured.get("duplicate_posts", "unknown")),
        *((f"answered by release {release}", count) for release, count in measured.get("releases", {}).items()),
    ]
    latency = measured.get("latency", {}).get("all", {})
    rows += [(f"latency {name}", f"{latency[key]:.1f} ms") for name, key in _PERCENTILES if latency.get(key) is not None]
    shown = [(name, f"{value:,}" if isinstance(value, int) else value) for name, value in rows]
    return Table(("requests", "number"), shown, title=f"Requests while this ran: {act.title}")


_PERCENTILES = (("p50", "p50_ms"), ("p99", "p99_ms"), ("at most", "max_ms"))


def _files(act: Shown) -> list[Path]:
    """The executed notebook and the plots of a runbook, as far as they exist."""
    if act.record is None:
        return []
    return [path for path in (act.record / f"{act.runbook}.ipynb", *sorted(act.record.glob("*.png"))) if path.is_file()]
