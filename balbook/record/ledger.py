"""The chain of all records: one small file an entry, `00000001.json`, `00000002.json`, …, created once and never written again.

An entry is canonical JSON and a line end:

    at                 when the record was sealed (UTC), as its statement says
    name, verdict      of the run, as its statement says
    number             1, 2, …; the file's name
    previous           sha256 of the bytes of the entry before (64 zeros for the first)
    record             the record's folder
    signature_sha256   sha256 of the bytes of `statement.json.sig`; empty: unsigned
    statement_sha256   sha256 of the bytes of `statement.json`
    unsigned           why the record is unsigned; empty: signed
    version            1

The chain proves that nobody has changed, dropped or reordered an entry without changing every later one. It cannot prove that
its end is still there, or that nobody who holds a key has rewritten all of it; the anchors prove that.

A ledger is a folder, or S3-compatible storage that knows conditional writes (`If-None-Match`), through fsspec.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import json
import os
import random
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from balbook.errors import BadInput, RecordError
from balbook.local import atomic_files
from balbook.local.digests import canonical, sha256_of
from balbook.record.journal import START

VERSION = 1
FIELDS = frozenset({
    "at", "name", "number", "previous", "record", "signature_sha256", "statement_sha256", "unsigned", "verdict", "version",
})  # fmt: skip
MOST_ATTEMPTS = 200
"""The appends of other controllers that may come first before this one gives up."""


class Store(Protocol):
    """The place of the entries. OSError where the place cannot be reached or written."""

    def names(self) -> list[str]: ...

    def read(self, name: str) -> bytes: ...

    def create(self, name: str, data: bytes) -> bool:
        """Writes `data` whole under a new name; where the name is taken, writes nothing and returns False."""
        ...


@dataclass(frozen=True)
class Head:
    """One entry by its number and the sha256 of its bytes; an anchor keeps heads."""

    number: int
    entry_sha256: str

    def line(self) -> bytes:
        """The head as one line of JSON; the inverse of `head_from`."""
        return canonical({"entry_sha256": self.entry_sha256, "ledger": VERSION, "number": self.number}) + b"\n"


@dataclass(frozen=True)
class Entry:
    """An entry of the ledger: its bytes, and their data (empty: unreadable) as a mapping, so that any wrong field can be named.

    `is_vouched`: the next entry has the hash of these bytes.
    """

    number: int
    data: Mapping[str, Any]
    text: bytes
    is_vouched: bool = False

    @property
    def sha256(self) -> str:
        return sha256_of(self.text)

    @property
    def head(self) -> Head:
        return Head(self.number, self.sha256)


class Ledger:
    """Appends to and reads one ledger."""

    def __init__(self, store: Store, location: str) -> None:
        self.store = store
        self.location = location

    def append(self, fields: Mapping[str, Any]) -> Entry:
        """Adds a last entry, also where several controllers append at once. Reads the names and one entry, not the whole ledger."""
        for attempt in range(MOST_ATTEMPTS):
            last = max(self.numbers(), default=0)
            previous = sha256_of(self.read(last)) if last else START
            data = {**fields, "number": last + 1, "previous": previous, "version": VERSION}
            text = canonical(data) + b"\n"
            if self.store.create(_name(last + 1), text):
                return Entry(last + 1, data, text)
            time.sleep(random.uniform(0, 0.002 * min(attempt + 1, 25)))
        raise RecordError(
            f"{self.location}: {MOST_ATTEMPTS} other entries came first", advice="Find out what fills the ledger; then run balbook seal."
        )

    def numbers(self) -> list[int]:
        """The numbers of all entries, in order; files with other names are left out."""
        return sorted(number for name in self.store.names() if (number := number_of(name)))

    def read(self, number: int) -> bytes:
        """An entry's bytes."""
        return self.store.read(_name(number))

    def entry(self, number: int) -> Entry:
        """An entry, read without checking the chain."""
        text = self.read(number)
        try:
            data = json.loads(text)
            if data["version"] > VERSION:
                raise BadInput(
                    f"{self.location}: entry {number} has version {data['version']}; this balbook knows {VERSION}",
                    advice="Install a newer balbook.",
                )
        except (ValueError, KeyError, TypeError) as exc:
            raise RecordError(f"{self.location}: entry {number} cannot be read", advice="Run balbook records verify.") from exc
        return Entry(number, data, text)

    def head(self) -> Head | None:
        """The last entry; None in an empty ledger."""
        last = max(self.numbers(), default=0)
        return Head(last, sha256_of(self.read(last))) if last else None

    def find(self, record: str) -> Entry | None:
        """The newest entry of this record's folder. Reads from the end, at worst the whole ledger."""
        entries = (self.entry(number) for number in reversed(self.numbers()))
        return next((entry for entry in entries if entry.data.get("record") == record), None)


