"""The live view from events alone: steps, instances, what is done now, and pages that stay small."""

from __future__ import annotations

import csv
import gzip
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from balbook.commands.command import Command
from balbook.jupyter.forms.chart import instance_chart, latency_chart
from balbook.jupyter.forms.follower import Follower
from balbook.jupyter.forms.live import Live
from balbook.jupyter.forms.live_page import MOST_ROWS, live_page, static_page
from balbook.jupyter.forms.sample_bins import MOST_BINS, Samples
from balbook.jupyter.forms.style import CSS
from balbook.jupyter.forms.view import LiveView
from balbook.plan.model import Plan, Run, Step
from balbook.probe.samples import FILE, Sample, row
from balbook.record.events import Event
from balbook.record.journal import Journal
from balbook.testing import FakeFleet
from tests.journals import made
from tests.small_fleet import fleet_with, make_plan, publish

BEGIN = datetime(2026, 1, 31, 9, 0, tzinfo=UTC)


def at(at_s: float, event: str, **fields: Any) -> Event:
    return made(event, at=(BEGIN + timedelta(seconds=at_s)).isoformat(), **fields)


@pytest.fixture
def fleet(tmp_path: Path) -> FakeFleet:
    fleet = fleet_with(tmp_path, "1.0.0")
    publish(fleet.inventory, "2.0.0")
    return fleet


@pytest.fixture
def live(fleet: FakeFleet) -> Live:
    live = Live.of(make_plan(fleet), fleet.inventory)
    live.take([at(0, "apply_started", digest="d", steps=9)])
    return live


def step(live: Live, begins: str) -> str:
    return next(name for name in live.steps if name.startswith(begins))


def finished(live: Live, seconds: float, name: str, outcome: str = "changed", tail: str = "") -> Event:
    view = live.steps[name]
    return at(seconds, "step_finished", step=name, host=view.host, title=view.title, outcome=outcome, seconds=1.0, tail=tail)


def states(live: Live) -> dict[str, list[str]]:
    return {name: [span.state for span in spans] for name, spans in live.instances.items()}


def test_an_instance_goes_from_serving_to_new_by_the_phases_of_its_steps(live: Live) -> None:
    for number, begins in enumerate(("drain app1", "stop app1", "start app1", "admit app1")):
        name = step(live, begins)
        live.take([at(number, "step_started", step=name, host="app1", title="t"), finished(live, number + 0.5, name)])
    assert states(live) == {"app1:9090": ["serving", "draining", "down", "starting", "new"], "app2:9090": ["serving"]}
    assert [span.start_s for span in live.instances["app1:9090"]] == [0, 0, 1, 2, 3]
    chart = instance_chart(live.instances, 10)
    assert "app1:9090 ★ new, app2:9090 ● serving" in chart


def test_what_is_taken_back_serves_again_and_what_is_not_says_so(live: Live) -> None:
    name = step(live, "start app1")
    live.take([at(1, "step_started", step=name, host="app1", title="t"), finished(live, 2, name, "failed", "no port")])
    live.take([at(2, "undo_started", step=name, host="app1")])
    assert states(live)["app1:9090"][-1] == "taking back"
    assert live.doing.startswith("Now: app1: taking back")
    units = {"app1:9090": "taken back", "app2:9090": "NOT taken back"}
    live.take([finished(live, 3, name, "undone"), at(4, "apply_finished", verdict="failed", why="no", units=units)])
    assert (states(live)["app1:9090"][-1], states(live)["app2:9090"][-1]) == ("serving", "NOT taken back")
    assert [v.tail for v in live.failures] == ["no port"]
    assert "Applied: failed" in static_page(live, 4).html


def test_it_says_what_it_does_now_and_that_it_stops(live: Live) -> None:
    assert live.doing == "Between two steps."
    live.take([at(1, "probe_started", rate=1, target="x")])
    assert live.doing == "Measuring before anything changes."
    name = step(live, "drain app1")
    live.take([at(2, "step_started", step=name, host="lb1", title="t")])
    assert live.doing == f"Now: lb1: {live.steps[name].title}."
    live.take([at(3, "stop_requested", by="asked by SIGTERM")])
    assert live.doing.startswith("Stopping on request: the run finishes or takes back")
    assert live.steps[name].title in live.doing
    assert (live.word, live.verdict) == ("stopping", "")


