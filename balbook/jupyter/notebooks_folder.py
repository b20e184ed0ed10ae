"""The folder that JupyterLab shows: copies of the runbooks, the index, tiles for the launcher.

    FOLDER/index.ipynb         what is deployed, the last runs, a link to each runbook
          /NAME.ipynb          a copy of each of balbook's runbooks
          /runs/               copies of executed notebooks (see `overview.recent_runs`)
          /.gitignore          keeps all of it out of commits
          /.balbook/           copies.json: what each copy was made from; tiles and settings; the server's state and log

A notebook that is run is written to, so what is run are copies. One that nobody has edited is made anew at each start; an edited
one is the user's and stays.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from balbook.errors import BadInput, Failed, Refused
from balbook.inventory import Inventory
from balbook.jupyter import index as overview
from balbook.local.atomic_files import write_text
from balbook.local.digests import sha256_of
from balbook.local.resources import resource
from balbook.notebook.notebook_file import read_notebook, text_of_notebook, trust
from balbook.notebook.runbook import Runbook, find_runbooks, read_runbook
from balbook.show.table import Table

DEFAULT = "jupyter"
PRIVATE = ".balbook"
COPIES = "copies.json"
INDEX = "index.ipynb"
RUNS = "runs"
TILES = "jp_app_launcher.yaml"
"""The name by which jupyter-app-launcher finds it."""
PAGE = {"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}}
"""JupyterLab asks nobody on the Internet for news, and no question about it covers the form."""


def prepare(folder: Path) -> list[str]:
    """Makes the folder, or brings its copies up to date; the names of the copies that were edited and therefore kept.

    Refused where the folder holds other things and was not made by this.
    """
    private = folder / PRIVATE
    if folder.exists() and not private.is_dir() and (not folder.is_dir() or any(folder.iterdir())):
        raise Refused(f"{folder} is there already and is not balbook's", advice="Name another folder: balbook jupyter --folder DIR.")
    try:
        private.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_text(folder / ".gitignore", "*\n")
        kept = _copy_runbooks(folder)
        _write_tiles(folder)
        _write_settings(private)
    except OSError as exc:
        raise Failed(f"{folder} cannot be written: {exc.strerror or exc}", advice="Name another folder: --folder DIR.") from exc
    return kept


def write_index(folder: Path, inventory: Inventory | None) -> None:
    """The index notebook with its tables filled in, so that it tells something before a cell is run; takes a few seconds at most."""
    notebook = read_notebook(resource("templates", "jupyter", INDEX))
    tables: dict[str, Callable[[], Table]] = {
        "deployed": lambda: overview.deployed(inventory),
        "runs": lambda: overview.recent_runs(inventory, folder=folder, copies=RUNS),
        "runbooks": lambda: overview.runbooks(".", "..", "../runbooks", folder=folder),
    }
    for cell in notebook["cells"]:
        if cell["id"] in tables:
            cell["outputs"] = [_output(tables[cell["id"]]())]
    write_text(folder / INDEX, text_of_notebook(notebook))
    trust(notebook)


def _copy_runbooks(folder: Path) -> list[str]:
    state = folder / PRIVATE / COPIES
    copied: dict[str, str] = json.loads(state.read_text(encoding="utf-8")) if state.is_file() else {}
    kept = []
    for name, source in find_runbooks().items():
        target = folder / source.name
        if target.exists() and _digest(target) != copied.get(name):
            kept.append(name)
            continue
        write_text(target, source.read_text(encoding="utf-8"))
        copied[name] = _digest(source)
    write_text(state, json.dumps(copied, indent=1) + "\n")
    return kept


def _digest(path: Path) -> str:
    """sha256 (hex) of what its cells say; outputs do not count. Empty where it is not a notebook."""
    try:
        runbook: Runbook = read_runbook(path)
    except BadInput:
        return ""
    told = json.dumps([(cell.id, cell.type, cell.source) for cell in runbook.cells])
    return sha256_of(told)


def _write_tiles(folder: Path) -> None:
    """A tile in JupyterLab's launcher for the index and each runbook, where jupyter-app-launcher is installed."""
    icon = folder / PRIVATE / "runbook.svg"
    write_text(icon, resource("templates", "jupyter", "runbook.svg").read_text(encoding="utf-8"))
    titles = {INDEX: "All runbooks"} | {path.name: read_runbook(path).title for path in find_runbooks().values()}
    tiles = [_tile(f"{folder.name}/{name}", title, icon) for name, title in titles.items()]
    write_text(folder / PRIVATE / TILES, yaml.safe_dump(tiles, sort_keys=False, allow_unicode=True))


def _tile(path: str, title: str, icon: Path) -> dict[str, Any]:
    command = {"label": title, "id": "docmanager:open", "args": {"path": path, "factory": "Notebook"}}
    return {
        "title": title,
        "description": path,
        "type": "jupyterlab-commands",
        "source": [command],
        "icon": str(icon),
        "catalog": "Runbooks",
        "args": {},
    }


def _write_settings(private: Path) -> None:
    page = private / "config" / "labconfig" / "page_config.json"
    page.parent.mkdir(parents=True, exist_ok=True)
    write_text(page, json.dumps(PAGE) + "\n")


def _output(table: Table) -> dict[str, Any]:
    data = {"text/html": table._repr_html_(), "text/plain": str(table)}
    return {"output_type": "display_data", "data": data, "metadata": {}}
