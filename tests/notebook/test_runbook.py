"""Runbooks: found by name, read without being executed, and held to their anatomy."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from balbook.errors import BadInput, ParameterError
from balbook.local.digests import sha256_of_file
from balbook.notebook.runbook import ROLES, Runbook, check_runbook, find_runbooks, read_runbook, runbook_path

TITLE = """\
# Deploy a release
**Purpose**: …
**When to use it**, and when not: …
## Blast radius
## Usual duration
## Preconditions
## How to undo it
"""
PARAMETERS = """\
inventory: str = ""  # the inventory's file
mode: str = "plan"  # or "apply"
reason: str = ""
ticket: str = ""
"""
CODE = {
    "parameters": PARAMETERS,
    "setup": 'import balbook\nrun = balbook.open_run("sound", mode=mode)',
    "conclude": "run.conclude()",
}

Cells = list[dict[str, Any]]


def sound_cells() -> Cells:
    cells: Cells = []
    for role in ROLES:
        cell: dict[str, Any] = {"id": role, "metadata": {"tags": [role]}}
        if role in ("title", "rollback"):
            cell |= {"cell_type": "markdown", "source": TITLE.splitlines(keepends=True) if role == "title" else "Undo by hand: …"}
        else:
            cell |= {"cell_type": "code", "source": CODE.get(role, f"run.{role}_table"), "outputs": [], "execution_count": None}
        cells.append(cell)
    return cells


def runbook_of(folder: Path, cells: Cells) -> Runbook:
    path = folder / "sound.ipynb"
    path.write_text(json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}), encoding="utf-8")
    return read_runbook(path)


def test_a_runbook_is_read_with_its_cells_parameters_and_digest(tmp_path: Path) -> None:
    runbook = runbook_of(tmp_path, sound_cells())
    assert runbook.name == "sound"
    assert runbook.title == "Deploy a release"
    assert [cell.role for cell in runbook.cells] == list(ROLES)
    assert (runbook.cells[2].id, runbook.cells[2].type, runbook.cells[2].source) == ("setup", "code", CODE["setup"])
    assert [parameter.name for parameter in runbook.parameters] == ["inventory", "mode", "reason", "ticket"]
    assert runbook.sha256 == sha256_of_file(tmp_path / "sound.ipynb")


def test_a_sound_runbook_has_no_problems(tmp_path: Path) -> None:
    assert check_runbook(runbook_of(tmp_path, sound_cells())) == []


def test_untagged_explanations_and_further_evidence_are_allowed(tmp_path: Path) -> None:
    cells = sound_cells()
    cells.insert(8, {**cells[7], "id": "evidence-plot"})
    cells.insert(3, {"id": "why", "cell_type": "markdown", "metadata": {}, "source": "What is looked at first."})
    assert check_runbook(runbook_of(tmp_path, cells)) == []


def _set(index: int, **values: Any) -> Callable[[Cells], None]:
    return lambda cells: cells[index].update(values)


def _move(cells: Cells) -> None:
    cells[4], cells[5] = cells[5], cells[4]


def _again(cells: Cells) -> None:
    cells.insert(6, {**cells[5], "id": "apply-again"})


def _after_conclude(cells: Cells) -> None:
    cells.insert(9, {**cells[7], "id": "late"})


CHANGES: list[tuple[Callable[[Cells], Any], str]] = [
    (lambda cells: cells[3].pop("id"), "cell 4 (preflight) has no valid id"),
    (_set(3, id="a b"), "cell 4 (preflight) has no valid id"),
    (_set(3, id="setup"), "cell 4 (preflight) has the id 'setup' of cell 3 (setup)"),
    (_set(3, metadata={"tags": ["preflight", "plan"]}), "has the role tags preflight, plan; give the cell one of them"),
    (_set(3, metadata={}), "cell 4 (code) has no role tag"),
    (_set(3, metadata={}), "the role 'preflight' is missing"),
    (_set(9, cell_type="code"), "cell 10 (rollback) is a code cell"),
    (_set(4, cell_type="markdown"), "cell 5 (plan) is a markdown cell"),
    (lambda cells: cells.pop(0), "the role 'title' is missing"),
    (lambda cells: cells.pop(), "the role 'rollback' is missing"),
    (
        lambda cells: cells.insert(0, {"id": "x", "cell_type": "markdown", "metadata": {}, "source": "x"}),
        "stands in the place of the title",
    ),
    (
        lambda cells: cells.append({"id": "x", "cell_type": "markdown", "metadata": {}, "source": "x"}),
        "stands in the place of the rollback",
    ),
    (_move, "the roles stand in the order title, parameters, setup, preflight, apply, plan"),
    (_again, "apply, apply, verify"),
    (_after_conclude, "cell 10 (evidence) is the last code cell; the last one must be `conclude`"),
    (_set(8, source="run.verdict"), "must be `conclude` and call run.conclude()"),
    (_set(8, source="# run.conclude()"), "must be `conclude` and call run.conclude()"),
    (_set(2, source="import balbook"), "cell 3 (setup) does not call balbook.open_run"),
    (_set(0, source=TITLE.replace("# Deploy a release", "Deploy a release", 1)), "does not begin with a heading"),
    (_set(5, source="x = 1\n" * 15), "cell 6 (apply) has 15 lines (limit 14)"),
    (_set(5, source="def f():\n    pass"), "contains `def`"),
    (_set(5, source="for host in hosts:\n    pass"), "contains `for`"),
    (_set(5, source="if True:\n    while True:\n        pass"), "contains `while`"),
    (_set(5, source="class A:\n    pass"), "contains `class`"),
    (_set(5, source="!ls"), "has a line with ! or %"),
    (_set(5, source="%%bash\nls"), "has a line with ! or %"),
    (_set(5, source="x = !ls"), "is not plain Python"),
    (_set(5, outputs=[{"output_type": "stream"}]), "has outputs or an execution count"),
    (_set(5, execution_count=1), "has outputs or an execution count"),
    (_set(1, source=PARAMETERS + "import os"), "line 5 of the parameters cell is not a declaration"),
    (_set(1, source=PARAMETERS.replace('"plan"', '"apply"', 1)), "the parameter 'mode' is 'apply' by default"),
    (
        _set(1, source=PARAMETERS.replace("reason: str", "reason: bool").replace('bool = ""', "bool = False")),
        "has the type bool; expected: str",
    ),
    (_set(1, source=PARAMETERS + 'api_token: str = ""'), "looks like a secret"),
]


@pytest.mark.parametrize(("change", "told"), CHANGES, ids=[told for _, told in CHANGES])
def test_what_breaks_the_anatomy_is_told(tmp_path: Path, change: Callable[[Cells], Any], told: str) -> None:
    cells = sound_cells()
    change(cells)
    problems = check_runbook(runbook_of(tmp_path, cells))
    assert any(told in problem for problem in problems), problems


@pytest.mark.parametrize("topic", ["Purpose", "When to use it", "Blast radius", "Usual duration", "Preconditions", "How to undo it"])
def test_a_title_without_one_of_its_topics_is_told(tmp_path: Path, topic: str) -> None:
    cells = sound_cells()
    cells[0]["source"] = TITLE.replace(topic, "Something else")
    problems = check_runbook(runbook_of(tmp_path, cells))
    assert len(problems) == 1
    assert problems[0].startswith("cell 1 (title) does not tell the ")


@pytest.mark.parametrize("name", ["inventory", "mode", "reason", "ticket"])
def test_a_runbook_without_one_of_the_four_parameters_is_told(tmp_path: Path, name: str) -> None:
    cells = sound_cells()
    cells[1]["source"] = "\n".join(line for line in PARAMETERS.splitlines() if not line.startswith(name))
    assert check_runbook(runbook_of(tmp_path, cells)) == [f"the parameter {name!r} is missing"]


def test_parameters_of_a_runbook_without_that_cell_are_refused(tmp_path: Path) -> None:
    cells = sound_cells()
    cells.pop(1)
    with pytest.raises(ParameterError, match="no code cell with the tag `parameters`"):
        _ = runbook_of(tmp_path, cells).parameters


def test_a_notebook_without_cells_is_checked_too(tmp_path: Path) -> None:
    assert check_runbook(runbook_of(tmp_path, [])) == [f"the role {role!r} is missing" for role in ROLES]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"nbformat": 3, "cells": []}', '{"nbformat": 4, "cells": [1]}', "\udcff"])
def test_what_is_no_notebook_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "x.ipynb"
    path.write_text(content, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(BadInput, match=r"x\.ipynb is not a notebook"):
        read_runbook(path)


def test_runbooks_are_found_by_name(tmp_path: Path) -> None:
    for name in ("rollback", "hot_deploy"):
        (tmp_path / f"{name}.ipynb").touch()
    (tmp_path / "notes.txt").touch()
    assert find_runbooks(tmp_path) == {name: tmp_path / f"{name}.ipynb" for name in ("hot_deploy", "rollback")}
    assert runbook_path("rollback", tmp_path) == tmp_path / "rollback.ipynb"
    assert runbook_path(str(tmp_path / "rollback.ipynb")) == tmp_path / "rollback.ipynb"


def test_an_unknown_runbook_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    (tmp_path / "hot_deploy.ipynb").touch()
    with pytest.raises(BadInput, match="no runbook 'hot-deploy'") as caught:
        runbook_path("hot-deploy", tmp_path)
    assert caught.value.advice == "Did you mean 'hot_deploy'?"
    with pytest.raises(BadInput, match=r"other\.ipynb is not a file"):
        runbook_path(str(tmp_path / "other.ipynb"))
