"""What the findings of the probe make of a verdict: each branch of the end of a measurement."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from balbook.commands.command import Result
from balbook.engine.ending import Applied
from balbook.engine.measure import Measurement
from balbook.errors import HostUnreachable
from balbook.inventory.models import ProbeRequest
from balbook.plan.settings import ProbeSettings
from balbook.probe.config import ProbeConfig, Stream
from balbook.probe.judge import Findings, ProcessFacts, judge
from balbook.probe.phases import Mark
from balbook.probe.samples import Sample, row
from balbook.record.journal import Journal
from balbook.testing import FakeTransport, arguments_of
from tests.journals import lines

POST = Stream("POST", "/orders", has_logged_id=True)
MARKS = (Mark(0.0, "before"), Mark(100.0, "during"), Mark(200.0, "after"))


class Probe:
    """A probe that has these samples, in a folder of its own below the run's."""

    def __init__(self, run_dir: Path, samples: Sequence[Sample], name: str = "probe", run_id: str = "r1") -> None:
        self.out_dir, self.samples, self.ended_by = run_dir / name, samples, "stop"
        self.config = ProbeConfig("lb1", 80, str(self.out_dir), (POST,), instances={"10.0.0.1:9090": "app1:9090"}, run_id=run_id)
        self.out_dir.mkdir(parents=True)
        (self.out_dir / "config.json").write_text(json.dumps(self.config.data()))
        with gzip.open(self.out_dir / "samples.csv.gz", "wt", newline="") as file:
            csv.writer(file).writerows([Sample._fields, *map(row, samples)])

    def phase(self, name: str) -> None:
        """Nothing: the marks stand."""

    def stop(self) -> Findings:
        return judge(self.samples, MARKS, self.config, ProcessFacts(due=len(self.samples), ended_by=self.ended_by))


def sample(number: int, at_s: float, run_id: str = "r1", **fields: Any) -> Sample:
    usual = {"lag_ms": 0.1, "latency_ms": 2.0, "kind": "ok", "status": 200, "instance": "app1:9090"}
    return Sample(number, POST.name, at_s, **{**usual, **fields}, id=f"{run_id}-{number}")


def samples(during: int = 1000, **slow: Any) -> list[Sample]:
    """A thousand before, that many during, a hundred after; `slow` is about those during."""
    spread = [(0.0, 1000, {}), (100.0, during, slow), (200.0, 100, {})]
    times = [(start + 90 * n / count, fields) for start, count, fields in spread for n in range(count)]
    return [sample(number, at_s, **fields) for number, (at_s, fields) in enumerate(times)]


def executing(samples: Sequence[Sample], **times: int) -> FakeTransport:
    """The logs name every acknowledged POST once; `times` says otherwise, `r1_7=2` say."""
    counts = {s.id: 1 for s in samples} | {name.replace("_", "-"): count for name, count in times.items()}

    def logs(host: str, command: Any) -> Result:
        prefix = arguments_of(command)[0]
        lines = [f"{count} {name}" for name, count in counts.items() if count and name.rpartition("-")[0] == prefix]
        return Result(0, "\n".join(lines))

    return FakeTransport({"executed-ids": logs})


def settings(**changed: Any) -> ProbeSettings:
    where = {"host": "lb1", "port": 80, "rate": 5000, "timeout_s": 10, "host_header": "", "health_path": "/health", "health_expect": 200}
    judged = {"baseline_s": 0.0, "after_s": 0.0, "max_failed": 0, "logs": {"app1": ("/opt/balbook/hotel/instances/9090",)}}
    requests = (ProbeRequest(method="POST", path="/orders", has_logged_id=True),)
    return ProbeSettings(**{**where, **judged, "requests": requests, "instances": {}, **changed})


def finish(probe: Probe, transport: FakeTransport, ratio: float | None = None, **changed: Any) -> tuple[str, str, dict[str, Any]]:
    """The verdict of a rollout that else succeeded, why, and what was measured."""
    journal, applied = Journal(probe.out_dir.parent / "journal.jsonl"), Applied()
    Measurement(probe, settings(**changed), journal).finish(applied, transport, ratio)  # type: ignore[arg-type]
    return applied.verdict, applied.why, lines(journal)[-1]


def test_what_cost_nothing_and_can_be_trusted_has_succeeded(tmp_path: Path) -> None:
    found = samples()
    verdict, why, measured = finish(Probe(tmp_path, found), executing(found), 2.0)
    assert (verdict, why) == ("succeeded", "")
    assert (measured["acknowledged_posts"], measured["missing_posts"], measured["duplicate_posts"]) == (2100, 0, 0)
    assert "p99" not in measured


