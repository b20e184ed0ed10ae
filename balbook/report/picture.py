"""A run's latency plot, for the notebook and as a file of its record."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from balbook.run import Run
from balbook.show.markup import markup


@dataclass(frozen=True)
class Picture:
    """A PNG file with a text that says what it shows; notebooks show both, each to whom it serves."""

    path: Path
    alt: str

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict[str, Any], dict[str, Any]]:
        from base64 import b64encode

        data = {"image/png": b64encode(self.path.read_bytes()).decode(), "text/plain": self.alt}
        return data, {"image/png": {"alt": self.alt}}

    def _ipython_display_(self) -> None:
        """The picture, and below it in words what it shows: exports as HTML leave out the text that a picture's metadata has."""
        from IPython.display import display

        data, metadata = self._repr_mimebundle_()
        display(data, metadata=metadata, raw=True)  # type: ignore[no-untyped-call]
        display({"text/html": markup("<p>{}</p>", self.alt), "text/plain": self.alt}, raw=True)  # type: ignore[no-untyped-call]


def latency_plot(run: Run) -> Picture | str:
    """Latency, failures and phases of what the run's probe measured; a sentence where nothing was measured."""
    places = sorted(run.dir.glob("probe*/samples.csv.gz"))
    if not places:
        return "Nothing was measured: nothing was changed, or nothing served before."
    from balbook.report.latency import plot_latency, save_figure

    out_dir, path = places[-1].parent, run.dir / "latency.png"
    measured = run.measurements()
    alt = (
        f"Latency over time while {run.name} ran: {measured.get('sent', 0)} requests, {measured.get('failed', 0)} failed, "
        f"{measured.get('closed_by_reload', 0)} closed by a reload."
    )
    save_figure(plot_latency(out_dir, title=f"{run.name} {run.parameters.get('application', '')}".strip()), path, alt)
    return Picture(path, alt)
