"""Applying a plan while the kernel stays free: one thread follows the run's process, another one draws.

The process is the one that a headless run starts. It goes on whatever the browser does; should the kernel die, it ends in a
safe state by itself.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from balbook.errors import BalbookError, Failed
from balbook.forms import panels
from balbook.forms.apply_panel import APPLYING, OVER, ApplyPanel
from balbook.forms.follower import Follower
from balbook.forms.live import Live
from balbook.forms.panels import Html
from balbook.forms.trouble import trouble_applying
from balbook.journal import utc_now
from balbook.plan import Plan
from balbook.run.run import Run

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
        is_ending = self._worker is not None and (not self._worker.is_alive() or self._run.journal.last("apply_finished") is not None)
        if is_ending:
            self._is_done.wait(END_WITHIN_S)

    @property
    def live(self) -> Live | None:
        """What it does; None before the click."""
        return self._follower.live if self._follower else None

    def show_again(self) -> None:
        """Draws what there is to see in the cell that runs now; for a browser that has lost it."""
        if self._follower:
            self.panel.slot.show(self._twin(self._follower))

    def _begin(self) -> None:
        """The click. Both threads end with the run."""
        self._follower = Follower(self._run.dir, self._run.inventory)
        self.panel.slot.change_twin(self._begun())
        errors: list[BalbookError] = []
        self._worker = threading.Thread(target=self._carry_out, args=(errors,), name="balbook-apply", daemon=True)
        self._worker.start()
        threading.Thread(target=self._watch, args=(self._worker, errors), name="balbook-view", daemon=True).start()

    def _begun(self) -> Html:
        """What a notebook says that is saved meanwhile, and a tab that has lost the view."""
        command = f"balbook status {self.panel.plan.application}".rstrip()
        return panels.waiting(
            f"Run {self._run.id} has been applying this plan since {utc_now():%Y-%m-%d %H:%M:%S} UTC.",
            f"Run the cell `setup` to see it. What runs where: `{command}`",
            css="bb-begun",
            sign="▶",
        )

    def _carry_out(self, errors: list[BalbookError]) -> None:
        try:
            self._run.carry_out(self.panel.plan, lambda event: None)
        except BalbookError as exc:
            errors.append(exc)
        except Exception as exc:
            # A defect of ours ends the run in a stated verdict too.
            defect = Failed(f"defect in balbook: {type(exc).__name__}: {exc}", advice=f"Look at the hosts: balbook resume {self._run.id}")
            defect.__cause__ = exc
            errors.append(defect)

    def _watch(self, worker: threading.Thread, errors: list[BalbookError]) -> None:
        """Draws until the process has ended; then says what came of it, and lets the cells go on."""
        follower = self._follower
        assert follower
        try:
            self.panel.view.watch(follower, lambda: not worker.is_alive())
        finally:
            worker.join()
            try:
                self._end(follower, errors[0] if errors else None)
            finally:
                self.panel.state = OVER
                self._is_done.set()

    def _end(self, follower: Follower, error: BalbookError | None) -> None:
        """What came of it; only then may the cells go on, so that they find an ended run closed."""
        if error:
            self._say(panels.error(trouble_applying(error, follower.live, self._run.id, self._run.dir)))
        self._on_end(error, self._say)
        self.panel.state = OVER
        if not error:
            self._say(panels.waiting("Applied.", NEXT, css="bb-next", sign="✔"))
        self.panel.slot.settle(self._twin(follower))

    def _say(self, html: Html) -> None:
        """On the screen, and in what stays in the notebook."""
        self._said.append(html)
        self.panel.view.add(html)
        if self._follower:
            self.panel.slot.change_twin(self._twin(self._follower))

    def _twin(self, follower: Follower) -> Html:
        page = follower.twin()
        return Html("".join([page.html, *(said.html for said in self._said)]), "\n".join([page.text, *(said.text for said in self._said)]))
