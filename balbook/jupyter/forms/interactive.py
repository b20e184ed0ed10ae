"""What a notebook holds in its hand in JupyterLab: the cells call it, and a person decides.

The form gives the values, the first of the cells behind it opens the run, the plan is shown, `apply` draws a panel, and the
click in it starts the very process that a headless run starts. Cells that come too early say what they wait for and leave no
trace in the verdict. An error ends the run as it does headless: stated, kept, sealed.
"""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable, Mapping
from typing import Any

from balbook.errors import BalbookError, Failed, Inconclusive, NotYet
from balbook.jupyter.forms import panels, sealed, turns
from balbook.jupyter.forms.apply_panel import RETIRED
from balbook.jupyter.forms.applying import Applying
from balbook.jupyter.forms.form import Form
from balbook.jupyter.forms.form_run import FormRun
from balbook.jupyter.forms.hooks import executed_notebook, on_idle_interrupt, show_errors
from balbook.jupyter.forms.kept_notebook import Recorder
from balbook.jupyter.forms.ongoing import OngoingNotice
from balbook.jupyter.forms.screen import show
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
REPLANNED = "The plan was made anew: nobody has agreed to that one yet. Run the cell `apply` again for its button."
LEFT = "The run was closed before this plan was applied. Nothing was changed. Run the cells again from `preflight` for a new run."


def open_interactively(name: str, given: Mapping[str, Any]) -> InteractiveRun:
    """The form of a runbook, prefilled. NotYet where this kernel's run still needs its person; its view is drawn again then."""
    global _current
    if _current:
        _current.reattach()
    if _current:
        _current.leave()
    _current = InteractiveRun(name, given, running_shell())
    _current.show_form()
    return _current


