"""`jupyter`."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from balbook.cli import common
from balbook.inventory import Inventory, find_inventory, read_inventory
from balbook.local.lab_place import running_inventory

PORT = 8888


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments of `jupyter`."""
    parser.epilog = "example: balbook jupyter --no-browser --port 8890"
    common.add_inventory(parser)
    parser.add_argument("--port", type=int, default=PORT, metavar="N", help=f"port on 127.0.0.1 (default {PORT}, or the next; 0: any)")
    parser.add_argument("--no-browser", action="store_true", help="only say the address")
    parser.add_argument(
        "--folder", type=Path, default=Path("jupyter"), metavar="DIR", help="where copies of the runbooks go (default ./jupyter)"
    )
    parser.set_defaults(run=jupyter)


def jupyter(args: argparse.Namespace) -> int:
    """Opens JupyterLab on copies of the runbooks, with an index; ends it at Ctrl-C."""
    from balbook.jupyter import Server, prepare, serve, write_index
    from balbook.jupyter.server import require_port, running

    require_port(args.port)
    folder: Path = args.folder.expanduser().absolute()
    if there := running(folder):
        common.say(f"JupyterLab is open on {folder} already")
        print(there.url, flush=True)
        return 0
    inventory, is_named = _inventory(args)
    for name in prepare(folder):
        common.say(f"{folder / name}.ipynb was edited and is kept; delete it to have a fresh one")
    write_index(folder, inventory)

    def ready(server: Server) -> None:
        common.say(f"JupyterLab shows {folder.parent}; the runbooks are in {folder}. Ctrl-C ends it.")
        print(server.url, flush=True)

    named = inventory.path.absolute() if inventory and is_named else None
    serve(folder, port=args.port, has_browser=not args.no_browser, inventory=named, environ=os.environ, ready=ready)
    return 0


def _inventory(args: argparse.Namespace) -> tuple[Inventory | None, bool]:
    """The inventory by the documented order, None where there is none yet; and whether somebody named it.

    A running lab is found by each run anew: another one may run by then.
    """
    from balbook.errors import InventoryError

    lab = running_inventory(os.environ)
    try:
        path, source = find_inventory(args.inventory, environ=os.environ, cwd=Path.cwd(), lab_inventory=lab)
    except InventoryError as exc:
        if args.inventory or os.environ.get("BALBOOK_INVENTORY"):
            raise
        common.say(f"balbook: {exc}")
        return None, False
    common.say(f"inventory: {path} ({source})")
    return read_inventory(path), path != lab