def test_the_end_is_said_once_and_not_beside_the_button_too(live: Live, fleet: FakeFleet, tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text(json.dumps(live.plan.data()))
    Journal(tmp_path / "journal.jsonl").append(made("apply_started", digest="d", steps=9))
    seen = LiveView()
    seen.watch(Follower(tmp_path, fleet.inventory), lambda: True)
    assert "Applied: lost" in seen.page.value
    assert "Applied" not in seen.doing.value
    assert seen.stop.layout.display == "none"


def test_writing_in_the_pictures_is_as_large_as_it_should_be_beside_the_side_bar(live: Live) -> None:
    shown_px, font_px = 800, 11  # what is left of 1280 pixels
    width = int(instance_chart(live.instances, 10).partition("viewBox='0 0 ")[2].partition(" ")[0])
    assert f".bb-svg text{{fill:var(--jp-content-font-color1,currentColor);font-size:{font_px}px}}" in CSS
    assert font_px * shown_px / width >= 11


def test_a_resumed_run_is_running_again(live: Live) -> None:
    live.take([at(1, "apply_finished", verdict="failed", why="w", units={})])
    assert live.verdict == "failed"
    live.take([at(9, "resumed", by=1)])
    assert live.word == "running"


def test_a_plan_of_thousands_of_steps_makes_a_small_page_with_what_runs(fleet: FakeFleet) -> None:
    steps = tuple(Step("do", f"h{n // 10}", f"step {n}", (Run(Command(("true",))),), id=f"s{n}") for n in range(3000))
    live = Live.of(Plan("provision", "", steps), fleet.inventory)
    live.take([at(0, "apply_started", digest="d", steps=3000), at(1, "step_started", step="s1500", host="h150", title="t")])
    page = live_page(live, None, 5, 0).html
    assert page.count("<tr>") <= MOST_ROWS + 1
    assert "step 1500" in page
    assert len(page) < 20_000


def write_samples(folder: Path, samples: list[Sample]) -> None:
    folder.mkdir(exist_ok=True)
    with gzip.open(folder / FILE, "at", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        if file.buffer.fileobj.tell() < 30:  # type: ignore[union-attr]
            writer.writerow(Sample._fields)
        writer.writerows(row(sample) for sample in samples)


def sample(number: int, at_s: float, latency_ms: float = 2.0, kind: str = "ok") -> Sample:
    return Sample(number, "GET /", at_s, 0.0, latency_ms, kind)


def test_samples_are_read_as_they_come_and_counted_once(tmp_path: Path) -> None:
    samples = Samples(tmp_path / "probe")
    samples.look()
    assert samples.sent == 0
    (tmp_path / "probe").mkdir()
    with gzip.open(tmp_path / "probe" / FILE, "wt", newline="") as file:
        file.write(",".join(Sample._fields) + "\n")
        for n in range(100):
            file.write(",".join(str(v) for v in row(sample(n, n / 100, kind="reset" if n % 10 == 0 else "ok"))) + "\n")
            if n % 30 == 29:
                file.flush()
                samples.look()
                assert samples.sent == n + 1
    samples.look()
    assert (samples.sent, samples.failed) == (100, 10)
    assert sum(len(b.latencies_ms) for b in samples.bins) == 90


def test_a_long_measurement_keeps_few_bins_and_a_small_picture(tmp_path: Path) -> None:
    write_samples(tmp_path / "probe", [sample(n, n * 0.9, 1 + n % 50, "reset" if n % 97 == 0 else "ok") for n in range(4000)])
    samples = Samples(tmp_path / "probe")
    samples.look()
    assert samples.sent == 4000
    assert len(samples.bins) <= MOST_BINS
    chart = latency_chart(samples, 0.0, 3600)
    assert len(chart) < 16_000
    assert "4000 requests so far, 42 failed" in chart
    assert chart.count("<polyline") == 4  # p50, p99 and their keys


def test_a_follower_shows_a_run_by_its_folder_alone_and_says_when_it_was_lost(tmp_path: Path, fleet: FakeFleet) -> None:
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    plan = make_plan(fleet)
    (run_dir / "plan.json").write_text(json.dumps(plan.data()))
    Journal(run_dir / "journal.jsonl").append(made("apply_started", digest=plan.digest, steps=len(plan.steps)))
    follower, pages = Follower(run_dir, fleet.inventory), []
    follower.follow(follower.has_ended, lambda page: pages.append(page.html))
    assert follower.live.verdict == "lost"
    assert "data-state='lost'" in pages[-1]
