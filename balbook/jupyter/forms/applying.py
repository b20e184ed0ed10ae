"""Applying a plan while the kernel stays free: one thread follows the run's process, another one draws.

The process is the one that a headless run starts. It goes on whatever the browser does; should the kernel die, it ends in a
safe state by itself.
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
from balbook.jupyter.forms.panels import Html, Trouble
from balbook.jupyter.forms.trouble import trouble_applying, trouble_of
from balbook.plan.model import Plan
from balbook.record.journal import utc_now
from balbook.run.run import Run
from balbook.show.markup import joined

Say = Callable[[Html], None]
OnEnd = Callable[[BalbookError | None, Say], None]
END_WITHIN_S = 20.0
"""How long a cell waits for the end to be written down: the last look at the journal, and the seal of a run that failed."""
NEXT = "Run the next cells: `verify`, `evidence`, `conclude`."


class Applying:
    """The panel of one plan and what comes of it. `on_end` hears the error, if any, and how to say more on the screen."""

    def __init__(self, run: Run, plan: Plan, on_end: OnEnd) -> None:
        self._run, self._on_end = run, on_end
        self.panel = ApplyPanel(plan, run.inventory, self._begin)
        self._follower: Follower | None = None
        self._said: list[Html] = []
        self._worker: threading.Thread | None = None
        self._is_done = threading.Event()

    @property
    def is_going_on(self) -> bool:
        """Whether the run's process works, or its end is being written down."""
        return self.panel.state == APPLYING

    def wait_where_it_ends(self) -> None:
        """Waits the moment between the end of the run's process and what is said and written of it; nothing while it applies."""
        is_ending = self._worker is not None and (not self._worker.is_alive() or self._run.journal.history().applied is not None)
        if is_ending:
            self._is_done.wait(END_WITHIN_S)

    @property
    def live(self) -> Live | None:
        """What it does; None before the click."""
        return self._follower.live if self._follower else None

    def show_again(self) -> None:
        """Draws what there is to see in the cell that runs now; for a browser that has lost it."""
        if self._follower:
            self.panel.slot.show(self._twin())

    def _begin(self) -> None:
        """The click. Both threads end with the run; what cannot even begin ends here, and was no change."""
        try:
            self._follower = Follower(self._run.dir, self._run.inventory)
            self.panel.slot.change_twin(self._begun())
            threading.Thread(target=self._watch, args=(self._follower,), name="balbook-view", daemon=True).start()
        except Exception as exc:
            self._finish(_defect(exc, "Nothing was started."))

    def _begun(self) -> Html:
        """What a notebook says that is saved meanwhile, and a tab that has lost the view."""
        command = f"balbook status {self.panel.plan.application}".rstrip()
        return panels.waiting(
            f"Run {self._run.id} has been applying this plan since {utc_now():%Y-%m-%d %H:%M:%S} UTC.",
            f"Run the cell `setup` to see it. What runs where: `{command}`",
            css="bb-begun",
            sign="▶",
        )

    def _watch(self, follower: Follower) -> None:
        """Draws until the process has ended; then says what came of it, and lets the cells go on."""
        errors: list[BalbookError] = []
        worker = threading.Thread(target=self._carry_out, args=(errors,), name="balbook-apply", daemon=True)
        try:
            worker.start()
            self._worker = worker
            with contextlib.suppress(Exception):  # a fault of the view is none of the run's
                self.panel.view.watch(follower, lambda: not worker.is_alive(), takes_focus=True)  # Apply had it and is gone
            worker.join()
        except Exception as exc:
            errors.append(_defect(exc, "Nothing was started."))
        self._finish(errors[0] if errors else None)

    def _carry_out(self, errors: list[BalbookError]) -> None:
        try:
            self._run.carry_out(self.panel.plan, lambda event: None)
        except BalbookError as exc:
            errors.append(exc)
        except Exception as exc:
            # A defect of ours ends the run in a stated verdict too.
            errors.append(_defect(exc, f"Look at the hosts: balbook resume {self._run.id}"))

    def _finish(self, error: BalbookError | None) -> None:
        """Whatever fails now, cells that wait for the end go on."""
        try:
            self._end(error)
        finally:
            self.panel.state = OVER
            self._is_done.set()

    def _end(self, error: BalbookError | None) -> None:
        """What came of it; only then may the cells go on, so that they find an ended run closed."""
        if error:
            self._say(panels.error(self._trouble(error)))
        self._on_end(error, self._say)
        self.panel.state = OVER
        if not error:
            self._say(panels.waiting("Applied.", NEXT, css="bb-next", sign="✔"))
        self.panel.slot.settle(self._twin())

    def _trouble(self, error: BalbookError) -> Trouble:
        if self.live:
            return trouble_applying(error, self.live, self._run.id, self._run.dir)
        return trouble_of(error, runbook=self._run.name, run_id=self._run.id, run_dir=self._run.dir)

    def _say(self, html: Html) -> None:
        """On the screen, and in what stays in the notebook."""
        self._said.append(html)
        self.panel.view.add(html)
        self.panel.slot.change_twin(self._twin())

    def _twin(self) -> Html:
        pages = [*([_page(self._follower)] if self._follower else []), *self._said]
        return Html(joined(page.html for page in pages), "\n".join(page.text for page in pages))


def _page(follower: Follower) -> Html:
    try:
        return follower.twin()
    except Exception as exc:
        return panels.warning(f"The view failed: {type(exc).__name__}: {exc}", "What was done stands in the record.")


def _defect(exc: Exception, advice: str) -> Failed:
    defect = Failed(f"defect in balbook: {type(exc).__name__}: {exc}", advice=advice)
    defect.__cause__ = exc
    return defect
