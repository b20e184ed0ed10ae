"""The folder that JupyterLab shows: copies that may be run, an index, tiles."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from balbook.errors import Refused
from balbook.jupyter.notebooks_folder import PRIVATE, TILES, prepare, write_index
from balbook.local.resources import resource
from balbook.notebook.runbook import find_runbooks, read_runbook


@pytest.fixture(autouse=True)
def own_jupyter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Signatures of notebooks go into a folder of the test's own."""
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)


def edit(path: Path, cell: int, **changes: Any) -> None:
    notebook = json.loads(path.read_text())
    notebook["cells"][cell] |= changes
    path.write_text(json.dumps(notebook))


def test_every_runbook_is_there_as_a_copy_and_nothing_gets_into_a_commit(tmp_path: Path) -> None:
    folder = tmp_path / "jupyter"
    assert prepare(folder) == []
    for name, source in find_runbooks().items():
        assert (folder / f"{name}.ipynb").read_text() == source.read_text()
        assert not (folder / f"{name}.ipynb").is_symlink()
    assert (folder / ".gitignore").read_text() == "*\n"


def test_a_copy_that_was_only_run_is_made_anew(tmp_path: Path) -> None:
    copy = tmp_path / "jupyter" / "provision.ipynb"
    prepare(copy.parent)
    edit(copy, 3, outputs=[{"output_type": "stream", "name": "stdout", "text": "x"}], execution_count=7)
    assert prepare(copy.parent) == []
    assert copy.read_text() == find_runbooks()["provision"].read_text()


def test_a_copy_that_was_edited_is_kept_and_named(tmp_path: Path) -> None:
    copy = tmp_path / "jupyter" / "provision.ipynb"
    prepare(copy.parent)
    edit(copy, 3, source="run.preflight()  # mine")
    edited = copy.read_text()
    assert prepare(copy.parent) == ["provision"]
    assert copy.read_text() == edited
    copy.unlink()
    assert prepare(copy.parent) == []
    assert copy.read_text() == find_runbooks()["provision"].read_text()


def test_an_older_copy_that_nobody_edited_is_replaced_by_a_newer_runbook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    older = tmp_path / "older" / "provision.ipynb"
    older.parent.mkdir()
    older.write_text(find_runbooks()["provision"].read_text())
    edit(older, 3, source="run.preflight()  # of an older release")
    with monkeypatch.context() as then:
        then.setattr("balbook.jupyter.notebooks_folder.find_runbooks", lambda: {"provision": older})
        prepare(tmp_path / "jupyter")
    assert prepare(tmp_path / "jupyter") == []
    assert "older" not in (tmp_path / "jupyter" / "provision.ipynb").read_text()


@pytest.mark.parametrize("is_file", [False, True])
def test_what_is_not_balbooks_is_left_alone(is_file: bool, tmp_path: Path) -> None:
    folder = tmp_path / "jupyter"
    if is_file:
        folder.write_text("mine")
    else:
        folder.mkdir()
        (folder / "hot_deploy.ipynb").write_text("mine")
    with pytest.raises(Refused, match="not balbook's"):
        prepare(folder)
    assert (folder if is_file else folder / "hot_deploy.ipynb").read_text() == "mine"


def test_the_index_tells_something_before_a_cell_is_run_and_is_trusted(tmp_path: Path) -> None:
    from nbformat import from_dict
    from nbformat.sign import NotebookNotary

    folder = tmp_path / "jupyter"
    prepare(folder)
    write_index(folder, None)
    notebook = json.loads((folder / "index.ipynb").read_text())
    shown = {cell["id"]: cell["outputs"][0]["data"]["text/html"] for cell in notebook["cells"] if cell.get("outputs")}
    assert set(shown) == {"deployed", "runs", "runbooks"}
    assert "balbook lab up" in shown["deployed"]
    assert "<a href='hot_deploy.ipynb'>" in shown["runbooks"]
    assert NotebookNotary().check_signature(from_dict(notebook))  # type: ignore[no-untyped-call]


def test_the_cells_of_the_index_run(tmp_path: Path) -> None:
    sources = [cell.source for cell in read_runbook(resource("templates", "jupyter", "index.ipynb")).cells if cell.type == "code"]
    names: dict[str, Any] = {}
    for source in sources:
        exec(source, names)
    assert len(sources) == 3


def test_the_launcher_has_a_tile_for_the_index_and_each_runbook(tmp_path: Path) -> None:
    folder = tmp_path / "jupyter"
    prepare(folder)
    tiles = yaml.safe_load((folder / PRIVATE / TILES).read_text())
    paths = [tile["source"][0]["args"]["path"] for tile in tiles]
    assert paths == ["jupyter/index.ipynb", *(f"jupyter/{name}.ipynb" for name in find_runbooks())]
    assert all(Path(tile["icon"]).is_file() for tile in tiles)
