from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from balbook.report.dora import deployments_frame
from balbook.report.records import runs_frame
from balbook.report.trend import BETTER, SAME, UNKNOWN, WORSE, Trend, headline, trends
from tests.report.history import BEGIN, DAY, History


def trend(before: float | None, now: float | None, *, unit: str = "s", is_up_good: bool = False, values: int = 9) -> Trend:
    return Trend("x", unit, is_up_good, before, now, values, values)


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (trend(10, 8), BETTER),
        (trend(10, 12), WORSE),
        (trend(10, 12, is_up_good=True), BETTER),
        (trend(10, 8, is_up_good=True), WORSE),
        (trend(10, 10.9), SAME),
        (trend(0.20, 0.24, unit="%"), SAME),
        (trend(0.20, 0.26, unit="%"), WORSE),
        (trend(10, 1, values=2), UNKNOWN),
        (trend(None, 1), UNKNOWN),
        (trend(0, 0), SAME),
    ],
)
def test_a_measure_is_judged_by_how_far_it_moved_and_which_way_is_good(found: Trend, verdict: str) -> None:
    assert found.verdict == verdict


@pytest.mark.parametrize(
    ("verdicts", "word"),
    [
        ("", UNKNOWN),
        ("u", UNKNOWN),
        ("bbu", BETTER),
        ("bs", BETTER),
        ("ss", SAME),
        ("bw", "mixed"),
        ("bbw", BETTER),
        ("bww", WORSE),
        ("bbww", "mixed"),
        ("w", WORSE),
    ],
)
def test_the_answer_follows_from_the_measures(verdicts: str, word: str) -> None:
    made = {"b": trend(10, 5), "w": trend(10, 20), "s": trend(10, 10), "u": trend(10, 5, values=1)}
    assert headline([made[v] for v in verdicts])[0] == word


def test_what_got_worse_is_named() -> None:
    assert headline([trend(10, 5), trend(10, 20)])[1] == "1 of 2 measures improved; worse: x."


def test_another_mix_of_drills_is_no_progress(tmp_path: Path) -> None:
    history = History(tmp_path)
    for day in range(4):
        history.drill("active_active", "hang", BEGIN + day * DAY, 4.0)
        history.drill("active_active", "kill", BEGIN + day * DAY, 1.0)
    for day in range(10, 16):
        history.drill("active_active", "kill", BEGIN + day * DAY, 1.0)
    runs = runs_frame(tmp_path)
    (found,) = [
        t
        for t in trends(runs, deployments_frame(runs), pd.Timestamp(BEGIN), pd.Timestamp(BEGIN + 20 * DAY))
        if t.name == "Failover latency"
    ]
    assert found.verdict == SAME
    assert found.now == pytest.approx(1.0, abs=0.11)
