"""Notebooks as files: one reader, one writer, and Jupyter's checks of them. Only this module imports nbformat.

Every command reads runbooks, so they are read as plain JSON, 0.05 ms each: to import nbformat takes 0.15 s, and reading its first
notebook 0.04 s more (5.11). Where JupyterLab has brought a check of international addresses along, the import takes 1.3 s more still, which
`quick_import` spares. Only commands that check, execute or sign a notebook pay that.
"""

from __future__ import annotations

import codecs
import contextlib
import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from balbook.errors import BadInput


def read_notebook(path: Path) -> dict[str, Any]:
    """The notebook in this file; BadInput for a file that cannot be executed here."""
    return parse_notebook(path, read_bytes(path))


def read_bytes(path: Path) -> bytes:
    """The content of the file; BadInput where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as exc:
        raise BadInput(f"{path} cannot be read: {exc.strerror}", advice="Name a runbook, or a path to an existing .ipynb.") from exc


def parse_notebook(path: Path, content: bytes) -> dict[str, Any]:
    """The notebook of these bytes: format 4, Python, each cell with metadata and a source. `path` is for messages."""
    try:
        notebook: dict[str, Any] = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as exc:
        advice = (
            "Save the file without a byte order mark." if content.startswith(codecs.BOM_UTF8) else "Restore the file from version control."
        )
        raise BadInput(f"{path} is not a notebook: {exc}", advice=advice) from exc
    if not _is_of_format_4(notebook):
        raise BadInput(f"{path} is not a notebook of format 4", advice="Open the file in JupyterLab and save it there.")
    about = notebook.setdefault("metadata", {})
    for language in (about.get("kernelspec", {}).get("language"), about.get("language_info", {}).get("name")):
        if language and str(language).lower() != "python":
            raise BadInput(f"{path} is a notebook in {language}", advice="Choose a Python kernel in JupyterLab and save the notebook.")
    return notebook


def text_of_notebook(notebook: dict[str, Any]) -> str:
    """The text of the notebook's file, laid out as JupyterLab does."""
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def schema_faults(notebook: dict[str, Any]) -> list[str]:
    """The first fault against Jupyter's own schema of notebooks, if there is one."""
    with quick_import():
        from nbformat import ValidationError, from_dict, validate
    try:
        validate(from_dict(notebook))  # type: ignore[no-untyped-call]
    except ValidationError as exc:
        return [f"the notebook breaks Jupyter's schema: {exc.message} (at {'/'.join(map(str, exc.absolute_path)) or 'the top'})"]
    return []


def trust(notebook: dict[str, Any]) -> None:
    """Tells Jupyter that this notebook is this user's own, so that JupyterLab shows its outputs unchanged."""
    with quick_import():
        from nbformat import from_dict
        from nbformat.sign import NotebookNotary

    logging.getLogger("traitlets").setLevel(logging.ERROR)  # a database of signatures that cannot be written is only a loss of style
    NotebookNotary().sign(from_dict(notebook))  # type: ignore[no-untyped-call]


@contextlib.contextmanager
def quick_import() -> Iterator[None]:
    """Spares an import the grammar of international addresses, which takes a second and is used by no notebook's schema."""
    name = "rfc3987_syntax"
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]  # the documented way to say that there is no such module
    try:
        yield
    finally:
        del sys.modules[name]


def _is_of_format_4(notebook: object) -> bool:
    if not isinstance(notebook, dict) or notebook.get("nbformat") != 4 or not isinstance(notebook.get("cells"), list):
        return False
    about = notebook.get("metadata", {})
    parts = [about, about.get("kernelspec", {}), about.get("language_info", {})] if isinstance(about, dict) else [about]
    return all(isinstance(part, dict) for part in parts) and all(map(_is_cell, notebook["cells"]))


def _is_cell(cell: object) -> bool:
    """True for a cell with a text or a list of lines as its source."""
    if not isinstance(cell, dict) or not isinstance(cell.get("metadata", {}), dict):
        return False
    source = cell.get("source", "")
    return isinstance(source, str) or (isinstance(source, list) and all(isinstance(line, str) for line in source))
