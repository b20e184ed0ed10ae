"""The interactive half of a runbook: a form, a plan to judge, a button, a live view, a verdict; for JupyterLab.

`open_run` is what notebooks call. Where a person sits in front of the kernel it gives the run of `interactive`; everywhere
else the one of `balbook.run`, and nothing of this package is imported. Nothing here blocks the kernel: the cell of `apply`
draws its panel and ends, so a stop button, an interrupt and a browser that comes back always find a kernel that listens,
whatever the front end knows of subshells. Only this package imports ipywidgets.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any, cast

from balbook.errors import Refused
from balbook.run import Run
from balbook.run.cells import running_shell
from balbook.run.opening import Request, checked_request, open_checked
from balbook.run.opening import open_run as open_headless
from balbook.run.request import REQUEST

FORMS = "BALBOOK_FORMS"
"""`off`: no form, also in JupyterLab; the notebook's cells do at once what they say, but for an apply in production."""


def open_run(name: str, **parameters: Any) -> Run:
    """Opens a run of the runbook `name`; in JupyterLab it draws the form, and the run opens with the values given there.

    Connects to no host. Raises BadInput where something is wrong; nothing was touched then.
    """
    if not has_person():
        is_handed = bool(os.environ.get(REQUEST))
        return open_headless(name, **parameters) if is_handed or not _may_ask() else open_checked(_without_surprise(name, parameters))
    from balbook.jupyter.forms.interactive import open_interactively

    return cast(Run, open_interactively(name, parameters))  # it hands on what it does not do itself


def has_person() -> bool:
    """Whether a person is asked here: a kernel whose front end lets cells ask, as papermill and nbclient do not."""
    if os.environ.get(REQUEST) or os.environ.get(FORMS, "").lower() == "off":
        return False
    return _may_ask() and find_spec("ipywidgets") is not None


def _may_ask() -> bool:
    """Whether the front end lets cells ask: somebody sits in front of it, with a menu entry that runs all cells."""
    return bool(getattr(getattr(running_shell(), "kernel", None), "_allow_stdin", False))


def _without_surprise(name: str, parameters: Mapping[str, Any]) -> Request:
    """The run that is asked for; Refused where running all cells would change production without a button."""
    request = checked_request(name, parameters)
    if request.parameters["mode"] == "apply" and request.inventory.is_production:
        raise Refused(
            f"{request.inventory.environment} is changed here by a button alone, and there is no form; nothing was touched",
            advice=f"Unset {FORMS} and restart the kernel, or apply it from a command line: balbook apply {name}.",
        )
    return request
