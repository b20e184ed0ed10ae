"""Pictures for the notebook, kept as files of the record, and the look that all of them have.

Pictures are transparent and written in one grey, so that they read on white paper and in a dark theme alike. Figures are made
without pyplot, so nothing is kept in a global state.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from balbook.local.atomic_files import replacing
from balbook.run import Run
from balbook.show.markup import markup

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

INK = "#7A7A7A"
"""4.3 to 1 on white, 4.4 to 1 on #111."""
FAINT: dict[str, Any] = {"color": INK, "alpha": 0.25, "linewidth": 0.6}


@dataclass(frozen=True)
class Picture:
    """A PNG file and `alt`, the picture in words; notebooks show both."""

    path: Path
    alt: str

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict[str, Any], dict[str, Any]]:
        from base64 import b64encode

        data = {"image/png": b64encode(self.path.read_bytes()).decode(), "text/plain": self.alt}
        return data, {"image/png": {"alt": self.alt}}

    def _ipython_display_(self) -> None:
        """Shows the picture and, below, its text: an export as HTML leaves out the text in a picture's metadata."""
        from IPython.display import display

        data, metadata = self._repr_mimebundle_()
        display(data, metadata=metadata, raw=True)  # type: ignore[no-untyped-call]
        display({"text/html": markup("<p>{}</p>", self.alt), "text/plain": self.alt}, raw=True)  # type: ignore[no-untyped-call]


def latency_plot(run: Run) -> Picture | str:
    """Latency, failures and phases that the run's probe measured; a sentence where it measured nothing."""
    places = sorted(run.dir.glob("probe*/samples.csv.gz"))
    if not places:
        return "The run has no measurement: it changed nothing, or no instance served before."
    from balbook.report.latency import plot_latency

    measured = run.measurements()
    alt = (
        f"Latency over time while {run.name} ran: {measured.get('sent', 0)} requests, {measured.get('failed', 0)} failed, "
        f"{measured.get('closed_by_reload', 0)} closed by a reload."
    )
    title = f"{run.name} {run.parameters.get('application', '')}".strip()
    return save_figure(plot_latency(places[-1].parent, title), run.dir / "latency.png", alt)


def new_figure(title: str, width: float, height: float) -> Figure:
    """An empty figure with its title, sized in inches."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=110, layout="constrained")
    figure.suptitle(title, x=0.01, ha="left", fontsize=13, fontweight="bold")
    return figure


def hatch(bars: Iterable[Patch], pattern: str) -> None:
    """Hatches bars, for readers who see few colours and for prints in grey."""
    for bar in bars:
        bar.set(hatch=pattern, edgecolor="white", linewidth=0)


def bare(ax: Axes) -> None:
    """Takes away the frame's top and right."""
    ax.spines[["top", "right"]].set_visible(False)


def save_figure(figure: Figure, path: Path, alt: str) -> Picture:
    """Writes the figure as PNG, beside and moved, with `alt` (the picture in words) in its metadata.

    The picture has no background and grey letters: it reads on a white page and on a dark one.
    """
    _for_any_page(figure)
    with replacing(path) as file:
        figure.savefig(file, format="png", metadata={"Description": alt, "Software": "balbook"})
    return Picture(path, alt)


def _for_any_page(figure: Figure) -> None:
    """Takes away the background and writes in grey; only a text in a plot's own `texts` keeps its colour."""
    from matplotlib.text import Text

    figure.patch.set_alpha(0)
    for ax in figure.axes:
        ax.patch.set_alpha(0)
        ax.tick_params(which="both", color=INK, labelcolor=INK)
        ax.spines[:].set_edgecolor(INK)
    own = {text for ax in figure.axes for text in ax.texts}
    for text in figure.findobj(Text):
        if text not in own:
            text.set_color(INK)