def test_more_failed_requests_than_may_be_have_failed(tmp_path: Path) -> None:
    found = [*samples(), sample(5000, 150.0, kind="refused", status=0)]
    assert finish(Probe(tmp_path / "a", found), executing(found[:-1]))[:2] == ("failed", "1 requests failed (limit 0)")
    assert finish(Probe(tmp_path / "b", found), executing(found[:-1]), max_failed=1)[0] == "succeeded"
    assert finish(Probe(tmp_path / "c", found), executing(found[:-1]), judged_methods=("GET",))[0] == "succeeded"


@pytest.mark.parametrize(
    ("times", "why"),
    [
        ({"r1_7": 2}, "1 acknowledged POSTs were executed more than once"),
        ({"r1_7": 0, "r1_8": 0}, "2 acknowledged POSTs were never executed"),
    ],
)
def test_a_post_that_was_not_executed_exactly_once_has_failed(tmp_path: Path, times: dict[str, int], why: str) -> None:
    found = samples()
    assert finish(Probe(tmp_path, found), executing(found, **times))[:2] == ("failed", why)


def test_where_the_logs_of_posts_cannot_be_read_it_is_inconclusive(tmp_path: Path) -> None:
    transport = FakeTransport({"executed-ids": HostUnreachable("app1", "no route")})
    verdict, why, measured = finish(Probe(tmp_path, samples()), transport)
    assert verdict == "inconclusive"
    assert why == "no check that each POST was executed once, since the logs could not be read: app1: no route"
    assert measured["posts"] == why


def test_figures_that_cannot_be_trusted_are_inconclusive(tmp_path: Path) -> None:
    found = samples()
    probe = Probe(tmp_path, found)
    probe.ended_by = ""
    assert finish(probe, executing(found), 2.0)[:2] == ("inconclusive", "the probe's process did not end properly")


def test_p99_is_judged_at_the_end_where_the_samples_carry_it(tmp_path: Path) -> None:
    found = samples(latency_ms=80.0)
    assert finish(Probe(tmp_path / "a", found), executing(found), 2.0)[:2] == (
        "failed",
        "p99 is 80 ms (limit 25 ms; 2.0 ms before)",
    )
    assert finish(Probe(tmp_path / "b", found), executing(found))[0] == "succeeded", "nobody asked"


def test_where_somebody_asked_for_p99_and_it_cannot_be_judged_it_is_inconclusive(tmp_path: Path) -> None:
    found = samples(during=340)
    verdict, why, measured = finish(Probe(tmp_path / "a", found), executing(found), 2.0)
    assert (verdict, why) == ("inconclusive", "p99 was not judged: 340 of 1000 samples during the rollout")
    assert measured["p99"] == why
    assert finish(Probe(tmp_path / "b", found), executing(found))[0] == "succeeded", "nobody asked"


def test_what_has_failed_already_stays_as_it_is_and_is_measured_all_the_same(tmp_path: Path) -> None:
    journal, applied = Journal(tmp_path / "journal.jsonl"), Applied("failed", why="no luck")
    found = [*samples(), sample(5000, 150.0, kind="refused", status=0)]
    Measurement(Probe(tmp_path, found), settings(), journal).finish(applied, executing(found))  # type: ignore[arg-type]
    assert (applied.verdict, applied.why) == ("failed", "no luck")
    assert lines(journal)[-1]["failed"] == 1


def test_it_is_measured_once(tmp_path: Path) -> None:
    journal, applied, found = Journal(tmp_path / "journal.jsonl"), Applied(), samples()
    measurement = Measurement(Probe(tmp_path, found), settings(), journal)  # type: ignore[arg-type]
    for _ in range(2):
        measurement.finish(applied, executing(found))
    assert len(lines(journal)) == 1


def test_the_posts_that_were_acknowledged_before_the_run_was_resumed_are_judged_too(tmp_path: Path) -> None:
    before = [sample(number, number / 10, run_id="r1") for number in range(200)]
    after = [s._replace(id=s.id.replace("r1-", "r1r1-")) for s in samples()]
    Probe(tmp_path, before)
    verdict, why, measured = finish(Probe(tmp_path, after, "probe-2", "r1r1"), executing([*before, *after], r1_7=0))
    assert measured["acknowledged_posts"] == 2300
    assert (verdict, why) == ("failed", "1 acknowledged POSTs were never executed")
