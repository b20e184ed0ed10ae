"""A run's verdict, stated from what stands in its journal: never inferred from an executor's word alone.

A run has succeeded only if the executor returned, every code cell ran in order with the runbook's own source, and the
journal ends in a conclusion with the digest of the plan that was shown.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from balbook.errors import ExitStatus
from balbook.record.journal import Event

INJECTED_AFTER = "parameters"
WAITING = "waiting"
"""The status of a cell that could not be run yet; it did nothing."""


@dataclass(frozen=True)
class Stated:
    """The verdict, why it is not better, and the exit status that goes with it."""

    verdict: str
    why: str
    exit_status: int

    @classmethod
    def of(cls, verdict: str, why: str = "") -> Stated:
        """With the exit status that belongs to the verdict."""
        return cls(verdict, why, ExitStatus.of(verdict))


@dataclass(frozen=True)
class Returned:
    """What the executor said: `ok`, `error` (a cell failed), `kernel_death`, `cell_timeout`, `interrupted`."""

    status: str
    message: str = ""


def state(events: Sequence[Event], expected_cells: Sequence[str], returned: Returned) -> Stated:
    """The verdict of a run. `expected_cells`: sha256 of the runbook's code cells, in order."""
    if error := _last(events, "error"):
        status = int(error["exit_status"])
        return Stated("inconclusive" if status == ExitStatus.INCONCLUSIVE else "failed", _with_advice(error), status)
    concluded = _last(events, "concluded")
    if returned.status == "error" and concluded and concluded["verdict"] in ("failed", "inconclusive"):
        return Stated.of(str(concluded["verdict"]), str(concluded["why"]))  # the conclusion says so by an error of its own
    if returned.status != "ok":
        return Stated.of("failed", f"{returned.status}: {returned.message}".rstrip(": "))
    if ended := next((e for e in events if e["event"] == "cell_finished" and e["status"] == "error"), None):
        name = str(ended.get("error", "an error"))
        word = "sys_exit" if name == "SystemExit" else "cell_error"
        return Stated.of("failed", f"{word}: the cell run as number {ended['number']} ended with {name}, and yet the executor went on")
    if concluded is None:
        return Stated.of("inconclusive", "the executor returned, but the run was never concluded")
    if wrong := _wrong_cells(events, expected_cells):
        return Stated.of("inconclusive", wrong)
    planned = _last(events, "planned")
    if planned and planned["digest"] != concluded["digest"]:
        return Stated.of("inconclusive", "changed_plan: the conclusion is about another plan than the one that was shown")
    return Stated.of(str(concluded["verdict"]), str(concluded["why"]))


def cells_that_ran(events: Sequence[Event]) -> list[Event]:
    """The `cell_started` of every cell but those that only said what has to be done first (`waiting`)."""
    waited = {e["number"] for e in events if e["event"] == "cell_finished" and e.get("status") == WAITING}
    return [e for e in events if e["event"] == "cell_started" and e.get("number") not in waited]


def is_injected(source: str, parameters: Collection[str]) -> bool:
    """Whether a cell may be papermill's own: nothing but `name = literal`, each name that of a parameter; and comments.

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


def _with_advice(error: Event) -> str:
    return "\n  ".join(part for part in (str(error["message"]), str(error.get("advice", ""))) if part)


def _last(events: Sequence[Event], name: str) -> Event | None:
    return next((e for e in reversed(events) if e["event"] == name), None)


def _wrong_cells(events: Sequence[Event], expected: Sequence[str]) -> str:
    """What differs between the cells that ran and the runbook's; empty where nothing does."""
    ran = cells_that_ran(events)
    own = [e for i, e in enumerate(ran) if not _is_injected(ran, i)]
    found = [_stands_for(e, expected) for e in own]
    if found == list(expected):
        return ""
    if strange := next((e for e in own if _stands_for(e, expected) not in expected), None):
        return f"edited_cell: the cell run as number {strange['number']} is not the runbook's"
    if missing := next((i for i, sha256 in enumerate(expected, 1) if sha256 not in found), None):
        return f"skipped_cell: code cell {missing} of the runbook never ran"
    return "out_of_order: cells ran twice or in another order than the runbook's"


def _stands_for(cell: Event, expected: Sequence[str]) -> str:
    """The cell's digest; a parameters cell that somebody filled in by hand stands for the runbook's, which is its first."""
    sha256 = str(cell["source_sha256"])
    is_filled_in = cell["role"] == INJECTED_AFTER and sha256 not in expected
    return expected[0] if is_filled_in and expected else sha256


def _is_injected(ran: Sequence[Event], index: int) -> bool:
    """Papermill's own cell with the parameters comes right after the one that it overrides, and sets parameters alone."""
    return bool(ran[index].get("is_injected")) and index > 0 and ran[index - 1]["role"] == INJECTED_AFTER
