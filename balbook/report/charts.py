"""The report's plots, each as SVG for light and for dark paper, with a text that says the same in words.

The colours are Okabe and Ito's; marks differ in shape beside colour. Figures are made without pyplot.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import cycle
from typing import TYPE_CHECKING

from balbook.report.picture import bare, hatch

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")
GOOD, BAD = "#0072B2", "#D55E00"
MARKERS = ("o", "s", "^", "D", "v", "P")
MOST_BUILDS = 24
OF_STAND_IN = " (by a lab's stand-in)"
MINUTE_S, HOUR_S, DAY_S = 60.0, 3600.0, 86400.0
MARKS = ((1, (1, 10)), (MINUTE_S, (1, 3, 10, 30)), (HOUR_S, (1, 2, 4, 8, 16)), (DAY_S, (1, 2, 4, 8, 16, 32, 64)))
MARKS_S = [number * unit_s for unit_s, numbers in MARKS for number in numbers]
"""The times that a logarithmic axis may mark."""
WINDOW = 10


@dataclass(frozen=True)
class Paper:
    """Colours of a background's text and lines; the background itself is the page's."""

    ink: str
    grid: str
    colours: tuple[str, ...]


LIGHT = Paper("#1d2430", "#d5dae2", COLOURS)
DARK = Paper("#e4e8ee", "#343c48", ("#56B4E9", "#E69F00", "#009E73", "#CC79A7", "#0072B2", "#D55E00", "#F0E442"))


@dataclass(frozen=True)
class Chart:
    """One plot: its title, both pictures (SVG), and `alt`, the plot in words."""

    title: str
    light: str
    dark: str
    alt: str


Draw = Callable[["Axes", Paper], None]


def charts(runs: pd.DataFrame, deployments: pd.DataFrame, phases: pd.DataFrame) -> list[Chart]:
    """All plots that have data."""
    found: list[Chart] = []
    if len(deployments):
        found.append(_chart("Deployments a week", lambda ax, p: _weekly(ax, deployments), _weekly_alt(deployments)))
        title = f"Change failure rate, last {WINDOW} deployments"
        found.append(_chart(title, lambda ax, p: _rate(ax, deployments, p), _rate_alt(deployments)))
    for column, title in (("lead_time_h", "Lead time, from build to served"), ("restore_h", "Time to restore after a failed change")):
        if deployments[column].notna().any():
            frame = deployments.dropna(subset=[column]).rename(columns={column: "value"})
            frame["value"] *= HOUR_S
            draw = _dots(frame, frame["environment"], "time (log scale)", is_log=True)
            found.append(_chart(title, draw, _dots_alt(title, frame["value"])))
    drills = runs.dropna(subset=["failover_s"]).rename(columns={"failover_s": "value"})
    if len(drills):
        names = drills["strategy"] + ", " + drills["fault"]
        title = "Failover latency by strategy and fault"
        found.append(_chart(title, _dots(drills, names, "time (seconds)"), _dots_alt(title, drills["value"])))
    found += _footprints(runs)
    for kind in sorted(set(phases["kind"])):
        part = phases[phases["kind"] == kind]
        title = f"Build time by phase: {kind}" + (OF_STAND_IN if part["is_lab"].any() else "")
        found.append(_chart(title, lambda ax, p, part=part: _phases(ax, part, p), _phases_alt(title, part)))  # type: ignore[misc]
    return found


def _footprints(runs: pd.DataFrame) -> Iterator[Chart]:
    """Time and memory that jars and native binaries take, from the verifications."""
    for column, what, unit in (("start_s", "Time to start", "time (seconds)"), ("rss_mb", "Memory of an instance (RSS)", "memory (MB)")):
        frame = runs.dropna(subset=[column]).rename(columns={column: "value"})
        if len(frame):
            title = f"{what}, jar and native" + (OF_STAND_IN if frame["is_lab"].any() else "")
            medians = ", ".join(f"{kind} {part.median():.3g}" for kind, part in frame.groupby("kind")["value"])
            alt = f"{title}: {len(frame)} verifications, medians: {medians}; {unit}."
            yield _chart(title, _dots(frame, frame["kind"], unit), alt)


def _chart(title: str, draw: Draw, alt: str) -> Chart:
    light = _svg(draw, LIGHT)
    return Chart(title, light, _on_dark(light), alt)


def _on_dark(svg: str) -> str:
    """The same picture in the colours of dark paper: drawing it again would take as long again."""
    changed = dict(zip((LIGHT.ink, LIGHT.grid, *LIGHT.colours), (DARK.ink, DARK.grid, *DARK.colours), strict=True))
    known = {before.lower(): after for before, after in changed.items()}
    return re.sub("|".join(known), lambda found: known[found[0]], svg)


def _svg(draw: Draw, paper: Paper) -> str:
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context({"svg.hashsalt": "balbook", "font.size": 10.5, "svg.fonttype": "path"}):
        figure = Figure(figsize=(6.4, 3.0), layout="constrained")
        ax = figure.subplots()
        draw(ax, paper)
        _dress(ax, paper)
        text = io.StringIO()
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    return text.getvalue()


def _dress(ax: Axes, paper: Paper) -> None:
    """Text and lines in the paper's colours, and no more of them than needed."""
    bare(ax)
    ax.spines[["left", "bottom"]].set_color(paper.grid)
    ax.tick_params(colors=paper.ink, which="both", length=3, color=paper.grid)
    ax.xaxis.label.set_color(paper.ink)
    ax.yaxis.label.set_color(paper.ink)
    ax.grid(axis="y", color=paper.grid, linewidth=0.6)
    ax.set_axisbelow(True)
    handles, labels = ax.get_legend_handles_labels()
    if len(labels) > 1:
        legend = ax.legend(handles, labels, loc="lower left", bbox_to_anchor=(0, 1.0), ncols=3, borderaxespad=0.2, columnspacing=1.2)
        legend.set(frame_on=False)
        for text in legend.get_texts():
            text.set(color=paper.ink, fontsize=9)


