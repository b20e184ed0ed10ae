"""The cost of a rollout for the users of the application, seen by requests from outside."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from balbook import transport as transports
from balbook.commands import process
from balbook.engine.ending import Applied
from balbook.errors import BalbookError, Failed
from balbook.plan.settings import ProbeSettings
from balbook.probe.client import CONFIG, START_WITHIN_S, ProbeProcess, read_config
from balbook.probe.config import ProbeConfig, streams_from
from balbook.probe.judge import Findings, acknowledged_posts, judge_posts, latency_of, needed
from balbook.probe.phases import phase_at, phase_spans, read_marks
from balbook.probe.samples import read_samples
from balbook.record import events as ev
from balbook.record.journal import Journal
from balbook.transport import Transport, fan_out

LEAST_SAMPLES = 25
MAX_S = 3600.0
QUICK_START_WITHIN_S = 3.0
ALWAYS_ALLOWED_P99_MS = 25.0


class Unmeasured:
    """For runs that change nothing, an application that nothing serves yet, and a probe that cannot start where it is no gate."""

    def phase(self, name: str) -> None:
        """The rollout's phase, for the picture."""

    def is_spent(self) -> str:
        """Why the rollout must end: more requests failed than it may cost; empty: it need not."""
        return ""

    def p99_ms(self, phase: str) -> float | None:
        """p99 of a phase so far; None where too few requests carry it."""
        return None

    def finish(self, applied: Applied, transport: Transport, max_p99_ratio: float | None = None) -> None:
        """Measures the time after, judges, and lets the findings decide on the verdict; once. `max_p99_ratio`: where somebody asked."""


class Measurement(Unmeasured):
    """A probe beside the rollout."""

    def __init__(self, probe: ProbeProcess, settings: ProbeSettings, journal: Journal) -> None:
        self._probe, self._settings, self._journal = probe, settings, journal
        self._is_finished = False

    @classmethod
    @contextlib.contextmanager
    def begun(cls, run_dir: Path, settings: ProbeSettings, run_id: str, journal: Journal) -> Iterator[Unmeasured]:
        """Starts the probe and waits for a baseline; the probe ends in any case."""
        probe = ProbeProcess(_config(run_dir, settings, run_id))
        try:
            probe.start(START_WITHIN_S if settings.is_gate else QUICK_START_WITHIN_S)
            journal.append(ev.ProbeStarted(rate=settings.rate, target=f"{settings.host}:{settings.port}"))
            time.sleep(_long_enough_s(settings, settings.baseline_s))
            probe.phase("during")
        except Failed as exc:
            probe.close()
            if settings.is_gate:
                raise
            journal.append(ev.ProbeFailed(why=exc.message))
            yield Unmeasured()
            return
        with contextlib.closing(probe):
            yield cls(probe, settings, journal)

    def phase(self, name: str) -> None:
        if name:
            self._probe.phase(name)

    def is_spent(self) -> str:
        if not self._settings.is_gate or self._settings.judged_methods is not None:
            return ""
        failed, allowed = int(self._probe.progress().get("failed", 0)), self._settings.max_failed
        return f"{failed} requests failed (limit {allowed})" if failed > allowed else ""

    def p99_ms(self, phase: str) -> float | None:
        out_dir = self._probe.out_dir
        spans = phase_spans(read_marks(out_dir), float("inf"))
        samples = (s for s in read_samples(out_dir) if s.has_latency and phase_at(spans, s.intended_s) == phase)
        return latency_of(s.latency_ms for s in samples).p99_ms

    def finish(self, applied: Applied, transport: Transport, max_p99_ratio: float | None = None) -> None:
        if self._is_finished:
            return
        self._is_finished = True
        self._probe.phase("after")
        time.sleep(_long_enough_s(self._settings, self._settings.after_s))
        findings = self._probe.stop()
        posts, p99 = self._posts(transport), p99_of(findings, max_p99_ratio)
        self._journal.append(ev.measured({**findings.data(), **posts, **({"p99": p99.said} if p99.said else {})}))
        if applied.verdict != "succeeded" or not self._settings.is_gate:
            return
        if why := self._cost(findings, posts):
            applied.fail(why)
        elif doubts := [*findings.trust, *([posts["posts"]] if "posts" in posts else [])]:
            applied.verdict, applied.why = "inconclusive", "; ".join(doubts)
        elif p99.said:
            applied.verdict, applied.why = "failed" if p99.is_judged else "inconclusive", p99.said

    def _cost(self, findings: Findings, posts: Mapping[str, Any]) -> str:
        """The cost for the users of the application beyond the limit; empty: none."""
        failed, allowed = self._judged(findings), self._settings.max_failed
        if failed > allowed:
            return f"{failed} requests failed (limit {allowed})"
        if posts.get("duplicate_posts"):
            return f"{posts['duplicate_posts']} acknowledged POSTs were executed more than once"
        return f"{posts['missing_posts']} acknowledged POSTs were never executed" if posts.get("missing_posts") else ""

    def _judged(self, findings: Findings) -> int:
        """How many failed requests count: all, or those of the methods that a drill's balancer may send again."""
        methods = self._settings.judged_methods
        if methods is None:
            return findings.failed
        samples = read_samples(self._probe.out_dir)
        return sum(s.is_failed and s.stream.partition(" ")[0] in methods for s in samples)

    def _posts(self, transport: Transport) -> dict[str, Any]:
        """Acknowledged POSTs against what the instances' logs say was executed; only where they log ids.

        Those too that were acknowledged before the run was resumed, each process of it with ids of its own.
        """
        if not any(request.has_logged_id for request in self._settings.requests):
            return {}
        acknowledged: list[str] = []
        executed: Counter[str] = Counter()
        for place in sorted(file.parent for file in self._probe.out_dir.parent.glob(f"probe*/{CONFIG}")):
            config = read_config(place)
            acknowledged += acknowledged_posts(read_samples(place), config)
            try:
                executed += _executed(transport, self._settings.logs, config.run_id)
            except BalbookError as exc:
                return {"posts": f"no check that each POST was executed once, since the logs could not be read: {exc.message}"}
        missing, duplicate = judge_posts(acknowledged, executed)
        return {"acknowledged_posts": len(acknowledged), "missing_posts": len(missing), "duplicate_posts": len(duplicate)}


