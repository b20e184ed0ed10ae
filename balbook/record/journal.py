"""The run's append-only chain of events: one JSON line each, flushed to disk before the action it announces.

Every event has `seq` (1, 2, …), `at` (UTC, ISO 8601 with milliseconds), `event` and `prev`: the sha256 of the line before,
without its line end (64 zeros for the first). Several processes append to one journal (the notebook's kernel, the run's
own process, the runner), each under a lock on the file.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from balbook.errors import BadInput, Failed
from balbook.local import locks
from balbook.local.atomic_files import sync
from balbook.local.digests import canonical, sha256_of

VERSION = 1
START = "0" * 64
UNWRITABLE = "Is there space on this machine's disk, and may you write there? Nothing is done that the journal does not announce."
Event = dict[str, Any]


def utc_now() -> datetime:
    """The wall clock, UTC."""
    return datetime.now(UTC)


class Journal:
    """Appends to and reads one journal file.

    `clean` is applied to every event before it is written (secrets are scrubbed there).
    """

    def __init__(
        self,
        path: Path,
        *,
        now: Callable[[], datetime] = utc_now,
        clean: Callable[[Event], Event] = lambda event: event,
    ) -> None:
        self.path = path
        self._now = now
        self._clean = clean

    def clean(self, text: str) -> str:
        """`text` as it would be written here. What is to be shortened is cleaned first: half a secret is not recognised."""
        return str(self._clean({"text": text})["text"])

    def append(self, event: str, **fields: Any) -> Event:
        """Write one event and flush it to disk; returns it as written. Raises Failed where it cannot be."""
        try:
            return self._append(event, fields)
        except OSError as exc:
            raise Failed(f"{self.path} cannot be written: {exc.strerror or exc}", advice=UNWRITABLE) from exc

    def _append(self, event: str, fields: Mapping[str, Any]) -> Event:
        with locks.holding(self.path) as fd:
            end, last = _last_line(fd)
            seq = json.loads(last)["seq"] + 1 if last else 1
            head = {"seq": seq, "at": timestamp(self._now()), "event": event, "prev": sha256_of(last) if last else START}
            written = self._clean(_plain(fields)) | head
            line = canonical(written) + b"\n"
            # A crash may have left the start of a line behind the last whole one; it is cut off before writing on.
            os.ftruncate(fd, end)
            if os.pwrite(fd, line, end) < len(line):
                os.ftruncate(fd, end)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(fd)
            if seq == 1:
                sync(self.path.parent)
        return written

    def events(self) -> list[Event]:
        """All whole events, in order. The chain is not checked; `verify` does."""
        return [json.loads(line) for line in _whole_lines(self.path)]

    def last(self, *names: str) -> Event | None:
        """The last event of one of these names."""
        return next((e for e in reversed(self.events()) if e["event"] in names), None)

    @property
    def is_closed(self) -> bool:
        """Whether its run is closed, and was not resumed since: it may be sealed, and gets no more events."""
        return (self.last("run_opened", "resumed", "run_closed") or {}).get("event") == "run_closed"

    def follow(self, position: int = 0) -> tuple[list[Event], int]:
        """Events written since `position` (bytes), and the position for the next call."""
        if not self.path.exists():
            return [], position
        with self.path.open("rb") as file:
            file.seek(position)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        return [json.loads(line) for line in whole.splitlines()], position + len(whole)


def timestamp(at: datetime) -> str:
    """ISO 8601 in UTC with milliseconds: `2026-01-31T09:08:07.123Z`."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def verify(path: Path) -> list[Event]:
    """The events of an unbroken chain; raises Failed naming the first event that does not fit."""
    data = path.read_bytes()
    if data and not data.endswith(b"\n"):
        raise Failed(f"{path}: the last event is cut off", advice="The writer died while writing; the events before it stand.")
    expected, events = START, []
    for number, line in enumerate(data.splitlines(), 1):
        event = _parsed(path, number, line)
        if event.get("seq") != number:
            raise Failed(f"{path}: event {number}: seq is {event.get('seq')!r}")
        if event.get("prev") != expected:
            raise Failed(f"{path}: event {number} ({event.get('event')}): does not follow from the event before")
        if canonical(event) != line:
            raise Failed(f"{path}: event {number} ({event.get('event')}): is not written as balbook writes")
        expected = sha256_of(line)
        events.append(event)
    if events and events[0].get("journal", VERSION) > VERSION:
        raise BadInput(f"{path}: journal version {events[0]['journal']} is newer than this balbook", advice="Install a newer balbook.")
    return events


def _parsed(path: Path, number: int, line: bytes) -> Event:
    try:
        event = json.loads(line)
    except ValueError as exc:
        raise Failed(f"{path}: event {number} is not JSON") from exc
    if not isinstance(event, dict):
        raise Failed(f"{path}: event {number} is not an object")
    return event


def _plain(fields: Mapping[str, Any]) -> Event:
    plain: Event = json.loads(json.dumps(fields, default=str))
    return plain


def _whole_lines(path: Path) -> Iterator[bytes]:
    if not path.exists():
        return
    data = path.read_bytes()
    yield from data[: data.rfind(b"\n") + 1].splitlines()


def _last_line(fd: int) -> tuple[int, bytes]:
    """Where the last whole line ends, and that line without its end."""
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
