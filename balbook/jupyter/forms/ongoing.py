"""Runs of this machine that go on already: shown in the form, with a button that draws their view.

So a person finds a run again after a kernel has died, or from a notebook that never started the run. A look at a run that ended
with nobody left to close it closes and seals that run.
"""

from __future__ import annotations

import threading
from pathlib import Path

import ipywidgets as w

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


def show_ongoing(form: Form) -> None:
    """Puts a line with a button into the form for each run that goes on, or that ended with nobody left to close it."""
    if (inventory := form.world.inventory) is None:
        return
    records = records_folder(inventory)
    lines = [_line(run_dir, inventory) for run_dir in ongoing(records)]
    form.notice.children = lines + [_line(run_dir, inventory, has_ended=True) for run_dir in abandoned(records)]


def _line(run_dir: Path, inventory: Inventory, *, has_ended: bool = False) -> w.VBox:
    opened = opening_of(run_dir)
    run_id, about, user = run_dir.name, "", "?"
    if opened:
        run_id, user = opened.run_id, opened.who.get("user", "?")
        about = f"{opened.runbook} {opened.parameters.get('application', '')}".strip()
    told = markup("({}, by {}) has ended after its kernel died." if has_ended else "is applying <b>{}</b> now, by {}.", about, user)
    shown = markup("<div class='bb-ongoing' role='status'>Run <code>{}</code> {}</div>", run_id, told)
    button = w.Button(description=f"Watch run {run_id}", layout=w.Layout(width="240px")).add_class("bb-watch")
    place = w.VBox()

    def watch(pressed: w.Button) -> None:
        if not place.children:
            view = LiveView()
            place.children = [view.root]
            threading.Thread(target=_to_its_end, args=(view, run_dir, inventory), name="balbook-watch", daemon=True).start()

    button.on_click(watch)
    return w.VBox([w.HBox([w.HTML(shown), button]), place])


def _to_its_end(view: LiveView, run_dir: Path, inventory: Inventory) -> None:
    """Draws the view until the run's process has ended, then closes and seals a run that nobody else closes."""
    try:
        follower = Follower(run_dir, inventory)
        view.watch(follower, follower.has_ended)
        for html in rescue(follower, inventory):
            view.add(html)
    except Exception as exc:
        view.add(panels.error(trouble_of(exc)))
