"""DAGs that balbook writes, in a real Airflow against a lab: success, a task that is killed, a deployment that fails."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from balbook.cli import main
from balbook.engine import process
from balbook.report.dora import deployments_frame
from balbook.report.records import runs_frame
from balbook.run.keyed import FOLDER
from balbook.run.pipeline import find_pipelines
from tests.airflow.real_airflow import RUN_WITHIN_S, Airflow
from tests.integration.hotel import ENDS_AT_START, Hotel, events, last, wait_for
from tests.integration.rollout_lab import Clients

pytestmark = [pytest.mark.airflow, pytest.mark.integration]
TWO = "version: 1\nname: two\nrunbooks: [{runbook: hot_deploy}, {runbook: report, parameters: {include_lab: true}}]\n"


@pytest.fixture
def whole(airflow: Airflow, hotel: Hotel) -> Hotel:
    """The lab after the pipeline `centralized` was run by Airflow; done by the first test that asks for it."""
    write(airflow, hotel, "centralized")
    if not hotel.records():
        airflow.run("balbook_centralized_lab", {"reason": "a release; $(touch evil) 'x' \"y\"", "serial": 1}, airflow.home / "whole.log")
    return hotel


@pytest.fixture
def two(airflow: Airflow, whole: Hotel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A DAG of a pipeline that deploys and reports."""
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "two.yaml").write_text(TWO)
    monkeypatch.chdir(tmp_path)
    write(airflow, whole, "two")
    return "balbook_two_lab"


def write(airflow: Airflow, hotel: Hotel, runs: str) -> None:
    argv = [
        "schedule",
        "airflow",
        runs,
        "-i",
        str(hotel.lab.inventory),
        "--output",
        str(airflow.dags),
        "--retries",
        "1",
        "--retry-delay",
        "1",
    ]
    assert main(argv) == 0


def deployments(hotel: Hotel, since: set[Path]) -> list[Path]:
    return sorted(path for path in hotel.records() - since if "-hot_deploy-" in path.name)


def is_sealed(record: Path) -> bool:
    return (record / "statement.json").exists()


def test_the_pipeline_ends_in_success_with_one_sealed_record_a_runbook(airflow: Airflow, whole: Hotel) -> None:
    for name in find_pipelines(Path("/nonexistent")):
        write(airflow, whole, name)
    assert airflow.import_errors() == {}
    assert airflow.state("balbook_centralized_lab") == "success", (airflow.home / "whole.log").read_text()[-6000:]
    names = ["provision", "install", "pack_push", "consolidate", "build", "hot_deploy"]
    assert airflow.tasks("balbook_centralized_lab") == dict.fromkeys([*names, "seal"], ("success", 1))
    first = sorted(whole.records())[: len(names)]
    assert [events(record)[0]["runbook"] for record in first] == names
    assert [(last(record, "run_closed")["verdict"], is_sealed(record)) for record in first] == [("succeeded", True)] * len(names)
    assert {events(record)[0]["reason"] for record in first} == {"a release; $(touch evil) 'x' \"y\""}
    assert len({events(record)[0]["key"] for record in first}) == 1
    assert not list(whole.lab.folder.rglob("evil"))


def kill_the_runs_process(record: Path) -> None:
    pid = process.find(record)
    assert pid
    os.kill(pid, signal.SIGKILL)


def kill_the_tasks_command(record: Path) -> None:
    """The process that the task's BashOperator started; who it is stands with the key."""
    (kept,) = [path for path in (record.parent / FOLDER).glob("*/hot_deploy.json") if json.loads(path.read_text())["run"] == record.name]
    os.kill(int(json.loads(kept.read_text())["pid"]), signal.SIGKILL)


@pytest.mark.parametrize("kill", [kill_the_runs_process, kill_the_tasks_command])
def test_a_task_that_is_killed_in_the_middle_resumes_and_deploys_once(
    airflow: Airflow, whole: Hotel, two: str, tmp_path: Path, kill: Callable[[Path], None]
) -> None:
    before, release = whole.records(), whole.other()
    counted = len(deployments_frame(runs_frame(whole.lab.folder / "records", include_lab=True)))
    first = whole.inventory.applications["hotel"].instances[0].name
    with Clients(f"http://127.0.0.1:{whole.lab.ports['lb1.listen']}/rooms", rate=20) as clients:
        running = airflow.start(two, {"release": release, "reason": "killed"}, tmp_path / "log")
        try:
            record = whole.new_record(before, within_s=90)
            wait_for(record, "step_finished", within_s=60, outcome="changed", step=f"start {first}")
            kill(record)
            running.wait(RUN_WITHIN_S)
        finally:
            running.kill()
    log = (tmp_path / "log").read_text()
    assert airflow.state(two) == "success", log[-6000:]
    assert airflow.tasks(two) == {"hot_deploy": ("success", 2), "report": ("success", 1), "seal": ("success", 1)}
    assert deployments(whole, before) == [record]  # the same run went on
    assert [event["event"] for event in events(record)].count("resumed") == 1
    assert last(record, "run_closed")["verdict"] == "succeeded"
    assert set(whole.running().values()) == {release}
    assert len(deployments_frame(runs_frame(whole.lab.folder / "records", include_lab=True))) == counted + 1
    assert not clients.failed, clients.failed[:3]
    assert clients.sent > 50
    # The report ran as a notebook in Airflow's own process; the last task stated and sealed it.
    (report,) = [path for path in whole.records() - before if "-report-" in path.name]
    assert is_sealed(record)
    assert is_sealed(report)
    assert last(report, "run_closed")["verdict"] == "succeeded"
    assert json.loads((report / "report.ipynb").read_text())["cells"][-2]["outputs"]
    checked = whole.balbook("records", "verify", "-i", str(whole.lab.inventory))
    assert checked.returncode in (0, 3), checked.stdout  # 3: a lab's ledger is not anchored


def test_a_deployment_that_failed_is_not_tried_on_the_users_again(airflow: Airflow, whole: Hotel, two: str, tmp_path: Path) -> None:
    before, running = whole.records(), whole.running()
    state = airflow.run(two, {"release": ENDS_AT_START}, tmp_path / "log")
    tasks = {task: state for task, (state, _) in airflow.tasks(two).items()}
    assert (state, tasks) == ("failed", {"hot_deploy": "failed", "report": "upstream_failed", "seal": "failed"})
    assert airflow.tasks(two)["hot_deploy"][1] == 2
    (record,) = deployments(whole, before)
    assert is_sealed(record)
    assert whole.running() == running
