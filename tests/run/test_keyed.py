"""A key's second call: told again, gone on with, or done anew. The runbooks themselves do not run here."""

from __future__ import annotations

import fcntl
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from balbook.engine import process
from balbook.errors import BadInput, Refused
from balbook.inventory import Inventory, read_inventory
from balbook.plan.model import Plan
from balbook.plan.settings import LeasePlace, Settings
from balbook.record.executed import execution_faults
from balbook.record.journal import Journal
from balbook.record.keeping import seal_run
from balbook.record.seal import read_record
from balbook.record.statement import STATEMENT
from balbook.record.verdict import Stated
from balbook.run import keyed as once
from balbook.run.headless import Outcome
from balbook.run.keyed import execute_once, seal_rest
from tests.journals import last, lines, made
from tests.run_folders import run_folder

APPLY = {"application": "hotel", "mode": "apply"}
Events = list[tuple[str, dict[str, Any]]]
SUBJECTS = {"build": {"version": "1.0.0+1a2b3c4d"}}
STARTED: Events = [("apply_started", {}), ("step_started", {"step": "switch a"})]


def applied(verdict: str) -> tuple[str, dict[str, Any]]:
    return ("apply_finished", {"verdict": verdict, "changes": 4})


def closed(verdict: str) -> tuple[str, dict[str, Any]]:
    return ("run_closed", {"verdict": verdict, "why": ""})


@pytest.fixture
def inventory(tmp_path: Path) -> Inventory:
    path = tmp_path / "inventory.yaml"
    path.write_text("version: 1\nhosts: {build1: {address: 127.0.0.1, roles: [build]}}\n")
    return read_inventory(path)


class Runner:
    """Stands in for the runner: each call leaves a run with the events that come next, sealed where they end in `run_closed`."""

    def __init__(self, inventory: Inventory, *runs: Events, lease: bool = True) -> None:
        self.inventory, self.runs, self.called = inventory, list(runs), 0
        self.settings = Settings(lease=LeasePlace("hotel", "a", "/x") if lease else None)

    def __call__(
        self, name: str, inventory: Inventory, parameters: Any, *, key: str, on_begun: Callable[[Path], None], say: Any
    ) -> Outcome:
        run_dir = inventory.resolve(inventory.records.path) / f"20260101T00000{self.called}Z-{name}-0000000{self.called}"
        run_dir.mkdir(parents=True)
        self.called += 1
        on_begun(run_dir)
        (run_dir / "plan.json").write_text(
            json.dumps(Plan(name, "hotel", (), subject=SUBJECTS.get(name, {}), settings=self.settings).data())
        )
        journal = Journal(run_dir / "journal.jsonl")
        opened = {"run_id": run_dir.name[-8:], "runbook": name, "parameters": dict(parameters), "mode": "apply", "key": key}
        journal.append(made("run_opened", **opened))
        for event, fields in self.runs.pop(0):
            journal.append(made(event, **fields))
        last = lines(journal)[-1]
        if last["event"] == "run_closed":
            seal_run(inventory, run_dir, lambda line: None)
        status = {"succeeded": 0}.get(last.get("verdict", ""), 1)
        return Outcome(name, run_dir.name[-8:], last.get("verdict", "failed"), "", status, 0.1, run_dir, run_dir / f"{name}.ipynb")


@pytest.fixture
def play(inventory: Inventory, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Runner]:
    def play(*runs: Events, lease: bool = True) -> Runner:
        runner = Runner(inventory, *runs, lease=lease)
        monkeypatch.setattr(once, "execute", runner)
        return runner

    return play


def call(inventory: Inventory, key: str = "dag/run 1", **parameters: Any) -> Outcome:
    return execute_once(key, "hot_deploy", inventory, {**APPLY, **parameters})


def test_what_succeeded_is_told_again_and_not_done_again(inventory: Inventory, play: Callable[..., Runner]) -> None:
    runner = play([*STARTED, applied("succeeded"), closed("succeeded")])
    first, second = call(inventory), call(inventory)
    assert runner.called == 1
    assert (second.verdict, second.exit_status, second.run_id, second.changes) == ("succeeded", 0, first.run_id, 4)


def test_what_the_keys_build_came_to_is_the_release_of_its_later_runbooks(inventory: Inventory, play: Callable[..., Runner]) -> None:
    runner = play(*[[*STARTED, applied("succeeded"), closed("succeeded")]] * 4)
    execute_once("dag/run 1", "build", inventory, APPLY)
    pinned = call(inventory, release="latest")
    assert released(pinned) == "1.0.0+1a2b3c4d"
    assert call(inventory, release="latest").run_id == pinned.run_id  # the retry stands for the same
    assert runner.called == 2
    assert released(execute_once("dag/run 1", "retrieve", inventory, {**APPLY, "release": ""})) == "1.0.0+1a2b3c4d"
    assert released(call(inventory, "dag/run 2", release="latest")) == "latest"


