"""The interactive half of a runbook: a form, a plan to judge, a button, a live view, a verdict; for JupyterLab.

Notebooks call `open_run`. With a person in front of the kernel it returns the run of `interactive`; otherwise it returns the
run of `balbook.run`, and imports nothing of this package. Nothing here blocks the kernel: the cell of `apply` draws its panel
and ends, so a stop button, an interrupt and a browser that comes back always find a kernel that listens, with subshells or
without. Only this package imports ipywidgets.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import Any, cast

from balbook.errors import Refused
from balbook.run import Run
from balbook.run.cells import running_shell
from balbook.run.opening import checked_request, open_checked
from balbook.run.opening import open_run as open_headless
from balbook.run.request import REQUEST

FORMS = "BALBOOK_FORMS"
"""`off`: no form, also in JupyterLab; the notebook's cells act at once, except for an apply in production."""


def open_run(name: str, **parameters: Any) -> Run:
    """Opens a run of the runbook `name`; in JupyterLab draws the form and opens the run with the form's values.

    Connects to no host. Raises BadInput, before any change, where a value is wrong; raises Refused where running all cells would
    change production without a button.
    """
    if has_person():
        from balbook.jupyter.forms.interactive import open_interactively

        return cast(Run, open_interactively(name, parameters))  # the open run has every other attribute of a Run
    if os.environ.get(REQUEST) or not _may_ask():
        return open_headless(name, **parameters)
    request = checked_request(name, parameters)
    if request.parameters["mode"] == "apply" and request.inventory.is_production:
        raise Refused(
            f"a notebook changes {request.inventory.environment} only by the button of its form, and the form is off; nothing was touched",
            advice=f"Unset {FORMS} and restart the kernel, or apply the runbook from a command line: balbook apply {name}.",
        )
    return open_checked(request)


def has_person() -> bool:
    """True where a person gets the form: the kernel's front end lets cells ask, as papermill and nbclient do not."""
    is_off = os.environ.get(REQUEST) or os.environ.get(FORMS, "").lower() == "off"
    return not is_off and _may_ask() and find_spec("ipywidgets") is not None


def _may_ask() -> bool:
    """True where the front end lets cells ask: a person sits in front of it, with a menu entry that runs all cells."""
    return bool(getattr(getattr(running_shell(), "kernel", None), "_allow_stdin", False))
