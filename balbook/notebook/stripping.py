"""Removes the traces of a run from a notebook, so that commits differ only in written text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from balbook.errors import BadInput
from balbook.local.atomic_files import write_text
from balbook.notebook.notebook_file import read_notebook, text_of_notebook

LEFT_BY_RUNNING = ("execution", "papermill", "collapsed", "scrolled", "ExecuteTime")
"""Metadata of cells. Of the notebook itself `papermill` and `widgets`, and the version of the language."""


def clear(path: Path) -> bool:
    """Clears the notebook in place; False where nothing was to clear. BadInput for a sealed one, or a file that is not a notebook."""
    if (path.parent / "statement.json").exists():
        raise BadInput(f"{path} belongs to a sealed record and was not cleared", advice="Leave records out: exclude: ^records/")
    cleared = _cleared(read_notebook(path))
    if cleared == read_notebook(path):
        return False
    write_text(path, text_of_notebook(cleared), mode=path.stat().st_mode & 0o777)
    return True


def _cleared(notebook: dict[str, Any]) -> dict[str, Any]:
    for cell in notebook["cells"]:
        if cell.get("cell_type") == "code":
            cell["outputs"], cell["execution_count"] = [], None
        for name in LEFT_BY_RUNNING:
            cell.get("metadata", {}).pop(name, None)
    notebook["cells"] = [cell for cell in notebook["cells"] if "injected-parameters" not in cell.get("metadata", {}).get("tags", ())]
    about = notebook["metadata"]
    for name in ("papermill", "widgets"):
        about.pop(name, None)
    if "language_info" in about:
        about["language_info"] = {"name": about["language_info"].get("name", "python")}
    return notebook
