from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from balbook.errors import BadInput
from balbook.probe.client import read_findings
from balbook.probe.config import ProbeConfig, Stream
from balbook.probe.judge import ProcessFacts, acknowledged_posts, findings_from, judge, judge_posts, latency_of, longest_gap, mixed_window
from balbook.probe.phases import Mark, Span, instance_spans, phase_spans
from balbook.probe.samples import Sample, read_samples

STREAM = Stream(path="/a")
CONFIG = ProbeConfig("lb1", 80, "out", (STREAM,), rate=100, instances={"1:1": "app1:9090", "1:2": "app2:9090"})
FACTS = ProcessFacts(1.0, 10.0, 1000, ended_by="stop")
MARKS = (Mark(0.0, "before"), Mark(3.0, "during"), Mark(6.0, "after"))


def sample(number: int, **fields: Any) -> Sample:
    usual = Sample(number, STREAM.name, number / 100, 0.1, 2.0, "ok", 200, f"app{number % 2 + 1}:9090", 1, "1.0", f"p-{number}")
    return usual._replace(**fields)


def run(count: int = 1000, **changed: Any) -> list[Sample]:
    """`count` good samples, some changed: `n5={"kind": "reset"}`."""
    return [sample(i, **changed.get(f"n{i}", {})) for i in range(count)]


def test_a_good_run_is_trusted_and_succeeds() -> None:
    findings = judge(run(), MARKS, CONFIG, FACTS)
    assert findings.trust == ()
    assert findings.verdict() == "succeeded"
    assert (findings.sent, findings.acknowledged, findings.failed) == (1000, 1000, 0)
    assert findings.served == {STREAM.name: {"app1:9090": 500, "app2:9090": 500}}
    assert findings.error_window_s is None


def test_failures_are_counted_by_kind_and_closed_by_reload_is_not_one() -> None:
    reset, closed, late = {"kind": "reset"}, {"kind": "closed_by_reload"}, {"kind": "timeout", "latency_ms": 9000.0}
    findings = judge(run(n310=reset, n400=reset, n420=late, n500=closed), MARKS, CONFIG, FACTS)
    assert findings.failed_by_kind == {"reset": 2, "timeout": 1}
    assert (findings.failed, findings.closed_by_reload, findings.acknowledged) == (3, 1, 996)
    assert findings.error_window_s == (3.1, 4.2)
    assert findings.verdict() == "failed"
    assert findings.verdict(max_failed=3) == "succeeded"


def test_timeouts_count_as_latency_and_fast_failures_do_not() -> None:
    findings = judge(run(n310={"kind": "refused", "latency_ms": 0.1}, n420={"kind": "timeout", "latency_ms": 9000.0}), MARKS, CONFIG, FACTS)
    assert findings.latency["all"].samples == 999
    assert findings.latency["during"].max_ms == 9000.0
    assert findings.latency["before"].max_ms == 2.0


def test_a_percentile_is_the_nearest_rank() -> None:
    latency = latency_of(range(1, 10_001))
    assert (latency.p50_ms, latency.p90_ms, latency.p99_ms, latency.p99_9_ms, latency.max_ms) == (5000, 9000, 9900, 9990, 10_000)
    assert latency.refused == ()


@pytest.mark.parametrize(("count", "stated"), [(19, 0), (20, 1), (99, 1), (100, 2), (999, 2), (1000, 3), (9999, 3), (10_000, 4)])
def test_a_percentile_that_the_samples_cannot_carry_is_refused(count: int, stated: int) -> None:
    latency = latency_of([1.0] * count)
    values = [latency.p50_ms, latency.p90_ms, latency.p99_ms, latency.p99_9_ms]
    assert [value is not None for value in values] == [True] * stated + [False] * (4 - stated)
    assert len(latency.refused) == 4 - stated
    if stated == 3:
        assert latency.refused == (f"p99.9 needs 10000 samples, but only {count} exist",)


def test_the_longest_gap_counts_from_the_start_and_to_the_end() -> None:
    assert longest_gap([1.0, 1.5], 2.0) == 1.0
    assert longest_gap([0.1, 0.2], 2.0) == 1.8
    assert longest_gap([], 3.0) == 3.0
    assert longest_gap([2.0, 0.5], 2.0) == 1.5


def test_releases_are_mixed_from_the_first_new_answer_to_the_last_old_one() -> None:
    assert mixed_window([(1, "a"), (2, "b"), (3, "a"), (4, "b")]) == (2, 3)
    assert mixed_window([(1, "a"), (2, "b")]) is None
    assert mixed_window([(1, "a"), (2, "b"), (2.5, "b"), (3, "a")]) == (2, 2.5)
    assert mixed_window([]) is None


