"""Applies a plan while the kernel stays free: one thread follows the run's process, another one draws.

A headless run starts the same process. The process goes on whatever the browser does; if the kernel dies, the process ends in
a safe state by itself.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable

from balbook.errors import BalbookError, Failed
from balbook.jupyter.forms import panels
from balbook.jupyter.forms.apply_panel import APPLYING, OVER, ApplyPanel
from balbook.jupyter.forms.follower import Follower
from balbook.jupyter.forms.live import Live
from balbook.jupyter.forms.panels import Html
from balbook.jupyter.forms.trouble import trouble_applying, trouble_of
from balbook.plan.model import Plan
from balbook.record.journal import utc_now
from balbook.run.run import Run
from balbook.show.markup import joined

Say = Callable[[Html], None]
OnEnd = Callable[[BalbookError | None, Say], None]
END_WITHIN_S = 20.0
"""The longest wait of a cell for the end to be written down: the last look at the journal, and the seal of a run that failed."""
NEXT = "Run the next cells: `verify`, `evidence`, `conclude`."
UNSTARTED = "Nothing was started."


class Applying:
    """The panel of one plan, and its apply. `on_end` gets the error, if any, and a function that shows more on the screen."""

    def __init__(self, run: Run, plan: Plan, on_end: OnEnd) -> None:
        self._run, self._on_end = run, on_end
        self.panel = ApplyPanel(plan, run.inventory, self._begin)
        self._follower: Follower | None = None
        self._said: list[Html] = []
        self._worker: threading.Thread | None = None
        self._is_done = threading.Event()

    @property
    def is_going_on(self) -> bool:
        """True while the run's process works, or its end is being written down."""
        return self.panel.state == APPLYING

    def wait_where_it_ends(self) -> None:
        """Waits between the end of the run's process and the end of its report; returns at once while the process works."""
        if self._worker is not None and (not self._worker.is_alive() or self._run.journal.history().applied is not None):
            self._is_done.wait(END_WITHIN_S)

    @property
    def live(self) -> Live | None:
        """The state of the apply; None before the click."""
        return self._follower.live if self._follower else None

    def show_again(self) -> None:
        """Draws the page in the cell that runs now, for a browser that has lost the view."""
        if self._follower:
            self.panel.slot.show(self._twin())

    def _begin(self) -> None:
        """Starts both threads, which end with the run; a run that cannot even start ends here, without a change."""
        try:
            self._follower = Follower(self._run.dir, self._run.inventory)
            self.panel.slot.change_twin(self._begun())
            threading.Thread(target=self._watch, args=(self._follower,), name="balbook-view", daemon=True).start()
        except Exception as exc:
            self._finish(_defect(exc, UNSTARTED))

    def _begun(self) -> Html:
        """The panel in a notebook that is saved meanwhile, and in a tab that has lost the view."""
        told = f"Run {self._run.id} has been applying this plan since {utc_now():%Y-%m-%d %H:%M:%S} UTC."
        status = f"balbook status {self.panel.plan.application}".rstrip()
        return panels.waiting(told, f"Run the cell `setup` to see the run, or `{status}` to see the instances.", css="bb-begun", sign="▶")

    def _watch(self, follower: Follower) -> None:
        """Draws until the process has ended; then shows the end, and lets the cells go on."""
        errors: list[BalbookError] = []
        worker = threading.Thread(target=self._carry_out, args=(errors,), name="balbook-apply", daemon=True)
        try:
            worker.start()
            self._worker = worker
            with contextlib.suppress(Exception):  # a fault of the view does not end the run
                # The Apply button had the keyboard's focus and is gone.
                self.panel.view.watch(follower, lambda: not worker.is_alive(), takes_focus=True)
            worker.join()
        except Exception as exc:
            errors.append(_defect(exc, UNSTARTED))
        self._finish(errors[0] if errors else None)

    def _carry_out(self, errors: list[BalbookError]) -> None:
        try:
            self._run.carry_out(self.panel.plan, lambda event: None)
        except BalbookError as exc:
            errors.append(exc)
        except Exception as exc:
            # A defect of balbook ends the run in a stated verdict too.
            errors.append(_defect(exc, f"Look at the hosts: balbook resume {self._run.id}"))

    def _finish(self, error: BalbookError | None) -> None:
        """Shows the end; only then the cells go on, so that they find an ended run closed. They go on after a fault here too."""
        try:
            if error:
                self._say(panels.error(trouble_applying(error, self.live, self._run.id) if self.live else trouble_of(error, self._run)))
            self._on_end(error, self._say)
            self.panel.state = OVER
            if not error:
                self._say(panels.waiting("Applied.", NEXT, css="bb-next", sign="✔"))
            self.panel.slot.settle(self._twin())
        finally:
            self.panel.state = OVER
            self._is_done.set()

    def _say(self, html: Html) -> None:
        """Shows a panel on the screen, and keeps it for the notebook."""
        self._said.append(html)
        self.panel.view.add(html)
        self.panel.slot.change_twin(self._twin())

    def _twin(self) -> Html:
        pages = list(self._said)
        if self._follower:
            try:
                pages.insert(0, self._follower.twin())
            except Exception as exc:
                pages.insert(0, panels.warning(f"The view failed: {type(exc).__name__}: {exc}", "The record has all steps of the run."))
        return Html(joined(page.html for page in pages), "\n".join(page.text for page in pages))


def _defect(exc: Exception, advice: str) -> Failed:
    defect = Failed(f"defect in balbook: {type(exc).__name__}: {exc}", advice=advice)
    defect.__cause__ = exc
    return defect
