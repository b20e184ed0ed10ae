"""`jupyter`: opens JupyterLab on the runbooks."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from balbook import jupyter
from balbook.cli import common
from balbook.errors import InventoryError
from balbook.inventory import Inventory, read_inventory
from balbook.jupyter import server
from balbook.local.lab_place import running_inventory

PORT = 8888
EXAMPLE = "balbook jupyter --no-browser --port 8890"
ARGUMENTS = (
    common.INVENTORY,
    common.argument("--port", type=int, default=PORT, metavar="N", help=f"port on 127.0.0.1 (default {PORT}, or the next; 0: any)"),
    common.argument("--no-browser", action="store_true", help="print the address and open no browser"),
    common.argument(
        "--folder", type=Path, default=Path("jupyter"), metavar="DIR", help="folder for copies of the runbooks (default ./jupyter)"
    ),
)


def run(args: argparse.Namespace) -> int:
    """Opens JupyterLab on copies of the runbooks, with an index; ends JupyterLab at Ctrl-C."""
    server.require_port(args.port)
    folder: Path = args.folder.expanduser().absolute()
    if already := server.running(folder):
        common.say(f"JupyterLab is already open on {folder}")
        print(already.url, flush=True)
        return 0
    inventory, is_named = _inventory(args)
    for name in jupyter.prepare(folder):
        common.say(f"{folder / name}.ipynb was edited and is kept; delete the file to get a fresh copy")
    jupyter.write_index(folder, inventory)

    def ready(started: jupyter.Server) -> None:
        common.say(f"JupyterLab shows {folder.parent}; the runbooks are in {folder}. Ctrl-C ends JupyterLab.")
        print(started.url, flush=True)

    named = inventory.path.absolute() if inventory and is_named else None
    jupyter.serve(folder, port=args.port, has_browser=not args.no_browser, inventory=named, environ=os.environ, ready=ready)
    return 0


def _inventory(args: argparse.Namespace) -> tuple[Inventory | None, bool]:
    """The inventory by the documented order, None where none exists yet; and whether a user named it.

    Each run finds a running lab anew: another lab may run by then.
    """
    found = common.found_or_none(args.inventory)
    if isinstance(found, InventoryError):
        common.say(f"balbook: {found}")
        return None, False
    path, source = found
    common.say(f"inventory: {path} ({source})")
    return read_inventory(path), path != running_inventory(os.environ)
