"""A run without a notebook: its methods in the order of the cells, on a fleet in memory."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from balbook import transport
from balbook.cli import main
from balbook.engine import process
from balbook.engine.loop import Loop, StopRequest
from balbook.errors import BadInput, Failed, Inconclusive, ParameterError, Refused
from balbook.plan.model import Plan
from balbook.plan.reading import read_plan
from balbook.record.events import Event
from balbook.record.journal import Journal
from balbook.run import Run, open_run
from balbook.run.opening import checked_request, new_run_dir
from balbook.run.request import REQUEST, RunRequest, handing
from balbook.testing import FakeFleet
from tests.journals import last, lines, made, verified
from tests.run_folders import allowed_line, make_key
from tests.small_fleet import change_inventory, edit_inventory, fleet_with, publish


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeFleet:
    """`hotel` 1.0.0 in service and 2.0.0 in the store; the run's process is a call in this one."""
    fleet = fleet_with(tmp_path, "1.0.0")
    publish(fleet.inventory, "2.0.0")
    monkeypatch.setattr(transport, "connect", lambda *args: fleet)
    monkeypatch.delenv(REQUEST, raising=False)

    def start(run_dir: Path, secrets: object) -> Any:
        plan = read_plan(run_dir)
        journal = Journal(run_dir / "journal.jsonl")
        journal.append(made("apply_started", digest=plan.digest, pid=1, steps=len(plan.steps)))
        applied = Loop(plan, fleet, journal, StopRequest()).apply()
        status = 0 if applied.verdict == "succeeded" else 1
        journal.append(made("apply_finished", verdict=applied.verdict, changes=applied.changes, why=applied.why, exit_status=status))
        return SimpleNamespace(poll=lambda: 0)

    monkeypatch.setattr(process, "start", start)
    return fleet


def opened(fleet: FakeFleet, mode: str = "apply", **parameters: Any) -> Run:
    return open_run("hot_deploy", inventory=str(fleet.inventory.path), mode=mode, application="hotel", **parameters)


def handed(monkeypatch: pytest.MonkeyPatch, fleet: FakeFleet, **agreed: str) -> Run:
    """A run as a kernel opens it that a command has started, with what the command says beside the parameters."""
    asked = checked_request("hot_deploy", {"inventory": str(fleet.inventory.path), "mode": "apply", "application": "hotel"})
    run_dir = new_run_dir(asked)
    RunRequest.of(asked.runbook, asked.name, asked.inventory, asked.parameters, **agreed).keep(run_dir)
    with asked.inventory.secrets.handed_over() as fd, monkeypatch.context() as patch:
        patch.setenv(REQUEST, handing(run_dir, fd)[REQUEST])
        run = opened(fleet)
    assert run.dir == run_dir
    return run


def names(run: Run) -> list[str]:
    return [e["event"] for e in verified(run.dir / "journal.jsonl")]


def test_a_run_in_plan_mode_shows_the_plan_and_changes_nothing(fleet: FakeFleet, capsys: pytest.CaptureFixture[str]) -> None:
    before = repr(fleet.hosts)
    run = opened(fleet, "plan", reason="a look")
    run.preflight()
    run.apply(run.plan())
    run.verify()
    run.evidence()
    run.conclude()
    shown = capsys.readouterr().out
    assert "Plan mode: nothing was changed" in shown
    assert "PLANNED" in shown
    assert repr(fleet.hosts) == before
    assert names(run)[0] == "run_opened"
    assert names(run)[-1] == "concluded"
    assert fleet.is_closed


