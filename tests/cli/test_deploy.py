"""Exit statuses of `plan --fail-on-changes`, and what goes with `--key`. The runbooks themselves do not run here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from balbook.cli import main
from balbook.record.journal import Journal
from balbook.run import headless as runner
from balbook.run import keyed as once
from balbook.run import pipeline
from balbook.run.headless import Outcome
from tests.journals import made


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
        Journal(record / "journal.jsonl").append(made("planned", changes=changes, unmet=unmet))
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
        (["apply", "provision", "--key", "a\nb"], "is not a valid key"),
        (["seal"], "name a notebook or a run to seal"),
        (["seal", "a.ipynb", "--key", "k"], "name a notebook or a run to seal"),
    ],
)
def test_words_that_do_not_go_together_are_refused(
    inventory: Path, argv: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(argv) == 2
    assert message in capsys.readouterr().err
    assert not (inventory.parent / "records").exists()


@pytest.fixture
def failed(inventory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> tuple[str, list[str]]:
    """A pipeline of the user's own whose second runbook failed: its run's id, and the names of all that is executed."""
    names: list[str] = []

    def execute(name: str, inventory: object, parameters: dict[str, Any], **options: Any) -> Outcome:
        names.append(name)
        record = tmp / f"record-{len(names)}"
        record.mkdir()
        is_bad = len(names) == 2  # at the first time
        return Outcome(name, f"{len(names):08x}", "failed" if is_bad else "succeeded", "", int(is_bad), 0.1, record, record / "n.ipynb")

    tmp = inventory.parent
    monkeypatch.setattr(pipeline, "execute", execute)
    (tmp / "pipelines").mkdir()
    (tmp / "pipelines" / "mine.yaml").write_text("version: 1\nname: checks\nrunbooks: [{runbook: provision}, {runbook: report}]\n")
    assert main(["apply", "mine", "--json"]) == 1
    return json.loads(capsys.readouterr().out)["run_id"], names


def test_a_pipeline_is_resumed_from_its_own_file_whatever_it_calls_itself_and_wherever_one_is(
    inventory: Path, failed: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id, names = failed
    monkeypatch.chdir("/")
    assert main(["resume", run_id, "-i", str(inventory)]) == 0
    assert names[2:] == ["report"]


@pytest.mark.parametrize(("change", "message"), [("edit", "has been changed since"), ("remove", "does not exist any more")])
def test_a_pipeline_that_is_another_one_now_is_not_resumed(
    inventory: Path, failed: tuple[str, list[str]], change: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = inventory.parent / "pipelines" / "mine.yaml"
    path.write_text(path.read_text() + "# one more\n") if change == "edit" else path.unlink()
    assert main(["resume", failed[0]]) == 2
    said = capsys.readouterr().err
    assert f"mine.yaml, the pipeline of run {failed[0]}, {message}" in said
    assert "Restore the file, then resume" in said


def test_a_pipeline_that_has_succeeded_and_one_whose_file_is_gone_are_not_resumed(
    inventory: Path, failed: tuple[str, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["resume", failed[0], "--json"]) == 0
    second = json.loads(capsys.readouterr().out)["run_id"]
    assert main(["resume", second]) == 2
    old = inventory.parent / "records" / "20260101T000000Z-checks-0123abcd"
    old.mkdir()
    Journal(old / "journal.jsonl").append(made("run_opened", run_id="0123abcd", pipeline={"path": "gone.yaml"}, runbook="checks"))
    assert main(["resume", "0123abcd"]) == 2
    said = capsys.readouterr().err
    assert f"run {second} has ended: succeeded" in said
    assert "gone.yaml, the pipeline of run 0123abcd, does not exist any more" in said


def test_sealing_a_keys_runs_fails_where_a_runbook_did_not_run(inventory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["seal", "--key", "dag/run", "--runbooks", "provision,build"]) == 1
    assert capsys.readouterr().out.count("did not run") == 2
