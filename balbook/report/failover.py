"""Failover latency by strategy: how many requests were answered within which time while an instance was broken.

The newest drill of each strategy and balancer counts, of the same application and fault; so the comparison grows as
drills are run. Line styles differ beside colours, for readers who see few of them and for prints in grey.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from balbook.probe.outage import failover_of
from balbook.probe.samples import CLOSED_BY_RELOAD, OK
from balbook.report.latency import COLOURS, samples_frame
from balbook.report.picture import FAINT, Picture, bare, new_figure, save_figure
from balbook.report.records import plan_of
from balbook.run import Run

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STYLES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1)))
LEAST_MS = 0.1


def failover_plot(run: Run) -> Picture | str:
    """Latency while the instance was broken, by strategy, over the newest drills with this fault; a sentence without any drill."""
    fault, application = str(run.parameters.get("fault", "")), str(run.parameters.get("application", ""))
    drills = newest_drills(run.dir.parent, application, fault)
    if not drills:
        return "The run has no measurement: it broke no instance."
    frame = drill_frame(drills)
    title = f"{fault} of an instance of {application}: latency by strategy"
    return save_figure(plot_failover(frame, title), run.dir / "failover.png", describe(frame))


def newest_drills(records: Path, application: str, fault: str) -> dict[str, tuple[Path, str]]:
    """`strategy, balancer` → the probe's folder and the broken instance, of the newest drill of each that was measured."""
    found: dict[str, tuple[Path, str]] = {}
    for record in sorted(records.glob("*-failover_drill-*")):
        places = sorted(record.glob("probe*/summary.json"))
        plan = plan_of(record)
        if places and plan and (plan["application"], plan["subject"].get("fault")) == (application, fault):
            subject = plan["subject"]
            found[f"{subject['strategy']}, {subject['balancer']}"] = (places[-1].parent, str(subject["instance"]))
    return found


def drill_frame(drills: dict[str, tuple[Path, str]]) -> pd.DataFrame:
    """One row a request that was sent while the instance was broken.

    Columns: `drill` (strategy and balancer), `method`, `latency_ms`, `is_failed`.
    """
    import pandas as pd

    parts = []
    for name, (out_dir, instance) in drills.items():
        found, frame = failover_of(out_dir, instance), samples_frame(out_dir)
        begin_s = found.fault_at_s or 0.0
        end_s = found.repair_at_s if found.repair_at_s is not None else float("inf")
        frame = frame[(frame["completed_s"] >= begin_s) & (frame["intended_s"] <= end_s)]
        is_failed = ~frame["kind"].isin([OK, CLOSED_BY_RELOAD])
        parts.append(frame[["latency_ms"]].assign(drill=name, method=frame["stream"].str.partition(" ")[0], is_failed=is_failed))
    return pd.concat(parts, ignore_index=True)


def plot_failover(frame: pd.DataFrame, title: str) -> Figure:
    """The share of requests slower than a latency, on logarithmic scales, so that one request in a thousand shows."""
    from matplotlib.ticker import FuncFormatter

    figure = new_figure(title, 9, 5)
    ax = figure.subplots()
    for number, (name, part) in enumerate(frame.groupby("drill", sort=True)):
        _draw(ax, str(name), part, COLOURS[number % len(COLOURS)], STYLES[number % len(STYLES)])
    ax.set_xscale("log")
    ax.set_yscale("log")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.set_xlabel("latency (ms, log scale)")
    ax.set_ylabel("share of requests that took longer")
    ax.grid(**FAINT)
    bare(ax)
    ax.legend(fontsize=9, frameon=False, loc="best")
    return figure


def describe(frame: pd.DataFrame) -> str:
    """The picture in words."""
    parts = [
        f"{name}: {len(part):,} requests, {int(part['is_failed'].sum())} failed, worst {part['latency_ms'].max():.0f} ms"
        for name, part in frame.groupby("drill", sort=True)
    ]
    return "Failover latency by strategy while an instance was broken. " + "; ".join(parts) + "."


def _draw(ax: Axes, name: str, part: pd.DataFrame, colour: str, style: Any) -> None:
    ordered = part["latency_ms"].clip(lower=LEAST_MS).sort_values().to_list()
    slower = [(len(ordered) - number) / len(ordered) for number in range(len(ordered))]
    failed = int(part["is_failed"].sum())
    label = f"{name}: {len(ordered):,} requests, {failed} failed"
    ax.plot(ordered, slower, drawstyle="steps-post", color=colour, linestyle=style, linewidth=1.8, label=label)
