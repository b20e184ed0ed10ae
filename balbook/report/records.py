"""All runs of a folder of records, read from their journals: one row a run, as a pandas frame.

    run_id, record      the run's id, its folder's name
    at, ended_at        UTC, from the first and the last event
    seconds             from the first event to the last
    runbook, mode       what ran, `plan` or `apply`
    verdict             as the journal states it; `inconclusive` where the run was lost
    environment         the inventory's
    application         empty where it was about none
    version, kind       of the release or the build; `jar`, `native`
    strategy, balancer, fault, instance     of a drill
    changes             steps that changed something
    has_applied         whether it began to change something
    is_stopped          somebody asked it to stop while it was applied, and it left no unit half done
    undo_s              of a failure that left every unit as it was: seconds from the step that failed to the end of taking back
    stands              whether what it was to do stands: it succeeded, or only what was measured beside it cannot be trusted
    is_lab              hosts of a lab, Ballerina by the lab's stand-in
    sent, failed_requests, p99_ms           what the probe measured; missing where nothing was
    build_s, phases     seconds of the build, and by phase (a dict); missing where nothing was built
    start_s, rss_mb     of a verification: medians over the instances; missing where nothing was measured
    failover_s, return_s                    of a drill: until the last request met the fault, until the instance answered again

Pipelines are left out: their runbooks have records of their own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from balbook.errors import ExitStatus
from balbook.probe.outage import failover_of
from balbook.record.journal import Event
from balbook.record.statement import JOURNAL, run_id_of, verdict_of, whole_events

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = {
    "run_id": "str",
    "record": "str",
    "at": "datetime64[ns, UTC]",
    "ended_at": "datetime64[ns, UTC]",
    "seconds": "float64",
    "runbook": "str",
    "mode": "str",
    "verdict": "str",
    "environment": "str",
    "application": "str",
    "version": "str",
    "kind": "str",
    "strategy": "str",
    "balancer": "str",
    "fault": "str",
    "instance": "str",
    "changes": "int64",
    "has_applied": "bool",
    "is_stopped": "bool",
    "undo_s": "float64",
    "stands": "bool",
    "is_lab": "bool",
    "sent": "float64",
    "failed_requests": "float64",
    "p99_ms": "float64",
    "build_s": "float64",
    "phases": "object",
    "start_s": "float64",
    "rss_mb": "float64",
    "failover_s": "float64",
    "return_s": "float64",
}
STOPPED = ("stopped on request", "stopped: asked")
"""How the engine begins to say that somebody asked for the end; it says `stopped: ` with another reason where nobody did."""
UNTOUCHED = ("taken back", "already", "not reached")
NOT_PHASES = ("build_s",)


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
    for folder in sorted(records.glob("*")) if records.is_dir() else ():
        events = list(whole_events(folder / JOURNAL))
        if events and events[0]["event"] == "run_opened" and not events[0].get("pipeline"):
            yield _row(folder, events)


def _row(folder: Path, events: Sequence[Event]) -> dict[str, Any]:
    opened, plan = events[0], _plan(folder)
    subject, timed, measured = plan.get("subject", {}), _last(events, "timed"), _last(events, "measured")
    applied, at, ended_at = _last(events, "apply_finished"), str(opened["at"]), str(events[-1]["at"])
    units = applied.get("units") or {}
    verdict = verdict_of(list(events))[0]
    latency = (measured.get("latency") or {}).get("all") or {}
    return {
        "run_id": run_id_of(folder),
        "record": folder.name,
        "at": at,
        "ended_at": ended_at,
        "seconds": (datetime.fromisoformat(ended_at) - datetime.fromisoformat(at)).total_seconds(),
        "runbook": str(opened.get("runbook", "")),
        "mode": str(opened.get("mode", "")),
        "verdict": verdict,
        "environment": str(opened.get("environment", "")),
        "application": str(plan.get("application") or opened.get("parameters", {}).get("application", "")),
        "version": str(subject.get("version") or timed.get("version", "")),
        "kind": str(timed.get("kind") or subject.get("kind", "")),
        **{key: str(subject.get(key, "")) for key in ("strategy", "balancer", "fault", "instance")},
        "changes": int(applied.get("changes", 0)),
        "has_applied": _has_applied(events, applied),
        "is_stopped": str(applied.get("why", "")).startswith(STOPPED) and "NOT taken back" not in units.values(),
        "undo_s": _undo_s(events, applied, units),
        "stands": verdict == "succeeded" or (verdict == "inconclusive" and bool(units) and set(units.values()) <= {"changed", "already"}),
        "is_lab": bool(opened.get("lab", False)),
        "sent": measured.get("sent"),
        "failed_requests": measured.get("failed"),
        "p99_ms": latency.get("p99_ms", measured.get("p99_ms")),
        "build_s": timed.get("build_s"),
        "phases": {k[:-2].replace("_", " "): float(v) for k, v in timed.items() if k.endswith("_s") and k not in NOT_PHASES},
        "start_s": _median(measured.get("start_s")),
        "rss_mb": _median(measured.get("rss_mb")),
        **_failover(folder, subject),
    }


def _median(by_instance: Any) -> float | None:
    return float(median(by_instance.values())) if isinstance(by_instance, Mapping) and by_instance else None


def _has_applied(events: Sequence[Event], applied: Event) -> bool:
    """It went further than asking for the lock."""
    has_begun = bool(_last(events, "apply_started"))
    return has_begun and applied.get("exit_status") != ExitStatus.BAD_INPUT


def _undo_s(events: Sequence[Event], applied: Event, units: Mapping[str, str]) -> float | None:
    """From the step that failed (else the start of applying) to the end, where all units are as they were before."""
    if applied.get("verdict") != "failed" or not units or not set(units.values()) <= set(UNTOUCHED):
        return None
    since = [e for e in events if e["event"] == "step_finished" and e.get("outcome") == "failed"] or [_last(events, "apply_started")]
    return (datetime.fromisoformat(applied["at"]) - datetime.fromisoformat(since[0]["at"])).total_seconds()


def _failover(folder: Path, subject: Mapping[str, Any]) -> dict[str, float | None]:
    """A drill's two times, from the probe's samples."""
    places = sorted(folder.glob("probe*/summary.json"))
    if subject.get("fault") and places:
        with suppress(OSError, ValueError, KeyError, TypeError):
            found = failover_of(places[-1].parent, str(subject["instance"]))
            return {"failover_s": found.failover_s, "return_s": found.return_s}
    return {"failover_s": None, "return_s": None}


def _plan(folder: Path) -> dict[str, Any]:
    try:
        plan = json.loads((folder / "plan.json").read_bytes())
        return plan if isinstance(plan, dict) and isinstance(plan.get("subject"), dict) else {}
    except (OSError, ValueError):
        return {}


def _last(events: Sequence[Event], name: str) -> Event:
    return next((event for event in reversed(events) if event["event"] == name), {})
