"""The plan of a drill: what it refuses, that a watchdog stands before the fault, and that it is always repaired."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from balbook.errors import ParameterError, Refused
from balbook.inventory import read_inventory
from balbook.plan import Plan, Run
from balbook.testing import FakeFleet, name_of
from tests.small_fleet import fleet_with, make_plan


def drill(folder: Path, fault: str = "kill", *, allowed: bool = True, **application: Any) -> Plan:
    fleet = fleet_with(folder, "1.0.0", **application)
    _allow(fleet, "allowed" if allowed else "forbidden")
    return make_plan(fleet, "failover_drill", fault=fault, rate=200, seconds=5)


def _allow(fleet: FakeFleet, drill: str) -> None:
    path = fleet.inventory.path
    data = yaml.safe_load(path.read_text())
    for host in data["hosts"].values():
        host["drill"] = drill
    path.write_text(yaml.safe_dump(data))
    fleet.inventory = read_inventory(path)


def names(actions: Any) -> list[str]:
    return [name_of(action.command) for action in actions if isinstance(action, Run)]


def test_a_host_that_is_not_marked_for_drills_is_refused(tmp_path: Path) -> None:
    plan = drill(tmp_path, allowed=False)
    assert ["drills are allowed" in p["what"] for p in plan.unmet] == [True]


@pytest.mark.parametrize("fault", ["kill", "hang", "drain"])
def test_a_watchdog_stands_before_the_fault_and_is_called_off_by_the_repair(tmp_path: Path, fault: str) -> None:
    plan = drill(tmp_path, fault)
    assert not plan.unmet
    steps = {step.id: step for step in plan.steps}
    assert names(steps["inject"].actions)[0] == "watchdog-set"
    assert len(names(steps["inject"].actions)) == 2
    assert names(steps["repair"].actions)[-1] == "watchdog-end"
    assert names(steps["inject"].undo) == names(steps["repair"].actions)
    assert "35" in steps["inject"].actions[0].command.argv  # type: ignore[union-attr]


def test_the_watchdog_runs_what_the_repair_runs(tmp_path: Path) -> None:
    for fault in ("kill", "hang", "drain"):
        steps = {step.id: step for step in drill(tmp_path / fault, fault).steps}
        watchdog, repair = steps["inject"].actions[0].command, steps["repair"].actions[0].command  # type: ignore[union-attr]
        assert watchdog.argv[-len(repair.argv) :] == repair.argv
        assert watchdog.stdin == repair.stdin


def test_everything_is_one_unit_so_that_a_stop_takes_it_back(tmp_path: Path) -> None:
    plan = drill(tmp_path)
    assert {step.unit for step in plan.steps} == {"app1:9090"}


def test_another_strategy_is_put_in_force_and_the_inventorys_put_back(tmp_path: Path) -> None:
    fleet = fleet_with(tmp_path, "1.0.0")
    _allow(fleet, "allowed")
    plan = make_plan(fleet, "failover_drill", fault="kill", strategy="active_passive")
    steps = {step.id: step for step in plan.steps}
    assert not steps["configure"].is_done
    assert not steps["restore"].is_done
    assert "backup" in str([action.command.stdin for action in steps["configure"].actions])  # type: ignore[union-attr]
    assert "backup" not in str([action.command.stdin for action in steps["restore"].actions])  # type: ignore[union-attr]
    assert steps["configure"].undo == steps["restore"].actions


def test_an_unknown_fault_is_refused_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="'kil'") as refused:
        drill(tmp_path, "kil")
    assert "kill" in refused.value.advice


def test_without_a_balancer_there_is_nothing_to_drill(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="no balancer"):
        drill(tmp_path, balancer=False)


def test_a_single_instance_is_not_broken(tmp_path: Path) -> None:
    assert "another instance can take over" in [p["what"] for p in drill(tmp_path, hosts=1).unmet]


def test_only_gets_are_judged_since_a_post_in_flight_is_lost_with_every_balancer(tmp_path: Path) -> None:
    probe = drill(tmp_path).settings["probe"]
    assert probe["judged_methods"] == ["GET"]
    assert probe["rate"] == 200
