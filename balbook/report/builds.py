"""The phases of a build, and how builds change over time, jar beside native."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from balbook.artifacts.store import Artifact, Store
from balbook.facts.ballerina import PHASES
from balbook.report.picture import INK, Picture, bare, hatch, new_figure, save_figure
from balbook.run import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = {"jar": "#0072B2", "native": "#E69F00"}
HATCHES = {"jar": "", "native": "//"}
STAND_IN = "lab stand-in, not the real Ballerina"
SHOWN = 12
NAMED = 4


def build_plot(run: Run) -> Picture | str:
    """The phases of the artifact's build, and all builds of the application, jar beside native; a sentence where none was timed."""
    application = str(run.parameters.get("application", ""))
    store = Store(run.inventory.resolve(run.inventory.artifacts))
    builds = [artifact for artifact in store.artifacts(application) if "phases" in artifact.details]
    if not builds:
        return "No build has been timed yet."
    shown = next((b for b in builds if b.details.get("input_digest") == run.subject.get("input_digest")), builds[-1])
    is_lab = run.inventory.lab
    return save_figure(plot_builds(builds, shown, is_lab=is_lab), run.dir / "builds.png", describe_builds(builds, shown, is_lab=is_lab))


def plot_builds(builds: Sequence[Artifact], shown: Artifact, *, is_lab: bool = False) -> Figure:
    """Left the phases of the build `shown` in seconds, right all `builds` (oldest first) by what was built.

    A jar and a native binary of the same project stand side by side. At most the last 12 are drawn.
    """
    figure = new_figure(f"Builds of {shown.application}{f' ({STAND_IN})' if is_lab else ''}", 11, 4.6)
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.35))
    _draw_phases(left, shown)
    _draw_history(right, builds)
    return figure


def describe_builds(builds: Sequence[Artifact], shown: Artifact, *, is_lab: bool = False) -> str:
    """The picture in words."""
    phases = ", ".join(f"{phase} {_seconds(seconds)}" for phase, seconds in _phases(shown).items())
    times = "; ".join(f"{b.version} ({b.kind}) {_seconds(_total_s(b))}" for b in builds[-SHOWN:])
    where = f", by a {STAND_IN}" if is_lab else ""
    return f"Build of {shown.application} {shown.version} ({shown.kind}){where}: {phases}. Builds over time: {times}."


def _phases(build: Artifact) -> Mapping[str, float]:
    """Seconds by phase, in the order in which they run."""
    found = build.details["phases"]
    return {phase: float(found[phase]) for phase in (*PHASES.values(), *sorted(found)) if phase in found}


def _total_s(build: Artifact) -> float:
    return float(build.details.get("build_s", sum(_phases(build).values())))


def _draw_phases(ax: Axes, build: Artifact) -> None:
    """A bar a phase in the order in which they ran, each with its seconds."""
    phases = _phases(build)
    names = list(phases)[::-1]
    longest = max(phases.values(), default=1.0) or 1.0
    bars = ax.barh(names, [phases[name] for name in names], height=0.62, color=COLOURS[build.kind])
    ax.bar_label(bars, [_seconds(phases[name]) for name in names], padding=3, fontsize=9, color=INK)
    hatch(bars, HATCHES[build.kind])
    ax.set_xlim(0, longest * 1.18)
    ax.set_xlabel("time (s)")
    ax.set_title(f"Phases of {build.version} ({build.kind}), {_seconds(_total_s(build))} in all", loc="left", fontsize=10, color=INK)
    ax.tick_params(axis="y", length=0)
    bare(ax)


def _draw_history(ax: Axes, builds: Sequence[Artifact]) -> None:
    """A place for each project that was built, its artifacts side by side, labelled with versions and what changed."""
    groups = _groups(builds)[-SHOWN:]
    kinds = [kind for kind in COLOURS if any(kind in group for group in groups)]
    width = 0.78 / len(kinds)
    highest = max(_total_s(build) for group in groups for build in group.values())
    for number, kind in enumerate(kinds):
        offset = (number - (len(kinds) - 1) / 2) * width
        places = [place + (offset if len(group) > 1 else 0) for place, group in enumerate(groups) if kind in group]
        heights = [_total_s(group[kind]) for group in groups if kind in group]
        bars = ax.bar(places, heights, width=width * 0.92, color=COLOURS[kind], label=kind)
        ax.bar_label(bars, [_seconds(height) for height in heights], padding=2, fontsize=8, color=INK)
        hatch(bars, HATCHES[kind])
    ax.set_xticks(range(len(groups)), _labels(groups), fontsize=8)
    ax.set_xlim(-0.6, max(len(groups), 3) - 0.4)
    ax.set_ylim(0, highest * 1.2)
    ax.set_ylabel("whole build (s)")
    ax.set_title("Builds over time, by version and what changed", loc="left", fontsize=10, color=INK)
    ax.legend(loc="upper right", ncols=2, fontsize=8, frameon=False)
    ax.tick_params(axis="x", length=0)
    for label in ax.get_xticklabels() if len(groups) > 4 else ():
        label.set(rotation=35, ha="right")
    bare(ax)


def _groups(builds: Sequence[Artifact]) -> list[dict[str, Artifact]]:
    """The artifacts by kind, of each project in the order of its first build."""
    groups: dict[str, dict[str, Artifact]] = {}
    for build in builds:
        groups.setdefault(str(build.details.get("project_digest", build.version)), {})[build.kind] = build
    return [{kind: group[kind] for kind in COLOURS if kind in group} for group in groups.values()]


def _labels(groups: Sequence[Mapping[str, Artifact]]) -> list[str]:
    labels, before = [], dict[str, str]()
    for group in groups:
        packages = dict(next(iter(group.values())).packages)
        changed = [f"{name.rpartition('/')[2]} {version}" for name, version in sorted(packages.items()) if before.get(name) != version]
        more = [f"and {len(changed) - NAMED} more"] if len(changed) > NAMED else []
        labels.append("\n".join([*(build.version for build in group.values()), *changed[:NAMED], *more]))
        before = packages
    return labels


def _seconds(value: float) -> str:
    return f"{value:.3f} s" if value < 0.1 else f"{value:.2f} s" if value < 10 else f"{value:.0f} s"