def test_the_plan_is_on_disk_before_the_journal_says_that_it_was_shown(fleet: FakeFleet, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    fsync, append = os.fsync, Journal.append

    def flush(fd: int) -> None:
        fsync(fd)
        seen.append(Path(f"/proc/self/fd/{fd}").readlink().name)

    def announce(journal: Journal, event: Event) -> Event:
        seen.append(event.event)
        return append(journal, event)

    run = opened(fleet)
    monkeypatch.setattr(os, "fsync", flush)
    monkeypatch.setattr(Journal, "append", announce)
    run.apply(run.plan())
    draft, folder = seen[: seen.index("planned")]
    assert (draft.startswith(".plan.json."), folder) == (True, run.dir.name)
    assert "journal.jsonl" in seen[seen.index("planned") : seen.index("step_started")]


def test_a_closed_run_applies_nothing_and_its_journal_gets_nothing_more(fleet: FakeFleet) -> None:
    run = opened(fleet)
    plan = run.plan()
    run.journal.append(made("run_closed", verdict="inconclusive", why="left"))
    before, sealed = repr(fleet.hosts), run.journal.path.read_bytes()
    with pytest.raises(Refused, match="is closed"):
        run.carry_out(plan, lambda event: None)
    assert (run.journal.path.read_bytes(), repr(fleet.hosts)) == (sealed, before)


def spoil(fleet: FakeFleet, how: str) -> None:
    """What makes the plan of before one that may not be applied."""
    match how:
        case "another release":
            publish(fleet.inventory, "3.0.0")
        case "an unmet precondition":
            fleet.hosts["app1"].system = {"root_writable": "no"}


@pytest.mark.parametrize("spoilt_by", ["another release", "an unmet precondition"])
def test_a_plan_that_was_agreed_to_is_not_applied_once_another_one_stands(fleet: FakeFleet, spoilt_by: str) -> None:
    run = opened(fleet)
    agreed = run.plan()
    spoil(fleet, spoilt_by)
    newer, before = run.plan(), repr(fleet.hosts)
    with pytest.raises(Refused, match="not the plan that was shown"):
        run.carry_out(agreed, lambda event: None)
    if newer.unmet:
        with pytest.raises(Refused, match="preconditions are not met"):
            run.carry_out(newer, lambda event: None)
    assert repr(fleet.hosts) == before
    assert "apply_started" not in names(run)


@pytest.mark.parametrize("changed_by", ["another release", "an unmet precondition"])
def test_a_plan_of_facts_that_have_changed_since_is_not_started(fleet: FakeFleet, changed_by: str) -> None:
    run = opened(fleet)
    plan = run.plan()
    spoil(fleet, changed_by)
    before = repr(fleet.hosts)
    with pytest.raises(Refused, match="the facts have changed since the plan was made"):
        run.carry_out(plan, lambda event: None)
    assert repr(fleet.hosts) == before
    assert "apply_started" not in names(run)


def test_a_plan_is_not_carried_out_before_others_have_approved_it(fleet: FakeFleet) -> None:
    change_inventory(fleet, approvals=1)
    run = opened(fleet)
    plan = run.plan()
    with pytest.raises(Refused, match="needs 1 approvals"):
        run.carry_out(plan, lambda event: None)
    assert "apply_started" not in names(run)


def test_a_runbook_without_steps_needs_no_approval_and_any_other_does(fleet: FakeFleet) -> None:
    change_inventory(fleet, approvals=1)
    run = opened(fleet)
    with pytest.raises(Refused, match="needs 1 approvals"):
        run.apply(run.plan())
    verifying = open_run("verify", inventory=str(fleet.inventory.path), mode="apply", application="hotel", release="1.0.0")
    verifying.apply(verifying.plan())
    verifying.verify()
    verifying.evidence()
    verifying.conclude()
    assert verifying.measurements()["rss_mb"] == dict.fromkeys(("app1:9090", "app2:9090"), 50.0)


def test_an_approved_plan_is_applied_once(fleet: FakeFleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ada, bob = make_key(tmp_path, "ada"), make_key(tmp_path, "bob")
    signers = allowed_line(ada, "ada@example.org") + allowed_line(bob, "bob@example.org")
    (fleet.inventory.path.parent / "allowed_signers").write_text(signers)
    edit_inventory(fleet, records={"path": "records", "sign_with": str(ada)})
    change_inventory(fleet, approvals=1)
    planned = opened(fleet, "plan")
    planned.plan()
    assert main(["approve", planned.id, "--key", str(bob), "-i", str(fleet.inventory.path)]) == 0
    first, second = handed(monkeypatch, fleet, shown_in=planned.id), handed(monkeypatch, fleet, shown_in=planned.id)
    plan = first.plan()
    second.require_may_apply(second.plan())
    first.apply(plan)
    approved = last(first.journal, "approved")
    assert approved is not None
    assert (approved["run"], approved["by"]) == (planned.id, ["bob@example.org"])
    with pytest.raises(Refused, match=f"run {first.id} has used the approvals"):
        second.require_may_apply(plan)


def test_a_run_in_apply_mode_ends_succeeded_with_fresh_facts(fleet: FakeFleet, capsys: pytest.CaptureFixture[str]) -> None:
    run = opened(fleet)
    plan = run.plan()
    run.apply(plan)
    run.verify()
    run.conclude()
    assert "SUCCEEDED" in capsys.readouterr().out
    concluded = last(run.journal, "concluded")
    assert concluded is not None
    assert (concluded["verdict"], concluded["digest"]) == ("succeeded", plan.digest)
    assert set(fleet.running("hotel").values()) == {plan.subject["release"]}
    assert read_plan(run.dir).digest == plan.digest


def test_who_what_and_why_stand_in_the_first_event(fleet: FakeFleet) -> None:
    event = lines(opened(fleet, "plan", reason="new prices", ticket="OPS-7").journal)[0]
    assert (event["reason"], event["ticket"], event["runbook"], event["mode"]) == ("new prices", "OPS-7", "hot_deploy", "plan")
    assert event["parameters"]["application"] == "hotel"
    assert event["inventory"]["path"] == str(fleet.inventory.path)


def test_a_run_that_was_not_verified_is_inconclusive(fleet: FakeFleet) -> None:
    run = opened(fleet)
    run.apply(run.plan())
    with pytest.raises(Inconclusive, match="nothing was verified"):
        run.conclude()


def test_a_run_that_never_applied_its_plan_is_inconclusive(fleet: FakeFleet) -> None:
    run = opened(fleet)
    run.plan()
    with pytest.raises(Inconclusive, match="never applied"):
        run.conclude()


def test_a_check_that_is_not_so_fails_the_run(fleet: FakeFleet) -> None:
    run = opened(fleet)
    run.apply(run.plan())
    fleet.hosts["app2"].processes.clear()
    run.verify()
    with pytest.raises(Failed, match="app2:9090 is healthy"):
        run.conclude()


def test_a_rollout_that_fails_raises_and_stands_in_the_journal(fleet: FakeFleet) -> None:
    run = opened(fleet)
    plan = run.plan()
    fleet.sick.add(str(plan.subject["release"]))
    with pytest.raises(Failed, match="taken back"):
        run.apply(plan)
    error = last(run.journal, "error")
    assert error is not None
    assert error["exit_status"] == 1
    with pytest.raises(Failed):
        run.conclude()


def test_only_the_plan_that_was_shown_is_applied_and_only_once(fleet: FakeFleet) -> None:
    run = opened(fleet)
    plan = run.plan()
    with pytest.raises(Refused, match="not the plan"):
        run.apply(Plan("hot_deploy", "hotel", ()))
    run.apply(plan)
    with pytest.raises(Refused, match="already"):
        run.apply(plan)


def test_a_plan_with_unmet_preconditions_is_not_applied(fleet: FakeFleet) -> None:
    fleet.hosts["app1"].system = {"root_writable": "no"}
    run = opened(fleet)
    plan = run.plan()
    begun = len(fleet.commands)
    with pytest.raises(Refused, match="may write below") as caught:
        run.apply(plan)
    assert "balbook apply provision" in caught.value.advice
    assert len(fleet.commands) == begun


def test_a_plan_that_is_no_longer_the_agreed_one_is_refused(fleet: FakeFleet, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Refused, match="changed since"):
        handed(monkeypatch, fleet, expected_digest="0" * 64).plan()


def test_cells_out_of_order_are_bad_input(fleet: FakeFleet) -> None:
    with pytest.raises(BadInput, match="no plan yet"):
        opened(fleet).verify()


def test_a_process_that_is_lost_says_how_to_go_on(fleet: FakeFleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "start", lambda *_: SimpleNamespace(poll=lambda: -9))
    run = opened(fleet)
    with pytest.raises(Failed) as caught:
        run.apply(run.plan())
    assert f"balbook resume {run.id}" in caught.value.advice
    assert "run_lost" in names(run)


@pytest.mark.parametrize(
    "parameters", [{"mode": "aply"}, {"serial": "1"}, {"release": 1.1}, {"application": "hotle"}, {"releas": "1"}, {"release": "$(id)"}]
)
def test_a_wrong_parameter_is_refused_before_anything_is_made(fleet: FakeFleet, parameters: dict[str, Any]) -> None:
    begun = len(fleet.commands)
    with pytest.raises(BadInput) as caught:
        open_run("hot_deploy", **{"inventory": str(fleet.inventory.path), "application": "hotel", **parameters})
    assert isinstance(caught.value, ParameterError) or "release" in str(caught.value)
    assert len(fleet.commands) == begun
    assert not (fleet.inventory.path.parent / "records").exists()
