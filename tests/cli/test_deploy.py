"""Exit statuses of `plan --fail-on-changes`, and what goes with `--key`. The runbooks themselves do not run here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from balbook import once, runner
from balbook.cli import main
from balbook.journal import Journal
from balbook.runner import Outcome


@pytest.fixture
def inventory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "inventory.yaml"
    path.write_text("version: 1\nhosts: {build1: {address: 127.0.0.1, roles: [build]}}\n")
    return path


def planning(folder: Path, monkeypatch: pytest.MonkeyPatch, *, changes: int, unmet: int) -> list[dict[str, Any]]:
    """From now on a runbook's plan has so many changes and preconditions that are not met; the calls' options."""
    calls: list[dict[str, Any]] = []

    def execute(name: str, inventory: object, parameters: dict[str, Any], **options: Any) -> Outcome:
        calls.append({"parameters": parameters, **options})
        record = folder / f"20260101T000000Z-{name}-0000000{len(calls)}"
        record.mkdir()
        Journal(record / "journal.jsonl").append("planned", changes=changes, unmet=unmet)
        return Outcome(name, record.name[-8:], "planned", "", 0, 0.1, record, record / f"{name}.ipynb", changes=changes)

    monkeypatch.setattr(runner, "execute", execute)
    monkeypatch.setattr(once, "execute", execute)
    return calls


@pytest.mark.parametrize(("changes", "unmet", "status"), [(0, 0, 0), (2, 0, 4), (0, 1, 1), (2, 1, 1)])
def test_a_drift_report_fails_on_changes_and_on_unmet_preconditions(
    inventory: Path, monkeypatch: pytest.MonkeyPatch, changes: int, unmet: int, status: int
) -> None:
    planning(inventory.parent, monkeypatch, changes=changes, unmet=unmet)
    assert main(["plan", "provision", "--fail-on-changes"]) == status
    assert main(["plan", "provision"]) == 0


def test_a_key_goes_with_the_run_and_its_parameters_may_come_by_a_pipe(inventory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = planning(inventory.parent, monkeypatch, changes=0, unmet=0)
    given = inventory.with_name("given.json")
    given.write_text(json.dumps({"reason": "1.10"}))
    assert main(["plan", "provision", "--key", "dag/run", "--parameters-file", str(given)]) == 0
    assert calls[0]["key"] == "dag/run"
    assert calls[0]["parameters"] == {"reason": "1.10", "mode": "plan"}


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["apply", "centralized", "--key", "k"], "is a pipeline"),
        (["apply", "--plan", "0123abcd", "--key", "k"], "do not go together"),
        (["apply", "provision", "--key", "a\nb"], "is none"),
        (["seal"], "what is to be sealed"),
        (["seal", "a.ipynb", "--key", "k"], "what is to be sealed"),
    ],
)
def test_words_that_do_not_go_together_are_refused(
    inventory: Path, argv: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(argv) == 2
    assert message in capsys.readouterr().err
    assert not (inventory.parent / "records").exists()


def test_sealing_a_keys_runs_fails_where_a_runbook_did_not_run(inventory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["seal", "--key", "dag/run", "--runbooks", "provision,build"]) == 1
    assert capsys.readouterr().out.count("did not run") == 2
