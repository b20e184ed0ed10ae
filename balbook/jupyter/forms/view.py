"""The live view on the screen: one page that is replaced, a line with the present activity, a button that stops.

The button stands outside the replaced page, so that the keyboard's focus stays where it is.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import ipywidgets as w

from balbook.engine import process
from balbook.errors import BadInput
from balbook.jupyter.forms.follower import Follower
from balbook.jupyter.forms.panels import Html
from balbook.jupyter.forms.style import CSS
from balbook.show.markup import markup

STOP, STOPPING = "Stop safely", "Stopping …"


class LiveView:
    """The widgets of one run that goes on. A value is set only where it has changed."""

    def __init__(self) -> None:
        self.page, self.doing = w.HTML(), w.HTML()
        hidden, tooltip = w.Layout(width="220px", display="none"), "Finishes or takes back the current step and ends in a safe state"
        self.stop = w.Button(description=STOP, tooltip=tooltip, layout=hidden).add_class("bb-stop")
        self.stop.on_click(lambda button: self.ask_to_stop())
        bar = w.HBox([self.stop, self.doing], layout=w.Layout(align_items="center", overflow="visible"))
        self.root = w.VBox([bar, self.page], layout=w.Layout(overflow="visible"))
        self.follower: Follower | None = None

    def watch(self, follower: Follower, is_over: Callable[[], bool], *, takes_focus: bool = False) -> None:
        """Shows the run until it is over; in a thread. `takes_focus`: the keyboard is at the button that stops."""
        self.follower = follower
        self.stop.layout.display = ""
        if takes_focus:
            self.stop.focus()
        try:
            follower.follow(is_over, self._draw)
        finally:
            self.stop.layout.display = "none"

    def ask_to_stop(self, by: str = STOP) -> None:
        """Asks the run to end, as `balbook stop` does; `by` names the person's act."""
        if self.follower is None or self.follower.live.verdict:
            return
        self.stop.disabled, self.stop.description = True, STOPPING
        with contextlib.suppress(BadInput):  # the run is over already, and the view will say so
            process.ask_to_stop(self.follower.run_dir, by)

    def add(self, html: Html) -> None:
        """Adds a panel below the page, for good."""
        self.page.value += html.html

    def _draw(self, page: Html) -> None:
        assert self.follower
        _set(self.page, CSS + page.html)
        now = "" if self.follower.live.verdict else self.follower.live.doing  # the end is the page's heading
        _set(self.doing, markup("<span class='bb-doing' role='status' aria-live='polite'>{}</span>", now))
        if self.follower.live.stopped_by:
            self.stop.disabled, self.stop.description = True, STOPPING


def _set(widget: w.HTML, value: str) -> None:
    if widget.value != value:
        widget.value = value
