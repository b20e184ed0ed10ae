"""`new-runbook`."""

from __future__ import annotations

import argparse
import sys
from importlib.util import find_spec
from pathlib import Path

from balbook.errors import BadInput, Failed
from balbook.local.atomic_files import creating
from balbook.local.resources import resource
from balbook.notebook.runbook import find_runbooks, is_own_name

TEMPLATE = "my_runbook"
NEXT = """Wrote {notebook} and {procedure}. Next:
  balbook plan ./{notebook}      what it would do; as it is, it leaves a note on hosts
  put what yours is for into {procedure}, and say so in the notebook's title
  balbook check {notebook}"""


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments of `new-runbook`."""
    parser.epilog = "example: balbook new-runbook rotate_logs"
    parser.add_argument("name", metavar="NAME", help="lower-case letters, digits and _; the notebook's name and its procedure's")
    parser.set_defaults(run=new_runbook)


def new_runbook(args: argparse.Namespace) -> int:
    """Writes a notebook and its procedure into the current folder; never over a file that is there."""
    name: str = args.name
    _require_free(name)
    files = {Path(f"{name}{ending}"): resource("templates", "runbook", f"{TEMPLATE}{ending}") for ending in (".ipynb", ".py")}
    if there := [str(path) for path in files if path.exists() or path.is_symlink()]:
        raise BadInput(f"there already: {', '.join(there)}; nothing was written", advice="Choose another name.")
    written: list[Path] = []
    try:
        for path, template in files.items():
            with creating(path) as file:
                file.write(template.read_text(encoding="utf-8").replace(TEMPLATE, name).encode())
            written.append(path)
    except OSError as exc:
        for path in written:
            path.unlink(missing_ok=True)
        raise Failed(f"{exc.filename} cannot be written: {exc.strerror}", advice="Go to a folder that you may write to.") from exc
    print(NEXT.format(notebook=f"{name}.ipynb", procedure=f"{name}.py"))
    return 0


def _require_free(name: str) -> None:
    if not is_own_name(name):
        raise BadInput(
            f"{name!r} is no name for a runbook", advice="Use lower-case letters, digits and _, starting with a letter, as in rotate_logs."
        )
    if name in find_runbooks():
        raise BadInput(f"{name!r} is a runbook of balbook's", advice="Choose another name.")
    # The notebook's folder comes first where Python looks for modules: `json.py` beside it would break every import of json.
    if name in sys.stdlib_module_names or find_spec(name) is not None:
        raise BadInput(f"{name!r} is a Python module, which {name}.py would hide", advice=f"Choose another name, such as {name}_hosts.")
