"""Records for a person to read: a list, one summary, the differences between two. Nothing is verified here."""

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
"""Two durations count as different where they differ by more than a tenth and by more than half a second."""

UNTELLING = ("sent", "acknowledged", "acknowledged_posts", "lag_max_ms", "lag_p99_ms", "longest_gap_s", "mixed_window_s")
"""Measurements of the probe that differ between any two runs."""


@dataclass(frozen=True)
class Listed:
    """One line of the list. `verdict` is `not sealed` for a run without a statement; `at` is UTC."""

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
    """One difference; None stands for a value that only the other side has."""

    what: str
    before: Any
    after: Any


def list_records(records: Path) -> list[Listed]:
    """All runs below this folder, oldest first, sealed or not; an unreadable run is listed as `unreadable`."""
    return [_listed(folder) for folder in run_folders(records)]


def summary(record: Record, others: Iterable[Record] | None = None) -> dict[str, Any]:
    """The content of `records show` as plain data: the statement's predicate, `steps`, `seconds`, and other runs of the artifact.

    `others`: the records among which to look for the same artifact; unset: all records beside this one.
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
    """Other records that name the same artifact digest: the artifact's way from staging to production."""
    found = {}
    for other in readable(record.folder.parent) if others is None else others:
        if other.folder.name != record.folder.name and record.artifacts & other.artifacts:
            kept = {key: str(other.predicate.get(key, "")) for key in ("name", "verdict", "at")}
            found[other.folder.name] = {"record": other.folder.name, "environment": _environment(other.predicate), **kept}
    return list(found.values())


def diff(a: Record, b: Record) -> list[Difference]:
    """The differences in verdict, parameters, digests, versions, steps, durations and measurements; times of day do not count."""
    before, after = _comparable(a), _comparable(b)
    found = [difference for what in before for difference in _differences(what, before[what], after[what])]
    return [difference for difference in found if not (difference.what.startswith("seconds") and _is_noise(difference))]


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


def readable(records: Path) -> Iterator[Record]:
    """The sealed records below this folder, oldest first, without those that cannot be read."""
    for path in sorted(records.glob(f"*/{STATEMENT}")):
        with suppress(RecordError, BadInput):
            yield read_record(path.parent)


def _environment(predicate: Mapping[str, Any]) -> str:
    return str((predicate.get("inventory") or {}).get("environment", ""))


def _history(record: Record) -> History:
    return History.of(event for journal in record.predicate["journals"] for event in read_events(record.folder / journal["name"]))


def _steps(history: History) -> list[dict[str, Any]]:
    """Each step with its last outcome; `started` or `taking back` where a crash interrupted the step."""
    return [
        {"step": s.id, "host": s.host, "title": s.title, "outcome": s.state, "seconds": s.seconds, "status": s.status}
        for s in history.steps.values()
    ]


def _approval(history: History) -> str:
    """The people who approved the plan, or the reason for an act without approval; empty where no approval was needed."""
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


def _comparable(record: Record) -> dict[str, Any]:
    """The values of a record that can be compared with another run's."""
    said, history = record.predicate, _history(record)
    steps = {f"{step['step']} on {step['host']}": step for step in _steps(history)}
    return {
        **{key: said.get(key) for key in ("name", "verdict", "why", "mode")},
        **{key: said.get(key, {}) for key in ("parameters", "versions", "git", "inventory", "digests")},
        "runbook": {each["runbook"]: each["sha256"] for each in said.get("runbooks", ())},
        "plan": {each["runbook"]: each["digest"] for each in said.get("plans", ())},
        "subject": {each["runbook"]: each["subject"] for each in said.get("plans", ())},
        "step": {key: step["outcome"] for key, step in steps.items()},
        "seconds of": {key: step["seconds"] for key, step in steps.items() if step["seconds"] is not None},
        "seconds": history.steps_seconds,
        "measurement": _telling(said.get("measurements", {})),
    }


def _telling(measurements: Mapping[str, Any]) -> dict[str, Any]:
    """The measurements that tell two runs apart: failures, p99 of each phase. Counts and targets of requests differ in any two runs."""
    latency = measurements.get("latency", {})
    p99 = {f"p99_ms {phase}": found.get("p99_ms") for phase, found in latency.items() if isinstance(found, Mapping)}
    kept = {key: value for key, value in measurements.items() if key not in UNTELLING and not isinstance(value, Mapping)}
    return {**kept, **({"failed_by_kind": found} if (found := measurements.get("failed_by_kind")) else {}), **p99}


def _is_noise(difference: Difference) -> bool:
    a, b = difference.before, difference.after
    if a is None or b is None:
        return a is b
    return bool(abs(a - b) <= max(NOISE_S, NOISE_SHARE * max(abs(a), abs(b))))
