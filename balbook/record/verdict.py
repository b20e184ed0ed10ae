"""A run's verdict, stated from its journal and never from an executor's word alone.

A run has succeeded only if the executor returned, every code cell ran in order with the runbook's own source, and the
journal ends in a conclusion with the digest of the plan that was shown.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from balbook.errors import ExitStatus
from balbook.record.events import CellStarted
from balbook.record.history import History

INJECTED_AFTER = "parameters"


@dataclass(frozen=True)
class Stated:
    """The verdict, the reason why it is not better, and its exit status."""

    verdict: str
    why: str
    exit_status: int


@dataclass(frozen=True)
class Returned:
    """The executor's result: `ok`, `error` (a cell failed), `kernel_death`, `cell_timeout`, `interrupted`."""

    status: str
    message: str = ""


def state(history: History, expected_cells: Sequence[str], returned: Returned) -> Stated:
    """The verdict of a run. `expected_cells`: sha256 of the runbook's code cells, in order."""
    concluded = history.concluded
    if error := history.error:
        verdict = "inconclusive" if error.exit_status == ExitStatus.INCONCLUSIVE else "failed"
        return Stated(verdict, "\n  ".join(filter(None, (error.message, error.advice))), error.exit_status)
    if returned.status == "error" and concluded and concluded.verdict in ("failed", "inconclusive"):
        return stated(concluded.verdict, concluded.why)  # the conclusion itself raised this error
    if returned.status != "ok":
        return stated("failed", f"{returned.status}: {returned.message}".rstrip(": "))
    if ended := history.failed_cell:
        name = ended.error or "an error"
        word = "sys_exit" if name == "SystemExit" else "cell_error"
        return stated("failed", f"{word}: the cell that ran as number {ended.number} ended with {name}, yet the executor went on")
    if concluded is None:
        return stated("inconclusive", "the executor returned, but no cell concluded the run")
    if wrong := _wrong_cells(history.cells_that_ran, expected_cells):
        return stated("inconclusive", wrong)
    if history.planned and history.planned.digest != concluded.digest:
        return stated("inconclusive", "changed_plan: the conclusion names another plan than the one that was shown")
    return stated(concluded.verdict, concluded.why)


def stated(verdict: str, why: str = "") -> Stated:
    """A verdict with its exit status."""
    return Stated(verdict, why, ExitStatus.of(verdict))


def is_injected(source: str, parameters: Collection[str]) -> bool:
    """True where a cell could be papermill's own: only comments and `name = literal`, each name that of a parameter.

    >>> [is_injected(s, ["mode"]) for s in ('# Parameters\\nmode = "plan"', 'mode = input()', 'open = 1')]
    [True, False, False]
    """
    try:
        return all(_name_set(node) in parameters for node in ast.parse(source).body)
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        return False


def _name_set(node: ast.stmt) -> str:
    match node:
        case ast.Assign(targets=[ast.Name(id=name)], value=value):
            ast.literal_eval(value)
            return name
    return ""


def _wrong_cells(ran: Sequence[CellStarted], expected: Sequence[str]) -> str:
    """The first difference between the cells that ran and the runbook's; empty without one."""
    own = [e for i, e in enumerate(ran) if not _is_injected(ran, i)]
    found = [_stands_for(e, expected) for e in own]
    if found == list(expected):
        return ""
    if strange := next((e for e in own if _stands_for(e, expected) not in expected), None):
        return f"edited_cell: the cell that ran as number {strange.number} is not the runbook's"
    if missing := next((i for i, sha256 in enumerate(expected, 1) if sha256 not in found), None):
        return f"skipped_cell: code cell {missing} of the runbook never ran"
    return "out_of_order: cells ran twice or in another order than the runbook's"


def _stands_for(cell: CellStarted, expected: Sequence[str]) -> str:
    """The cell's digest; a parameters cell that somebody filled in by hand counts as the runbook's, its first cell."""
    is_filled_in = cell.role == INJECTED_AFTER and cell.source_sha256 not in expected
    return expected[0] if is_filled_in and expected else cell.source_sha256


def _is_injected(ran: Sequence[CellStarted], index: int) -> bool:
    """True for papermill's own cell: it comes right after the parameters cell that it overrides, and only sets parameters."""
    return ran[index].is_injected and index > 0 and ran[index - 1].role == INJECTED_AFTER