def _dates(ax: Axes) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator(minticks=3, maxticks=7)  # type: ignore[no-untyped-call]
    ax.xaxis.set_major_locator(locator)
    ax.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]


def _weeks(deployments: pd.DataFrame) -> pd.DataFrame:
    """Deployments by week (its Monday): `good`, `bad`; weeks without any are there."""
    import pandas as pd

    monday = (deployments["at"] - pd.to_timedelta(deployments["at"].dt.day_of_week, unit="D")).dt.normalize()
    counts = pd.DataFrame({"week": monday, "good": ~deployments["is_failure"], "bad": deployments["is_failure"]})
    summed = counts.groupby("week").sum()
    return summed.reindex(pd.date_range(summed.index.min(), summed.index.max(), freq="7D"), fill_value=0)


def _weekly(ax: Axes, deployments: pd.DataFrame) -> None:
    from matplotlib.ticker import MaxNLocator

    weeks = _weeks(deployments)
    ax.bar(weeks.index, weeks["good"], width=5.5, color=GOOD, label="succeeded")
    hatch(ax.bar(weeks.index, weeks["bad"], bottom=weeks["good"], width=5.5, color=BAD, label="failed or rolled back"), "///")
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_ylabel("deployments a week")
    _dates(ax)


def _weekly_alt(deployments: pd.DataFrame) -> str:
    weeks = _weeks(deployments)
    bad = int(weeks["bad"].sum())
    last = int(weeks.iloc[-1].sum())
    return f"Bars: {len(deployments)} deployments in {len(weeks)} weeks, {bad} of them failed; the last week had {last}."


def _rates(deployments: pd.DataFrame) -> pd.Series[float]:
    return deployments["is_failure"].astype("float").rolling(WINDOW, min_periods=min(3, len(deployments))).mean() * 100


def _rate(ax: Axes, deployments: pd.DataFrame, paper: Paper) -> None:
    ax.plot(deployments["at"], _rates(deployments), color=BAD, drawstyle="steps-post", linewidth=2)
    failed = deployments[deployments["is_failure"]]
    ax.plot(failed["at"], [0] * len(failed), linestyle="", marker="|", markersize=9, color=paper.ink, clip_on=False)
    ax.set_ylim(bottom=0)
    ax.set_ylabel("failed (%)")
    _dates(ax)


