"""All runs of a folder of records, read from their journals: one row a run, as a pandas frame.

    run_id, record      the run's id, its folder's name
    at, ended_at        UTC, from the first and the last event
    seconds             from the first event to the last
    runbook, mode       what ran, `plan` or `apply`
    verdict             as the journal states it; `inconclusive` where the run was lost
    environment         the inventory's
    application         empty for a run without one
    version, kind       of the release or the build; `jar`, `native`
    strategy, balancer, fault, instance     of a drill
    changes             steps that changed something
    has_applied         whether it began to change something
    is_stopped          a user asked it to stop while it was applied, and it left no unit half done
    undo_s              of a failure that left every unit as it was: seconds from the failed step until all was undone
    stands              its changes are in force: it succeeded, or only its measurement cannot be trusted
    is_lab              hosts of a lab, Ballerina by the lab's stand-in
    sent, failed_requests, p99_ms           the probe's figures; missing without a probe
    build_s, phases     seconds of the build, and by phase (a dict); missing without a build
    start_s, rss_mb     of a verification: medians over the instances; missing without a measurement
    failover_s, return_s                    of a drill: until the last request met the fault, until the instance answered again

Pipelines are left out: their runbooks have records of their own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from balbook.errors import BadInput, ExitStatus
from balbook.probe.outage import failover_of
from balbook.record.events import ApplyFinished, Event, RunOpened
from balbook.record.history import History
from balbook.record.journal import history_of

if TYPE_CHECKING:
    import pandas as pd

_TIME = "datetime64[ns, UTC]"
COLUMNS = {
    **dict.fromkeys(("run_id", "record"), "str"),
    **dict.fromkeys(("at", "ended_at"), _TIME),
    "seconds": "float64",
    **dict.fromkeys(("runbook", "mode", "verdict", "environment", "application", "version", "kind"), "str"),
    **dict.fromkeys(("strategy", "balancer", "fault", "instance"), "str"),
    "changes": "int64",
    **dict.fromkeys(("has_applied", "is_stopped"), "bool"),
    "undo_s": "float64",
    **dict.fromkeys(("stands", "is_lab"), "bool"),
    **dict.fromkeys(("sent", "failed_requests", "p99_ms", "build_s"), "float64"),
    "phases": "object",
    **dict.fromkeys(("start_s", "rss_mb", "failover_s", "return_s"), "float64"),
}
STOPPED = ("stopped on request", "stopped: asked")
"""The beginnings of the engine's reason where a user asked it to stop; other reasons begin with `stopped: `, too."""
UNTOUCHED = ("taken back", "already", "not reached")


def runs_frame(records: Path, *, since: datetime | None = None, include_lab: bool = False, include_plans: bool = False) -> pd.DataFrame:
    """The runs that were applied, oldest first, with the columns above; a lab's runs and plans only where asked for."""
    import pandas as pd

    rows = [row for row in _rows(records) if (include_plans or row["mode"] == "apply") and (include_lab or not row["is_lab"])]
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    for name in ("at", "ended_at"):
        frame[name] = pd.to_datetime(frame[name], utc=True, format="ISO8601")
    frame = frame.astype(COLUMNS)
    if since is not None:
        frame = frame[frame["at"] >= since]
    return frame.sort_values("at", ignore_index=True)


def phases_frame(runs: pd.DataFrame) -> pd.DataFrame:
    """One row a phase of a build: `at`, `application`, `version`, `kind`, `is_lab`, `phase`, `seconds`."""
    import pandas as pd

    rows = [
        (run["at"], run["application"], run["version"], run["kind"], run["is_lab"], phase, seconds)
        for _, run in runs[runs["build_s"].notna()].iterrows()
        for phase, seconds in run["phases"].items()
    ]
    return pd.DataFrame(rows, columns=["at", "application", "version", "kind", "is_lab", "phase", "seconds"])


