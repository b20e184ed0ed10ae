"""`init`, `check`, `schema`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from balbook.cli import main
from balbook.inventory import read_inventory
from balbook.notebook.runbook import find_runbooks


def test_init_makes_a_repository_with_an_inventory_that_loads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "new" / "ops"
    assert main(["init", str(folder)]) == 0
    assert {path.name for path in folder.iterdir()} >= {"inventory.yaml", "README.md", ".gitignore"}
    assert (folder / ".git").is_dir() == (shutil.which("git") is not None)
    assert "app1" in read_inventory(folder / "inventory.yaml").hosts
    assert str(folder) in capsys.readouterr().out


def test_init_without_git_makes_the_files_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["init", str(tmp_path / "ops")]) == 0
    assert "git init" in capsys.readouterr().err
    assert (tmp_path / "ops" / "inventory.yaml").is_file()


@pytest.mark.parametrize("occupied", ["file", "folder"])
def test_init_never_writes_where_something_is(tmp_path: Path, occupied: str, capsys: pytest.CaptureFixture[str]) -> None:
    if occupied == "file":
        (tmp_path / "ops").write_text("thesis")
    else:
        (tmp_path / "ops").mkdir()
        (tmp_path / "ops" / "chapter1.tex").touch()
    before = sorted(tmp_path.rglob("*"))
    assert main(["init", str(tmp_path / "ops")]) == 2
    assert sorted(tmp_path.rglob("*")) == before
    assert "Name a folder that does not exist yet" in capsys.readouterr().err


def test_init_takes_an_empty_folder(tmp_path: Path) -> None:
    assert main(["init", str(tmp_path)]) == 0
    assert (tmp_path / "inventory.yaml").is_file()


def test_check_passes_balbooks_own_runbooks(capsys: pytest.CaptureFixture[str]) -> None:
    number = len(find_runbooks())
    assert main(["check"]) == 0
    assert f"{number} of {number} runbooks" in capsys.readouterr().out


def test_check_says_what_a_runbook_lacks_and_exits_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    notebook = json.loads(find_runbooks()["provision"].read_text(encoding="utf-8"))
    notebook["cells"] = [cell for cell in notebook["cells"] if "conclude" not in cell["metadata"]["tags"]]
    path = tmp_path / "mine.ipynb"
    path.write_text(json.dumps(notebook))
    assert main(["check", str(path), "hot_deploy"]) == 1
    said = capsys.readouterr().out
    assert f"{path}:\n" in said
    assert "the role 'conclude' is missing" in said
    assert "1 of 2 runbooks" in said
    assert main(["check", str(path), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["runbooks"][str(path)]


def test_check_names_the_nearest_runbook(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "hot_deplo"]) == 2
    assert "Did you mean 'hot_deploy'?" in capsys.readouterr().err


def test_schema_is_a_json_schema(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert schema["title"] == "balbook inventory"
    assert "hosts" in schema["required"]
