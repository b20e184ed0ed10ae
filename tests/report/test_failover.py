"""The comparison of drills: which count, what the frame holds, and that the picture says it in words."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from balbook.probe.outage import failover_of
from balbook.probe.samples import Sample
from balbook.report.failover import describe, drill_frame, newest_drills, plot_failover
from balbook.report.picture import save_figure


def probe(folder: Path, worst_ms: float = 900.0, failed: int = 1) -> Path:
    """A probe's files: the instance hangs at 2 s, is repaired at 6 s, and answers again at 6.5 s."""
    folder.mkdir(parents=True)
    samples = []
    for number in range(100):
        at_s = number / 10
        is_first = number in (21, 22)
        kind = "timeout" if is_first and failed and number == 21 else "ok"
        instance = "app1:9090" if at_s < 2 or at_s >= 6.5 else "app2:9090"
        stream = "POST /b fresh" if kind != "ok" else "GET /a fresh"
        samples.append(Sample(number, stream, at_s, 0.1, worst_ms if is_first else 2.0, kind, 200, instance, 1, "1", f"r-{number}"))
    with gzip.open(folder / "samples.csv.gz", "wt") as file:
        file.write(",".join(Sample._fields) + "\n" + "".join(",".join(map(str, sample)) + "\n" for sample in samples))
    marks = [(0.0, "before"), (1.0, "during"), (2.0, "app1:9090 hanging"), (6.0, "app1:9090 starting"), (6.6, "app1:9090 serving")]
    (folder / "phases.json").write_text(json.dumps([{"at_s": at_s, "name": name} for at_s, name in marks]))
    (folder / "summary.json").write_text("{}")
    return folder


def record(records: Path, number: int, strategy: str, fault: str = "hang", application: str = "hotel", **options: float) -> Path:
    folder = records / f"2026010{number}T000000Z-failover_drill-0000000{number}"
    probe(folder / "probe", **options)  # type: ignore[arg-type]
    subject = {"strategy": strategy, "balancer": "nginx", "fault": fault, "instance": "app1:9090"}
    (folder / "plan.json").write_text(json.dumps({"application": application, "subject": subject}))
    return folder


def test_the_figures_of_a_failover(tmp_path: Path) -> None:
    found = failover_of(probe(tmp_path / "probe"), "app1:9090")
    assert (found.fault_at_s, found.repair_at_s) == (2.0, 6.0)
    assert (found.failed_get, found.failed_other, found.slow) == (0, 1, 2)
    assert found.worst_ms == 900.0
    assert found.failover_s == pytest.approx(0.2)
    assert found.return_s == pytest.approx(0.502)


def test_an_instance_that_was_never_broken_has_no_failover(tmp_path: Path) -> None:
    found = failover_of(probe(tmp_path / "probe"), "app2:9090")
    assert (found.fault_at_s, found.return_s) == (None, None)


def test_the_newest_drill_of_each_strategy_counts_of_the_same_fault_and_application(tmp_path: Path) -> None:
    record(tmp_path, 1, "active_active", worst_ms=100)
    newest = record(tmp_path, 2, "active_active", worst_ms=700)
    record(tmp_path, 3, "active_passive")
    record(tmp_path, 4, "active_passive", fault="kill")
    record(tmp_path, 5, "active_passive", application="inn")
    found = newest_drills(tmp_path, "hotel", "hang")
    assert sorted(found) == ["active_active, nginx", "active_passive, nginx"]
    assert found["active_active, nginx"] == (newest / "probe", "app1:9090")


def test_a_record_that_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    (record(tmp_path, 1, "active_active") / "plan.json").write_text("{")
    assert newest_drills(tmp_path, "hotel", "hang") == {}


def test_the_frame_has_what_was_sent_while_it_was_broken_and_the_picture_says_it_in_words(tmp_path: Path) -> None:
    record(tmp_path, 1, "active_active", failed=0)
    record(tmp_path, 2, "active_passive")
    frame = drill_frame(newest_drills(tmp_path, "hotel", "hang"))
    assert frame.groupby("drill").size().to_dict() == {"active_active, nginx": 41, "active_passive, nginx": 41}
    assert frame[frame["is_failed"]]["drill"].to_list() == ["active_passive, nginx"]
    assert "active_passive, nginx: 41 requests, 1 failed, worst 900 ms" in describe(frame)
    path = save_figure(plot_failover(frame, "hang"), tmp_path / "failover.png", describe(frame)).path
    assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