def open_ledger(location: str | Path) -> Ledger:
    """The ledger at a folder (made with its first entry) or at `s3://bucket/prefix`."""
    text = str(location)
    return Ledger(_ObjectStore(text) if re.match(r"[a-z0-9]+://", text) else _Folder(Path(text)), text)


def head_from(line: str | bytes) -> Head:
    """The head that `Head.line` wrote; BadInput for anything else."""
    try:
        data = json.loads(line)
        if data["ledger"] > VERSION:
            raise BadInput(
                f"this ledger head has version {data['ledger']}; this balbook knows {VERSION}", advice="Install a newer balbook."
            )
        head = Head(data["number"], data["entry_sha256"])
        if not (isinstance(head.number, int) and head.number > 0 and re.fullmatch(r"[0-9a-f]{64}", head.entry_sha256)):
            raise ValueError(line)
    except (ValueError, KeyError, TypeError) as exc:
        raise BadInput(
            f"{str(line)[:80]!r} is not the head of a ledger", advice="A head is the line that balbook records anchor prints."
        ) from exc
    return head


def number_of(name: str) -> int:
    """The number in an entry's file name; 0 for any other name."""
    match = re.fullmatch(r"(\d{8,12})\.json", name)
    number = int(match[1]) if match else 0
    return number if _name(number) == name else 0


def _name(number: int) -> str:
    return f"{number:08}.json"


# Storage -------------------------------------------------------------------------------------------------------------------


class _Folder:
    """Entries as files of a local folder."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def names(self) -> list[str]:
        return [name for name in os.listdir(self._path) if not name.startswith(".")] if self._path.is_dir() else []  # noqa: PTH208, faster

    def read(self, name: str) -> bytes:
        return (self._path / name).read_bytes()

    def create(self, name: str, data: bytes) -> bool:
        self._path.mkdir(parents=True, exist_ok=True)
        return atomic_files.create(self._path / name, data, mode=0o444)


class _ObjectStore:
    """Entries as objects. The errors of fsspec's backends become OSErrors that name the object."""

    def __init__(self, url: str) -> None:
        try:
            fsspec = importlib.import_module("fsspec")
            # A listing that was kept would hide what another controller has written since.
            self._files, self._prefix = fsspec.url_to_fs(url.rstrip("/"), use_listings_cache=False)
        except (ImportError, ValueError) as exc:
            raise BadInput(f"the ledger {url} cannot be opened: {exc}", advice="Run pip install 'balbook[s3]'") from exc
        self._url = url.rstrip("/")

    def names(self) -> list[str]:
        try:
            with self._translated():
                found = self._files.ls(self._prefix, detail=False, refresh=True)
        except FileNotFoundError:
            return []
        return [path.rpartition("/")[2] for path in found]

    def read(self, name: str) -> bytes:
        with self._translated(name):
            return bytes(self._files.cat_file(f"{self._prefix}/{name}"))

    def create(self, name: str, data: bytes) -> bool:
        try:
            with self._translated(name):
                self._files.pipe_file(f"{self._prefix}/{name}", data, mode="create")
        except OSError as exc:
            # An answer that was lost, and the backend's own second attempt, look like a failure although the object was made.
            try:
                return self.read(name) == data
            except OSError:
                raise exc from None
        return True

    @contextlib.contextmanager
    def _translated(self, name: str = "") -> Iterator[None]:
        try:
            yield
        except OSError:
            raise
        except Exception as exc:
            raise OSError(errno.EIO, str(exc) or type(exc).__name__, f"{self._url}/{name}") from exc
