"""Hooks into the kernel: errors as panels, an interrupt that stops the run while no cell runs, the executed notebook."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from balbook.errors import BadInput
from balbook.notebook.runbook import Runbook, read_runbook
from balbook.run.opening import cells_of

SESSION_NAME = "JPY_SESSION_NAME"
"""The variable in which Jupyter names the notebook that a kernel was started for."""


def show_errors(shell: Any, draw: Callable[[BaseException], bool]) -> None:
    """Lets `draw` show each error in its cell; an error for which `draw` returns False keeps its traceback."""

    def drawn(shell: Any, kind: type, error: BaseException, traceback: Any, tb_offset: int | None = None) -> list[str]:
        if not draw(error):
            shell.showtraceback((kind, error, traceback), tb_offset=tb_offset)
        return []

    shell.set_custom_exc((Exception,), drawn)


def on_idle_interrupt(shell: Any, act: Callable[[], None]) -> None:
    """Lets an interrupt call `act` while no cell runs; otherwise a kernel ignores the interrupt. Call this from a cell."""
    kernel = getattr(shell, "kernel", None)
    if kernel is not None and hasattr(kernel, "saved_sigint_handler"):
        # The kernel puts this handler back after each request; during a request an interrupt ends the cell as ever.
        kernel.saved_sigint_handler = lambda number, frame: act()


def executed_notebook(runbook: Runbook) -> Runbook:
    """The notebook that this kernel executes: the runbook, unless Jupyter names another file with other cells."""
    named = Path(os.environ.get(SESSION_NAME, ""))
    with suppress(BadInput):
        if named.suffix == ".ipynb" and named.is_file():
            opened = read_runbook(named)
            # A copy with outputs, or with parameters filled in, is still the runbook.
            return runbook if cells_of(opened)[1:] == cells_of(runbook)[1:] else opened
    return runbook
