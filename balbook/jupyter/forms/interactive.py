"""The run that a notebook holds in JupyterLab: the cells call it, and a person decides.

The form gives the values, the first cell behind the form opens the run, `plan` shows the plan, `apply` draws a panel, and the
click in that panel starts the same process that a headless run starts. A cell that comes too early names its condition and
leaves no trace in the verdict. An error ends the run as it does headless: stated, kept, sealed.
"""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable, Mapping
from typing import Any

from balbook.errors import BalbookError, Failed, Inconclusive, NotYet
from balbook.jupyter.forms import panels, turns
from balbook.jupyter.forms.apply_panel import RETIRED
from balbook.jupyter.forms.applying import Applying
from balbook.jupyter.forms.form import Form
from balbook.jupyter.forms.form_run import FormRun
from balbook.jupyter.forms.hooks import executed_notebook, on_idle_interrupt, show_errors
from balbook.jupyter.forms.kept_notebook import Recorder
from balbook.jupyter.forms.ongoing import show_ongoing
from balbook.jupyter.forms.screen import show
from balbook.jupyter.forms.sealed import seal
from balbook.jupyter.forms.trouble import trouble_of
from balbook.jupyter.forms.turns import AFTER, FIRST, GO_ON, PLAN_MODE
from balbook.jupyter.forms.watch import Ran, Watch
from balbook.notebook.runbook import read_runbook, runbook_path
from balbook.plan.model import Plan
from balbook.record.verdict import Returned
from balbook.run.cells import running_shell
from balbook.run.closing import close_executed
from balbook.run.opening import begin, cells_of, new_run_dir
from balbook.run.outputs import guard
from balbook.run.run import Run
from balbook.secrets.references import Scrubber

_current: InteractiveRun | None = None
REPLANNED = "The plan was made anew, and nobody has agreed to the new plan yet. Run the cell `apply` again for its button."
OPENED = ("name", "inventory", "parameters", "dir", "journal", "id", "mode")
"""Attributes of an open run."""
LEFT = "The run was closed before this plan was applied. Nothing was changed. Run the cells again from `preflight` for a new run."


def open_interactively(name: str, given: Mapping[str, Any]) -> InteractiveRun:
    """Shows the prefilled form of a runbook. While this kernel's run still needs its person: shows its view and raises NotYet."""
    global _current
    if _current:
        _current.reattach()
        _current.leave()
    _current = InteractiveRun(name, given, running_shell())
    _current.show_form()
    return _current


