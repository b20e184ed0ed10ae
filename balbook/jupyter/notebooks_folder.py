"""The folder that JupyterLab shows: copies of the runbooks, the index, tiles for the launcher.

    FOLDER/index.ipynb         what is deployed, the last runs, a link to each runbook
          /NAME.ipynb          a copy of each of balbook's runbooks
          /runs/               copies of executed notebooks (see `index.recent_runs`)
          /.gitignore          keeps all of it out of commits
          /.balbook/           copies.json: what each copy was made from; tiles and settings; the server's state and log

Running a notebook writes to its file, so engineers run copies. Each start makes an unedited copy anew; an edited copy is the
user's and stays.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from balbook.errors import BadInput, Failed, Refused
from balbook.inventory import Inventory
from balbook.jupyter import index
from balbook.local.atomic_files import write_text
from balbook.local.digests import sha256_of
from balbook.local.resources import resource
from balbook.notebook.notebook_file import read_notebook, text_of_notebook, trust
from balbook.notebook.runbook import find_runbooks, read_runbook

PRIVATE = ".balbook"
COPIES = "copies.json"
INDEX = "index.ipynb"
RUNS = "runs"
TILES = "jp_app_launcher.yaml"
"""The name by which jupyter-app-launcher finds the tiles."""
PAGE = {"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}}
"""JupyterLab asks nobody on the Internet for news, and no question about news covers the form."""


def prepare(folder: Path) -> list[str]:
    """Makes the folder, or brings its copies up to date; returns the names of the copies that were edited and therefore kept.

    Raises Refused where the folder holds other things and balbook did not make it.
    """
    private = folder / PRIVATE
    if folder.exists() and not private.is_dir() and (not folder.is_dir() or any(folder.iterdir())):
        raise Refused(f"{folder} exists and is not balbook's", advice="Name another folder: balbook jupyter --folder DIR.")
    try:
        private.mkdir(parents=True, exist_ok=True, mode=0o700)
        page = private / "config" / "labconfig" / "page_config.json"
        page.parent.mkdir(parents=True, exist_ok=True)
        write_text(page, json.dumps(PAGE) + "\n")
        write_text(folder / ".gitignore", "*\n")
        _write_tiles(folder)
        return _copy_runbooks(folder)
    except OSError as exc:
        raise Failed(f"{folder} cannot be written: {exc.strerror or exc}", advice="Name another folder: --folder DIR.") from exc


def write_index(folder: Path, inventory: Inventory | None) -> None:
    """Writes the index notebook with its tables filled in, for a reader who has run no cell yet; takes a few seconds at most."""
    notebook = read_notebook(resource("templates", "jupyter", INDEX))
    tables = {
        "deployed": index.deployed(inventory),
        "runs": index.recent_runs(inventory, folder=folder, copies=RUNS),
        "runbooks": index.runbooks(".", "..", "../runbooks", folder=folder),
    }
    for cell in notebook["cells"]:
        if table := tables.get(cell["id"]):
            data = {"text/html": table._repr_html_(), "text/plain": str(table)}
            cell["outputs"] = [{"output_type": "display_data", "data": data, "metadata": {}}]
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
    """The sha256 (hex) of the cells' sources; outputs do not count. Empty where the file is not a notebook."""
    with suppress(BadInput):
        return sha256_of(json.dumps([(cell.id, cell.type, cell.source) for cell in read_runbook(path).cells]))
    return ""


def _write_tiles(folder: Path) -> None:
    """Writes a tile for the index and each runbook; JupyterLab's launcher shows them where jupyter-app-launcher is installed."""
    icon = folder / PRIVATE / "runbook.svg"
    write_text(icon, resource("templates", "jupyter", "runbook.svg").read_text(encoding="utf-8"))
    titles = {INDEX: "All runbooks"} | {path.name: read_runbook(path).title for path in find_runbooks().values()}
    tiles = [_tile(f"{folder.name}/{name}", title, icon) for name, title in titles.items()]
    write_text(folder / PRIVATE / TILES, yaml.safe_dump(tiles, sort_keys=False, allow_unicode=True))


def _tile(path: str, title: str, icon: Path) -> dict[str, Any]:
    command = {"label": title, "id": "docmanager:open", "args": {"path": path, "factory": "Notebook"}}
    tile = {"title": title, "description": path, "catalog": "Runbooks", "icon": str(icon)}
    return {**tile, "type": "jupyterlab-commands", "source": [command], "args": {}}
