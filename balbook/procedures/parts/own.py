"""A procedure outside this package: a Python file beside the user's own notebook, with the four functions of every procedure."""

from __future__ import annotations

import sys
import traceback
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import TYPE_CHECKING, cast

from balbook.errors import BadInput

if TYPE_CHECKING:
    from balbook.procedures import Procedure

FUNCTIONS = ("preflight", "plan", "verify", "evidence")
WRITING = "`balbook new-runbook NAME` writes a first version."


def own_procedure(file: Path) -> Procedure:
    """The procedure in this file, run as the file stands now. BadInput names the missing function, or the line that fails."""
    if not file.is_file():
        raise BadInput(f"{file} is missing: the procedure of {file.with_suffix('.ipynb').name}", advice=WRITING)
    name = f"balbook_own_{file.stem}"
    spec = spec_from_file_location(name, file)
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and the like look their module up there
    try:
        spec.loader.exec_module(module)
    except Exception as exc:
        raise BadInput(f"{file}:{_line(exc, file)}: {type(exc).__name__}: {exc}", advice="Mend this line and run the cell again.") from exc
    if missing := [function for function in FUNCTIONS if not callable(getattr(module, function, None))]:
        raise BadInput(f"{file} has no function {', '.join(missing)}", advice=WRITING)
    return cast("Procedure", module)


def _line(error: Exception, file: Path) -> int:
    """The line of the file at which the procedure failed."""
    if isinstance(error, SyntaxError) and error.filename == str(file):
        return error.lineno or 0
    lines = [frame.lineno or 0 for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)]
    return lines[-1] if lines else 0
