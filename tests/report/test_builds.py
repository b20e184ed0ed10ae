"""The picture of builds: phases in seconds, versions on the axis, jar beside native."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from balbook.artifacts.store import Artifact
from balbook.report.builds import describe_builds, plot_builds
from balbook.report.charts import charts
from balbook.report.dora import deployments_frame
from balbook.report.picture import save_figure
from balbook.report.records import phases_frame, runs_frame
from tests.report.history import BEGIN, History

PHASES = {"emit": 0.6, "compile": 4.1, "load": 0.02}


def build(version: str, project: str, kind: str = "jar", phases: dict[str, float] = PHASES, **packages: str) -> Artifact:
    details = {"project_digest": project, "phases": phases, "build_s": sum(phases.values()) + 0.1}
    named = {f"acme/{name}": found for name, found in packages.items()}
    return Artifact(
        application="hotel", version=version, kind=kind, sha256="0" * 64, bytes=1, path=Path("app"),
        published_at="2026-01-31T09:00:00.000Z", packages=named, details=details,
    )  # fmt: skip


BUILDS = (
    build("0.1.0+aa", "one", rooms="0.1.0", bookings="0.1.0"),
    build("0.1.0+bb", "two", rooms="0.2.0", bookings="0.1.0"),
    build("0.1.0+cc", "two", "native", {"compile": 4.0, "emit": 61.0}, rooms="0.2.0", bookings="0.1.0"),
)


def texts(axes: Any) -> list[str]:
    return [text.get_text() for text in axes.texts]


def test_phases_stand_in_the_order_in_which_they_run_with_their_seconds() -> None:
    left, _ = plot_builds(BUILDS, BUILDS[0]).axes
    assert [label.get_text() for label in left.get_yticklabels()] == ["emit", "compile", "load"]  # from the bottom
    assert texts(left) == ["0.60 s", "4.10 s", "0.020 s"]
    assert left.get_xlabel() == "time (s)"
    assert "0.1.0+aa" in left.get_title(loc="left")


def test_a_jar_and_a_native_binary_of_one_project_share_a_place_with_both_versions() -> None:
    _, right = plot_builds(BUILDS, BUILDS[2]).axes
    labels = [label.get_text() for label in right.get_xticklabels()]
    assert labels == ["0.1.0+aa\nbookings 0.1.0\nrooms 0.1.0", "0.1.0+bb\n0.1.0+cc\nrooms 0.2.0"]
    assert sorted(texts(right)) == ["4.82 s", "4.82 s", "65 s"]
    assert [text.get_text() for text in right.get_legend().get_texts()] == ["jar", "native"]


def test_only_the_last_builds_are_drawn() -> None:
    many = [build(f"0.{n}.0", str(n), rooms=f"0.{n}.0") for n in range(40)]
    _, right = plot_builds(many, many[-1]).axes
    labels = [label.get_text() for label in right.get_xticklabels()]
    assert len(labels) == 12
    assert labels[-1] == "0.39.0\nrooms 0.39.0"


@pytest.mark.parametrize("shown", BUILDS, ids=lambda shown: shown.version)
def test_the_picture_is_described_in_words(shown: Artifact, tmp_path: Path) -> None:
    said = describe_builds(BUILDS, shown)
    assert all(b.version in said for b in BUILDS)
    assert f"{shown.version} ({shown.kind})" in said
    assert save_figure(plot_builds(BUILDS, shown), tmp_path / "builds.png", said).path.stat().st_size > 5000


def test_a_labs_picture_and_its_words_say_stand_in() -> None:
    for is_lab in (True, False):
        assert ("stand-in" in plot_builds(BUILDS, BUILDS[0], is_lab=is_lab).get_suptitle()) is is_lab
        assert ("stand-in" in describe_builds(BUILDS, BUILDS[0], is_lab=is_lab)) is is_lab


def test_the_pages_picture_of_phases_says_stand_in(tmp_path: Path) -> None:
    history = History(tmp_path)
    history.build("1.0.0", BEGIN)
    history.build("1.1.0", BEGIN, lab=True)
    for include_lab in (True, False):
        runs = runs_frame(tmp_path, include_lab=include_lab)
        (chart,) = charts(runs, deployments_frame(runs), phases_frame(runs))
        assert ("stand-in" in chart.title, "stand-in" in chart.alt) == (include_lab, include_lab)
