"""The probe's samples as they are written, in bins that stay few however long the probe runs."""

from __future__ import annotations

import csv
import json
import zlib
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from balbook.probe.recorder import PROGRESS
from balbook.probe.samples import FAILURES, FILE, OK, TIMEOUTS

MOST_BINS = 120
FIRST_BIN_S = 0.5
HEADER = "number"


@dataclass
class Bin:
    """Requests of one stretch of time, by the time at which they were due."""

    latencies_ms: list[float] = field(default_factory=list)
    failed: int = 0
    _known: tuple[int, float, float] = (0, 0.0, 0.0)

    @property
    def figures_ms(self) -> tuple[float, float]:
        """The p50 and the p99; both 0 where there is no latency."""
        count = len(self.latencies_ms)
        if count and count != self._known[0]:
            ordered = sorted(self.latencies_ms)
            self._known = (count, ordered[count // 2], ordered[min(count - 1, count * 99 // 100)])
        return self._known[1:]


class Samples:
    """Follows one probe's folder; each look reads only what is new."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bin_s = FIRST_BIN_S
        self.bins: list[Bin] = []
        self.sent = self.failed = 0
        self._position, self._rest = 0, b""
        self._unpack = zlib.decompressobj(wbits=31)

    def look(self) -> None:
        """Reads the samples that were written since the last look."""
        # The probe has written nothing yet, or a crash has cut its file off; earlier samples stand.
        with suppress(FileNotFoundError, zlib.error), (self.folder / FILE).open("rb") as file:
            file.seek(self._position)
            packed = file.read()
            self._position += len(packed)
            self._rest += self._unpack.decompress(packed)
        whole, _, self._rest = self._rest.rpartition(b"\n")
        for row in csv.reader(whole.decode().splitlines()):
            if row and row[0] != HEADER:
                self._add(float(row[2]), float(row[4]), row[5])

    def started_at_s(self) -> float | None:
        """The start of the probe, in seconds since the epoch; None before its first progress."""
        path = self.folder / PROGRESS
        with suppress(OSError, ValueError, KeyError):
            return path.stat().st_mtime - float(json.loads(path.read_text())["elapsed_s"])
        return None

    def _add(self, at_s: float, latency_ms: float, kind: str) -> None:
        while at_s >= self.bin_s * MOST_BINS:  # half as many bins, each twice as long
            self.bin_s *= 2
            pairs = [self.bins[i : i + 2] for i in range(0, len(self.bins), 2)]
            self.bins = [Bin([x for b in pair for x in b.latencies_ms], sum(b.failed for b in pair)) for pair in pairs]
        number = int(max(0.0, at_s) / self.bin_s)
        self.bins += [Bin() for _ in range(number + 1 - len(self.bins))]
        self.sent += 1
        if kind == OK or kind in TIMEOUTS:
            self.bins[number].latencies_ms.append(latency_ms)
        if kind in FAILURES:
            self.failed += 1
            self.bins[number].failed += 1


def newest_probe(run_dir: Path) -> Path | None:
    """The folder of the probe that this run started last; None before the first probe."""
    return max(run_dir.glob("probe*/"), key=lambda p: (len(p.name), p.name), default=None)
