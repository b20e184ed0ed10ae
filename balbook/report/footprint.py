"""The cost of an application as jar and as native binary: time to build, time to start, memory; a mark a value, a bar at the median."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from balbook.artifacts.store import Store
from balbook.errors import BadInput
from balbook.record.events import Measured
from balbook.record.journal import history_of
from balbook.report.builds import COLOURS, HATCHES, STAND_IN
from balbook.report.picture import INK, Picture, bare, hatch, new_figure, save_figure
from balbook.run import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

KINDS = tuple(COLOURS)
MEASURES = {
    "build": ("Time to build", "s"),
    "start": ("Time to start, until healthy", "s"),
    "memory": ("Memory of an instance (RSS)", "MB"),
}
MOST = 60
"""Values of one kind that are drawn, the newest."""
Values = Mapping[str, Mapping[str, Sequence[float]]]
"""By measure (`build`, `start`, `memory`), then by kind (`jar`, `native`), oldest first."""


def footprint_plot(run: Run) -> Picture | str:
    """The cost of jar and native, from the store's builds and the records of `verify`; a sentence where nothing was measured."""
    application = str(run.parameters.get("application", ""))
    values = measured(application, Store(run.inventory.resolve(run.inventory.artifacts)), run.dir.parent)
    if not any(found for kinds in values.values() for found in kinds.values()):
        return "Nothing has been measured yet."
    alt = describe(application, values, is_lab=run.inventory.lab)
    return save_figure(plot_footprint(application, values, is_lab=run.inventory.lab), run.dir / "footprint.png", alt)


def measured(application: str, store: Store, records: Path) -> Values:
    """Seconds of every build in the store; seconds of start and MB of memory of every instance that a run of `verify` found."""
    values: dict[str, dict[str, list[float]]] = {measure: {kind: [] for kind in KINDS} for measure in MEASURES}
    for artifact in store.artifacts(application):
        if "build_s" in artifact.details:
            values["build"][artifact.kind].append(float(artifact.details["build_s"]))
    starts: set[tuple[str, str, float]] = set()
    for folder in sorted(records.glob("*-verify-*")) if records.is_dir() else ():
        for measured in _figures(folder, application):
            began = {(measured.version, name, float(v)) for name, v in (measured.start_s or {}).items()}
            values["start"][measured.kind] += [seconds for *_, seconds in sorted(began - starts)]
            starts |= began  # the same start, seen by a later verification again
            values["memory"][measured.kind] += [float(v) for v in (measured.rss_mb or {}).values()]
    return values


def _figures(folder: Path, application: str) -> list[Measured]:
    """The figures of one run of `verify` on this application; none where its journal cannot be read."""
    with suppress(BadInput):
        history = history_of(folder)
        if history.parameters.get("application") == application:
            return [measured for measured in history.figures if measured.kind in KINDS]
    return []


def plot_footprint(application: str, values: Values, *, is_lab: bool) -> Figure:
    """Three pictures side by side, each with its own scale from zero."""
    figure = new_figure(f"{application}: jar and native{f' ({STAND_IN})' if is_lab else ''}", 11, 3.9)
    for ax, (measure, (title, unit)) in zip(figure.subplots(1, 3), MEASURES.items(), strict=True):
        _draw(ax, values[measure], title, unit)
    return figure


def describe(application: str, values: Values, *, is_lab: bool) -> str:
    """The picture in words."""
    parts = []
    for measure, (title, unit) in MEASURES.items():
        told = [f"{kind} {median(found):.3g} {unit} ({len(found)})" for kind, found in values[measure].items() if found]
        parts.append(f"{title}: {', '.join(told) or 'not measured'}")
    where = f", of a {STAND_IN}" if is_lab else ""
    return f"{application}, medians of jar and native with the number of values{where}. {'; '.join(parts)}."


def _draw(ax: Axes, found: Mapping[str, Sequence[float]], title: str, unit: str) -> None:
    highest = max((value for values in found.values() for value in values), default=1.0) or 1.0
    for place, kind in enumerate(KINDS):
        values = list(found[kind])[-MOST:]
        if not values:
            ax.text(place, highest * 0.03, "not measured", ha="center", fontsize=9, color=INK)
            continue
        middle = median(values)
        hatch(ax.bar([place], [middle], width=0.6, color=COLOURS[kind], alpha=0.85), HATCHES[kind])
        spread = [place + 0.22 * ((number * 0.618) % 1 - 0.5) for number in range(len(values))]
        ax.plot(spread, values, linestyle="", marker="o", markersize=4, markerfacecolor="white", markeredgecolor=INK)
        label = f"{'median ' if len(values) > 1 else ''}{middle:.3g} {unit}"
        ax.text(place, max(values) + highest * 0.035, label, ha="center", fontsize=10, color=INK)
    ax.set_xticks(range(len(KINDS)), [f"{kind}\n{len(found[kind])} measured" for kind in KINDS])
    ax.set_xlim(-0.6, len(KINDS) - 0.4)
    ax.set_ylim(0, highest * 1.18)
    ax.set_ylabel(f"{'memory' if unit == 'MB' else 'time'} ({unit})")
    ax.set_title(title, loc="left", fontsize=10, color=INK)
    ax.tick_params(axis="x", length=0)
    bare(ax)
