"""The statement of a record: an in-toto statement made from a run's folder as it stands.

`statement.json` is an in-toto Statement v1 (https://github.com/in-toto/attestation) with one subject for every file of the
folder except itself and its signature. Its `predicateType` is `https://github.com/balbook/balbook/record/v1`:

    version            1
    record, run_id     the folder's and the run's name; `name`: what ran (a runbook or a pipeline)
    verdict, why       as the journal's `run_closed` states it; without that event `inconclusive`, `lost_run`
    at, started_at     the time of the seal; the time of the first event (UTC)
    who, mode, reason, ticket, parameters, inventory, git, versions, lab      as the journal's `run_opened` has them
    runbooks           [{runbook, sha256}]: the sources that were run
    journals           [{name, head, events, cut_bytes}]: sha256 of the last whole line, number of lines, bytes that a crash left behind
    plans              [{name, digest, runbook, application, subject}]
    digests            every sha256 in the plans' subjects (artifact, configuration, …) by its path there
    measurements       the journal's `measured` events, and `summary.json` of probes
    signing_key        fingerprint of the key that was to sign; empty: none was named
    ledger_head        {number, sha256}: the ledger's last entry right before the signing (number 0: none); older ones lack it
    notes              facts for a reader: clocks that went backwards, a line that was cut off
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from balbook.errors import RecordError
from balbook.local.digests import canonical, sha256_of, sha256_of_file
from balbook.record.events import Event
from balbook.record.history import History
from balbook.record.journal import JOURNAL, START, read_events, timestamp

VERSION = 1
STATEMENT, SIGNATURE = "statement.json", "statement.json.sig"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://github.com/balbook/balbook/record/v1"
_SEALERS = {"version", "record", "at", "signing_key", "ledger_head"}
"""The keys that the seal adds to the content of journals and files."""
MOST_SHOWN = 80
_OPENED = ("who", "mode", "reason", "ticket", "parameters", "inventory", "git", "versions", "lab")


def state(run_dir: Path, *, at: datetime, signing_key: str = "") -> dict[str, Any]:
    """The statement over a run's folder as it stands. RecordError without a journal, or where an entry is not a regular file."""
    names = list(files_of(run_dir))
    predicate = _predicate(run_dir, names, at, signing_key)
    if not predicate["journals"]:
        raise RecordError(f"{run_dir} has no journal.jsonl, so its run is unknown", advice="Name a folder that balbook made for a run.")
    subject = [{"name": name, "digest": {"sha256": sha256_of_file(run_dir / name)}} for name in names]
    return {"_type": STATEMENT_TYPE, "subject": subject, "predicateType": PREDICATE_TYPE, "predicate": predicate}


def contradictions(run_dir: Path, stated: Mapping[str, Any]) -> list[str]:
    """The contradictions between a predicate and the journals and files of its record, which are taken to be unaltered."""
    try:
        found = _predicate(run_dir, list(files_of(run_dir)), datetime.fromisoformat(stated["at"]), "")
    except (ValueError, KeyError, TypeError, AttributeError):
        return [f"cannot be compared with {STATEMENT}: one of the two is not written as balbook writes"]
    faults = [f"{name} is not among the journals of {STATEMENT}" for name in _names(found) - _names(stated)]
    for key in sorted((found.keys() | set(_OPENED)) - _SEALERS - ({"journals"} if faults else set())):
        ours, theirs = found.get(key), stated.get(key)
        if json.dumps(ours, sort_keys=True) != json.dumps(theirs, sort_keys=True):
            is_short = all(isinstance(value, str) and len(value) < MOST_SHOWN for value in (ours, theirs))
            faults.append(
                f"{key}: the journal says {ours}, the statement says {theirs}" if is_short else f"{key}: the statement says something else"
            )
    return faults


def _names(predicate: Mapping[str, Any]) -> set[str]:
    return {str(journal["name"]) for journal in predicate["journals"]}