def test_a_release_that_is_named_and_a_rollbacks_are_not_the_builds(inventory: Inventory, play: Callable[..., Runner]) -> None:
    play([closed("succeeded")], [closed("succeeded")], [closed("succeeded")])
    execute_once("a", "build", inventory, APPLY)
    assert released(execute_once("a", "hot_deploy", inventory, {**APPLY, "release": "0.9.0"})) == "0.9.0"
    assert released(execute_once("a", "rollback", inventory, {**APPLY, "release": ""})) == ""  # the one that was proven before


@pytest.mark.parametrize("verdict", ["planned", "failed"])
def test_a_build_that_made_nothing_gives_no_release(inventory: Inventory, play: Callable[..., Runner], verdict: str) -> None:
    play([closed(verdict)], [closed("succeeded")])
    execute_once("a", "build", inventory, APPLY)
    assert released(execute_once("a", "hot_deploy", inventory, {**APPLY, "release": "latest"})) == "latest"


def released(outcome: Outcome) -> str:
    """The release that a run was given."""
    opened = last(outcome.record / "journal.jsonl", "run_opened") or {}
    return str(opened["parameters"]["release"])


def test_another_key_and_another_runbook_are_runs_of_their_own(inventory: Inventory, play: Callable[..., Runner]) -> None:
    runner = play(*[[closed("succeeded")]] * 3)
    call(inventory, "dag/run 1")
    call(inventory, "dag/run 2")
    execute_once("dag/run 1", "build", inventory, APPLY)
    assert runner.called == 3


def test_the_same_key_with_other_parameters_is_refused(inventory: Inventory, play: Callable[..., Runner]) -> None:
    play([closed("succeeded")])
    call(inventory, release="1.0.0")
    with pytest.raises(Refused, match=r"1\.0\.0"):
        call(inventory, release="2.0.0")


@pytest.mark.parametrize("key", ["", "a\nb", "x" * 501])
def test_a_key_that_is_none_is_refused(inventory: Inventory, key: str) -> None:
    with pytest.raises(BadInput, match="key"):
        call(inventory, key)


@pytest.mark.parametrize(
    "before",
    [
        pytest.param([closed("failed")], id="refused before anything was applied"),
        pytest.param([("cell_started", {})], id="killed before anything was applied"),
        pytest.param([("apply_started", {}), applied("failed"), closed("failed")], id="lock held by another"),
        pytest.param([*STARTED, ("stop_requested", {"by": "SIGTERM"}), applied("failed"), closed("failed")], id="stopped"),
    ],
)
def test_a_run_that_changed_nothing_or_was_stopped_is_done_anew(inventory: Inventory, play: Callable[..., Runner], before: Events) -> None:
    runner = play(before, [closed("succeeded")])
    first, second = call(inventory), call(inventory)
    assert runner.called == 2
    assert (second.verdict, second.run_id) == ("succeeded", "00000001")
    assert read_record(first.record).verdict == "failed"


def test_a_deployment_that_failed_is_told_again(inventory: Inventory, play: Callable[..., Runner]) -> None:
    runner = play([*STARTED, applied("failed"), closed("failed")])
    call(inventory)
    again = call(inventory)
    assert (runner.called, again.verdict, again.exit_status) == (1, "failed", 1)


def test_a_build_that_failed_is_tried_again(inventory: Inventory, play: Callable[..., Runner]) -> None:
    runner = play([*STARTED, applied("failed"), closed("failed")], [closed("succeeded")], lease=False)
    call(inventory)
    assert call(inventory).verdict == "succeeded"
    assert runner.called == 2


@pytest.mark.parametrize(
    "before",
    [
        pytest.param(STARTED, id="its process was killed"),
        pytest.param([*STARTED, ("run_lost", {}), ("error", {"exit_status": 1, "message": "lost"})], id="and its kernel said so"),
        pytest.param(
            [*STARTED, ("controller_gone", {}), ("stop_requested", {"by": "x"}), applied("failed")],
            id="its controller was killed",
        ),
    ],
)
def test_a_run_that_was_cut_off_goes_on(
    inventory: Inventory, play: Callable[..., Runner], monkeypatch: pytest.MonkeyPatch, before: Events
) -> None:
    runner = play(before)
    resumed: list[Path] = []

    def resume(run_dir: Path, say: Any, read: Inventory) -> Stated:
        resumed.append(run_dir)
        Journal(run_dir / "journal.jsonl").append(made("run_closed", verdict="succeeded", why=""))
        return Stated("succeeded", "", 0)

    monkeypatch.setattr(once.direct, "resume", resume)
    first = call(inventory)
    again = call(inventory)
    assert runner.called == 1
    assert resumed == [first.record]
    assert (again.verdict, again.exit_status) == ("succeeded", 0)


