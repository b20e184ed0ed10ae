"""From a runbook's name and its parameters to a run: first everything is checked, then its folder and journal are begun."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from balbook import procedures
from balbook.errors import ParameterError
from balbook.inventory import Inventory, load_inventory
from balbook.local.lab_place import running_inventory
from balbook.notebook.parameters import check_parameters
from balbook.notebook.runbook import Runbook, read_runbook, runbook_path
from balbook.record.journal import utc_now
from balbook.run.cells import CellWatch, running_shell, sha256_of
from balbook.run.display import show
from balbook.run.folder import NOTEBOOK, RUN_DIR, make_run_dir, new_run_id, open_journal
from balbook.run.outputs import guard
from balbook.run.run import Run, require_no_secrets
from balbook.secrets.references import Scrubber
from balbook.secrets.scrubbing import known_secrets

MODES = ("plan", "apply")
Kind = TypeVar("Kind", bound=Run)


@dataclass(frozen=True)
class Request:
    """A run that is asked for, checked; nothing of it is made yet. `parameters` has a value for each, defaults filled in."""

    name: str
    runbook: Runbook
    inventory: Inventory
    parameters: dict[str, Any]
    scrubber: Scrubber


def open_run(name: str, **parameters: Any) -> Run:
    """Opens a run of the runbook `name`: parameters and inventory checked, folder and journal begun.

    Connects to no host. Raises BadInput where something is wrong; nothing was touched then.
    """
    request = checked_request(name, parameters)
    given = os.environ.get(RUN_DIR)
    run_dir = Path(given) if given else new_run_dir(request)
    # The file that is executed, where the executor says so; else it can only be ours, and another one shows by its cells.
    notebook = os.environ.get(NOTEBOOK)
    executed = read_runbook(Path(notebook)) if notebook else request.runbook
    run = begin(request, executed, run_dir, Run)
    CellWatch.begin(run.journal, roles_of(executed))
    show(run.summary())
    return run


def checked_request(name: str, parameters: Mapping[str, Any]) -> Request:
    """Everything that can be checked without a host. BadInput where something is wrong.

    From here on this kernel, where there is one, shows no secret of the inventory.
    """
    runbook = read_runbook(runbook_path(name))
    checked = check_parameters(runbook.parameters, parameters)
    if checked["mode"] not in MODES:
        raise ParameterError(f"parameter mode: {checked['mode']!r} is neither 'plan' nor 'apply'", advice="plan changes nothing.")
    inventory = load_inventory(
        None, parameter=str(checked["inventory"]), environ=os.environ, cwd=Path.cwd(), lab_inventory=running_inventory(os.environ)
    )
    checked = check_parameters(runbook.parameters, procedures.with_defaults(inventory, name, checked))
    procedures.check_values(inventory, name, checked)
    scrubber = known_secrets(inventory, os.environ)
    guard(running_shell(), scrubber)
    require_no_secrets(checked, scrubber)
    return Request(name, runbook, inventory, checked, scrubber)


def begin(request: Request, executed: Runbook, run_dir: Path, kind: type[Kind]) -> Kind:
    """A run of this kind in its folder, with the first event of its journal. `executed`: the notebook that is run."""
    journal = open_journal(
        run_dir,
        request.inventory,
        executed.name,
        request.parameters,
        clean=request.scrubber.data,
        runbook_sha256=executed.sha256,
        procedure=request.name,
        notebook=str(executed.path.resolve()),
        cells=tuple(cells_of(executed)),
    )
    return kind(request.name, request.inventory, request.parameters, run_dir, journal, request.scrubber)


def new_run_dir(request: Request) -> Path:
    """A folder of its own for a run that no executor has made one for."""
    return make_run_dir(request.inventory, request.name, new_run_id(), utc_now())


def cells_of(runbook: Runbook) -> list[str]:
    """sha256 of its code cells, in order."""
    return [sha256_of(cell.source) for cell in runbook.cells if cell.type == "code"]


def roles_of(runbook: Runbook) -> dict[str, str]:
    """The role of each code cell by its sha256."""
    return {sha256_of(cell.source): cell.role for cell in runbook.cells if cell.type == "code"}
