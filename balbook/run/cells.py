"""A journal event before and after each cell that the kernel runs, under every executor."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from balbook.errors import BadInput, NotYet
from balbook.notebook.parameters import declared_parameters
from balbook.notebook.runbook import cell_digest
from balbook.record.events import CellFinished, CellStarted
from balbook.record.history import WAITING
from balbook.record.journal import Journal
from balbook.record.verdict import is_injected


class CellWatch:
    """Listens to IPython's events; one at a time, so that a kernel that opens a second run journals it there alone."""

    _current: CellWatch | None = None

    def __init__(self, shell: Any, journal: Journal, roles: Mapping[str, str]) -> None:
        self._shell, self._journal, self._roles = shell, journal, roles
        self._parameters = journal.history().parameters

    @classmethod
    def begin(cls, journal: Journal, roles: Mapping[str, str]) -> None:
        """Watches this process's kernel, if it has one. `roles` maps the sha256 of a runbook's cell to its role."""
        shell = running_shell()
        if shell is None:
            return
        if cls._current:
            cls._current.end()
        watch = cls(shell, journal, roles)
        for number, source in enumerate(shell.user_ns.get("In", [])):
            if source:
                journal.append(CellStarted(**watch._cell(source, number)))
        shell.events.register("pre_run_cell", watch.before)
        shell.events.register("post_run_cell", watch.after)
        cls._current = watch

    def end(self) -> None:
        """Stops listening."""
        self._shell.events.unregister("pre_run_cell", self.before)
        self._shell.events.unregister("post_run_cell", self.after)

    def before(self, info: Any) -> None:
        self._journal.append(CellStarted(**self._cell(info.raw_cell, self._shell.execution_count)))

    def after(self, result: Any) -> None:
        cell = self._cell(result.info.raw_cell if result.info else "", result.execution_count or 0)
        error = result.error_before_exec or result.error_in_exec
        self._journal.append(CellFinished(**ending(error), **cell))

    def _cell(self, source: str, number: int) -> dict[str, Any]:
        cell = {"role": role_of(source, self._roles), "number": number, "source_sha256": cell_digest(source)}
        return {**cell, "is_injected": cell["role"] == "unknown" and is_injected(source, self._parameters)}


def role_of(source: str, roles: Mapping[str, str]) -> str:
    """The role of a cell by the runbook's `roles` (by sha256): a parameters cell may be filled in by hand, any other is `unknown`."""
    return roles.get(cell_digest(source)) or ("parameters" if _declares_only(source) else "unknown")


def ending(error: BaseException | None) -> dict[str, Any]:
    """The end of a cell, in the journal's words."""
    if isinstance(error, NotYet):
        return {"status": WAITING}
    return {"status": "error", "error": type(error).__name__} if error else {"status": "ok"}


def _declares_only(source: str) -> bool:
    """True for a parameters cell, perhaps filled in by hand: declarations and nothing else."""
    try:
        return bool(declared_parameters(source))
    except BadInput:
        return False


def running_shell() -> Any:
    """This process's IPython; None outside IPython."""
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython else None
