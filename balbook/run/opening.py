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
from balbook.notebook.runbook import Runbook, cell_digest, read_runbook, runbook_path
from balbook.record.journal import utc_now
from balbook.run.cells import CellWatch, running_shell
from balbook.run.display import show
from balbook.run.folder import make_run_dir, new_run_id, open_journal
from balbook.run.outputs import guard
from balbook.run.request import Handed, RunRequest, handed
from balbook.run.run import Run, require_no_secrets

KEY = "BALBOOK_KEY"
"""The key of a job that may be retried, of a notebook that no command of balbook executes; it is kept in the journal."""
MODES = ("plan", "apply")
Kind = TypeVar("Kind", bound=Run)


@dataclass(frozen=True)
class Request:
    """A run that is asked for, checked; nothing of it is made yet. `parameters` has a value for each, defaults filled in."""

    name: str
    runbook: Runbook
    inventory: Inventory
    parameters: dict[str, Any]


def open_run(name: str, **parameters: Any) -> Run:
    """Opens a run of the runbook `name`: parameters and inventory checked, folder and journal begun.

    Connects to no host. Raises BadInput where something is wrong; nothing was touched then.
    """
    if given := handed():
        request = _trusted(given, name, parameters)
        return _watched(begin(request, request.runbook, given.run_dir, Run, given.request), request)
    return open_checked(checked_request(name, parameters))


def open_checked(request: Request) -> Run:
    """Opens a run that no command has asked for. The file that is executed can only be ours; another one shows by its cells."""
    return _watched(begin(request, request.runbook, new_run_dir(request), Run), request)


def _watched(run: Run, request: Request) -> Run:
    CellWatch.begin(run.journal, roles_of(request.runbook))
    show(run.summary())
    return run


def _trusted(given: Handed, name: str, parameters: Mapping[str, Any]) -> Request:
    """What was handed to this kernel, as it was checked; its `runbook` is the file that is executed."""
    given.require_same(name, parameters)
    inventory = given.inventory()
    guard(running_shell(), inventory.secrets.scrubber)
    return Request(name, read_runbook(given.request.notebook), inventory, given.request.parameters)


def checked_request(name: str, parameters: Mapping[str, Any]) -> Request:
    """Everything that can be checked without a host. BadInput where something is wrong.

    From here on this kernel, where there is one, shows no secret of the inventory: cells of a person's own may show any.
    """
    runbook = read_runbook(runbook_path(name))
    given = check_parameters(runbook.parameters, parameters)
    inventory = load_inventory(
        None, parameter=str(given["inventory"]), environ=os.environ, cwd=Path.cwd(), lab_inventory=running_inventory(os.environ)
    )
    checked = checked_values(runbook, name, inventory, given)
    guard(running_shell(), inventory.secrets.everything())
    require_no_secrets(checked, inventory.secrets.scrubber)
    return Request(name, runbook, inventory, checked)


def checked_values(runbook: Runbook, name: str, inventory: Inventory, given: Mapping[str, Any]) -> dict[str, Any]:
    """A value for each of the runbook's parameters, the inventory's defaults filled in. BadInput where one is wrong."""
    checked = check_parameters(runbook.parameters, given)
    if checked["mode"] not in MODES:
        raise ParameterError(f"parameter mode: {checked['mode']!r} is neither 'plan' nor 'apply'", advice="plan changes nothing.")
    checked = check_parameters(runbook.parameters, procedures.with_defaults(inventory, name, checked))
    procedures.check_values(inventory, name, checked)
    return checked


def begin(request: Request, executed: Runbook, run_dir: Path, kind: type[Kind], asked: RunRequest | None = None) -> Kind:
    """A run of this kind in its folder, with the first event of its journal. `executed`: the notebook that is run.

    `asked` is what stands in its folder already, where an executor has made that.
    """
    if asked is None:
        asked = RunRequest.of(executed, request.name, request.inventory, request.parameters, key=os.environ.get(KEY, ""))
        asked.keep(run_dir)
    journal = open_journal(
        run_dir,
        request.inventory,
        executed.name,
        request.parameters,
        runbook_sha256=executed.sha256,
        procedure=request.name,
        notebook=str(executed.path.resolve()),
        cells=tuple(cells_of(executed)),
        key=asked.key,
    )
    return kind(request.inventory, run_dir, journal, asked)


def new_run_dir(request: Request) -> Path:
    """A folder of its own for a run that no executor has made one for."""
    return make_run_dir(request.inventory, request.name, new_run_id(), utc_now())


def cells_of(runbook: Runbook) -> list[str]:
    """sha256 of its code cells, in order."""
    return [cell_digest(cell.source) for cell in runbook.cells if cell.type == "code"]


def roles_of(runbook: Runbook) -> dict[str, str]:
    """The role of each code cell by its sha256."""
    return {cell_digest(cell.source): cell.role for cell in runbook.cells if cell.type == "code"}
