"""Runs that are gone on with: the plan as it was, or what it says is left to do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from balbook.commands.command import Command
from balbook.engine import process
from balbook.plan.model import Plan, Run, Step
from balbook.plan.reading import read_plan
from balbook.plan.settings import Settings
from balbook.record.journal import Journal
from balbook.run import without_notebook as direct
from tests.engine.test_measure import settings
from tests.journals import last, made
from tests.small_fleet import write_inventory


def cut_off(folder: Path, *on_resume: str) -> Path:
    """A run whose process died after the first of its steps."""
    inventory = write_inventory(folder)
    steps = tuple(Step(name, "app1", name, (Run(Command((name,))),), id=name) for name in ("inject", "hold", "repair"))
    plan = Plan("a_plan_without_a_runbook", "hotel", steps, settings=Settings(probe=settings(), on_resume=on_resume))
    run_dir = folder / "records" / "20260131T090000Z-failover_drill-12345678"
    run_dir.mkdir(parents=True)
    (run_dir / "plan.json").write_text(json.dumps(plan.data()))
    journal = Journal(run_dir / "journal.jsonl")
    journal.append(made("run_opened", run_id="12345678", inventory={"path": str(inventory.path)}, parameters={}, runbook=plan.runbook))
    journal.append(made("planned", digest=plan.digest, changes=3, steps=3, unmet=0))
    journal.append(made("apply_started", digest=plan.digest, pid=1, steps=3))
    journal.append(made("step_finished", step="inject", outcome="changed"))
    return run_dir


@pytest.fixture
def applied(monkeypatch: pytest.MonkeyPatch) -> list[Plan]:
    """The plans that the run's processes were started with; each succeeds at once."""
    plans: list[Plan] = []

    def start(run_dir: Path, secrets: object) -> None:
        plans.append(read_plan(run_dir))
        journal = Journal(run_dir / "journal.jsonl")
        assert plans[-1].digest == (last(journal, "planned") or {})["digest"]
        journal.append(made("apply_finished", verdict="succeeded", why="", changes=1, units={}, exit_status=0))

    monkeypatch.setattr(process, "start", start)
    monkeypatch.setattr(process, "follow", lambda *_: None)
    monkeypatch.setattr(direct, "seal_run", lambda *_: None)
    return plans


def test_what_was_cut_off_goes_on_with_the_same_plan(tmp_path: Path, applied: list[Plan]) -> None:
    run_dir = cut_off(tmp_path)
    assert direct.resume(run_dir, print).verdict == "succeeded"
    assert [step.id for step in applied[0].steps] == ["inject", "hold", "repair"]
    assert applied[0].settings.probe


def test_of_a_plan_that_says_what_is_left_only_that_is_done_and_it_proves_nothing(tmp_path: Path, applied: list[Plan]) -> None:
    run_dir = cut_off(tmp_path, "repair")
    stated = direct.resume(run_dir, print)
    assert [step.id for step in applied[0].steps] == ["repair"]
    assert applied[0].settings.probe is None
    assert (stated.verdict, stated.exit_status) == ("inconclusive", 3)
    assert (last(run_dir / "journal.jsonl", "run_closed") or {})["verdict"] == "inconclusive"