@dataclass(frozen=True)
class P99:
    """A finding about p99 during the rollout; empty where p99 is within its limit, or has none."""

    said: str = ""
    is_judged: bool = True


def p99_of(findings: Findings, ratio: float | None) -> P99:
    """p99 during the rollout held against that before, where the samples of both carry it."""
    if not ratio:
        return P99()
    p99s: list[float] = []
    for phase in ("before", "during"):
        latency = findings.latency.get(phase)
        if latency is None or latency.p99_ms is None:
            return P99(f"p99 was not judged: {latency.samples if latency else 0} of {needed(990)} samples {phase} the rollout", False)
        p99s.append(latency.p99_ms)
    return P99(too_slow(ratio, *p99s))


def too_slow(ratio: float, before_ms: float, during_ms: float) -> str:
    """How far p99 is beyond what is allowed; empty: it is not."""
    limit = max(ratio * before_ms, ALWAYS_ALLOWED_P99_MS)
    return f"p99 is {during_ms:.0f} ms (limit {limit:.0f} ms; {before_ms:.1f} ms before)" if during_ms > limit else ""


def _executed(transport: Transport, logs: Mapping[str, Sequence[str]], prefix: str) -> Counter[str]:
    """How often the instances' logs name each id with this prefix as executed."""
    found = fan_out(logs, lambda h: transports.run(transport, h, process.executed_ids(prefix, list(logs[h]))).stdout).require()
    executed: Counter[str] = Counter()
    for text in found.values():
        for line in text.splitlines():
            count, _, request_id = line.strip().partition(" ")
            executed[request_id] += int(count)
    return executed


def _long_enough_s(settings: ProbeSettings, wanted_s: float) -> float:
    """How long to measure before and after: a slow probe needs longer for figures that mean something."""
    return max(wanted_s, LEAST_SAMPLES / settings.rate)


def _config(run_dir: Path, settings: ProbeSettings, run_id: str) -> ProbeConfig:
    return ProbeConfig(
        host=settings.host,
        port=settings.port,
        rate=settings.rate,
        timeout_s=settings.timeout_s,
        host_header=settings.host_header,
        streams=streams_from(settings.requests, settings.health_path, health_expect=settings.health_expect),
        instances=settings.instances,
        must_reach=settings.must_reach,
        run_id=run_id,
        seed=int(run_id[:8], 16) if all(c in "0123456789abcdef" for c in run_id[:8]) else 1,
        max_seconds=MAX_S,
        out_dir=str(_fresh(run_dir)),
    )


def _fresh(run_dir: Path) -> Path:
    """A folder for this probe; a run that is resumed measures again, beside what it measured before."""
    for number in range(1, 1000):
        place = run_dir / ("probe" if number == 1 else f"probe-{number}")
        if not place.exists():
            return place
    raise AssertionError("a run is not resumed a thousand times")