def _predicate(run_dir: Path, names: list[str], at: datetime, signing_key: str) -> dict[str, Any]:
    journals = [_journal(run_dir, name) for name in names if name.rpartition("/")[2] == JOURNAL]
    events = [event for journal in journals for event in read_events(run_dir / journal["name"])]
    history = History.of(events)
    opened = history.opened.payload() if history.opened else {}
    plans = [_plan(run_dir, name) for name in names if name.rpartition("/")[2] == "plan.json"]
    verdict, why = history.verdict
    return {
        "version": VERSION,
        "record": run_dir.name,
        "run_id": run_id_of(run_dir),
        "name": opened.get("name") or opened.get("runbook") or run_dir.name,
        "verdict": verdict,
        "why": why,
        "at": timestamp(at),
        "started_at": history.first.at if history.first else "",
        **{key: opened[key] for key in _OPENED if key in opened},
        "versions": opened.get("versions", {}) | ({"hosts": history.versions.hosts} if history.versions else {}),
        "runbooks": [{"runbook": each.runbook, "sha256": each.runbook_sha256} for each in history.openings],
        "journals": journals,
        "plans": plans,
        "digests": {path: value for plan in plans for path, value in _digests(plan["subject"])},
        "measurements": history.measurements() | _summaries(run_dir, names),
        "signing_key": signing_key,
        "notes": [*clock_notes(events, at), *(f"{j['name']}: the last event was cut off" for j in journals if j["cut_bytes"])],
    }


def run_id_of(run_dir: Path) -> str:
    """The run's id: the last part of its folder's name."""
    return run_dir.name.rpartition("-")[2]


def files_of(run_dir: Path) -> Iterator[str]:
    """The names of a record's files, in order: all files below the folder except hidden ones, the statement and its signature."""
    for path in sorted(run_dir.rglob("*")):
        name = path.relative_to(run_dir).as_posix()
        is_left_out = name in (STATEMENT, SIGNATURE) or any(part.startswith(".") for part in name.split("/"))
        if is_left_out or (path.is_dir() and not path.is_symlink()):
            continue
        if path.is_symlink() or not path.is_file():
            raise RecordError(f"{path} is not a regular file", advice="A record holds its files itself: replace the link by the file.")
        yield name


def clock_notes(events: Sequence[Event], at: datetime | None = None) -> list[str]:
    """The places where the clock went backwards; not faults, since the chain gives the order."""
    steps = [(f"event {b.seq} ({b.event})", a.at, b.at) for a, b in pairwise(events) if a.seq + 1 == b.seq]
    if at and events:
        steps.append(("the seal", events[-1].at, timestamp(at)))
    return [f"the clock went backwards before {what}: from {a} to {b}" for what, a, b in steps if b < a]


def _journal(run_dir: Path, name: str) -> dict[str, Any]:
    *lines, cut = (run_dir / name).read_bytes().split(b"\n")
    return {"name": name, "head": sha256_of(lines[-1]) if lines else START, "events": len(lines), "cut_bytes": len(cut)}


def _plan(run_dir: Path, name: str) -> dict[str, Any]:
    try:
        data = json.loads((run_dir / name).read_bytes())
        return {"name": name, "digest": sha256_of(canonical(data))} | {k: data[k] for k in ("runbook", "application", "subject")}
    except (ValueError, KeyError, TypeError):
        return {"name": name, "digest": "", "runbook": "", "application": "", "subject": {}}


def _digests(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping | list):
        for key, item in value.items() if isinstance(value, Mapping) else enumerate(value):
            yield from _digests(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, str) and re.fullmatch(r"(sha256:)?[0-9a-f]{64}", value):
        yield path, value.removeprefix("sha256:")


def _summaries(run_dir: Path, names: list[str]) -> dict[str, Any]:
    """The summaries that probes kept beside the journal."""
    found: dict[str, Any] = {}
    for name in names:
        folder, _, file = name.rpartition("/")
        if file == "summary.json":
            with suppress(ValueError):
                found[folder or "summary"] = json.loads((run_dir / name).read_bytes())
    return found
