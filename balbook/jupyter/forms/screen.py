"""A place in a cell's output: a widget while the run lives, and beside it, in the same output, a static twin for other viewers.

A front end with widgets shows the widget; GitHub, an export, print and a viewer without widgets show the twin, since both
are formats of one output. `settle` keeps only the twin.
"""

from __future__ import annotations

import secrets
from typing import Any

from IPython.display import display, update_display
from ipywidgets import Widget

from balbook.jupyter.forms.panels import Html

WIDGET = "application/vnd.jupyter.widget-view+json"


class Slot:
    """One output of a cell, which can be changed later, from any thread."""

    def __init__(self, widget: Widget) -> None:
        self.widget: Widget | None = widget
        self._id = secrets.token_hex(8)

    def show(self, twin: Html) -> None:
        """Draws the output in the cell that runs now."""
        display(self._bundle(twin), raw=True, display_id=self._id)  # type: ignore[no-untyped-call]

    def change_twin(self, twin: Html) -> None:
        """Replaces the twin; the widget stays."""
        update_display(self._bundle(twin), display_id=self._id, raw=True)  # type: ignore[no-untyped-call]

    def settle(self, twin: Html) -> None:
        """Replaces the twin for good; a browser that came back can still show the widget, which says the same."""
        self.widget = None
        self.change_twin(twin)

    def _bundle(self, twin: Html) -> dict[str, Any]:
        widget = (self.widget._repr_mimebundle_() if self.widget is not None else None) or {}
        return {kind: value for kind, value in widget.items() if kind == WIDGET} | twin.bundle()


def show(html: Html) -> None:
    """Shows a panel in the cell that runs now."""
    display(html.bundle(), raw=True)  # type: ignore[no-untyped-call]
