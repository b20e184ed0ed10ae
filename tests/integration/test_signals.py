"""Whatever ends a run in the middle: the instance in hand is taken back, the others serve on, and the journal says why."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from balbook.engine import process
from balbook.inventory import Inventory
from balbook.record.verdict import Stated
from tests.integration.hotel import ROOT, Hotel, events, last, printed_json, until, wait_for

pytestmark = pytest.mark.integration
DEPLOY = ("hot_deploy", "-p", "application=hotel")
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(hotel: Hotel) -> Iterator[Start]:
    """Starts commands, and ends those that a failed test leaves."""
    begun: list[subprocess.Popen[str]] = []

    def begin(*words: str, **options: object) -> subprocess.Popen[str]:
        begun.append(hotel.start(*words, **options))  # type: ignore[arg-type]
        return begun[-1]

    yield begin
    for command in begun:
        if command.poll() is None:
            command.kill()
        command.communicate()


def in_the_middle(hotel: Hotel, before: set[Path]) -> Path:
    """The record of the new run, once it is stopping the first instance."""
    record = hotel.new_record(before)
    first = hotel.inventory.applications["hotel"].instances[0].name
    wait_for(record, "step_started", step=f"stop {first}")
    return record


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def require_safe(hotel: Hotel, record: Path, version: str, why: str) -> None:
    """The run has ended as failed and said why; nothing is half done, and no request failed meanwhile."""
    until(lambda: process.find(record) is None, 60, "the end of the run's process")
    finished = last(record, "apply_finished")
    first = hotel.inventory.applications["hotel"].instances[0].name
    assert finished["verdict"] == "failed"
    assert f"stopped {why}" in finished["why"].replace("stopped:", "stopped")
    assert f"{first} was taken back to its earlier state" in finished["why"]
    assert last(record, "stop_requested")["by"] == why
    outcomes = {e["step"]: e["outcome"] for e in events(record) if e["event"] == "step_finished"}
    assert (outcomes[f"drain {first}"], outcomes[f"stop {first}"]) == ("undone", "undone")
    assert hotel.is_nginx_valid()
    assert set(hotel.running().values()) == {version}
    assert len(hotel.running()) == 2
    assert not (hotel.home / "locks" / "hotel").exists()


def require_floor_held(record: Path) -> None:
    measured = last(record, "measured")
    assert measured["sent"] > 200
    assert measured["failed"] == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_apply_takes_the_instance_in_hand_back(hotel: Hotel, start: Start, number: signal.Signals) -> None:
    version, before = next(iter(hotel.running().values())), hotel.records()
    command = start("apply", *DEPLOY, "-p", f"release={hotel.other()}")
    record = in_the_middle(hotel, before)
    command.send_signal(number)
    said, _ = command.communicate(timeout=60)
    assert command.returncode == 1, said
    assert "asked the run to stop" in said
    require_safe(hotel, record, version, "asked by SIGTERM")
    require_floor_held(record)
    assert events(record)[-1]["event"] == "run_closed"
    assert (last(record, "run_closed")["verdict"], "stopped:" in last(record, "run_closed")["why"]) == ("failed", True)


def test_a_kernel_that_is_killed_leaves_a_run_that_ends_safely(hotel: Hotel, start: Start) -> None:
    version, before = next(iter(hotel.running().values())), hotel.records()
    command = start("apply", *DEPLOY, "-p", f"release={hotel.other()}")
    record = in_the_middle(hotel, before)
    os.kill(parent_of(last(record, "apply_started")["pid"]), signal.SIGKILL)
    said, _ = command.communicate(timeout=60)
    assert command.returncode == 1, said
    assert process.find(record) is None
    require_safe(hotel, record, version, "the controller is gone")
    require_floor_held(record)
    names = [e["event"] for e in events(record)]
    assert names.index("apply_finished") < names.index("run_closed")
    closed = last(record, "run_closed")
    assert closed["verdict"] == "failed"
    assert "kernel_death" in closed["why"]


def test_plain_papermill_that_is_terminated_leaves_a_run_that_ends_safely(hotel: Hotel, start: Start, tmp_path: Path) -> None:
    version, before = next(iter(hotel.running().values())), hotel.records()
    words = [str(ROOT / "runbooks" / "hot_deploy.ipynb"), "out.ipynb", "-r", "application", "hotel", "-r", "mode", "apply"]
    command = start(*words, "-r", "release", hotel.other(), module="papermill", cwd=tmp_path)
    record = in_the_middle(hotel, before)
    command.terminate()
    command.communicate(timeout=60)
    assert command.returncode != 0
    until(lambda: process.find(record) is None, 60, "the end of the run's process")
    require_safe(hotel, record, version, last(record, "stop_requested")["by"])
    require_floor_held(record)
    assert hotel.balbook("seal", str(tmp_path / "out.ipynb")).returncode == 0


def test_a_signal_before_anything_was_applied_ends_the_run_there(hotel: Hotel, start: Start) -> None:
    version, before = next(iter(hotel.running().values())), hotel.records()
    command = start("apply", *DEPLOY, "-p", f"release={hotel.other()}")
    record = hotel.new_record(before)
    wait_for(record, "run_opened")
    command.send_signal(signal.SIGINT)
    said, _ = command.communicate(timeout=60)
    assert command.returncode == 1, said
    assert not [e for e in events(record) if e["event"] == "apply_started"]
    closed = last(record, "run_closed")
    assert closed["verdict"] == "failed"
    assert "before anything was applied" in closed["why"]
    assert set(hotel.running().values()) == {version}


class Applying(threading.Thread):
    """A deployment without a notebook, on the side."""

    def __init__(self, hotel: Hotel, inventory: Inventory | None = None) -> None:
        super().__init__(daemon=True)
        self.hotel, self.inventory, self.plan = hotel, inventory, hotel.plan(hotel.other(), inventory=inventory)
        self.stated: Stated | None = None

    def run(self) -> None:
        self.stated, _ = self.hotel.apply(self.plan, self.inventory)


def test_stop_takes_the_instance_in_hand_back(hotel: Hotel, tmp_path: Path) -> None:
    version, before = next(iter(hotel.running().values())), hotel.records()
    careful = hotel.edited(tmp_path / "inventory.yaml", lambda d: d["applications"]["hotel"].update(rollout={"min_healthy_s": 20}))
    applying = Applying(hotel, careful)  # long enough for a command to start meanwhile
    applying.start()
    record = in_the_middle(hotel, before)
    shown = hotel.balbook("stop", process_id := record.name.rpartition("-")[2])
    assert shown.returncode == 0, shown.stderr
    applying.join(60)
    assert applying.stated
    assert (applying.stated.verdict, applying.stated.exit_status) == ("failed", 1)
    require_safe(hotel, record, version, "on request (balbook stop)")
    again = hotel.balbook("stop", process_id)
    assert again.returncode == 2
    assert "no process of this run is running" in again.stderr


def test_stop_of_a_pipeline_is_passed_on_to_the_runbook_in_hand_and_no_other_begins(hotel: Hotel, start: Start, tmp_path: Path) -> None:
    version, before = next(iter(hotel.running().values())), hotel.records()
    path = tmp_path / "two.yaml"
    path.write_text("version: 1\nname: two\nrunbooks: [{runbook: hot_deploy}, {runbook: verify}]\n")
    command = start("apply", str(path), "-p", "application=hotel", "-p", f"release={hotel.other()}")
    until(lambda: any("-two-" in p.name for p in hotel.records() - before), 40, "the pipeline's record")
    whole = next(p for p in hotel.records() - before if "-two-" in p.name)
    record = in_the_middle(hotel, before | {whole})
    shown = hotel.balbook("stop", whole.name.rpartition("-")[2])
    assert shown.returncode == 0, shown.stderr
    said, _ = command.communicate(timeout=60)
    assert command.returncode == 1, said
    require_safe(hotel, record, version, "asked by SIGTERM")
    assert [e["runbook"] for e in events(whole) if e["event"] == "runbook_started"] == ["hot_deploy"]
    assert last(whole, "run_closed")["why"].startswith("hot_deploy: ")
    assert (whole / "statement.json").exists()


def test_a_second_deployment_meanwhile_is_refused_and_told_who_holds_the_lock(hotel: Hotel) -> None:
    before = hotel.records()
    applying = Applying(hotel)
    applying.start()
    record = in_the_middle(hotel, before)
    opened = last(record, "run_opened")
    refused, second = hotel.apply(applying.plan)
    assert (refused.verdict, refused.exit_status) == ("failed", 2)
    who = f"{opened['who']['user']}@{opened['who']['host']}"
    assert f"hotel is being deployed by {who} since {opened['at']} (run {opened['run_id']}, reason: none given" in refused.why
    assert f"balbook stop {opened['run_id']}" in refused.why
    assert not [e for e in events(second) if e["event"] == "step_started"]
    applying.join(60)
    assert applying.stated == Stated("succeeded", "", 0)


def test_a_run_whose_own_process_was_killed_is_resumed_and_finished(hotel: Hotel) -> None:
    wanted, before = hotel.other(), hotel.records()
    applying = Applying(hotel)
    applying.start()
    record = in_the_middle(hotel, before)
    os.kill(last(record, "apply_started")["pid"], signal.SIGKILL)
    applying.join(60)
    assert applying.stated
    assert (applying.stated.verdict, "was lost" in applying.stated.why) == ("failed", True)
    assert len(hotel.running()) >= 1
    done_before = {e["step"] for e in events(record) if e["event"] == "step_finished"}

    shown = hotel.balbook("resume", record.name.rpartition("-")[2], "--json")
    assert shown.returncode == 0, shown.stderr
    assert printed_json(shown)["verdict"] == "succeeded"
    assert set(hotel.running().values()) == {wanted}
    assert len(hotel.running()) == 2
    after = events(record)
    resumed = next(i for i, e in enumerate(after) if e["event"] == "resumed")
    assert done_before
    assert not done_before & {e["step"] for e in after[resumed:] if e["event"] == "step_started"}
    assert hotel.is_nginx_valid()
    assert not (hotel.home / "locks" / "hotel").exists()
    again = hotel.balbook("resume", record.name.rpartition("-")[2])
    assert again.returncode == 2
    assert json.dumps(after) == json.dumps(events(record))
