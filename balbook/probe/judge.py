"""Findings from samples, and reasons not to trust them. Pure.

A percentile p is stated only where at least `10 / (1 - p)` samples carry it: 20 for the median, 100 for p90, 1,000 for
p99, 10,000 for p99.9. Latencies are those of acknowledged and timed-out requests, from the intended send.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any, Literal

from balbook.probe.config import ProbeConfig
from balbook.probe.phases import Mark, Span, phase_at, phase_spans
from balbook.probe.samples import CLOSED_BY_RELOAD, DROPPED, FAILURES, OK, Sample

PERMILLES = {"p50_ms": 500, "p90_ms": 900, "p99_ms": 990, "p99_9_ms": 999}
LAG_LIMIT_MS = 25.0  # as much as a rollout's p99 may be; the budget that lateness must not eat
LAG_SHARE = 0.1
STALL_LIMIT_MS = 1000.0
CLOCK_LIMIT_S = 0.5
LEAST_SAMPLES = 100
LEAST_IN_PHASE = 20


@dataclass(frozen=True)
class ProcessFacts:
    """Facts that only the probe's process knows. `due`: requests that its schedule had up to the end; `ended_by` empty: killed."""

    started_unix_s: float = 0.0
    seconds: float = 0.0
    due: int = 0
    reconnects: int = 0
    clock_jump_s: float = 0.0
    ended_by: str = ""


@dataclass(frozen=True)
class Latency:
    """Latencies of one phase, in milliseconds; None: too few samples, then `refused` names the percentile and its need."""

    samples: int
    p50_ms: float | None
    p90_ms: float | None
    p99_ms: float | None
    p99_9_ms: float | None
    max_ms: float | None
    refused: tuple[str, ...] = ()


@dataclass(frozen=True)
class Findings:
    """The results of a probe; times in seconds since its start.

    `failed_by_kind` leaves out `closed_by_reload` and `dropped`. `error_window_s`: intended sends of the first and the
    last failed request. `longest_gap_s`: without an acknowledged answer, from start to end. `mixed_window_s`: from the
    first answer of another release than the first one to the last answer of another release than the final one.
    `latency` has `all` and each phase. `served` counts answers per stream and instance, `release` per release. `tries`
    is how many answers took more than one try of the balancer. `trust`: why the figures cannot be trusted.
    """

    sent: int
    acknowledged: int
    failed: int
    failed_by_kind: Mapping[str, int]
    closed_by_reload: int
    dropped: int
    error_window_s: tuple[float, float] | None
    longest_gap_s: float
    mixed_window_s: tuple[float, float] | None
    latency: Mapping[str, Latency]
    lag_p99_ms: float | None
    lag_max_ms: float
    served: Mapping[str, Mapping[str, int]]
    releases: Mapping[str, int]
    retried: int
    process: ProcessFacts
    trust: tuple[str, ...] = field(default=())

    def verdict(self, max_failed: int = 0) -> Literal["succeeded", "failed", "inconclusive"]:
        """Inconclusive where the figures cannot be trusted, else failed where more than `max_failed` requests were."""
        if self.trust:
            return "inconclusive"
        return "failed" if self.failed > max_failed else "succeeded"

    def data(self) -> dict[str, Any]:
        """Plain data; the inverse of `findings_from`."""
        return asdict(self)


def findings_from(data: Mapping[str, Any]) -> Findings:
    """The findings that `Findings.data` wrote, also after a trip through JSON."""
    windows = {key: tuple(data[key]) if data[key] is not None else None for key in ("error_window_s", "mixed_window_s")}
    latency = {phase: Latency(**{**value, "refused": tuple(value["refused"])}) for phase, value in data["latency"].items()}
    return Findings(**{**data, **windows, "latency": latency, "process": ProcessFacts(**data["process"]), "trust": tuple(data["trust"])})


def judge(samples: Iterable[Sample], marks: Sequence[Mark], config: ProbeConfig, process: ProcessFacts) -> Findings:
    """The findings of one run of the probe; reads `samples` once."""
    tally = _Tally(phase_spans(marks, float("inf")))
    for sample in samples:
        tally.add(sample)
    kinds, lag = tally.kinds, tally.lag
    failed_by_kind = {kind: kinds[kind] for kind in FAILURES if kinds[kind]}
    latency = {phase: latency_of(values) for phase, values in tally.latencies.items()}
    lag_p99_ms, lag_max_ms = percentile(lag, 990), max(lag, default=0.0)
    return Findings(
        sent=len(lag),
        acknowledged=kinds[OK],
        failed=sum(failed_by_kind.values()),
        failed_by_kind=failed_by_kind,
        closed_by_reload=kinds[CLOSED_BY_RELOAD],
        dropped=kinds[DROPPED],
        error_window_s=(min(tally.failures), max(tally.failures)) if tally.failures else None,
        longest_gap_s=round(longest_gap(tally.successes, tally.end_s), 6),
        mixed_window_s=mixed_window(tally.releases),
        latency=latency,
        lag_p99_ms=lag_p99_ms,
        lag_max_ms=lag_max_ms,
        served={stream: dict(sorted(tally.served[stream].items())) for stream in sorted(tally.served)},
        releases=dict(Counter(release for _, release in tally.releases)),
        retried=tally.retried,
        process=process,
        trust=tuple(_doubts(tally, latency, config, process)),
    )


