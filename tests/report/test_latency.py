from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import matplotlib.image as mpimg
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from balbook.probe.config import ProbeConfig, Stream
from balbook.probe.samples import Sample, row
from balbook.report.latency import plot_latency, samples_frame
from balbook.report.picture import INK, save_figure


@pytest.fixture
def probed(tmp_path: Path) -> Path:
    """What a probe of 400 requests left: one instance drained, three failures, two connections closed by a reload."""
    out_dir = tmp_path / "probe"
    out_dir.mkdir()
    (out_dir / "config.json").write_text(json.dumps(ProbeConfig("lb1", 80, str(out_dir), (Stream(path="/a"),)).data()))
    marks = [(1.0, "during"), (1.1, "app1:9090 draining"), (2.0, "app1:9090 serving"), (3.0, "after")]
    (out_dir / "phases.json").write_text(json.dumps([{"at_s": at, "name": name} for at, name in marks]))
    kinds = {120: "status_5xx", 121: "reset", 122: "timeout", 130: "closed_by_reload", 131: "closed_by_reload"}
    with gzip.open(out_dir / "samples.csv.gz", "wt", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(Sample._fields)
        for i in reversed(range(400)):
            instance = f"app{i % 2 + 1}:9090" if not 110 <= i < 200 else "app2:9090"
            writer.writerow(row(Sample(i, "GET /a fresh", i / 100, 0.1, 1 + i % 7, kinds.get(i, "ok"), 200, instance, 1, "1.0", f"p-{i}")))
    return out_dir


def test_the_frame_has_a_row_a_request_in_order(probed: Path) -> None:
    frame = samples_frame(probed)
    assert list(frame.columns) == [*Sample._fields, "completed_s"]
    assert list(frame["number"]) == list(range(400))
    assert frame["latency_ms"].sum() == sum(1 + i % 7 for i in range(400))
    assert frame["completed_s"][10] == pytest.approx(0.104)


def test_the_picture_names_its_axes_and_tells_failures_from_closed_connections(probed: Path) -> None:
    upper, states, lower = plot_latency(probed, "Hot deployment").axes
    legend = upper.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == [
        "served by app1:9090",
        "served by app2:9090",
        "failed: reset, status_5xx, timeout (3)",
        "keep-alive closed by reload (2)",
    ]
    assert upper.get_ylabel() == "latency (ms, log scale)"
    assert upper.get_yscale() == "log"
    assert [text.get_text() for text in upper.texts] == ["before", "during", "after"]
    assert [text.get_text() for text in states.texts] == ["draining"]
    assert [label.get_text() for label in states.get_yticklabels()] == ["app1:9090"]
    assert lower.get_xlabel() == "time since the probe's start (s)"
    assert "400 requests · 3 failed · 2 closed by reload" in upper.get_title(loc="left")


def test_the_strip_below_adds_up_to_what_was_served_and_failed(probed: Path) -> None:
    lower = plot_latency(probed).axes[2]
    areas = [patch.get_height() * patch.get_width() for patch in lower.patches]  # type: ignore[attr-defined]
    assert sum(areas) == pytest.approx(398, rel=0.01)


def test_a_rest_at_the_end_does_not_stretch_the_strip(probed: Path) -> None:
    last = Sample(400, "GET /a fresh", 4.001, 0.1, 3, "ok", 200, "app1:9090", 1, "1.0", "p-400")
    with gzip.open(probed / "samples.csv.gz", "at", newline="") as file:
        csv.writer(file).writerow(row(last))
    lower = plot_latency(probed).axes[2]
    assert max(patch.get_y() + patch.get_height() for patch in lower.patches) < 130  # type: ignore[attr-defined]


def test_a_probe_without_samples_still_makes_a_picture(probed: Path) -> None:
    (probed / "samples.csv.gz").unlink()
    assert plot_latency(probed).axes[0].get_ylabel()


def test_the_file_is_a_png_that_says_in_words_what_it_shows(probed: Path, tmp_path: Path) -> None:
    path = save_figure(plot_latency(probed), tmp_path / "latency.png", "Latency over time. 99 requests").path
    data = path.read_bytes()
    assert data.startswith(b"\x89PNG")
    assert b"Latency over time. 99 requests" in data
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == ["latency.png"]


def test_a_notebook_shows_the_picture_and_below_it_in_words_what_it_shows(probed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[dict[str, str]] = []
    monkeypatch.setattr("IPython.display.display", lambda data, raw, metadata=None: shown.append(data))
    save_figure(plot_latency(probed), probed / "latency.png", "400 <b>")._ipython_display_()
    assert [sorted(data) for data in shown] == [["image/png", "text/plain"], ["text/html", "text/plain"]]
    assert shown[1] == {"text/html": "<p>400 &lt;b&gt;</p>", "text/plain": "400 <b>"}


def test_the_picture_reads_on_white_paper_and_in_a_dark_theme(probed: Path, tmp_path: Path) -> None:
    figure = plot_latency(probed, "Hot deployment")
    pixels = np.round(mpimg.imread(save_figure(figure, tmp_path / "latency.png", "alt").path) * 255)
    assert (pixels[0, 0, 3], pixels[-1, -1, 3]) == (0, 0)
    for page in ("white", "#111111"):
        assert contrast(INK, page) >= 4.2
    upper, states, lower = figure.axes
    written = [*upper.get_xticklabels(), *lower.get_yticklabels(), upper.yaxis.label, upper.get_legend().get_texts()[0], *upper.texts]
    assert {text.get_color() for text in written} == {INK}
    for word, bar in zip(states.texts, states.patches, strict=True):
        assert contrast(word.get_color(), bar.get_facecolor()) >= 4.2
        assert bar.get_facecolor()[3] == 1


def contrast(one: Any, other: Any) -> float:
    """As WCAG has it, 1 to 21."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: Any) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))
