"""Drills on the loopback lab: what clients see, and that no fault is left behind."""

from __future__ import annotations

import os
import signal
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from balbook.engine import process
from balbook.plan.reading import read_plan
from balbook.probe.outage import Failover, failover_of
from tests.integration.rollout_lab import RolloutLab, events, measured, until

pytestmark = [pytest.mark.integration, pytest.mark.load]
ROUTES = {"/": {"timeout_s": 1}, "/slow": {"timeout_s": 20}}


@pytest.fixture
def make() -> Iterator[Any]:
    made: list[RolloutLab] = []

    def up(kind: str = "nginx", strategy: str = "active_active", **application: Any) -> RolloutLab:
        lab = RolloutLab(kind=kind, strategy=strategy, application={"routes": ROUTES, "graceful_stop_s": 0.3, **application})
        made.append(lab)
        lab.up()
        lab.deploy("1.0.0")
        return lab

    yield up
    for lab in made:
        lab.down()


def drill(lab: RolloutLab, fault: str, seconds: int = 4, strategy: str = "") -> tuple[Failover, Path]:
    stated, record = lab.apply("failover_drill", fault=fault, rate=200, seconds=seconds, strategy=strategy)
    assert stated.verdict == "succeeded", (stated, (record / "engine.log").read_text())
    plan = read_plan(record)
    return failover_of(record / "probe", str(plan.subject["instance"])), record


BEHIND = [("nginx", "active_active"), ("haproxy", "active_active_checked")]


@pytest.mark.parametrize(("kind", "strategy"), BEHIND)
def test_no_get_fails_where_an_instance_is_killed(make: Any, kind: str, strategy: str) -> None:
    assert_drilled(make(kind, strategy), "kill")


@pytest.mark.parametrize(("kind", "strategy"), BEHIND)
def test_no_get_fails_where_an_instance_hangs_nor_a_slow_one_on_its_own_route(make: Any, kind: str, strategy: str) -> None:
    lab = make(kind, strategy, **({"routes": {**ROUTES, "/": {"timeout_s": 0.6}}} if kind == "haproxy" else {}))
    with asking_slowly(lab) as answers:
        assert_drilled(lab, "hang")
    assert answers == [200, 200, 200, 200]


@pytest.mark.parametrize(("kind", "strategy"), BEHIND)
def test_nobody_notices_where_an_instance_is_drained(make: Any, kind: str, strategy: str) -> None:
    lab = make(kind, strategy)
    found, record = drill(lab, "drain")
    assert (found.failed_get, found.failed_other) == (0, 0)
    assert measured(record)["failed"] == measured(record)["duplicate_posts"] == 0
    assert not lab.checks("1.0.0")


@contextmanager
def asking_slowly(lab: RolloutLab) -> Iterator[list[int]]:
    """Four requests of five seconds, one a second; how they were answered, once all are."""
    answers: list[int] = []

    def ask() -> None:
        with urllib.request.urlopen(f"{lab.url}/slow", timeout=60) as answer:
            answers.append(answer.status)

    asking = [threading.Timer(1 + number, ask) for number in range(4)]
    for timer in asking:
        timer.start()
    yield answers
    for timer in asking:
        timer.join(60)


def assert_drilled(lab: RolloutLab, fault: str) -> None:
    found, record = drill(lab, fault)
    assert found.failed_get == 0
    assert found.return_s is not None, "the instance never came back into service"
    assert not measured(record)["duplicate_posts"]
    assert measured(record)["failed"] == found.failed_other
    # Who met the hanging instance before it was left alone: a GET was slow, a POST failed, since it may have run.
    assert found.slow + found.failed_other <= 10
    assert found.failed_other <= (1 if fault == "kill" else 10)
    assert not lab.checks("1.0.0")


def test_a_drill_of_another_strategy_shows_it_and_leaves_the_inventorys_configuration(make: Any) -> None:
    lab = make()
    found, record = drill(lab, "kill", strategy="active_passive")
    assert found.failed_get == 0
    assert found.return_s is not None, "the active side was never handed back to"
    served = {name for counts in measured(record)["served"].values() for name in counts}
    assert served >= set(lab.names())
    assert not lab.checks("1.0.0")


def test_a_run_that_is_killed_leaves_no_fault_behind(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("balbook.procedures.failover_drill.WATCHDOG_MARGIN_S", 1)
    lab = make()
    victim = lab.pid("app1")

    def kill_the_run(line: str) -> None:
        if "measure for" in line:
            record = max((lab.lab.folder / "records").glob("*-failover_drill-*"))
            os.kill(process.find(record) or 0, signal.SIGKILL)

    stated, record = lab.apply("failover_drill", kill_the_run, fault="hang", rate=50, seconds=3, strategy="")
    assert "process was lost" in stated.why
    assert not events(record, "measured")
    assert _state(victim) == "T", "the run was killed before the fault"
    until(lambda: _state(victim) != "T", 15, "the watchdog's repair")
    assert not lab.checks("1.0.0")


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][:1]
