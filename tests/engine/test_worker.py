"""The run's process: how it ends, whatever happened to it."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from balbook import transport as transports
from balbook.commands.command import Command, Result
from balbook.engine import process, worker
from balbook.engine.ending import Applied
from balbook.engine.measure import Unmeasured
from balbook.plan.reading import read_plan
from balbook.record.journal import Journal
from balbook.testing import FakeFleet, arguments_of
from balbook.transport import Transport
from tests.journals import last, lines, made
from tests.plan.test_version_1 import DATA as VERSION_1
from tests.small_fleet import edit_inventory, fleet_with, make_plan, publish


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeFleet:
    """`hotel` 1.0.0 runs without a balancer, 2.0.0 is in the store; signals and streams are left alone."""
    fleet = fleet_with(tmp_path, "1.0.0", balancer=False)
    publish(fleet.inventory, "2.0.0")
    monkeypatch.setattr(transports, "connect", lambda *args: fleet)
    monkeypatch.setattr(worker, "_listen", lambda stop, journal: None)
    monkeypatch.setattr(worker, "ScrubbedStream", lambda stream, scrubber: stream)
    return fleet


@pytest.fixture
def run_dir(fleet: FakeFleet, tmp_path: Path) -> Path:
    """The folder of a run that is about to apply its plan."""
    return begun(fleet, tmp_path / "records" / "20260131-hot_deploy-r1", "r1")


def begun(fleet: FakeFleet, run_dir: Path, run_id: str) -> Path:
    run_dir.mkdir(parents=True)
    plan = make_plan(fleet)
    (run_dir / "plan.json").write_text(json.dumps(plan.data()))
    journal = Journal(run_dir / "journal.jsonl")
    who = {"user": "ann", "host": "laptop"}
    journal.append(made("run_opened", run_id=run_id, who=who, inventory={"path": str(fleet.inventory.path)}, reason="new prices"))
    journal.append(made("planned", digest=plan.digest, changes=len(plan.pending), steps=len(plan.steps), unmet=0))
    return run_dir


def ended(run_dir: Path) -> dict[str, Any]:
    return last(run_dir / "journal.jsonl", "apply_finished") or {}


def test_a_plan_is_applied_and_its_end_is_journaled(fleet: FakeFleet, run_dir: Path) -> None:
    assert worker.main([str(run_dir)]) == 0
    assert (ended(run_dir)["verdict"], ended(run_dir)["why"], ended(run_dir)["exit_status"]) == ("succeeded", "", 0)
    assert ended(run_dir)["units"] == {"app1:9090": "changed", "app2:9090": "changed"}


def test_what_is_measured_after_the_change_decides_before_the_release_is_marked_as_proven(
    fleet: FakeFleet, run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Failing(Unmeasured):
        def finish(self, applied: Applied, transport: Transport, max_p99_ratio: float | None = None) -> None:
            applied.fail("3 requests failed (limit 0)")

    monkeypatch.setattr(worker, "Unmeasured", Failing)
    assert worker.main([str(run_dir)]) == 0
    assert ended(run_dir)["why"] == "3 requests failed (limit 0)\nthe release serves, but was not marked as proven"
    assert set(ended(run_dir)["units"].values()) == {"changed"}
    assert not [e for e in lines(run_dir / "journal.jsonl") if str(e.get("step", "")).startswith(("prove", "prune"))]


def test_a_defect_ends_in_a_stated_verdict_that_says_what_was_taken_back(fleet: FakeFleet, run_dir: Path) -> None:
    fleet.answers["app2", "process-start"] = breaks_once(fleet, lambda: KeyError("nobody"))
    assert worker.main([str(run_dir)]) == 1
    assert "defect in balbook: KeyError: 'nobody'\napp2:9090 was taken back to its earlier state" in ended(run_dir)["why"]
    assert ended(run_dir)["why"].count("defect") == 1
    assert set(ended(run_dir)["units"].values()) == {"taken back"}
    assert {r.rpartition("-")[0] for r in fleet.running("hotel").values()} == {"1.0.0"}


def test_a_full_disk_takes_the_unit_back_and_others_are_told_all_the_same(
    fleet: FakeFleet, run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    edit_inventory(fleet, notify={"command": ["sh", "-c", "cat >> told"]})

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    fleet.answers["app1", "process-stop"] = breaks_once(fleet, lambda: monkeypatch.setattr("balbook.record.journal.os.pwrite", full))
    assert worker.main([str(run_dir)]) == 1
    assert set(fleet.running("hotel")) == {"app1:9090", "app2:9090"}
    assert {r.rpartition("-")[0] for r in fleet.running("hotel").values()} == {"1.0.0"}
    assert "No space left on device" in capsys.readouterr().err
    told = [json.loads(line) for line in (tmp_path / "told").read_text().splitlines()]
    assert (told[-1]["what"], told[-1]["verdict"], told[-1]["units"]["app1:9090"]) == ("verdict", "failed", "taken back")


def lease_of(fleet: FakeFleet, run_id: str, age_s: int) -> None:
    """A lease of a run on the host that has it."""
    holder = json.dumps({"run_id": run_id, "who": "eve@elsewhere", "since": "09:00", "reason": ""})
    fleet.hosts["app1"].leases["/opt/balbook/locks/hotel"] = (run_id, holder)
    fleet.answers["app1", "lease"] = lambda host, command: lease_answer(fleet, command, f"{age_s} {holder}")


def lease_answer(fleet: FakeFleet, command: Command, line: str) -> Any:
    """Who comes finds it, or takes it over where it is old; after that the fleet answers."""
    if arguments_of(command)[0] == "show":
        return Result(0, line)
    del fleet.answers["app1", "lease"]
    if arguments_of(command)[0] == "acquire":
        fleet.hosts["app1"].leases.clear()
        fleet.execute("app1", command)
        return Result(0, f"took over {line}")
    return fleet.answer("app1", command)


def taken_over(run_dir: Path) -> dict[str, Any]:
    return last(run_dir / "journal.jsonl", "lease_taken_over") or {}


def test_a_stale_lease_that_is_taken_over_is_journaled_with_its_holder_and_why(fleet: FakeFleet, run_dir: Path) -> None:
    lease_of(fleet, "feedface", 60)
    assert worker.main([str(run_dir)]) == 0
    found = taken_over(run_dir)
    assert (found["run_id"], found["who"], found["age_s"]) == ("feedface", "eve@elsewhere", 60)
    assert found["why"] == "a lock that nobody renews for 45 s is stale"


@pytest.mark.parametrize("is_dead", [True, False])
def test_the_lease_of_a_run_of_this_machine_is_taken_over_once_its_process_is_dead(fleet: FakeFleet, run_dir: Path, is_dead: bool) -> None:
    other = begun(fleet, run_dir.with_name("20260131-hot_deploy-r0"), "r0")
    holder = json.dumps({"run_id": "r0", "who": "ann@laptop", "since": "09:00", "reason": ""})
    fleet.hosts["app1"].leases["/opt/balbook/locks/hotel"] = ("r0", holder)
    if not is_dead:
        process.write_pid(other)
    assert worker.main([str(run_dir)]) == 0
    assert taken_over(run_dir).get("why") == ("the holder's process, on this machine, is dead" if is_dead else None)
    assert (ended(run_dir)["verdict"], ended(run_dir)["exit_status"]) == (("succeeded", 0) if is_dead else ("failed", 2))
    assert ended(run_dir)["units"] == dict.fromkeys(("app1:9090", "app2:9090"), "changed" if is_dead else "not reached")


def test_an_instance_that_needs_nothing_has_an_outcome_too(fleet: FakeFleet, run_dir: Path) -> None:
    assert worker.main([str(run_dir)]) == 0
    stopped = fleet.hosts["app2"].processes.popitem()
    again = begun(fleet, run_dir.with_name("20260131-hot_deploy-r2"), "r2")
    assert worker.main([str(again)]) == 0
    assert ended(again)["units"] == {"app1:9090": "already", "app2:9090": "changed"}
    assert stopped in fleet.hosts["app2"].processes.items()


def breaks_once(fleet: FakeFleet, what: Callable[[], Exception | None]) -> Any:
    """Something happens when this command comes; from then on it is answered as the fleet does."""

    def answer(host: str, command: Any) -> Any:
        for key in [key for key, value in fleet.answers.items() if value is answer]:
            del fleet.answers[key]
        if error := what():
            raise error
        return fleet.answer(host, command)

    return answer


@pytest.mark.parametrize(("has_begun", "verdict"), [(False, "failed"), (True, "succeeded")])
def test_a_plan_of_version_1_is_gone_on_with_and_never_begun(run_dir: Path, has_begun: bool, verdict: str) -> None:
    journal, plan = Journal(run_dir / "journal.jsonl"), {**VERSION_1, "application": "", "settings": {}, "preconditions": []}
    plan["steps"] = [{"id": "look app1", "host": "app1", "title": "look", "is_done": False, "actions": [{"run": {"argv": ["true"]}}]}]
    (run_dir / "plan.json").write_text(json.dumps(plan))
    journal.append(made("planned", digest=read_plan(run_dir).digest, changes=1, steps=1, unmet=0))
    if has_begun:
        journal.append(made("apply_started", digest=read_plan(run_dir).digest, pid=1, steps=1))
    assert worker.main([str(run_dir)]) == 0
    assert (ended(run_dir)["verdict"], ended(run_dir)["exit_status"]) == (verdict, 0 if has_begun else 2)
    assert has_begun or "Make a new plan: balbook plan hot_deploy" in ended(run_dir)["why"]
