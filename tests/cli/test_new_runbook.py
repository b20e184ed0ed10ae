"""`new-runbook` writes what passes `check`, under names that harm nothing, and never over a file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from balbook.cli import main
from balbook.notebook.parameters import check_parameters
from balbook.notebook.runbook import ROLES, check_runbook, read_runbook, runbook_path
from balbook.procedures import procedure


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_what_it_writes_keeps_to_the_anatomy_and_has_a_procedure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new-runbook", "rotate_logs"]) == 0
    assert "balbook plan ./rotate_logs.ipynb" in capsys.readouterr().out
    runbook = read_runbook(tmp_path / "rotate_logs.ipynb")
    assert check_runbook(runbook) == []
    assert [cell.role for cell in runbook.cells] == list(ROLES)
    assert [cell.id for cell in runbook.cells] == list(ROLES)
    assert not any(cell.has_outputs for cell in runbook.cells)
    assert check_parameters(runbook.parameters, {"text": "hello"})["mode"] == "plan"
    assert "my_runbook" not in (tmp_path / "rotate_logs.ipynb").read_text() + (tmp_path / "rotate_logs.py").read_text()
    assert callable(procedure("rotate_logs").plan)
    assert main(["check", "rotate_logs.ipynb"]) == 0


@pytest.mark.parametrize("there", ["rotate_logs.ipynb", "rotate_logs.py"])
def test_a_file_that_is_there_is_never_written_over(there: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / there).write_text("mine")
    assert main(["new-runbook", "rotate_logs"]) == 2
    assert there in capsys.readouterr().err
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(there, "mine")]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("Rotate-Logs", "not a valid name for a runbook"),
        ("../rotate", "not a valid name for a runbook"),
        ("rotate logs", "not a valid name for a runbook"),
        ("class", "not a valid name for a runbook"),
        ("x" * 65, "not a valid name for a runbook"),
        ("hot_deploy", "one of balbook's own runbooks"),
        ("json", "a Python module"),
        ("yaml", "a Python module"),
    ],
)
def test_a_bad_name_is_refused_and_nothing_is_written(name: str, why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new-runbook", name]) == 2
    assert why in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_runbook_of_ones_own_is_found_in_the_current_folder(tmp_path: Path) -> None:
    assert main(["new-runbook", "rotate_logs"]) == 0
    assert runbook_path("rotate_logs") == tmp_path / "rotate_logs.ipynb"


def test_one_of_balbooks_is_never_taken_from_the_current_folder(tmp_path: Path) -> None:
    (tmp_path / "hot_deploy.ipynb").write_text(json.dumps({"cells": []}))
    (tmp_path / "hot_deploy.py").write_text("raise SystemExit")
    assert runbook_path("hot_deploy") != tmp_path / "hot_deploy.ipynb"
    assert callable(procedure("hot_deploy").plan)