def test_a_run_that_still_goes_on_is_waited_for(inventory: Inventory, play: Callable[..., Runner]) -> None:
    play([("cell_started", {})], [closed("succeeded")])
    run_dir = call(inventory).record
    held = os.open(run_dir / process.PID_FILE, os.O_RDWR | os.O_CREAT)  # as another machine's process would
    fcntl.flock(held, fcntl.LOCK_EX)
    assert process.is_alive(run_dir)
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        if "waiting" in line:
            threading.Timer(0.3, lambda: os.close(held)).start()

    outcome = execute_once("dag/run 1", "hot_deploy", inventory, APPLY, say=say)
    assert [line for line in said if "waiting for its end" in line]
    assert outcome.verdict == "succeeded"


def test_two_calls_at_once_are_one_run(inventory: Inventory, play: Callable[..., Runner], monkeypatch: pytest.MonkeyPatch) -> None:
    runner = play([*STARTED, applied("succeeded"), closed("succeeded")])
    has_begun, may_end = threading.Event(), threading.Event()

    def slow(*args: Any, **options: Any) -> Outcome:
        has_begun.set()
        assert may_end.wait(20)
        return runner(*args, **options)

    monkeypatch.setattr(once, "execute", slow)
    found: list[Outcome] = []
    threads = [threading.Thread(target=lambda: found.append(call(inventory))) for _ in range(2)]
    threads[0].start()
    assert has_begun.wait(20)
    threads[1].start()
    may_end.set()
    for thread in threads:
        thread.join(20)
    assert runner.called == 1
    assert [outcome.verdict for outcome in found] == ["succeeded"] * 2


def test_a_reader_that_is_gone_does_not_end_the_run(
    inventory: Inventory, monkeypatch: pytest.MonkeyPatch, play: Callable[..., Runner]
) -> None:
    runner = play([closed("succeeded")])

    def talkative(*args: Any, say: Callable[[str], None], **options: Any) -> Outcome:
        say("a line")
        return runner(*args, say=say, **options)

    def broken(line: str) -> None:
        raise BrokenPipeError

    monkeypatch.setattr(once, "execute", talkative)
    assert execute_once("k", "hot_deploy", inventory, APPLY, say=broken).verdict == "succeeded"


def test_the_last_call_seals_what_nobody_has_sealed(inventory: Inventory, play: Callable[..., Runner]) -> None:
    play(STARTED)
    run_dir = call(inventory).record
    assert not (run_dir / STATEMENT).exists()
    (outcome,) = seal_rest("dag/run 1", inventory, lambda line: None)
    assert (outcome.name, outcome.verdict, outcome.exit_status) == ("hot_deploy", "inconclusive", 3)
    assert read_record(run_dir).verdict == "inconclusive"
    assert (run_dir / "hot_deploy.ipynb").exists()
    assert seal_rest("dag/run 1", inventory, lambda line: None) == [outcome]
    assert seal_rest("another", inventory, lambda line: None) == []


@pytest.mark.parametrize("has_output", [False, True])
def test_the_cells_that_a_resumed_run_never_came_to_are_no_fault_unless_they_show_something(tmp_path: Path, has_output: bool) -> None:
    folder = run_folder(tmp_path, verdict="")
    journal = Journal(folder / "journal.jsonl")
    digest = str((last(journal, "planned") or {})["digest"])
    journal.append(made("resumed", by=1))
    journal.append(made("apply_started", digest=digest))
    journal.append(made("step_finished", step="reload", outcome="changed", seconds=1, status=0, tail=""))
    journal.append(made("apply_finished", verdict="succeeded", changes=1, why=""))
    journal.append(made("verified", checks=[]))
    journal.append(made("run_closed", verdict="succeeded", why=""))
    path = folder / "hot_deploy.ipynb"
    data = json.loads(path.read_text())
    for cell in data["cells"][5:]:
        cell["execution_count"] = None
    if has_output:
        data["cells"][-1]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "all went well"}]
    path.write_text(json.dumps(data))
    faults, _ = execution_faults(folder, journal.events(), None)
    assert bool([fault for fault in faults if "added, or never ran" in fault]) == has_output
    assert has_output or not faults