def _rate_alt(deployments: pd.DataFrame) -> str:
    rates = _rates(deployments).dropna()
    if not len(rates):
        return "Line: too few deployments for a rate."
    return f"Line: from {rates.iloc[0]:.0f} % to {rates.iloc[-1]:.0f} % of the last {WINDOW} deployments failed. Ticks mark each failure."


def _dots(frame: pd.DataFrame, names: pd.Series[str], label: str, *, is_log: bool = False) -> Draw:
    """A mark for each value, by name, and a line through the medians of the last five; `label` of the axis."""

    def draw(ax: Axes, paper: Paper) -> None:
        from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

        for (name, part), colour, marker in zip(frame.groupby(names), cycle(paper.colours), cycle(MARKERS), strict=False):
            ax.plot(part["at"], part["value"], linestyle="", marker=marker, markersize=5.5, color=colour, label=str(name), alpha=0.85)
            if len(part) >= 5:
                ax.plot(part["at"], part["value"].rolling(5, min_periods=3).median(), color=colour, linewidth=1.6)
        if is_log:
            low, high = float(frame["value"].min()) / 1.4, float(frame["value"].max()) * 1.4
            ax.set_yscale("log")
            ax.set_ylim(max(low, 0.01), high)
            ax.yaxis.set_major_locator(FixedLocator([mark for mark in MARKS_S if low <= mark <= high]))
            ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: spoken_s(value)))
            ax.yaxis.set_minor_locator(NullLocator())
        else:
            ax.set_ylim(bottom=0)
            ax.yaxis.set_major_locator(MaxNLocator(5))
        ax.set_ylabel(label)
        _dates(ax)

    return draw


def _dots_alt(title: str, values: pd.Series[float]) -> str:
    half = len(values) // 2
    text = f"{title}: {len(values)} values between {spoken_s(float(values.min()))} and {spoken_s(float(values.max()))}"
    if half < 2:
        return f"{text}."
    earlier, later = (spoken_s(float(part.median())) for part in (values[:half], values[half:]))
    return f"{text}; median of the earlier half {earlier}, of the later {later}."


def _phases(ax: Axes, part: pd.DataFrame, paper: Paper) -> None:
    """A bar a build, stacked by phase, the newest to the right."""
    table = part.pivot_table(index="at", columns="phase", values="seconds", aggfunc="sum", sort=False)
    table = table.sort_index().tail(MOST_BUILDS).fillna(0)
    versions = part.drop_duplicates("at").set_index("at")["version"].reindex(table.index)
    bottom = [0.0] * len(table)
    largest = table.sum().sort_values(ascending=False)
    named = list(largest.index[:5])
    others = [column for column in table.columns if column not in named]
    columns = [(name, table[name]) for name in named] + ([("others", table[others].sum(axis=1))] if others else [])
    for (name, values), colour in zip(columns, cycle(paper.colours), strict=False):
        ax.bar(range(len(table)), values, bottom=bottom, width=0.8, color=colour, label=str(name))
        bottom = [low + value for low, value in zip(bottom, values, strict=True)]
    step = max(1, -(-len(table) // 6))
    ticks = list(range(len(table) - 1, -1, -step))
    ax.set_xticks(ticks, [str(versions.iloc[tick]).partition("+")[0] for tick in ticks], fontsize=9)
    ax.set_xlabel("version")
    ax.set_ylabel("time (s)")


def _phases_alt(title: str, part: pd.DataFrame) -> str:
    totals = part.groupby("at")["seconds"].sum()
    longest = part.groupby("phase")["seconds"].sum().idxmax()
    first, last = (spoken_s(float(totals.iloc[number])) for number in (0, -1))
    return f"{title}. Stacked bars of {len(totals)} builds: from {first} to {last}; the longest phase is {longest}."


_UNITS = ((60, 1, "s"), (HOUR_S, MINUTE_S, "min"), (2 * DAY_S, HOUR_S, "h"), (float("inf"), DAY_S, "days"))


def spoken_s(seconds: float) -> str:
    """A time for people: `0.80 s`, `12 min`, `5.2 h`, `3.1 days`."""
    size, unit = next((s, u) for limit, s, u in _UNITS if seconds < limit)
    value = seconds / size
    text = f"{value:.2f}" if value < 1 else f"{value:.1f}" if value < 10 else f"{value:.0f}"
    return f"{text.removesuffix('.0')} {unit}"
