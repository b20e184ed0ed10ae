"""One sample a request, the kinds of outcome, and the file that holds them.

A sample's kind is `ok` (acknowledged with the expected status), a kind of `FAILURES`, `closed_by_reload`, or
`dropped`. `closed_by_reload`: a reused keep-alive connection was closed by the peer before any byte of a response and
within `RACE_S` of the request, as a balancer's reload does to idle connections; it is counted apart. A close that comes
later is a `reset`: the peer had the request. `dropped`: the probe itself could not send (no descriptor, no local port).
"""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

OK = "ok"
CLOSED_BY_RELOAD = "closed_by_reload"
DROPPED = "dropped"
TIMEOUTS = ("timeout", "connect_timeout")
FAILURES = ("refused", "reset", "unreachable", *TIMEOUTS, "status_5xx", "status_other", "bad_response")
RACE_S = 0.25
FILE = "samples.csv.gz"


class Sample(NamedTuple):
    """One request. Seconds count from the probe's start; `latency_ms` and `lag_ms` from the *intended* send.

    `lag_ms` is how late the probe began to send. `status` is 0 without a response. `number` counts the requests
    from 0 in order of their intended sends. `tries` is how many servers the balancer asked (0: unknown); `instance` is
    the last of them.
    """

    number: int
    stream: str
    intended_s: float
    lag_ms: float
    latency_ms: float
    kind: str
    status: int = 0
    instance: str = ""
    tries: int = 0
    release: str = ""
    id: str = ""

    @property
    def completed_s(self) -> float:
        """The time when the outcome was known."""
        return self.intended_s + self.latency_ms / 1000

    @property
    def is_failed(self) -> bool:
        return self.kind in FAILURES

    @property
    def has_latency(self) -> bool:
        """True for a sample of the latency figures: acknowledged or timed out; a fast refusal is not a response time."""
        return self.kind == OK or self.kind in TIMEOUTS


def row(sample: Sample) -> tuple[object, ...]:
    """The sample as a row of the file: seconds to the microsecond, milliseconds to the microsecond."""
    return (*sample[:2], f"{sample.intended_s:.6f}", f"{sample.lag_ms:.3f}", f"{sample.latency_ms:.3f}", *sample[5:])


def read_samples(out_dir: Path) -> Iterator[Sample]:
    """The samples of a probe in order of completion; also of one that is still running or was killed.

    A last line that was not written whole is left out.
    """
    text = io.StringIO(_complete_lines(out_dir / FILE), newline="")
    reader = csv.reader(text)
    next(reader, None)
    for r in reader:
        yield Sample(int(r[0]), r[1], float(r[2]), float(r[3]), float(r[4]), r[5], int(r[6]), r[7], int(r[8]), r[9], r[10])


def _complete_lines(path: Path) -> str:
    if not path.exists():
        return ""
    parts: list[bytes] = []
    with gzip.open(path, "rb") as file:
        try:
            while block := file.read1(1 << 16):
                parts.append(block)
        except (EOFError, zlib.error):  # still being written, or cut off
            pass
    data = b"".join(parts)
    return data[: data.rfind(b"\n") + 1].decode()
