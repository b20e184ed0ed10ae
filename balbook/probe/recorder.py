"""Writes the probe's samples in a thread of its own, so that no disk ever delays a request.

Files in `out_dir`: `samples.csv.gz` (flushed ten times a second, readable meanwhile), `progress.json` (twice a second),
`phases.json`, and the histogram of the latencies in microseconds (`histogram.hlog`, `histogram.hgrm`). All but the
samples are written beside and moved.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import threading
import time
from collections import deque
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogWriter

from balbook.local.atomic_files import write_text
from balbook.probe.phases import FILE as PHASES_FILE
from balbook.probe.phases import Mark
from balbook.probe.samples import CLOSED_BY_RELOAD, DROPPED, FILE, OK, Sample, row

PROGRESS = "progress.json"
TICK_S = 0.1
BATCH = 25
_HOUR_US = 3_600_000_000


@dataclass
class Progress:
    """Counts so far; `p50_ms` and `p99_ms` are of the last second (None without a sample)."""

    is_running: bool = True
    elapsed_s: float = 0.0
    sent: int = 0
    acknowledged: int = 0
    failed: int = 0
    closed_by_reload: int = 0
    dropped: int = 0
    reconnects: int = 0
    p50_ms: float | None = None
    p99_ms: float | None = None
    kinds: dict[str, int] | None = None


class Recorder(threading.Thread):
    """Takes samples and marks from the loop (`put`, `mark`: they never block) and writes them."""

    def __init__(self, out_dir: Path, t0: float) -> None:
        super().__init__(name="recorder", daemon=True)
        self.progress = Progress(kinds={})
        self.histogram: Any = HdrHistogram(1, _HOUR_US, 3)
        self.clock_jump_s = 0.0
        self._out_dir = out_dir
        self._t0 = t0
        self._samples: deque[Sample] = deque()
        self._marks: list[Mark] = []
        self._written_marks = -1
        self._recent: deque[tuple[float, float]] = deque()
        self._is_over = threading.Event()
        self._clock_offset = time.time() - time.monotonic()
        self.started_unix_s = self._clock_offset + t0

    def put(self, sample: Sample) -> None:
        """One finished sample."""
        self._samples.append(sample)

    def mark(self, name: str, at_s: float) -> None:
        """A phase, or an instance and its state."""
        self._marks.append(Mark(at_s, name))

    def finish(self) -> None:
        """Writes the rest; returns once all of it is on file."""
        self._is_over.set()
        self.join()

    def run(self) -> None:
        """The thread: until `finish`, drain and report."""
        with gzip.open(self._out_dir / FILE, "wt", compresslevel=1, newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(Sample._fields)
            reported = 0.0
            is_over = False
            while not is_over:
                is_over = self._is_over.wait(TICK_S)
                self._drain(writer, pause_s=0.0 if is_over else 0.001)
                file.flush()
                self._write_marks()
                # The first answers are reported at once: whoever started the probe waits for them.
                if is_over or time.monotonic() - reported > 0.45 or self.progress.acknowledged < 10:
                    reported = time.monotonic()
                    self._report(is_running=not is_over)
        self._write_histogram()

    def _drain(self, writer: Any, pause_s: float) -> None:
        """Small batches with pauses: the loop needs the interpreter meanwhile."""
        while self._samples:
            for _ in range(min(BATCH, len(self._samples))):
                self._count(sample := self._samples.popleft())
                writer.writerow(row(sample))
            if pause_s:
                time.sleep(pause_s)

    def _count(self, sample: Sample) -> None:
        progress = self.progress
        assert progress.kinds is not None
        progress.kinds[sample.kind] = progress.kinds.get(sample.kind, 0) + 1
        progress.acknowledged += sample.kind == OK
        progress.failed += sample.is_failed
        progress.closed_by_reload += sample.kind == CLOSED_BY_RELOAD
        progress.dropped += sample.kind == DROPPED
        if sample.has_latency:
            self.histogram.record_value(max(1, min(_HOUR_US, round(sample.latency_ms * 1000))))
            self._recent.append((sample.completed_s, sample.latency_ms))

    def _report(self, is_running: bool) -> None:
        elapsed_s = time.monotonic() - self._t0
        offset = time.time() - time.monotonic()
        self.clock_jump_s = max(self.clock_jump_s, abs(offset - self._clock_offset))
        self._clock_offset = offset
        while self._recent and self._recent[0][0] < elapsed_s - 1:
            self._recent.popleft()
        latencies = sorted(latency for _, latency in self._recent)
        progress = self.progress
        progress.is_running, progress.elapsed_s = is_running, round(elapsed_s, 3)
        progress.p50_ms = latencies[len(latencies) // 2] if latencies else None
        progress.p99_ms = latencies[len(latencies) * 99 // 100] if latencies else None
        write_json(self._out_dir / PROGRESS, asdict(progress), is_durable=False)  # while requests are sent nobody waits for a disk

    def _write_marks(self) -> None:
        if len(self._marks) != self._written_marks:
            marks = list(self._marks)
            write_json(self._out_dir / PHASES_FILE, [asdict(mark) for mark in marks], is_durable=False)
            self._written_marks = len(marks)

    def _write_histogram(self) -> None:
        self.histogram.set_start_time_stamp(self.started_unix_s * 1000)
        self.histogram.set_end_time_stamp((self.started_unix_s + self.progress.elapsed_s) * 1000)
        log, table = io.StringIO(), io.BytesIO()
        writer = HistogramLogWriter(log)
        writer.output_comment("latency from the intended send, in microseconds; acknowledged and timed-out requests")
        writer.output_log_format_version()
        writer.output_legend()
        writer.output_interval_histogram(self.histogram)
        write_text(self._out_dir / "histogram.hlog", log.getvalue())
        if self.histogram.get_total_count():
            self.histogram.output_percentile_distribution(table, 1000.0)
        write_text(self._out_dir / "histogram.hgrm", table.getvalue().decode())


def write_json(path: Path, value: object, *, is_durable: bool = True) -> None:
    """`value` as JSON."""
    write_text(path, json.dumps(value) + "\n", is_durable=is_durable)