def _rows(records: Path) -> Iterator[dict[str, Any]]:
    """A row of every record that can be read; `records verify` names the others."""
    for folder in sorted(records.glob("*")) if records.is_dir() else ():
        with suppress(BadInput):
            history = history_of(folder)
            if history.opened and history.last and not history.opened.pipeline:
                yield _row(folder, history, history.opened, history.last)


def _row(folder: Path, history: History, opened: RunOpened, last: Event) -> dict[str, Any]:
    plan, timed, measured, applied = plan_of(folder), history.timed, history.measured, history.applied
    subject, units, verdict = plan.get("subject", {}), applied.units if applied else {}, history.verdict[0]
    figures = measured.payload() if measured else {}
    latency = (figures.get("latency") or {}).get("all") or {}
    phases = timed.more if timed else {}
    return {
        "run_id": opened.run_id,
        "record": folder.name,
        "at": opened.at,
        "ended_at": last.at,
        "seconds": history.seconds,
        "runbook": opened.runbook,
        "mode": opened.mode,
        "verdict": verdict,
        "environment": opened.environment,
        "application": str(plan.get("application") or opened.parameters.get("application", "")),
        "version": str(subject.get("version") or (timed.version if timed else "")),
        "kind": timed.kind if timed else str(subject.get("kind", "")),
        **{key: str(subject.get(key, "")) for key in ("strategy", "balancer", "fault", "instance")},
        "changes": applied.changes if applied else 0,
        # Bad input is said before anything is touched: then it went no further than asking for the lock.
        "has_applied": history.has_applied and not (applied and applied.exit_status == ExitStatus.BAD_INPUT),
        "is_stopped": bool(applied and applied.why.startswith(STOPPED)) and "NOT taken back" not in units.values(),
        "undo_s": _undo_s(history, applied, units),
        "stands": verdict == "succeeded" or (verdict == "inconclusive" and bool(units) and set(units.values()) <= {"changed", "already"}),
        "is_lab": opened.lab,
        "sent": figures.get("sent"),
        "failed_requests": figures.get("failed"),
        "p99_ms": latency.get("p99_ms", figures.get("p99_ms")),
        "build_s": timed.build_s if timed else None,
        "phases": {name[:-2].replace("_", " "): float(seconds) for name, seconds in phases.items() if name.endswith("_s")},
        "start_s": _median(figures.get("start_s")),
        "rss_mb": _median(figures.get("rss_mb")),
        **_failover(folder, subject),
    }


def _median(by_instance: Any) -> float | None:
    return float(median(by_instance.values())) if isinstance(by_instance, Mapping) and by_instance else None


def _undo_s(history: History, applied: ApplyFinished | None, units: Mapping[str, str]) -> float | None:
    """Seconds from the failed step (else the start of applying) to the end, where all units are as they were before."""
    if applied is None or applied.verdict != "failed" or not units or not set(units.values()) <= set(UNTOUCHED):
        return None
    failed = next((step for step in history.finished if step.outcome == "failed"), None)
    since = failed or history.begun
    return (applied.time - since.time).total_seconds() if since else None


def _failover(folder: Path, subject: Mapping[str, Any]) -> dict[str, float | None]:
    """A drill's two times, from the probe's samples."""
    places = sorted(folder.glob("probe*/summary.json"))
    if subject.get("fault") and places:
        with suppress(OSError, ValueError, KeyError, TypeError):
            found = failover_of(places[-1].parent, str(subject["instance"]))
            return {"failover_s": found.failover_s, "return_s": found.return_s}
    return {"failover_s": None, "return_s": None}


def plan_of(folder: Path) -> dict[str, Any]:
    """The plan in a record, as it stands; empty where it cannot be read."""
    try:
        plan = json.loads((folder / "plan.json").read_bytes())
        return plan if isinstance(plan, dict) and isinstance(plan.get("subject"), dict) else {}
    except (OSError, ValueError):
        return {}
