"""Runs of this machine that go on already: shown in the form, with a button that draws their view.

So a run finds its watchers again: after a kernel has died, or from a notebook that never started it. One that has ended with
nobody left to close it is closed and sealed once somebody has looked.
"""

from __future__ import annotations

import threading
from pathlib import Path

import ipywidgets as w

from balbook.errors import BalbookError
from balbook.inventory import Inventory
from balbook.jupyter.forms import panels
from balbook.jupyter.forms.follower import Follower, ongoing
from balbook.jupyter.forms.form import Form
from balbook.jupyter.forms.rescue import abandoned, rescue
from balbook.jupyter.forms.trouble import trouble_of
from balbook.jupyter.forms.view import LiveView
from balbook.record.journal import opening_of
from balbook.record.keeping import records_folder
from balbook.show.markup import markup


class OngoingNotice:
    """Puts a line with a button into the form for each run that goes on."""

    def __init__(self, form: Form) -> None:
        self._form = form

    def look(self) -> None:
        """Looks once; nothing is shown where nothing goes on."""
        inventory = self._form.world.inventory
        if inventory is None:
            return
        records = records_folder(inventory)
        lines = [_line(run_dir, inventory) for run_dir in ongoing(records)]
        lines += [_line(run_dir, inventory, has_ended=True) for run_dir in abandoned(records)]
        self._form.notice.children = lines


def _line(run_dir: Path, inventory: Inventory, *, has_ended: bool = False) -> w.VBox:
    opened = opening_of(run_dir)
    run_id = opened.run_id if opened else run_dir.name
    about = f"{opened.runbook} {opened.parameters.get('application', '')}".strip() if opened else ""
    user = opened.who.get("user", "?") if opened else "?"
    told = markup("({}, by {}) has ended after its kernel had died." if has_ended else "is applying <b>{}</b> now, by {}.", about, user)
    shown = markup("<div class='bb-ongoing' role='status'>Run <code>{}</code> {}</div>", run_id, told)
    button = w.Button(description=f"Watch run {run_id}", layout=w.Layout(width="240px"))
    button.add_class("bb-watch")
    place = w.VBox()
    button.on_click(lambda pressed: watch(run_dir, inventory, place))
    return w.VBox([w.HBox([w.HTML(shown), button]), place])


def watch(run_dir: Path, inventory: Inventory, place: w.VBox) -> None:
    """Draws a run's view from its journal, until its process has ended."""
    if place.children:
        return
    view = LiveView()
    place.children = [view.root]
    try:
        follower = Follower(run_dir, inventory)
    except (OSError, ValueError, KeyError, BalbookError) as exc:
        view.page.value = markup("<p>{}</p>", exc)
        return
    threading.Thread(target=_to_its_end, args=(view, follower, inventory), name="balbook-watch", daemon=True).start()


def _to_its_end(view: LiveView, follower: Follower, inventory: Inventory) -> None:
    """In a thread: the view, then the record of a run that nobody else closes."""
    view.watch(follower, follower.has_ended)
    try:
        for html in rescue(follower, inventory):
            view.add(html)
    except BalbookError as exc:
        view.add(panels.error(trouble_of(exc)))
