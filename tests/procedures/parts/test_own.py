"""A procedure of the user's own: loaded from its file, and what is wrong with it said by its place."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from balbook.errors import BadInput
from balbook.local.resources import resource
from balbook.procedures import procedure
from balbook.procedures.parts.own import own_procedure
from balbook.procedures.parts.site import Site
from balbook.testing import FakeTransport
from tests.small_fleet import write_inventory

WHOLE = "def preflight(site): ...\ndef plan(site): ...\ndef verify(site, plan): ...\ndef evidence(site, plan, run_dir): ...\n"


def written(folder: Path, text: str) -> Path:
    file = folder / "rotate_logs.py"
    file.write_text(text)
    return file


def test_it_is_read_anew_each_time(tmp_path: Path) -> None:
    assert not hasattr(own_procedure(written(tmp_path, WHOLE)), "answer")
    assert own_procedure(written(tmp_path, WHOLE + "answer = 42\n")).answer == 42  # type: ignore[attr-defined]


def test_it_may_have_dataclasses(tmp_path: Path) -> None:
    text = "from __future__ import annotations\nfrom dataclasses import dataclass\n@dataclass\nclass Found:\n    days: int\n"
    assert own_procedure(written(tmp_path, text + WHOLE)).Found(3).days == 3  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("x = 1\ndef plan(site:\n", 2, "SyntaxError"),
        ("\n\nimport no_such_module\n", 3, "no_such_module"),
        ("x = 1 / 0\n", 1, "division by zero"),
    ],
)
def test_a_fault_in_it_is_named_by_its_line(tmp_path: Path, text: str, line: int, what: str) -> None:
    with pytest.raises(BadInput, match=rf"rotate_logs\.py:{line}: .*{re.escape(what)}"):
        own_procedure(written(tmp_path, text))


def test_a_missing_function_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no function plan, evidence"):
        own_procedure(written(tmp_path, "def preflight(site): ...\ndef verify(site, plan): ...\n"))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"rotate_logs\.py is missing"):
        procedure("rotate_logs", tmp_path / "rotate_logs.ipynb")


def test_a_name_of_balbooks_is_balbooks_wherever_the_notebook_is(tmp_path: Path) -> None:
    assert procedure("provision", tmp_path / "provision.ipynb") is procedure("provision")


def test_the_template_plans_a_step_for_each_host_and_takes_it_back_when_it_fails(tmp_path: Path) -> None:
    inventory = write_inventory(tmp_path)
    transport = FakeTransport(answers={"is-there": 1})
    site = Site(inventory, transport, {"hosts": [], "text": "hello"})
    plan = own_procedure(resource("templates", "runbook", "my_runbook.py")).plan(site)
    assert [step.host for step in plan.pending] == list(inventory.hosts)
    assert all(step.undo and step.verify and step.done for step in plan.steps)
    assert plan.subject == {"text": "hello"}
