"""The run's append-only chain of events: one JSON line each, flushed to disk before the action it announces.

Every line has `seq` (1, 2, …), `at` (UTC, ISO 8601 with milliseconds), `event` and `prev`: the sha256 of the line before,
without its line end (64 zeros for the first). Several processes append to one journal (the notebook's kernel, the run's
own process, the runner), each under a lock on the file. `events` describes the lines, `history` the state that they add up to.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from balbook.errors import BadInput, Failed
from balbook.local import locks
from balbook.local.atomic_files import sync
from balbook.local.digests import canonical, sha256_of
from balbook.record.events import Event, RunOpened
from balbook.record.history import History
from balbook.record.lines import event_from

JOURNAL = "journal.jsonl"
START = "0" * 64
UNWRITABLE = "Check the space on this machine's disk and your rights there. No action starts before the journal has announced it."
Fields = dict[str, Any]


def utc_now() -> datetime:
    """The wall clock, UTC."""
    return datetime.now(UTC)


class Journal:
    """Appends to and reads one journal file.

    `clean` is applied to every event before it is written (secrets are scrubbed there).
    """

    def __init__(self, path: Path, *, now: Callable[[], datetime] = utc_now, clean: Callable[[Fields], Fields] = lambda f: f) -> None:
        self.path = path
        self._now = now
        self._clean = clean

    def clean(self, text: str) -> str:
        """`text` as it would be written here. Clean a text before you shorten it: half a secret is not recognised."""
        return str(self._clean({"text": text})["text"])

    def append(self, event: Event) -> Event:
        """Writes one event and flushes it to disk; returns the event with its place. Failed where the disk refuses."""
        try:
            return self._append(event)
        except OSError as exc:
            raise Failed(f"{self.path} cannot be written: {exc.strerror or exc}", advice=UNWRITABLE) from exc

    def _append(self, event: Event) -> Event:
        with locks.holding(self.path) as fd:
            end, last = _last_line(fd)
            seq = json.loads(last)["seq"] + 1 if last else 1
            at = timestamp(self._now())
            head = {"seq": seq, "at": at, "event": event.event, "prev": sha256_of(last) if last else START}
            line = canonical(self._cleaned(event) | head) + b"\n"
            # A crash may have left the start of a line behind the last whole one; this rest is cut off first.
            os.ftruncate(fd, end)
            if os.pwrite(fd, line, end) < len(line):
                os.ftruncate(fd, end)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(fd)
            if seq == 1:
                sync(self.path.parent)
        return replace(event, seq=seq, at=at)

    def _cleaned(self, event: Event) -> Fields:
        """The event's fields without secrets. Numbers stay: a count with the digits of a secret must be read as a count again."""
        plain: Fields = json.loads(json.dumps(event.payload(), default=str))
        return {key: plain[key] if isinstance(plain.get(key), int | float) else value for key, value in self._clean(plain).items()}

    def events(self) -> list[Event]:
        """All whole events, in order, without a check of the chain; BadInput naming the line that is not an event."""
        return list(read_events(self.path))

    def history(self) -> History:
        """The history of all events so far; BadInput as `events`."""
        return History.of(read_events(self.path))

    def follow(self, position: int = 0) -> tuple[list[Event], int]:
        """Events written since `position` (bytes), and the position for the next call."""
        if not self.path.exists():
            return [], position
        with self.path.open("rb") as file:
            file.seek(position)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        first = 1 if position == 0 else None
        return [_event(self.path, first and first + i, line) for i, line in enumerate(whole.splitlines())], position + len(whole)


def read_events(path: Path) -> Iterator[Event]:
    """The events of a journal; BadInput naming the line that is not an event. A last line that a crash cut off is passed over."""
    if not path.is_file():
        return
    for number, line in enumerate(path.read_bytes().split(b"\n")[:-1], 1):
        yield _event(path, number, line)


def opening_of(run_dir: Path) -> RunOpened | None:
    """The first event of the run in this folder, read alone; None without a journal. BadInput as `read_events`."""
    first = next(read_events(run_dir / JOURNAL), None)
    return first if isinstance(first, RunOpened) else None


def history_of(run_dir: Path) -> History:
    """The history of the run in this folder; BadInput naming the unreadable line of its journal."""
    return Journal(run_dir / JOURNAL).history()


def timestamp(at: datetime) -> str:
    """ISO 8601 in UTC with milliseconds: `2026-01-31T09:08:07.123Z`."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _event(path: Path, number: int | None, line: bytes) -> Event:
    try:
        data: Mapping[str, Any] = json.loads(line)
    except (ValueError, RecursionError) as exc:
        place = f"{path}:{number}" if number else str(path)
        raise BadInput(f"{place}: this line is not JSON; it was cut off or edited", advice="Restore the file from a copy.") from exc
    return event_from(data, f"{path}:{number or (data.get('seq', '?') if isinstance(data, dict) else '?')}")


def _last_line(fd: int) -> tuple[int, bytes]:
    """The end of the last whole line, and that line without its line end."""
    size = os.fstat(fd).st_size
    block, tail = 4096, b""
    while True:
        start = max(0, size - block)
        tail = os.pread(fd, size - start, start)
        end = tail.rfind(b"\n")
        before = tail.rfind(b"\n", 0, end) if end > 0 else -1
        if start == 0 or (end >= 0 and before >= 0):
            return (start + end + 1, tail[before + 1 : end]) if end >= 0 else (0, b"")
        block *= 4
