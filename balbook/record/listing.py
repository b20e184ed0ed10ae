"""Records for a person to read: a list, one summary, and what differs between two. Nothing is verified here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from balbook.errors import BadInput, RecordError
from balbook.record.events import Approved, NotApproved
from balbook.record.history import History
from balbook.record.journal import opening_of, read_events
from balbook.record.run_ids import run_folders
from balbook.record.seal import Record, read_record
from balbook.record.statement import STATEMENT, run_id_of

UNSEALED, UNREADABLE = "not sealed", "unreadable"
NOISE_SHARE, NOISE_S = 0.1, 0.5
"""Durations are called different when they differ by more than a tenth and by more than half a second."""

UNTELLING = ("sent", "acknowledged", "acknowledged_posts", "lag_max_ms", "lag_p99_ms", "longest_gap_s", "mixed_window_s")
"""Measurements of the probe that differ between any two runs."""


@dataclass(frozen=True)
class Listed:
    """One line of the list. `verdict` is `not sealed` where there is no statement (yet); `at` is UTC."""

    record: str
    run_id: str
    name: str
    verdict: str
    at: str
    user: str
    environment: str
    release: str
    is_signed: bool
    is_lab: bool


@dataclass(frozen=True)
class Difference:
    """One thing that differs; None where it is on one side only."""

    what: str
    before: Any
    after: Any


def list_records(records: Path) -> list[Listed]:
    """All runs below this folder, oldest first, sealed or not; one that cannot be read is listed as `unreadable`."""
    return [_listed(folder) for folder in run_folders(records)]


def summary(record: Record, others: Iterable[Record] | None = None) -> dict[str, Any]:
    """What `records show` shows, as plain data: the statement's predicate, `steps`, `seconds`, and where else the artifact went.

    `others`: where to look for the same artifact; unset: all records beside this one.
    """
    predicate = {key: value for key, value in record.predicate.items() if key not in ("version", "journals")}
    history = _history(record)
    return {
        **predicate,
        "is_signed": record.is_signed,
        "seconds": history.steps_seconds,
        "steps": _steps(history),
        "approval": _approval(history),
        "files": sorted(record.files),
        "same_artifact": same_artifact(record, others),
    }


def same_artifact(record: Record, others: Iterable[Record] | None = None) -> list[dict[str, str]]:
    """Other records that name the same artifact digest: how it came from staging to production."""
    found = {}
    for other in _readable(record.folder.parent) if others is None else others:
        if other.folder.name != record.folder.name and record.artifacts & other.artifacts:
            kept = {key: str(other.predicate.get(key, "")) for key in ("name", "verdict", "at")}
            found[other.folder.name] = {"record": other.folder.name, "environment": _environment(other.predicate), **kept}
    return list(found.values())


def diff(a: Record, b: Record) -> list[Difference]:
    """What differs in verdict, parameters, digests, versions, steps, durations and measurements; times of day do not count."""
    found: list[Difference] = []
    for what in ("name", "verdict", "why", "mode"):
        found += _differences(what, a.predicate.get(what), b.predicate.get(what))
    for what in ("parameters", "versions", "git", "inventory", "digests"):
        found += _differences(what, a.predicate.get(what, {}), b.predicate.get(what, {}))
    for what, key in (("runbook", "sha256"), ("plan", "digest"), ("subject", "subject")):
        group = "runbooks" if what == "runbook" else "plans"
        found += _differences(what, *({x["runbook"]: x[key] for x in r.predicate.get(group, ())} for r in (a, b)))
    histories = _history(a), _history(b)
    steps_a, steps_b = ({f"{s['step']} on {s['host']}": s for s in _steps(history)} for history in histories)
    found += _differences("step", *({key: s["outcome"] for key, s in steps.items()} for steps in (steps_a, steps_b)))
    durations = [{key: s["seconds"] for key, s in steps.items() if s["seconds"] is not None} for steps in (steps_a, steps_b)]
    found += [d for d in _differences("seconds of", *durations) if not _is_noise(d)]
    total = Difference("seconds", *(history.steps_seconds for history in histories))
    found += [] if _is_noise(total) else [total]
    found += _differences("measurement", *(_comparable(r.predicate.get("measurements", {})) for r in (a, b)))
    return found


# Reading -------------------------------------------------------------------------------------------------------------------


def _listed(folder: Path) -> Listed:
    predicate: Mapping[str, Any] = {"run_id": run_id_of(folder), "verdict": UNREADABLE}
    is_signed = False
    with suppress(RecordError, BadInput):
        if (folder / STATEMENT).exists():
            record = read_record(folder)
            predicate, is_signed = record.predicate, record.is_signed
        elif opened := opening_of(folder):
            predicate = {"at": opened.at, **opened.payload(), "verdict": UNSEALED}
    plans = predicate.get("plans") or [{}]
    parameters = predicate.get("parameters") or {}
    return Listed(
        record=folder.name,
        run_id=str(predicate.get("run_id", "")),
        name=str(predicate.get("name", "")),
        verdict=str(predicate["verdict"]),
        at=str(predicate.get("at", "")),
        user=str((predicate.get("who") or {}).get("user", "")),
        environment=_environment(predicate),
        release=str((plans[-1].get("subject") or {}).get("release") or parameters.get("release", "")),
        is_signed=is_signed,
        is_lab=bool(predicate.get("lab", False)),
    )


def _readable(records: Path) -> Iterator[Record]:
    for path in sorted(records.glob("*/statement.json")):
        try:
            yield read_record(path.parent)
        except (RecordError, BadInput):
            continue


def _environment(predicate: Mapping[str, Any]) -> str:
    return str((predicate.get("inventory") or {}).get("environment", ""))


def _history(record: Record) -> History:
    return History.of(event for journal in record.predicate["journals"] for event in read_events(record.folder / journal["name"]))


def _steps(history: History) -> list[dict[str, Any]]:
    """Each step with its last outcome; `started` or `taking back` where a crash left it so."""
    return [
        {"step": s.id, "host": s.host, "title": s.title, "outcome": s.state, "seconds": s.seconds, "status": s.status}
        for s in history.steps.values()
    ]


def _approval(history: History) -> str:
    """Who approved the plan, or why nobody was asked; empty where nobody had to be."""
    match history.approval:
        case Approved(by=by, run=run):
            return f"by {', '.join(by)} (plan of run {run})"
        case NotApproved(reason=reason):
            return f"not approved, an emergency act: {reason}"
    return ""


# Comparing -----------------------------------------------------------------------------------------------------------------


def _differences(what: str, a: Any, b: Any, *, separator: str = " ") -> Iterator[Difference]:
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        for key in sorted(a.keys() | b.keys()):
            yield from _differences(f"{what}{separator}{key}", a.get(key), b.get(key), separator=".")
    elif a != b:
        yield Difference(what, a, b)


def _comparable(measurements: Mapping[str, Any]) -> dict[str, Any]:
    """What tells two runs apart: failures, p99 of each phase. How much was sent, and to whom, differs from run to run."""
    latency = measurements.get("latency", {})
    kept = {f"p99_ms {phase}": found.get("p99_ms") for phase, found in latency.items() if isinstance(found, Mapping)}
    told = {key: value for key, value in measurements.items() if key not in UNTELLING and not isinstance(value, Mapping)}
    return {**told, **({"failed_by_kind": found} if (found := measurements.get("failed_by_kind")) else {}), **kept}


def _is_noise(difference: Difference) -> bool:
    a, b = difference.before, difference.after
    if a is None or b is None:
        return a is b
    return bool(abs(a - b) <= max(NOISE_S, NOISE_SHARE * max(abs(a), abs(b))))
