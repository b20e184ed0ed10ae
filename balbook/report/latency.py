"""The probe's samples, as a table and as a picture.

The colours are Okabe and Ito's, which colour-blind readers can tell apart; marks differ in shape too.
"""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import TYPE_CHECKING

from balbook.probe.client import read_findings
from balbook.probe.phases import Mark, instance_spans, phase_spans, read_marks
from balbook.probe.samples import CLOSED_BY_RELOAD, FAILURES, OK, Sample, read_samples
from balbook.report.picture import FAINT, INK, bare, new_figure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9")
FAILED = "#D55E00"
DARK = COLOURS[:1]
"""The colours on which white reads better than black."""
DOTS = 20_000  # more than this and the picture shows the slow ones and an even choice of the others


def samples_frame(out_dir: Path | str) -> pd.DataFrame:
    """One row a request, ordered by `number`.

    Columns: `number`, `stream`, `intended_s` (since the probe's start), `lag_ms` (how late it was sent), `latency_ms`
    (from the intended send), `kind` (`ok`, a kind of failure, `closed_by_reload`, `dropped`), `status` (0: no response),
    `instance`, `tries` (servers the balancer asked; 0: unknown), `release`, `id`, and `completed_s`.
    """
    import pandas as pd

    frame = pd.DataFrame.from_records(list(read_samples(Path(out_dir))), columns=list(Sample._fields))
    frame["completed_s"] = frame["intended_s"] + frame["latency_ms"] / 1000
    return frame.sort_values("number", ignore_index=True)


def plot_latency(out_dir: Path | str, title: str = "") -> Figure:
    """Latency over time with phases, instances out of service and failures; below, the requests that each instance served."""
    frame, marks = samples_frame(out_dir), read_marks(Path(out_dir))
    end_s = max(1.0, float(frame["completed_s"].max())) if len(frame) else 1.0
    colours = _colours(frame)
    rows = len({span.subject for span in instance_spans(marks, end_s)})
    figure = new_figure(title or "Latency seen by clients", 10, 5.6 + 0.22 * rows)
    upper, states, lower = figure.subplots(3, 1, sharex=True, height_ratios=[3.4, 0.22 * rows + 0.001, 1.2])
    _draw_latency(upper, frame, colours, end_s)
    _draw_phases(upper, marks, colours, end_s)
    _draw_states(states, marks, colours, end_s)
    _draw_served(lower, frame, colours, end_s)
    upper.set_title(_headline(out_dir), loc="left", fontsize=9, color=INK, pad=22)  # above the legend
    return figure


def _headline(out_dir: Path | str) -> str:
    """The findings in one line."""
    findings = read_findings(out_dir)
    whole = findings.latency["all"]
    figures = [("p50", whole.p50_ms), ("p99", whole.p99_ms), ("max", whole.max_ms)]
    parts = [f"{findings.sent:,} requests", f"{findings.failed:,} failed"]
    parts += [f"{findings.closed_by_reload:,} closed by reload"] if findings.closed_by_reload else []
    parts += [f"{name} {_milliseconds(value)}" for name, value in figures if value is not None]
    doubts = [f"\nDo not trust these figures: {findings.trust[0]}"] if findings.trust else []
    doubts += [f", and {len(findings.trust) - 1} more reasons"] if len(findings.trust) > 1 else []
    return "".join([" · ".join(parts), *doubts])


def _milliseconds(value: float) -> str:
    return f"{value / 1000:,.2f} s" if value >= 1000 else f"{value:.1f} ms" if value < 100 else f"{value:.0f} ms"


def _colours(frame: pd.DataFrame) -> dict[str, str]:
    """A colour for each instance that served."""
    names = sorted(name for name in frame["instance"].unique() if name)
    return {**dict(zip(names, itertools.cycle(COLOURS), strict=False)), "": INK}


def _draw_latency(ax: Axes, frame: pd.DataFrame, colours: dict[str, str], end_s: float) -> None:
    """Dots for acknowledged requests; crosses at the top for failures, triangles for connections closed by a reload."""
    from matplotlib.ticker import FuncFormatter, LogLocator

    acknowledged = _thinned(frame[frame["kind"] == OK])
    for name, colour in colours.items():
        part = acknowledged[acknowledged["instance"] == name]
        if len(part):
            dots = ax.scatter(part["intended_s"], part["latency_ms"].clip(lower=0.01), s=5, color=colour, alpha=0.75, linewidths=0)
            dots.set_label(f"served by {name}" if name else "acknowledged")
    low, high = (float(acknowledged["latency_ms"].agg(which)) for which in ("min", "max")) if len(acknowledged) else (0.7, 80.0)
    low, high = max(0.01, low * 0.7), max(10.0, high * 1.2)
    ax.set_yscale("log")
    ax.set_ylim(low, high * 4)
    ax.set_xlim(0, end_s)
    failed = frame[frame["kind"].isin(FAILURES)]
    for rows, marker, colour, label, factor in (
        (failed, "X", FAILED, "failed: " + ", ".join(sorted(failed["kind"].unique())), 2.6),
        (frame[frame["kind"] == CLOSED_BY_RELOAD], "v", INK, "keep-alive closed by reload", 1.6),
    ):
        if len(rows):
            ax.scatter(rows["intended_s"], [high * factor] * len(rows), s=42, marker=marker, color=colour, linewidths=0)
            ax.collections[-1].set(label=f"{label} ({len(rows):,})", zorder=5)
    ax.yaxis.set_major_locator(LogLocator(base=10, subs=(1.0, 2.0, 5.0) if high / low < 300 else (1.0,)))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.yaxis.set_minor_formatter(FuncFormatter(lambda *_: ""))
    ax.set_ylabel("latency (ms, log scale)")
    ax.grid(axis="y", **FAINT)
    bare(ax)
    if ax.get_legend_handles_labels()[0]:
        legend = ax.legend(loc="lower left", bbox_to_anchor=(0, 1.01), ncols=4, fontsize=8, frameon=False, borderaxespad=0)
        for handle in filter(None, legend.legend_handles):
            handle.set(alpha=1, sizes=[36])


