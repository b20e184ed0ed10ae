"""What running has left in a notebook is taken out of it, and nothing else; the hook of pre-commit does that."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path

import pytest
import yaml

from balbook.cli import main
from balbook.errors import BadInput
from balbook.local.resources import resource
from balbook.notebook.runbook import find_runbooks
from balbook.notebook.stripping import clear


def executed(path: Path, name: str = "provision") -> str:
    """A runbook as papermill and JupyterLab leave it; returns what it was before."""
    text = find_runbooks()[name].read_text(encoding="utf-8")
    notebook = json.loads(text)
    for number, cell in enumerate(notebook["cells"]):
        cell["metadata"] |= {"papermill": {"status": "completed"}, "execution": {"shell.execute_reply": "x"}}
        if cell["cell_type"] == "code":
            cell |= {"execution_count": number, "outputs": [{"output_type": "stream", "name": "stdout", "text": "x"}]}
    injected = {
        "cell_type": "code",
        "id": "i",
        "metadata": {"tags": ["injected-parameters"]},
        "source": "x = 1",
        "outputs": [],
        "execution_count": 1,
    }
    notebook["cells"].insert(2, injected)
    notebook["metadata"] |= {"papermill": {"version": "2"}, "widgets": {"x": 1}, "language_info": {"name": "python", "version": "3.12.1"}}
    path.write_text(json.dumps(notebook))
    return text


@pytest.mark.parametrize("name", find_runbooks())
def test_an_executed_runbook_becomes_the_one_that_was_committed(name: str, tmp_path: Path) -> None:
    before = executed(tmp_path / "run.ipynb", name)
    assert clear(tmp_path / "run.ipynb")
    assert json.loads((tmp_path / "run.ipynb").read_text()) == json.loads(before)
    assert not clear(tmp_path / "run.ipynb")


def test_a_clear_notebook_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "run.ipynb"
    path.write_text(json.dumps(json.loads(find_runbooks()["provision"].read_text())))
    before = path.read_bytes()
    assert not clear(path)
    assert path.read_bytes() == before


def test_a_sealed_record_is_never_cleared(tmp_path: Path) -> None:
    executed(tmp_path / "run.ipynb")
    (tmp_path / "statement.json").touch()
    before = (tmp_path / "run.ipynb").read_bytes()
    with pytest.raises(BadInput, match="sealed record"):
        clear(tmp_path / "run.ipynb")
    assert (tmp_path / "run.ipynb").read_bytes() == before


@pytest.mark.parametrize("text", ["{", "[]", '{"cells": 3}'])
def test_what_is_no_notebook_is_named(text: str, tmp_path: Path) -> None:
    (tmp_path / "run.ipynb").write_text(text)
    with pytest.raises(BadInput, match=r"run\.ipynb is not a notebook"):
        clear(tmp_path / "run.ipynb")
    assert (tmp_path / "run.ipynb").read_text() == text


@pytest.mark.parametrize(
    "config", [resource("templates", "deployment", "pre-commit-config.yaml"), Path(__file__).parents[2] / ".pre-commit-config.yaml"]
)
def test_the_hook_clears_and_checks(config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (repo,) = yaml.safe_load(config.read_text())["repos"]
    (hook,) = repo["hooks"]
    assert (repo["repo"], hook["language"]) == ("local", "system")
    program, *words = shlex.split(hook["entry"])
    assert program == "balbook"
    executed(tmp_path / "run.ipynb")
    assert main([*words, str(tmp_path / "run.ipynb")]) == 0
    assert "cleared" in capsys.readouterr().err
    broken = tmp_path / "broken.ipynb"
    broken.write_text(find_runbooks()["provision"].read_text().replace("run.conclude()", "pass"))
    assert main([*words, str(broken)]) == 1


def test_clearing_everything_is_not_a_default() -> None:
    assert main(["check", "--clear"]) == 2


def test_a_new_repository_has_the_hook_and_shows_notebooks_by_cell(tmp_path: Path) -> None:
    if shutil.which("git") is None:
        pytest.skip("missing: git")
    assert main(["init", str(tmp_path / "ops")]) == 0
    assert "balbook check" in (tmp_path / "ops" / ".pre-commit-config.yaml").read_text()
    assert "*.ipynb diff=jupyternotebook" in (tmp_path / "ops" / ".gitattributes").read_text()
