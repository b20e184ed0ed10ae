"""What checks a notebook and what runs it read it alike."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from balbook.cli import main
from balbook.errors import BadInput
from balbook.notebook.notebook_file import read_notebook, schema_faults, text_of_notebook
from balbook.notebook.runbook import find_runbooks, read_runbook

SOUND: dict[str, Any] = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": []}


def written(folder: Path, notebook: object) -> Path:
    path = folder / "own.ipynb"
    path.write_text(json.dumps(notebook), encoding="utf-8")
    return path


def test_a_runbook_is_written_as_it_was_read() -> None:
    for path in find_runbooks().values():
        assert text_of_notebook(read_notebook(path)) == path.read_text(encoding="utf-8")
        assert schema_faults(read_notebook(path)) == []


def test_a_byte_order_mark_is_named(tmp_path: Path) -> None:
    path = tmp_path / "own.ipynb"
    path.write_text(json.dumps(SOUND), encoding="utf-8-sig")
    with pytest.raises(BadInput, match="without a byte order mark"):
        read_runbook(path)


@pytest.mark.parametrize("about", [{"kernelspec": {"name": "ir", "language": "R"}}, {"language_info": {"name": "R"}}])
def test_a_notebook_in_another_language_is_refused(tmp_path: Path, about: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match="is a notebook in R"):
        read_runbook(written(tmp_path, {**SOUND, "metadata": about}))


@pytest.mark.parametrize("about", [{}, {"kernelspec": {"name": "x", "language": "python"}}, {"language_info": {"name": "Python"}}])
def test_a_notebook_need_not_say_that_it_is_python(tmp_path: Path, about: dict[str, Any]) -> None:
    assert read_notebook(written(tmp_path, {**SOUND, "metadata": about}))["metadata"] == about


@pytest.mark.parametrize(
    "part",
    [
        {"metadata": []},
        {"metadata": {"kernelspec": "python3"}},
        {"cells": [{"metadata": 1}]},
        {"cells": [{"source": [1]}]},
        {"nbformat": 3},
    ],
)
def test_what_cannot_be_executed_is_refused(tmp_path: Path, part: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match="not a notebook of format 4"):
        read_notebook(written(tmp_path, {**SOUND, **part}))


def test_check_names_what_breaks_the_schema_of_notebooks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    notebook = read_notebook(find_runbooks()["provision"])
    notebook["cells"][2]["outputs"] = None
    path = tmp_path / "provision.ipynb"
    path.write_text(text_of_notebook(notebook), encoding="utf-8")
    assert main(["check", str(path)]) == 1
    assert "None is not of type 'array' (at cells/2/outputs)" in capsys.readouterr().out


def test_reading_a_runbook_does_not_load_nbformat() -> None:
    code = "import sys; from balbook.notebook.runbook import find_runbooks as f, read_runbook as r; [r(p) for p in f().values()];"
    code += "print('nbformat' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout == "False\n"