@pytest.mark.parametrize(
    ("samples", "facts", "said"),
    [
        ([s._replace(lag_ms=30.0) if s.number % 50 == 0 else s for s in run()], FACTS, "sent late: p99 of the send lag is 30.0 ms"),
        (run(n5={"lag_ms": 1500.0}), FACTS, "stood still"),
        (run(n5={"kind": "dropped"}), FACTS, "could not send 1 requests"),
        (run(), replace(FACTS, due=1100), "fell behind: it sent 1000 of 1100 requests"),
        (run(), replace(FACTS, clock_jump_s=3.0), "clock jumped by 3.0 s"),
        (run(), replace(FACTS, ended_by=""), "did not end properly"),
        ([s._replace(instance="app1:9090") for s in run()], FACTS, "never reached app2:9090"),
        (run(620), replace(FACTS, due=620), ""),
        (run(610), replace(FACTS, due=610), "too few samples in phase after: 10"),
    ],
)
def test_a_reason_for_doubt_is_named_and_makes_it_inconclusive(samples: list[Sample], facts: ProcessFacts, said: str) -> None:
    findings = judge(samples, MARKS, CONFIG, facts)
    if not said:
        assert findings.trust == ()
        return
    assert len(findings.trust) == 1
    assert said in findings.trust[0]
    assert findings.verdict() == "inconclusive"


def test_too_few_samples_are_said() -> None:
    assert judge(run(50), (), CONFIG, replace(FACTS, due=50)).trust == ("too few samples: 50 (at least 100)",)


def test_a_backup_that_serves_nothing_is_no_doubt_where_it_need_not() -> None:
    samples = [s._replace(instance="app1:9090") for s in run()]
    assert judge(samples, MARKS, replace(CONFIG, must_reach=("app1:9090",)), FACTS).trust == ()


def test_findings_survive_json() -> None:
    findings = judge(run(n310={"kind": "reset"}), MARKS, CONFIG, FACTS)
    assert findings_from(json.loads(json.dumps(findings.data()))) == findings


def test_acknowledged_posts_are_held_against_what_was_executed() -> None:
    assert judge_posts(["a", "b", "c"], {"a": 1, "b": 2, "x": 2, "y": 1}) == (("c",), ("b", "x"))
    assert judge_posts(["a"], {"a": 0}) == (("a",), ())


def test_only_acknowledged_posts_with_logged_ids_are_asked_for() -> None:
    post = Stream("POST", "/b", has_logged_id=True)
    samples = [sample(0), sample(1, stream=post.name), sample(2, stream=post.name, kind="reset")]
    assert acknowledged_posts(samples, replace(CONFIG, streams=(STREAM, post))) == ("p-1",)


def test_what_lies_ahead_of_during_is_before() -> None:
    assert phase_spans([Mark(5, "after"), Mark(2, "during")], 9) == (
        Span(0.0, 2, "", "before"),
        Span(2, 5, "", "during"),
        Span(5, 9, "", "after"),
    )
    assert phase_spans([], 9) == ()


def test_an_instance_is_out_of_service_until_it_serves_again() -> None:
    marks = [
        Mark(1, "app1:9090 draining"),
        Mark(2, "app1:9090 down"),
        Mark(2.5, "app1:9090 down"),
        Mark(3, "app1:9090 new"),
        Mark(4, "app2:9090 draining"),
    ]
    assert instance_spans([*marks, Mark(0, "during"), Mark(0.5, "stage")], 9) == (
        Span(1, 2, "app1:9090", "draining"),
        Span(2, 3, "app1:9090", "down"),
        Span(4, 9, "app2:9090", "draining"),
    )


def test_samples_that_are_still_being_written_are_read_up_to_the_last_whole_line(tmp_path: Path) -> None:
    lines = ["number,stream,intended_s,lag_ms,latency_ms,kind,status,instance,tries,release,id"]
    lines += [f"{i},GET /a fresh,{i / 100},0.1,2.0,ok,200,app1:9090,1,1.0,p-{i}" for i in range(500)]
    with gzip.open(tmp_path / "samples.csv.gz", "wt", newline="") as file:
        file.write("\n".join(lines[:400]) + "\n")
        file.flush()
        whole = (tmp_path / "samples.csv.gz").stat().st_size
        file.write("\n".join(lines[400:]))
    data = (tmp_path / "samples.csv.gz").read_bytes()
    assert len(list(read_samples(tmp_path))) == 499
    (tmp_path / "samples.csv.gz").write_bytes(data[:whole])
    assert [s.number for s in read_samples(tmp_path)] == list(range(399))


def test_findings_of_an_empty_directory_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="does not hold the files of a probe"):
        read_findings(tmp_path)
