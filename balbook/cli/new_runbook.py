"""`new-runbook`: writes a runbook of your own, with its procedure."""

from __future__ import annotations

import argparse
import sys
from importlib.util import find_spec
from pathlib import Path

from balbook.cli import common
from balbook.errors import BadInput, Failed
from balbook.local.atomic_files import creating
from balbook.local.resources import resource
from balbook.notebook.runbook import find_runbooks, is_own_name

TEMPLATE = "my_runbook"
NEXT = """Wrote {name}.ipynb and {name}.py. Next:
  balbook plan ./{name}.ipynb      shows the plan; the new runbook leaves a note on hosts
  write your own steps into {name}.py, and your purpose into the notebook's title
  balbook check {name}.ipynb"""
EXAMPLE = "balbook new-runbook rotate_logs"
ARGUMENTS = (
    common.argument("name", metavar="NAME", help="lower-case letters, digits and _; the name of the notebook and of its procedure"),
)


def run(args: argparse.Namespace) -> int:
    """Writes a notebook and its procedure into the current folder; never overwrites a file."""
    name: str = args.name
    _require_free(name)
    files = {Path(f"{name}{ending}"): resource("templates", "runbook", f"{TEMPLATE}{ending}") for ending in (".ipynb", ".py")}
    if existing := [str(path) for path in files if path.exists() or path.is_symlink()]:
        raise BadInput(f"{', '.join(existing)} exists already; nothing was written", advice="Choose another name.")
    written: list[Path] = []
    try:
        for path, template in files.items():
            with creating(path) as file:
                file.write(template.read_text(encoding="utf-8").replace(TEMPLATE, name).encode())
            written.append(path)
    except OSError as exc:
        for path in written:
            path.unlink(missing_ok=True)
        raise Failed(f"{exc.filename} cannot be written: {exc.strerror}", advice="Go to a folder that you can write to.") from exc
    print(NEXT.format(name=name))
    return 0


def _require_free(name: str) -> None:
    if not is_own_name(name):
        advice = "Use lower-case letters, digits and _, starting with a letter, as in rotate_logs."
        raise BadInput(f"{name!r} is not a valid name for a runbook", advice=advice)
    if name in find_runbooks():
        raise BadInput(f"{name!r} is one of balbook's own runbooks", advice="Choose another name.")
    # The notebook's folder comes first where Python looks for modules: `json.py` beside it would break every import of json.
    if name in sys.stdlib_module_names or find_spec(name) is not None:
        raise BadInput(
            f"{name!r} is a Python module, and {name}.py would hide the module", advice=f"Choose another name, such as {name}_hosts."
        )