def _thinned(frame: pd.DataFrame) -> pd.DataFrame:
    """At most `DOTS` rows: the slowest tenth of them all stay, the others are an even choice."""
    if len(frame) <= DOTS:
        return frame
    slowest = frame["latency_ms"].nlargest(DOTS // 10).index
    others = frame.drop(slowest)
    return frame.loc[slowest.union(others.index[:: math.ceil(len(others) / (DOTS * 0.9))])]


def _draw_phases(ax: Axes, marks: tuple[Mark, ...], colours: dict[str, str], end_s: float) -> None:
    """The phase `during` is shaded, each phase named at the top edge; out of service shades in the instance's colour."""
    for span in phase_spans(marks, end_s):
        if span.state == "during":
            ax.axvspan(span.start_s, span.end_s, color=INK, alpha=0.07, linewidth=0, zorder=-1)
        ax.axvline(span.start_s, color=INK, linewidth=0.8, linestyle=":")
        ax.annotate(span.state, (span.start_s, 1.0), xycoords=("data", "axes fraction"), xytext=(4, -4), textcoords="offset points").set(
            va="top", fontsize=9, color=INK, fontstyle="italic"
        )
    for span in instance_spans(marks, end_s):
        ax.axvspan(span.start_s, span.end_s, color=colours.get(span.subject, INK), alpha=0.13, linewidth=0, zorder=0)


def _draw_states(ax: Axes, marks: tuple[Mark, ...], colours: dict[str, str], end_s: float) -> None:
    """A row for each instance that left service: a bar for as long as it was out, with its state."""
    spans = instance_spans(marks, end_s)
    names = sorted({span.subject for span in spans}, reverse=True)
    for span in spans:
        height = names.index(span.subject)
        colour = colours.get(span.subject, INK)
        width = max(span.end_s - span.start_s - 0.002 * end_s, 0.001 * end_s)  # a gap before the next one
        ax.barh(height, width, left=span.start_s, height=0.8, color=colour, linewidth=0)
        if (span.end_s - span.start_s) / end_s > 0.0066 * len(span.state):
            written = ax.text((span.start_s + span.end_s) / 2, height, span.state, ha="center", va="center_baseline", fontsize=8)
            written.set_color("white" if colour in DARK else "black")  # the bar is opaque, whatever the page is
    ax.set_yticks(range(len(names)), names, fontsize=8)
    ax.tick_params(axis="both", length=0)
    ax.spines[:].set_visible(False)
    ax.tick_params(axis="x", labelbottom=False)
    ax.set_ylim(-0.5, max(len(names), 1) - 0.5)
    ax.set_visible(bool(names))


def _draw_served(ax: Axes, frame: pd.DataFrame, colours: dict[str, str], end_s: float) -> None:
    """Requests per second by the instance that served them, stacked, failures on top."""
    bin_s = 1.0 if end_s > 20 else 0.5 if end_s > 8 else 0.2
    count = max(1, round(end_s / bin_s))
    edges = [i * bin_s for i in range(count)]
    widths = [bin_s] * (count - 1) + [end_s - edges[-1]]  # a rest too short for a rate belongs to the one before
    bottom = [0.0] * count
    kinds = [(name, colour, frame[(frame["kind"] == OK) & (frame["instance"] == name)]) for name, colour in colours.items()]
    for _, colour, part in [*kinds, ("failed", FAILED, frame[frame["kind"].isin(FAILURES)])]:
        if not len(part):
            continue
        per_bin = (part["intended_s"] // bin_s).astype(int).clip(upper=count - 1).value_counts()
        heights = [float(per_bin.get(i, 0)) / width for i, width in enumerate(widths)]
        is_failed = colour == FAILED
        ax.bar(edges, heights, width=widths, bottom=bottom, align="edge", color=colour, alpha=1 if is_failed else 0.8, linewidth=0)
        bottom = [low + height for low, height in zip(bottom, heights, strict=True)]
    ax.set_ylabel("requests/s\nby instance")
    ax.set_xlabel("time since the probe's start (s)")
    bare(ax)
