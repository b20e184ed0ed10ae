"""Journals in tests: their lines as they stand on disk, and events made from a few of their fields."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import MISSING
from pathlib import Path
from typing import Any

from balbook.local.digests import sha256_of
from balbook.record.chain import journal_faults
from balbook.record.events import KINDS, OWN, Event
from balbook.record.history import History
from balbook.record.journal import Journal

Line = dict[str, Any]


def lines(journal: Journal | Path) -> list[Line]:
    """Every whole line of a journal, as plain data."""
    path = journal.path if isinstance(journal, Journal) else journal
    data = path.read_bytes() if path.exists() else b""
    return [json.loads(line) for line in data[: data.rfind(b"\n") + 1].splitlines()]


def last(journal: Journal | Path, *kinds: str) -> Line | None:
    """The last line of one of these kinds."""
    return next((line for line in reversed(lines(journal)) if line["event"] in kinds), None)


def verified(path: Path) -> list[Line]:
    """Every line of a journal whose chain is whole."""
    found = path.read_bytes().splitlines()
    assert journal_faults(path.read_bytes(), head=sha256_of(found[-1]), events=len(found)) == []
    return lines(path)


def made(kind: str, /, **given: Any) -> Event:
    """An event of this kind with these fields; what a test does not care about is empty."""
    empty = {field.name: _empty(str(field.type)) for field in OWN[kind] if field.default is MISSING and field.name not in given}
    known = {*(field.name for field in OWN[kind]), "seq", "at"}
    own = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items() if name in known}
    if kind == "run_opened":
        empty = {**empty, "journal": 1, "name": given.get("runbook", "")}
    return KINDS[kind](**{**empty, **own}, more={name: value for name, value in given.items() if name not in known})


def writer(journal: Journal) -> Callable[..., Event]:
    """Appends an event of a kind with some of its fields."""

    def write(kind: str, /, **given: Any) -> Event:
        return journal.append(made(kind, **given))

    return write


def history(happened: Iterable[Line]) -> History:
    """The history of these events, each with some of its fields."""
    return History.of(made(line["event"], **{k: v for k, v in line.items() if k != "event"}) for line in happened)


def _empty(kind: str) -> Any:
    if kind.startswith("Mapping"):
        return {}
    if kind.startswith("tuple"):
        return ()
    return {"int": 0, "float": 0.0, "bool": False}.get(kind, None if "None" in kind else "")
