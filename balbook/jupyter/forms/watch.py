"""The cells that ran, as the kernel tells: for the journal, for warnings at once, and for the notebook that is kept.

A cell that could only wait is left out of the count: it did nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from balbook.errors import NotYet
from balbook.jupyter.forms import panels
from balbook.jupyter.forms.screen import show
from balbook.notebook.runbook import Runbook, cell_digest
from balbook.record.events import CellFinished, CellStarted
from balbook.record.history import WAITING
from balbook.record.journal import Journal
from balbook.run.cells import ending, role_of
from balbook.run.opening import cells_of, roles_of

BEFORE_OPENING = ("parameters", "setup")
CONSEQUENCE = (
    "The verdict of this run will be `inconclusive`. For a better verdict press **New run** in the form, and run the cells in their order."
)


@dataclass
class Ran:
    """One execution of a cell. `message_id` names the request and so its outputs; `ending` is empty while the cell runs."""

    number: int
    source: str
    role: str
    cell_id: str = ""
    message_id: str = ""
    ending: dict[str, Any] = field(default_factory=dict)

    @property
    def sha256(self) -> str:
        return cell_digest(self.source)

    def started(self) -> CellStarted:
        """The event of its start."""
        return CellStarted(role=self.role, number=self.number, source_sha256=self.sha256)

    def finished(self) -> CellFinished:
        """The event of its end."""
        return CellFinished(role=self.role, number=self.number, source_sha256=self.sha256, **self.ending)


class Watch:
    """Listens to one kernel for one runbook. `obstacle` returns why a cell of a role only waits; `on_end` gets each cell's end."""

    def __init__(
        self,
        shell: Any,
        executed: Runbook,
        obstacle: Callable[[str], NotYet | None],
        on_end: Callable[[Ran, BaseException | None], None],
    ) -> None:
        self._shell, self._obstacle, self._on_end = shell, obstacle, on_end
        self._roles, self._expected = roles_of(executed), cells_of(executed)
        self._labels = {cell.id: cell.role for cell in executed.cells if cell.type == "code"}
        self._journal: Journal | None = None
        self.ran: list[Ran] = []
        self.waited: set[str] = set()
        """The roles of the cells that were run in this run and have only waited so far."""

    @property
    def is_running(self) -> bool:
        """True while a cell runs; for other threads, and for front ends whose messages do not wait for cells."""
        return bool(self.ran) and not self.ran[-1].ending

    @property
    def is_own(self) -> bool:
        """True while an unchanged cell of the runbook runs."""
        return self.is_running and self.ran[-1].role not in ("unknown", "parameters")

    def attach(self) -> None:
        """Listens from now on; earlier cells, from the last parameters cell on, come from the kernel's memory."""
        sources: Sequence[str] = self._shell.user_ns.get("In", [])
        earlier = [Ran(n, source, role_of(source, self._roles), ending={"status": "ok"}) for n, source in enumerate(sources) if source]
        first = max((i for i, ran in enumerate(earlier) if ran.role == "parameters"), default=max(0, len(earlier) - 1))
        self.ran = [r for r in earlier[first:-1] if r.role in (*BEFORE_OPENING, "unknown")] + earlier[-1:]
        if self.ran:
            self.ran[-1].ending, self.ran[-1].message_id = {}, _message_id(self._shell)
        self._shell.events.register("pre_run_cell", self.before)
        self._shell.events.register("post_run_cell", self.after)

    def detach(self) -> None:
        """Stops listening."""
        self._shell.events.unregister("pre_run_cell", self.before)
        self._shell.events.unregister("post_run_cell", self.after)

    def begin(self, journal: Journal) -> None:
        """Journals a run that has opened in the cell that runs now, after the cells that led to it, the newest of each role."""
        last = {r.role: r for r in self.ran if r.role in BEFORE_OPENING}
        self.ran = [r for r in self.ran[:-1] if last.get(r.role) is r or r.role == "unknown"] + self.ran[-1:]
        for ran in self.ran:
            journal.append(ran.started())
            if ran.ending and ran.role != "parameters":
                journal.append(ran.finished())
        self._journal, self.waited = journal, set()
        if self.ran:
            self._warn(self.ran[-1])

    def end(self) -> None:
        """Closes the journal, which gets no more events. The next run begins with the form as it stands."""
        self._journal = None

    def forget(self) -> None:
        """Forgets the cells of the run before, except its parameters and its form."""
        self.ran = [r for r in self.ran if r.role in BEFORE_OPENING or not r.ending]

    def before(self, info: Any) -> None:
        """IPython's event before a cell."""
        source, cell_id = info.raw_cell, str(getattr(info, "cell_id", "") or "")
        ran = Ran(self._shell.execution_count, source, role_of(source, self._roles), cell_id, _message_id(self._shell))
        self.ran.append(ran)
        if self._journal:
            self._journal.append(ran.started())
            self._warn(ran)

    def after(self, result: Any) -> None:
        """IPython's event after a cell."""
        error = result.error_before_exec or result.error_in_exec
        if not self.is_running:
            return  # the cell that detached the watch before this one
        ran = self.ran[-1]
        # The run has the form's values: the parameters cell did nothing.
        has_waited = self._journal and ran.role == "parameters" and error is None
        ran.ending = {"status": WAITING} if has_waited else ending(error)
        if self._journal:
            self._journal.append(ran.finished())
        if ran.ending["status"] != WAITING:
            self.waited.discard(ran.role)
        else:
            self.ran.pop()
            if ran.sha256 not in [r.sha256 for r in self.ran]:
                self.waited.add(ran.role)
        self._on_end(ran, error)

    def _warn(self, ran: Ran) -> None:
        """Shows a warning, at the start of a cell, where another cell comes first."""
        if ran.role == "parameters":
            show(panels.waiting("The open run keeps the values of its form.", "Run the setup cell for a new form with these values."))
        elif self._obstacle(ran.role) is None and (what := self._out_of_order(ran)):
            show(panels.warning(what, CONSEQUENCE))

    def _out_of_order(self, ran: Ran) -> str:
        """The fault in this cell's turn; empty where its turn has come."""
        if label := self._labels.get(ran.cell_id) if ran.role == "unknown" else "":
            return f"The cell `{label}` was edited and is no longer the runbook's."
        if ran.role == "unknown":
            return "This cell is not one of the runbook's."
        done = [r.sha256 for r in self.ran if r is not ran and r.role != "parameters"]
        if ran.sha256 in done:
            return f"The cell `{ran.role}` has run already in this run."
        place = self._expected.index(ran.sha256)
        missing = [f"`{self._roles[sha256]}`" for sha256 in self._expected[1:place] if sha256 not in done]
        return f"Skipped before this cell: {', '.join(missing)}." if missing else ""


def _message_id(shell: Any) -> str:
    """The id of the request that the kernel answers now; empty without a kernel."""
    kernel = getattr(shell, "kernel", None)
    parent = kernel.get_parent("shell") if kernel is not None else {}
    return str((parent or {}).get("header", {}).get("msg_id", ""))