def judge_posts(acknowledged: Iterable[str], executed: Mapping[str, int]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The ids that were acknowledged but never executed, and those that were executed more than once.

    `executed` counts each id in the logs of all instances. A request that failed at the client may well have been
    executed: once is right, twice never is.
    """
    missing = sorted(set(acknowledged) - {name for name, count in executed.items() if count > 0})
    return tuple(missing), tuple(sorted(name for name, count in executed.items() if count > 1))


def acknowledged_posts(samples: Iterable[Sample], config: ProbeConfig) -> tuple[str, ...]:
    """The ids of acknowledged requests whose stream has its ids logged by the application."""
    logged = {stream.name for stream in config.streams if stream.has_logged_id}
    return tuple(sample.id for sample in samples if sample.kind == OK and sample.stream in logged)


def latency_of(values: Iterable[float]) -> Latency:
    """The stated percentiles of latencies in milliseconds."""
    ordered = sorted(values)
    stated = {name: percentile(ordered, permille) for name, permille in PERMILLES.items()}
    refused = tuple(
        f"{name.removesuffix('_ms').replace('_', '.')} needs {needed(PERMILLES[name])} samples, but only {len(ordered)} exist"
        for name, value in stated.items()
        if value is None
    )
    return Latency(len(ordered), **stated, max_ms=ordered[-1] if ordered else None, refused=refused)


def needed(permille: int) -> int:
    """How many samples carry a percentile: ten beyond it."""
    return 10_000 // (1000 - permille)


def percentile(values: Sequence[float], permille: int) -> float | None:
    """The nearest-rank percentile; None where too few samples carry it."""
    if len(values) < needed(permille):
        return None
    return sorted(values)[-(-len(values) * permille // 1000) - 1]


def longest_gap(successes: Iterable[float], end_s: float) -> float:
    """The longest time without a success between the start, the successes and the end."""
    times = [0.0, *sorted(successes)]
    times.append(max(end_s, times[-1]))
    return max(later - earlier for earlier, later in pairwise(times))


def mixed_window(releases: Sequence[tuple[float, str]]) -> tuple[float, float] | None:
    """From the first answer of another release than the first to the last of another than the final; None if they never mixed."""
    ordered = sorted(releases)
    if not ordered:
        return None
    start = next((at for at, release in ordered if release != ordered[0][1]), None)
    end = next((at for at, release in reversed(ordered) if release != ordered[-1][1]), None)
    return (round(start, 6), round(end, 6)) if start is not None and end is not None and end >= start else None


class _Tally:
    """Figures that one pass over the samples collects."""

    def __init__(self, phases: Sequence[Span]) -> None:
        self.phases = phases
        self.kinds: Counter[str] = Counter()
        self.latencies: dict[str, array[float]] = {name: array("d") for name in ("all", *(span.state for span in phases))}
        self.lag = array("d")
        self.failures = array("d")
        self.successes = array("d")
        self.served: dict[str, Counter[str]] = {}
        self.releases: list[tuple[float, str]] = []
        self.retried = 0
        self.end_s = 0.0

    def add(self, sample: Sample) -> None:
        self.kinds[sample.kind] += 1
        self.lag.append(sample.lag_ms)
        self.end_s = max(self.end_s, sample.intended_s)
        self.retried += sample.tries > 1
        if sample.is_failed:
            self.failures.append(sample.intended_s)
        if sample.kind == OK:
            self.successes.append(sample.completed_s)
            self.served.setdefault(sample.stream, Counter())[sample.instance] += 1
            if sample.release:
                self.releases.append((sample.completed_s, sample.release))
        if sample.has_latency:
            self.latencies["all"].append(sample.latency_ms)
            if phase := phase_at(self.phases, sample.intended_s):
                self.latencies[phase].append(sample.latency_ms)


def _doubts(tally: _Tally, latency: Mapping[str, Latency], config: ProbeConfig, process: ProcessFacts) -> Iterable[str]:
    """Every reason not to trust the figures, as a sentence."""
    yield from _doubts_about_probe(tally, latency, process)
    if (count := len(tally.lag)) < LEAST_SAMPLES:
        yield f"too few samples: {count} (at least {LEAST_SAMPLES})"
    for span in tally.phases:
        if (count := latency[span.state].samples) < LEAST_IN_PHASE:
            yield f"too few samples in phase {span.state}: {count} (at least {LEAST_IN_PHASE})"
    for stream in config.streams:
        for instance in config.expected_instances:
            if instance not in tally.served.get(stream.name, ()):
                yield f"stream {stream.name} never reached {instance}"


def _doubts_about_probe(tally: _Tally, latency: Mapping[str, Latency], process: ProcessFacts) -> Iterable[str]:
    lag_ms = sorted(tally.lag)[-(-len(tally.lag) * 99 // 100) - 1] if tally.lag else 0.0
    limit_ms = max(LAG_LIMIT_MS, LAG_SHARE * (latency["all"].p99_ms or 0.0))
    if lag_ms > limit_ms:
        yield f"the probe sent late: p99 of the send lag is {lag_ms:.1f} ms (limit {limit_ms:.1f} ms)"
    if (worst_ms := max(tally.lag, default=0.0)) > STALL_LIMIT_MS:
        yield f"the probe stood still: it sent one request {worst_ms:.0f} ms late"
    if dropped := tally.kinds[DROPPED]:
        yield f"the probe could not send {dropped} requests"
    if not process.ended_by:
        yield "the probe's process did not end properly"
    elif process.due - len(tally.lag) > max(5, process.due // 100):
        yield f"the probe fell behind: it sent {len(tally.lag)} of {process.due} requests that were due"
    if process.clock_jump_s > CLOCK_LIMIT_S:
        yield f"the clock jumped by {process.clock_jump_s:.1f} s"