class InteractiveRun:
    """The runs that one form opens, one after the other. Every other attribute of a `Run` is the open run's."""

    def __init__(self, name: str, given: Mapping[str, Any], shell: Any) -> None:
        runbook = read_runbook(runbook_path(name))
        self._executed = executed_notebook(runbook)
        self._recorder = Recorder()
        if gate := guard(shell, Scrubber()):
            gate.listeners[:] = [self._recorder.hear]
        self._watch = Watch(shell, self._executed, self._obstacle, self._cell_ended)
        self._watch.attach()
        self._form = Form(runbook, name, given, self._abandon)
        self._run: FormRun | None = None
        self._applying: Applying | None = None
        self._is_closed, self._closing = True, threading.RLock()
        show_errors(shell, self._draw_error)
        on_idle_interrupt(shell, lambda: self.stop("Interrupt"))
        atexit.register(self.leave)

    # The cells ----------------------------------------------------------------------------------------------------------

    def preflight(self) -> None:
        """Opens the run with the form's values, and shows read-only facts."""
        self._ready("preflight").preflight()

    def plan(self) -> Plan:
        """Makes and shows the plan. Raises as `Run.plan`; NotYet where the form is not ready."""
        self._require("plan")
        self._retire(REPLANNED)
        if self._applying and self._applying.panel.state == RETIRED:
            self._applying = None
        return self._ready("plan").plan()  # asked again: the click can have come first

    def apply(self, plan: Plan) -> None:
        """Draws the panel with the button; in plan mode tells that nothing was changed, and how to go on."""
        run = self._ready("apply")
        if run.mode == "plan" or not plan.steps:  # nothing can change, so nobody need agree
            run.apply(plan)
            if run.mode == "plan":
                show(panels.waiting("Plan mode: nothing was changed.", PLAN_MODE, css="bb-plan-mode"))
        else:
            run.offer(plan)
            self._applying = Applying(run, plan, lambda error, say: self._applied(run, error, say))
            self._applying.panel.show()

    def verify(self) -> None:
        """Asks the hosts anew; NotYet before the plan was applied."""
        self._ready("verify").verify()

    def evidence(self) -> None:
        """Shows steps, measurements and the runbook's own evidence; NotYet before the plan was applied."""
        self._ready("evidence").evidence()

    def conclude(self) -> None:
        """Concludes; at the end of its cell the verdict is stated and shown, and the record sealed.

        A bad verdict raises nothing: here only the person who reads the verdict waits for it, and no exit status.
        """
        run = self._ready("conclude")
        try:
            run.conclude()
        except (Failed, Inconclusive):
            if not run.journal.history().concluded:
                raise

    def stop(self, by: str = "run.stop()") -> None:
        """Asks a run that is applying to end in a safe state, as the Stop button and an interrupt do."""
        if self._applying and self.is_applying:
            self._applying.panel.view.ask_to_stop(by)

    @property
    def is_applying(self) -> bool:
        """True while hosts are being changed."""
        return self._applying is not None and self._applying.is_going_on

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or (not hasattr(Run, name) and name not in OPENED):
            raise AttributeError(f"an interactive run has no attribute {name!r}")
        if self._run is None:
            raise NotYet(turns.NOT_OPEN, advice=FIRST)
        return getattr(self._run, name)

    # The form and the panels ----------------------------------------------------------------------------------------------

    def show_form(self) -> None:
        """Draws the form in the setup cell, with the runs that go on already, whoever controls them."""
        show_ongoing(self._form)
        self._form.show()

    def reattach(self) -> None:
        """Draws the view of a run that has begun to apply and is not concluded, and raises NotYet; else does nothing."""
        if self._applying and (view := self._view_again()):
            self._applying.show_again()
            raise view

    def _view_again(self) -> NotYet | None:
        """The error of a setup cell that finds such a run; None where the cell makes a new form."""
        if self._run is None or self._applying is None or not self._applying.live or self._is_closed:
            return None
        if self.is_applying:
            return NotYet(f"Run {self._run.id} is applying its plan; the view above shows the run.", advice="Let the run end, or stop it.")
        return NotYet(f"Run {self._run.id} has applied its plan and is not concluded; the view above shows the run.", advice=GO_ON)

    def leave(self) -> None:
        """Closes an open run that is not applying as never concluded: another form takes over, or the kernel ends."""
        atexit.unregister(self.leave)
        if self._retire():
            self._close(Returned("ok"), lambda html: None)
            self._watch.detach()

    def _abandon(self) -> None:
        """Ends the open run at the form's button, so that the values can be changed."""
        if self._watch.is_running:
            self._form.note("A cell is running and needs this run. Press the button again once the cell has ended.")
        elif self._retire():
            told = f"Run {self._run.id} was closed. " if self._run and not self._is_closed else ""
            self._close(Returned("ok"), lambda html: None)
            self._form.thaw(f"{told}Change the values, then run the cells again from preflight.")

    def _opened(self) -> FormRun:
        """The open run; without one a new run with the form's values."""
        if self._run is None or self._is_closed:
            with self._form.held():
                request = self._form.request()
                self._run = begin(request, self._executed, new_run_dir(request), FormRun)
            self._applying, self._is_closed = None, False
            self._watch.begin(self._run.journal)
            self._form.freeze(request, self._run.id)
            show(panels.of_table(self._run.summary()))
        return self._run

    def _retire(self, why: str = LEFT) -> bool:
        """Puts the waiting panel away, for good. False where it is applying."""
        return self._applying is None or self._applying.panel.retire(why)

    def _applied(self, run: Run, error: BalbookError | None, say: Callable[[panels.Html], None]) -> None:
        """Closes this run after an error of its process."""
        if error is not None and run is self._run:
            self._close(_returned(error), say)

    def _cell_ended(self, ran: Ran, error: BaseException | None) -> None:
        """Closes the run after a conclusion, an error in a cell of the runbook, or an error in the journal."""
        if self._run is None or self._is_closed or self.is_applying or isinstance(error, NotYet):
            return
        history = self._run.journal.history()
        has_failed = error is not None and (ran.role in AFTER or history.error)
        if (has_failed or history.concluded) and self._retire():
            self._close(_returned(error if has_failed else None), show)

    def _close(self, returned: Returned, say: Callable[[panels.Html], None]) -> None:
        with self._closing:
            run = self._run
            if run is None or self._is_closed:
                return
            self._is_closed = True
            self._watch.end()
            ended = "was closed elsewhere"
            if not run.journal.history().is_closed:  # `balbook seal`, say, has not closed the run
                stated = close_executed(run.journal, cells_of(self._executed), returned)
                say(panels.verdict(stated.verdict, stated.why, run.name, run.id))
                say(seal(run.inventory, run.dir, self._executed, self._watch.ran, self._recorder, stated))
                self._watch.forget()
                ended = f"ended: {stated.verdict}"
            self._form.thaw(f"Run {run.id} {ended}. For another run, run the cells again from preflight.")

    # Waiting --------------------------------------------------------------------------------------------------------------

    def _require(self, role: str) -> None:
        if obstacle := self._obstacle(role):
            raise obstacle

    def _ready(self, role: str) -> FormRun:
        """The run for a cell whose turn has come; NotYet otherwise."""
        self._require(role)
        return self._opened()

    def _obstacle(self, role: str) -> NotYet | None:
        """The reason why a cell can only wait now; None where the cell can work."""
        if role == "setup":
            return self._view_again()
        if self._applying:
            self._applying.wait_where_it_ends()
        return turns.obstacle(role, self._run, self._applying, is_closed=self._is_closed, waited=self._watch.waited)

    def _draw_error(self, error: BaseException) -> bool:
        """Draws an error as a panel; returns False for a defect in a person's own cell, which keeps its traceback."""
        if not isinstance(error, BalbookError) and not self._watch.is_own:
            return False
        if isinstance(error, NotYet):
            show(panels.waiting(error.message, error.advice))
        else:
            show(panels.error(trouble_of(error, None if self._is_closed else self._run)))
        return True


def _returned(error: BaseException | None) -> Returned:
    return Returned("error", f"{type(error).__name__}: {error}") if error else Returned("ok")
