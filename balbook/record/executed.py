"""Comparison of an executed notebook with its journal, and of the journal's runbook with the known one."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from balbook.errors import BadInput
from balbook.notebook.runbook import Cell, cell_digest, read_runbook
from balbook.plan.reading import FILE, read_plan
from balbook.record.events import Event, RunOpened
from balbook.record.history import History
from balbook.record.verdict import is_injected

INJECTED = "injected-parameters"
"""The tag of the cell that papermill adds."""


def execution_faults(folder: Path, events: Sequence[Event], runbooks: Path | None = None) -> tuple[list[str], list[str]]:
    """Faults of the notebooks and plans in a journal's folder, and notes on those that could not be compared.

    `runbooks`: the folder of the sources; a runbook that has changed since is a note.
    """
    faults: list[str] = []
    notes: list[str] = []
    for run in _runs(events):
        opened, verdict = run.openings[0], run.closed.verdict if run.closed else ""
        name, has_succeeded = opened.runbook, verdict == "succeeded"
        path = folder / f"{name}.ipynb"
        if not path.is_file() and opened.runbook_sha256 == "":  # a pipeline's own, rollback, drain, readmit, unlock
            notes.append(f"{name}: ran without a notebook")
            continue
        if not path.is_file():
            (faults if has_succeeded else notes).append(f"{path.name}: the notebook is missing")
            continue
        try:
            cells = [cell for cell in read_runbook(path).cells if cell.type == "code"]
        except BadInput as exc:
            faults.append(exc.message)
            continue
        faults += [f"{path.name}: {fault}" for fault in (*_ran(cells, run, has_succeeded), *_parameters(cells, opened))]
        found, note = _source(cells, opened, runbooks, name)
        # Where the verdict says that other cells ran than the runbook's, the record is true and unaltered.
        (faults if verdict in ("succeeded", "planned") else notes).extend(f"{path.name}: {fault}" for fault in found)
        notes += note
    return [*faults, *_plan(folder, History.of(events))], notes


def _runs(events: Sequence[Event]) -> list[History]:
    """The history of each run that the journal opens."""
    runs: list[History] = []
    for event in events:
        if isinstance(event, RunOpened):
            runs.append(History())
        if runs:
            runs[-1].take([event])
    return runs


def _ran(cells: Sequence[Cell], run: History, has_succeeded: bool) -> Iterator[str]:
    """Looks for the journal's cells in the notebook, in order; where the run succeeded, also for the notebook's cells in the journal."""
    sources = [cell_digest(cell.source) for cell in cells]
    places: list[int] = []
    for event in run.cells_that_ran:
        after = places[-1] + 1 if places else 0
        here = [i for i, source in enumerate(sources) if source == event.source_sha256]
        if not here:
            yield f"event {event.seq}: the cell that ran as {event.role or 'code'} is not in the notebook; was it edited after it ran?"
            continue
        places.append(next((i for i in here if i >= after), here[0]))
        if has_succeeded and places[-1] < after:
            yield f"event {event.seq}: {cells[places[-1]].label} ran again or out of order, yet the verdict is succeeded"
    if has_succeeded:
        known = set(places)
        # A resumed run has no notebook any more: it verified without the cells behind, which stay as they are.
        end = max(places, default=-1) + 1 if run.resumes else len(cells)
        for i in range(min(places, default=0), len(cells)):
            is_left = i >= end and not cells[i].has_outputs
            if i not in known and cells[i].source.strip() and not _is_injected(cells[i], run.openings[0]) and not is_left:
                yield f"{cells[i].label} is not in the journal: the cell was added, or never ran"


def _is_injected(cell: Cell, opened: RunOpened) -> bool:
    """True for papermill's own cell. Anybody can write the tag, so the cell must set parameters and do nothing else."""
    return INJECTED in cell.tags and is_injected(cell.source, opened.parameters)


def _parameters(cells: Sequence[Cell], opened: RunOpened) -> Iterator[str]:
    journaled = opened.parameters
    sources = [cell.source for cell in cells if cell.role == "parameters" or INJECTED in cell.tags]
    shown = {name: value for source in sources for name, value in _literals(source).items()}
    for name in sorted(shown.keys() & journaled.keys()):
        is_filled_in = shown[name] in ("", [])  # by the inventory's defaults
        if shown[name] != journaled[name] and not is_filled_in:
            yield f"the parameter {name} is {shown[name]!r} in the notebook and {journaled[name]!r} in the journal"


def _literals(source: str) -> dict[str, Any]:
    """The names that a cell sets to literals, with their values as JSON has them."""
    values: dict[str, Any] = {}
    with suppress(SyntaxError, ValueError):
        for node in ast.parse(source).body:
            match node:
                case (
                    ast.Assign(targets=[ast.Name(id=name)], value=value)
                    | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
                ):
                    with suppress(ValueError, TypeError):
                        values[name] = json.loads(json.dumps(ast.literal_eval(value)))
    return values


def _source(cells: Sequence[Cell], opened: RunOpened, runbooks: Path | None, name: str) -> tuple[list[str], list[str]]:
    path = runbooks / f"{name}.ipynb" if runbooks else None
    if path is None or not path.is_file():
        return [], [f"{name}: the runbook is not at hand; the notebook was compared with the journal only"]
    runbook = read_runbook(path)
    if runbook.sha256 != opened.runbook_sha256:
        return [], [f"{name}: the runbook has changed since; the notebook was compared with the journal only"]
    ours = [cell for cell in cells if not _is_injected(cell, opened)]
    theirs = [cell for cell in runbook.cells if cell.type == "code"]
    faults = [
        f"{a.label} is not the runbook's {b.label}"
        for a, b in zip(ours, theirs, strict=False)
        if b.role != "parameters" and cell_digest(a.source) != cell_digest(b.source)
    ]
    if len(ours) != len(theirs):
        faults.append(f"has {len(ours)} code cells, the runbook has {len(theirs)}")
    return faults, []


def _plan(folder: Path, history: History) -> Iterator[str]:
    """Checks that the kept plan is the one that was shown, applied and concluded."""
    path = folder / FILE
    shown = [event for event in history.shown if event.digest]
    if not path.is_file():
        return
    try:
        kept = read_plan(folder).digest
    except BadInput:
        yield "plan.json: is not a plan"
        return
    if shown and kept not in {event.digest for event in shown}:
        yield f"plan.json: has another digest than the plan in event {shown[-1].seq} ({shown[-1].event})"
