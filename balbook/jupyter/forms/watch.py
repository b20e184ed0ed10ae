"""Which cells ran, by what the kernel says: for the journal, for warnings at once, and for the notebook that is kept.

Cells that only said what has to be done first are kept out of the count: nothing happened in them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
    "The verdict of this run will be `inconclusive`. For a good one press **New run** in the form, and run the cells in their order."
)


@dataclass
class Ran:
    """One execution of a cell. `message_id` is the request's, by which its outputs are known; `status` is empty while it runs."""

    number: int
    source: str
    role: str
    cell_id: str = ""
    message_id: str = ""
    status: str = ""
    error: str = ""

    @property
    def sha256(self) -> str:
        return cell_digest(self.source)

    def data(self) -> dict[str, Any]:
        """The fields of its events."""
        return {"role": self.role, "number": self.number, "source_sha256": self.sha256}


class Watch:
    """Listens to one kernel for one runbook. `obstacle` says why a cell of a role only waits; `on_end` hears each cell's end."""

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
        """Whether a cell runs now; asked from another thread, or where the front end's messages do not wait for cells."""
        return bool(self.ran) and not self.ran[-1].status

    @property
    def is_own(self) -> bool:
        """Whether the cell that runs now is one of the runbook's, as it stands there."""
        return self.is_running and self.ran[-1].role not in ("unknown", "parameters")

    def attach(self) -> None:
        """From now on; what ran before, from the last parameters cell on, is taken from the kernel's memory."""
        sources: Sequence[str] = self._shell.user_ns.get("In", [])
        earlier = [Ran(n, source, role_of(source, self._roles), status="ok") for n, source in enumerate(sources) if source]
        first = next((i for i in reversed(range(len(earlier))) if earlier[i].role == "parameters"), max(0, len(earlier) - 1))
        self.ran = [r for r in earlier[first:-1] if r.role in (*BEFORE_OPENING, "unknown")] + earlier[-1:]
        if self.ran:
            self.ran[-1].status, self.ran[-1].message_id = "", message_id(self._shell)
        self._shell.events.register("pre_run_cell", self.before)
        self._shell.events.register("post_run_cell", self.after)

    def detach(self) -> None:
        """Stops listening."""
        self._shell.events.unregister("pre_run_cell", self.before)
        self._shell.events.unregister("post_run_cell", self.after)

    def begin(self, journal: Journal) -> None:
        """A run has opened in the cell that runs now; its journal gets what led to it, the newest cell of each role."""
        last = {r.role: r for r in self.ran if r.role in BEFORE_OPENING}
        self.ran = [r for r in self.ran[:-1] if last.get(r.role) is r or r.role == "unknown"] + self.ran[-1:]
        for ran in self.ran:
            journal.append(CellStarted(**ran.data()))
            if ran.status and ran.role != "parameters":
                journal.append(CellFinished(**self._ended(ran), **ran.data()))
        self._journal, self.waited = journal, set()
        if self.ran:
            self._warn(self.ran.pop())

    def end(self) -> None:
        """The run is closed: its journal gets nothing more. The next one begins with the form as it stands."""
        self._journal = None

    def forget(self) -> None:
        """What belongs to the run before; its parameters and its form stay."""
        self.ran = [r for r in self.ran if r.role in BEFORE_OPENING or not r.status]

    def before(self, info: Any) -> None:
        """IPython's event."""
        source, number = info.raw_cell, self._shell.execution_count
        ran = Ran(number, source, role_of(source, self._roles), str(getattr(info, "cell_id", "") or ""), message_id(self._shell))
        if self._journal:
            self._journal.append(CellStarted(**ran.data()))
            self._warn(ran)
        else:
            self.ran.append(ran)

    def after(self, result: Any) -> None:
        """IPython's event."""
        error = result.error_before_exec or result.error_in_exec
        if not self.ran or self.ran[-1].status:
            return  # the cell that detached the watch before this one
        ran, ended = self.ran[-1], ending(error)
        if self._journal and ran.role == "parameters" and error is None:
            ended = {"status": WAITING}  # the run has the form's values: the cell did nothing
        ran.status, ran.error = ended["status"], ended.get("error", "")
        if self._journal:
            self._journal.append(CellFinished(**self._ended(ran), **ran.data()))
        if ran.status == WAITING:
            self.ran.pop()
        self._note_waiting(ran)
        self._on_end(ran, error)

    def _warn(self, ran: Ran) -> None:
        """The cell that begins now, and at once a warning where it is not its turn."""
        if ran.role == "parameters":
            show(panels.waiting("The open run keeps the values of its form.", "Run the setup cell for a new form with these values."))
        elif self._obstacle(ran.role) is None and (what := self._out_of_order(ran)):
            show(panels.warning(what, CONSEQUENCE))
        self.ran.append(ran)

    def _note_waiting(self, ran: Ran) -> None:
        if ran.status != WAITING:
            self.waited.discard(ran.role)
        elif ran.sha256 not in [r.sha256 for r in self.ran]:
            self.waited.add(ran.role)

    def _ended(self, ran: Ran) -> dict[str, Any]:
        return {"status": ran.status, **({"error": ran.error} if ran.error else {})}

    def _out_of_order(self, ran: Ran) -> str:
        """What is wrong with this cell's turn; empty: nothing."""
        if ran.role == "unknown":
            label = self._labels.get(ran.cell_id)
            return (
                f"The cell `{label}` was edited: it is not the runbook's any more." if label else "This cell is not one of the runbook's."
            )
        done = [r.sha256 for r in self.ran if r.role != "parameters"]
        if ran.sha256 in done:
            return f"The cell `{ran.role}` has run already in this run."
        place = self._expected.index(ran.sha256)
        missing = [self._roles[sha256] for sha256 in self._expected[1:place] if sha256 not in done]
        return f"Skipped before this cell: {', '.join(f'`{role}`' for role in missing)}." if missing else ""


def message_id(shell: Any) -> str:
    """The id of the request that the kernel answers now; empty where there is no kernel."""
    kernel = getattr(shell, "kernel", None)
    parent = kernel.get_parent("shell") if kernel is not None else {}
    return str((parent or {}).get("header", {}).get("msg_id", ""))
