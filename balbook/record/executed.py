"""Whether an executed notebook is what its journal says was run, and the journal's runbook is the one that is known."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Sequence
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
    """Faults, and notes on what could not be compared, of the notebooks and plans in a journal's folder.

    `runbooks`: where the sources are; a runbook that has changed since is a note.
    """
    faults: list[str] = []
    notes: list[str] = []
    for run in _runs(events):
        opened, verdict = run.openings[0], run.closed.verdict if run.closed else ""
        name, has_succeeded = opened.runbook, verdict == "succeeded"
        path = folder / f"{name}.ipynb"
        if not path.is_file() and opened.runbook_sha256 == "":  # a pipeline's own, rollback, drain, readmit, unlock
            notes.append(f"{name}: was run without a notebook, no runbook was executed")
            continue
        if not path.is_file():
            (faults if has_succeeded else notes).append(f"{path.name}: there is no such notebook")
            continue
        try:
            cells = [cell for cell in read_runbook(path).cells if cell.type == "code"]
        except BadInput as exc:
            faults.append(exc.message)
            continue
        faults += [f"{path.name}: {fault}" for fault in (*_ran(cells, run, has_succeeded), *_parameters(cells, opened))]
        found, note = _source(cells, opened, runbooks, name)
        # Where the verdict says that other cells ran than the runbook's, the record is true; nobody altered it.
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
    """The journal's cells in the notebook, in order; and the other way round where the run succeeded."""
    sources = [cell_digest(cell.source) for cell in cells]
    places: list[int] = []
    for event in run.cells_that_ran:
        after = places[-1] + 1 if places else 0
        here = [i for i, source in enumerate(sources) if source == event.source_sha256]
        if not here:
            yield f"event {event.seq}: the cell that ran as {event.role or 'code'} is not in it; edited after it ran?"
            continue
        places.append(next((i for i in here if i >= after), here[0]))
        if has_succeeded and places[-1] < after:
            yield f"event {event.seq}: {cells[places[-1]].label} ran again or out of order, yet the verdict is succeeded"
    if has_succeeded:
        known = set(places)
        # A run that went on without its notebook, which was cut off, has verified itself; the cells behind stand there as they are.
        end = max(places, default=-1) + 1 if run.resumes else len(cells)
        for i in range(min(places, default=0), len(cells)):
            is_left = i >= end and not cells[i].has_outputs
            if i not in known and cells[i].source.strip() and not _is_injected(cells[i], run.openings[0]) and not is_left:
                yield f"{cells[i].label} is not in the journal: added, or never run"


def _is_injected(cell: Cell, opened: RunOpened) -> bool:
    """A tag alone is easily written: the cell sets parameters and does nothing else."""
    return INJECTED in cell.tags and is_injected(cell.source, opened.parameters)


def _parameters(cells: Sequence[Cell], opened: RunOpened) -> Iterator[str]:
    journaled = opened.parameters
    shown: dict[str, Any] = {}
    for cell in cells:
        if cell.role == "parameters" or INJECTED in cell.tags:
            shown |= _literals(cell.source)
    for name in sorted(shown.keys() & journaled.keys()):
        is_filled_in = shown[name] in ("", [])  # by the inventory's defaults
        if shown[name] != journaled[name] and not is_filled_in:
            yield f"the parameter {name} is {shown[name]!r} in it and {journaled[name]!r} in the journal"


def _literals(source: str) -> dict[str, Any]:
    values: dict[str, Any] = {}
    try:
        statements = ast.parse(source).body
    except (SyntaxError, ValueError):
        return values
    for node in statements:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
        if len(targets) == 1 and isinstance(targets[0], ast.Name) and value is not None:
            try:
                values[targets[0].id] = json.loads(json.dumps(ast.literal_eval(value)))
            except (ValueError, TypeError):
                continue
    return values


def _source(cells: Sequence[Cell], opened: RunOpened, runbooks: Path | None, name: str) -> tuple[list[str], list[str]]:
    path = runbooks / f"{name}.ipynb" if runbooks else None
    if path is None or not path.is_file():
        return [], [f"{name}: its runbook is not at hand, compared with the journal only"]
    runbook = read_runbook(path)
    if runbook.sha256 != opened.runbook_sha256:
        return [], [f"{name}: the runbook has changed since, compared with the journal only"]
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
    """The plan that was kept is the one that was shown, applied and concluded."""
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
        yield f"plan.json: has not the digest of the plan in event {shown[-1].seq} ({shown[-1].event})"