class InteractiveRun:
    """The runs that one form opens, one after the other. What a `Run` offers and is not said here is the open run's."""

    def __init__(self, name: str, given: Mapping[str, Any], shell: Any) -> None:
        self._shell = shell
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
        on_idle_interrupt(shell, self.on_interrupt)
        atexit.register(self.leave)

    # The cells ----------------------------------------------------------------------------------------------------------

    def preflight(self) -> None:
        """Opens the run with the form's values, and shows read-only facts."""
        self._require("preflight")
        self._opened().preflight()

    def plan(self) -> Plan:
        """Makes and shows the plan. Raises as `Run.plan`; NotYet where the form is not ready."""
        self._require("plan")
        if not self._retire(REPLANNED):
            self._require("plan")  # the click came first
        if self._applying and self._applying.panel.state == RETIRED:
            self._applying = None
        return self._opened().plan()

    def apply(self, plan: Plan) -> None:
        """Draws the panel with the button; in plan mode it says that nothing was changed, and how to go on."""
        self._require("apply")
        run = self._opened()
        if run.mode == "plan":
            run.apply(plan)
            show(panels.waiting("Plan mode: nothing was changed.", PLAN_MODE, css="bb-plan-mode"))
        elif not plan.steps:
            run.apply(plan)  # nothing can change, so nobody need agree
        else:
            run.offer(plan)
            self._applying = Applying(run, plan, lambda error, say: self._applied(run, error, say))
            self._applying.panel.show()

    def verify(self) -> None:
        """Asks the hosts anew; NotYet before the plan was applied."""
        self._require("verify")
        self._opened().verify()

    def evidence(self) -> None:
        """Steps, measurements, and what the runbook has to show; NotYet before the plan was applied."""
        self._require("evidence")
        self._opened().evidence()

    def conclude(self) -> None:
        """Concludes; at the end of its cell the verdict is stated and shown, and the record sealed.

        It does not raise where the verdict is not good: here nobody but the person who reads it waits for an exit status.
        """
        self._require("conclude")
        run = self._opened()
        try:
            run.conclude()
        except (Failed, Inconclusive):
            if not run.journal.history().concluded:
                raise

    def stop(self, by: str = "run.stop()") -> None:
        """Asks the run to end in a safe state, where it is applying; what the Stop button and an interrupt do."""
        if self._applying and self.is_applying:
            self._applying.panel.view.ask_to_stop(by)

    def on_interrupt(self) -> None:
        """An interrupt while no cell runs."""
        self.stop("Interrupt")

    @property
    def is_applying(self) -> bool:
        """Whether hosts are being changed."""
        return self._applying is not None and self._applying.is_going_on

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or (not hasattr(Run, name) and name not in OPENED):
            raise AttributeError(f"an interactive run has no attribute {name!r}")
        run = self._run
        if run is None:
            raise NotYet("No run is open yet.", advice=FIRST)
        return getattr(run, name)

    # What the form and the panels do --------------------------------------------------------------------------------------

    def show_form(self) -> None:
        """In the setup cell; with runs that go on already, whoever controls them."""
        OngoingNotice(self._form).look()
        self._form.show()

    def reattach(self) -> None:
        """Draws the view of a run that has begun to apply and is not concluded, and raises NotYet; nothing where there is none."""
        if self._applying and (view := self._view_again()):
            self._applying.show_again()
            raise view

    def _view_again(self) -> NotYet | None:
        """What a setup cell comes to that finds such a run; None where it makes a new form."""
        if self._run is None or self._applying is None or not self._applying.live or self._is_closed:
            return None
        if self.is_applying:
            return NotYet(f"Run {self._run.id} is applying its plan; this is its view.", advice="Let it end, or stop it.")
        return NotYet(f"Run {self._run.id} has applied its plan and is not concluded; this is what it did.", advice=GO_ON)

    def leave(self) -> None:
        """Another form takes over, or the kernel ends: an open run that is not applying is closed as never concluded."""
        atexit.unregister(self.leave)
        if self._retire():
            self._close(Returned("ok"), lambda html: None)
            self._watch.detach()

    def _abandon(self) -> None:
        """The form's button: the open run ends here, and its values can be changed."""
        if self._watch.is_running:
            self._form.note("A cell is running, which needs this run. Press the button again once it is over.")
            return
        if not self._retire():
            return
        told = f"Run {self._run.id} was closed." if self._run and not self._is_closed else ""
        self._close(Returned("ok"), lambda html: None)
        self._form.thaw(f"{told} Change what you like, then run the cells again from preflight.".strip())

    def _opened(self) -> FormRun:
        """The open run; a new one with the form's values where there is none."""
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
        """The panel that waits applies nothing any more. False where it is applying."""
        return self._applying is None or self._applying.panel.retire(why)

    def _applied(self, run: Run, error: BalbookError | None, say: Callable[[panels.Html], None]) -> None:
        """The process of this run has ended; an error is the end of the run."""
        if error is not None and run is self._run:
            self._close(Returned("error", f"{type(error).__name__}: {error}"), say)

    def _cell_ended(self, ran: Ran, error: BaseException | None) -> None:
        """After a cell: a conclusion closes the run, and so does an error in a cell of the runbook, or one in the journal."""
        if self._run is None or self._is_closed or self.is_applying or isinstance(error, NotYet):
            return
        if error is not None and (ran.role in AFTER or self._run.journal.history().error):
            returned = Returned("error", f"{type(error).__name__}: {error}")
        elif self._run.journal.history().concluded:
            returned = Returned("ok")
        else:
            return
        if self._retire():
            self._close(returned, show)

    def _close(self, returned: Returned, say: Callable[[panels.Html], None]) -> None:
        with self._closing:
            run = self._run
            if run is None or self._is_closed:
                return
            self._is_closed = True
            self._watch.end()
            if run.journal.history().is_closed:  # by `balbook seal`, say
                self._form.thaw(f"Run {run.id} was closed elsewhere. For another one run the cells again from preflight.")
                return
            stated = close_executed(run.journal, cells_of(self._executed), returned)
            say(panels.verdict(stated.verdict, stated.why, run.name, run.id))
            kept = sealed.keep_notebook(self._executed, self._watch.ran, self._recorder, run.parameters, run.dir)
            say(sealed.seal(run.inventory, run.dir, kept, stated))
            self._watch.forget()
            self._form.thaw(f"Run {run.id} ended: {stated.verdict}. For another one run the cells again from preflight.")

    # What waits -----------------------------------------------------------------------------------------------------------

    def _require(self, role: str) -> None:
        if (obstacle := self._obstacle(role)) is not None:
            raise obstacle

    def _obstacle(self, role: str) -> NotYet | None:
        """Why a cell can only wait now; None where it can do its work."""
        if role == "setup":
            return self._view_again()
        if self._applying:
            self._applying.wait_where_it_ends()
        return turns.obstacle(role, self._run, self._applying, is_closed=self._is_closed, waited=self._watch.waited)

    def _draw_error(self, error: BaseException) -> bool:
        """In a panel; False for what a person's own cell has raised, which is theirs to read."""
        if not isinstance(error, BalbookError) and not self._watch.is_own:
            return False
        if isinstance(error, NotYet):
            show(panels.waiting(error.message, error.advice))
        else:
            run = None if self._is_closed else self._run
            show(
                panels.error(
                    trouble_of(error, runbook=run.name if run else "", run_id=run.id if run else "", run_dir=run.dir if run else None)
                )
            )
        return True


OPENED = ("name", "inventory", "parameters", "dir", "journal", "id", "mode")
