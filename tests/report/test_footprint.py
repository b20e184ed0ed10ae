"""The picture of what jar and native cost: builds of the store, starts and memory of records."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from balbook.artifacts.store import Store
from balbook.report.charts import charts
from balbook.report.dora import deployments_frame
from balbook.report.footprint import describe, measured, plot_footprint
from balbook.report.picture import save_figure
from balbook.report.records import phases_frame, runs_frame
from tests.report.history import BEGIN, History

VALUES = {
    "build": {"jar": [4.0, 5.0, 6.0], "native": [61.0]},
    "start": {"jar": [1.2, 1.4], "native": [0.03, 0.05]},
    "memory": {"jar": [180.0], "native": []},
}


def verified(history: History, day: int, kind: str, start_s: float, rss_mb: float, **options: Any) -> Path:
    taken = {"kind": kind, "version": "1.0.0", "start_s": {"app1:9090": start_s}, "rss_mb": {"app1:9090": rss_mb}}
    return history.run("verify", BEGIN + timedelta(days=day), subject={"kind": kind}, events=(("measured", taken),), **options)


def test_builds_come_from_the_store_and_the_rest_from_verifications_of_the_application(tmp_path: Path) -> None:
    store, history = Store(tmp_path / "store"), History(tmp_path / "records")
    for number, kind in enumerate(("jar", "native")):
        (tmp_path / kind).write_text(kind)
        store.publish("hotel", f"1.0.{number}", kind, tmp_path / kind, at=BEGIN, details={"build_s": 5.0 + number})
    verified(history, 1, "jar", 1.2, 180)
    verified(history, 2, "native", 0.03, 40)
    verified(history, 3, "native", 0.03, 41)  # the same start, verified again
    verified(history, 4, "jar", 9.9, 999, parameters={"application": "inn"})
    assert measured("hotel", store, tmp_path / "records") == {
        "build": {"jar": [5.0], "native": [6.0]},
        "start": {"jar": [1.2], "native": [0.03]},
        "memory": {"jar": [180.0], "native": [40.0, 41.0]},
    }


def test_each_measure_has_a_picture_of_its_own_with_its_unit_and_the_median(tmp_path: Path) -> None:
    figure = plot_footprint("hotel", VALUES, is_lab=False)
    build, start, memory = figure.axes
    assert [text.get_text() for text in build.texts] == ["median 5 s", "61 s"]
    assert [text.get_text() for text in start.texts] == ["median 1.3 s", "median 0.04 s"]
    assert [text.get_text() for text in memory.texts] == ["180 MB", "not measured"]
    assert (start.get_ylabel(), memory.get_ylabel()) == ("time (s)", "memory (MB)")
    assert [label.get_text() for label in build.get_xticklabels()] == ["jar\n3 measured", "native\n1 measured"]
    assert all(ax.get_ylim()[0] == 0 for ax in figure.axes)
    save_figure(figure, tmp_path / "f.png", "alt")


def test_a_labs_picture_and_its_words_say_stand_in() -> None:
    assert "stand-in" in plot_footprint("hotel", VALUES, is_lab=True).get_suptitle()
    assert "stand-in" not in plot_footprint("hotel", VALUES, is_lab=False).get_suptitle()
    told = describe("hotel", VALUES, is_lab=True)
    assert "stand-in" in told
    assert "Time to build: jar 5 s (3), native 61 s (1)" in told
    assert "Memory of an instance (RSS): jar 180 MB (1)." in told


def test_the_page_draws_starts_and_memory_by_kind(tmp_path: Path) -> None:
    history = History(tmp_path)
    for day in range(6):
        verified(history, day, "jar", 1.2, 180)
        verified(history, day, "native", 0.03, 40, lab=True)
    for include_lab, kinds in ((False, "medians: jar 180;"), (True, "medians: jar 180, native 40;")):
        runs = runs_frame(tmp_path, include_lab=include_lab)
        found = {chart.title: chart for chart in charts(runs, deployments_frame(runs), phases_frame(runs))}
        (title,) = (title for title in found if title.startswith("Memory"))
        assert kinds in found[title].alt
        assert ("stand-in" in title) is include_lab
        assert sum(title.startswith("Time to start, jar and native") for title in found) == 1
