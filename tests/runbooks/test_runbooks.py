"""Every runbook in plan mode on a lab: through plain papermill, and cell by cell under nbval."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from balbook.cli import main
from balbook.lab.loopback import Lab
from balbook.notebook.runbook import check_runbook, find_runbooks, read_runbook
from tests.journals import last

RUNBOOKS = find_runbooks()
PARAMETERS = {"hot_deploy": {"application": "hotel", "release": "1.0.0"}}
"""What a runbook must be given; the others run as they stand."""


@pytest.mark.parametrize("name", RUNBOOKS)
def test_a_runbook_keeps_to_the_anatomy(name: str) -> None:
    assert check_runbook(read_runbook(RUNBOOKS[name])) == []


@pytest.mark.integration
@pytest.mark.parametrize("name", RUNBOOKS)
def test_papermill_from_another_folder_leaves_a_notebook_that_shows_a_plan(name: str, lab: Lab, tmp_path: Path) -> None:
    executed = papermill(name, tmp_path)
    cells = [cell for cell in executed["cells"] if cell["cell_type"] == "code"]
    assert all(cell["execution_count"] for cell in cells)
    assert not [output for cell in cells for output in cell["outputs"] if output["output_type"] == "error"]
    assert re.search(r"^Plan: ", shown_in(cells, "plan"), re.MULTILINE)
    assert "<table" in shown_in(cells, "plan", "text/html")
    assert "PLANNED" in shown_in(cells, "conclude")
    assert "nothing was changed" in shown_in(cells, "apply")


@pytest.mark.integration
@pytest.mark.parametrize("name", RUNBOOKS)
def test_the_command_shows_the_same_plan_as_papermill(name: str, lab: Lab, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cells = [cell for cell in papermill(name, tmp_path)["cells"] if cell["cell_type"] == "code"]
    words = [word for key, value in PARAMETERS.get(name, {}).items() for word in ("-p", f"{key}={value}")]
    assert main(["plan", name, *words, "--json"]) == 0
    planned = last(Path(json.loads(capsys.readouterr().out)["record"]) / "journal.jsonl", "planned")
    assert planned
    assert planned["digest"] in shown_in(cells, "plan")


@pytest.mark.integration
@pytest.mark.parametrize("name", RUNBOOKS)
def test_every_cell_of_a_runbook_runs_under_nbval(name: str, lab: Lab, tmp_path: Path) -> None:
    """As it stands in the repository: its defaults plan, on the running lab, for its only application."""
    argv = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "nbval",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:randomly",
        "--noconftest",
        "-c",
        "/dev/null",
    ]
    argv += ["--nbval-lax", "--nbval-current-env", "--rootdir", str(tmp_path), str(RUNBOOKS[name])]
    shown = subprocess.run(argv, cwd=tmp_path, env=dict(os.environ), capture_output=True, text=True, check=False, timeout=120)
    assert shown.returncode == 0, shown.stdout[-4000:] + shown.stderr[-2000:]


def papermill(name: str, folder: Path) -> dict[str, Any]:
    """The notebook that plain papermill leaves."""
    out = folder / f"{name}.ipynb"
    words = [word for key, value in PARAMETERS.get(name, {}).items() for word in ("-r", key, value)]
    argv = [sys.executable, "-m", "papermill", str(RUNBOOKS[name]), str(out), *words, "-r", "mode", "plan", "--no-progress-bar"]
    shown = subprocess.run(argv, cwd=folder, env=dict(os.environ), capture_output=True, text=True, check=False, timeout=120)
    assert shown.returncode == 0, shown.stderr[-4000:]
    notebook: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    return notebook


def shown_in(cells: list[dict[str, Any]], role: str, kind: str = "text/plain") -> str:
    """What the cell of this role put out."""
    cell = next(cell for cell in cells if role in cell["metadata"].get("tags", ()))
    parts = [output.get("text", output.get("data", {}).get(kind, "")) for output in cell["outputs"]]
    return "\n".join("".join(part) for part in parts)
