"""Opens a run from a runbook's name and parameters: checks everything first, then makes the folder and the journal."""

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
from balbook.run.cells import CellWatch, running_shell
from balbook.run.display import show
from balbook.run.folder import make_run_dir, open_journal
from balbook.run.outputs import guard
from balbook.run.request import Handed, RunRequest, handed
from balbook.run.run import Run, require_no_secrets

KEY = "BALBOOK_KEY"
"""The variable with the key of a job that may be retried, for a notebook outside balbook's commands; the journal keeps the key."""
MODES = ("plan", "apply")
Kind = TypeVar("Kind", bound=Run)


@dataclass(frozen=True)
class Request:
    """A checked request for a run that does not exist yet. `parameters` has a value for each, defaults filled in."""

    name: str
    runbook: Runbook
    inventory: Inventory
    parameters: dict[str, Any]


def open_run(name: str, **parameters: Any) -> Run:
    """Opens a run of the runbook `name`: checks parameters and inventory, makes the folder and the journal.

    Connects to no host. Raises BadInput where something is wrong; nothing was touched then.
    """
    given = handed()
    if given is None:
        return open_checked(checked_request(name, parameters))
    given.require_same(name, parameters)
    inventory = given.inventory()
    guard(running_shell(), inventory.secrets.scrubber)
    return open_checked(Request(name, read_runbook(given.request.notebook), inventory, given.request.parameters), given)


def open_checked(request: Request, given: Handed | None = None) -> Run:
    """Opens a checked run. Without `given`, the executed file is taken to be ours: a command requests another, or its cells show it."""
    run_dir, asked = (given.run_dir, given.request) if given else (new_run_dir(request), None)
    run = begin(request, request.runbook, run_dir, Run, asked)
    CellWatch.begin(run.journal, roles_of(request.runbook))
    show(run.summary())
    return run


def checked_request(name: str, parameters: Mapping[str, Any]) -> Request:
    """Checks everything that needs no host. BadInput where something is wrong.

    From now on this process's kernel, if it has one, shows no secret of the inventory: a person's own cells may show any.
    """
    runbook = read_runbook(runbook_path(name))
    given, environ = check_parameters(runbook.parameters, parameters), os.environ
    named, lab = str(given["inventory"]), running_inventory(environ)
    inventory = load_inventory(None, parameter=named, environ=environ, cwd=Path.cwd(), lab_inventory=lab)
    checked = checked_values(runbook, name, inventory, given)
    guard(running_shell(), inventory.secrets.everything())
    require_no_secrets(checked, inventory.secrets.scrubber)
    return Request(name, runbook, inventory, checked)


def checked_values(runbook: Runbook, name: str, inventory: Inventory, given: Mapping[str, Any]) -> dict[str, Any]:
    """A value for each of the runbook's parameters, the inventory's defaults filled in. BadInput where one is wrong."""
    checked = check_parameters(runbook.parameters, given)
    if checked["mode"] not in MODES:
        raise ParameterError(
            f"parameter mode: {checked['mode']!r} is neither 'plan' nor 'apply'", advice="Choose one; plan changes nothing."
        )
    checked = check_parameters(runbook.parameters, procedures.with_defaults(inventory, name, checked))
    procedures.check_values(inventory, name, checked)
    return checked


def begin(request: Request, executed: Runbook, run_dir: Path, kind: type[Kind], asked: RunRequest | None = None) -> Kind:
    """Begins a run of this kind in its folder, with the first event of its journal. `executed`: the notebook.

    `asked` is the request in a folder that an executor has made.
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
    """Makes a folder for a run without an executor of ours."""
    return make_run_dir(request.inventory, request.name)


def cells_of(runbook: Runbook) -> list[str]:
    """The sha256 of each code cell, in order."""
    return [cell_digest(cell.source) for cell in runbook.cells if cell.type == "code"]


def roles_of(runbook: Runbook) -> dict[str, str]:
    """The role of each code cell by its sha256."""
    return {cell_digest(cell.source): cell.role for cell in runbook.cells if cell.type == "code"}
