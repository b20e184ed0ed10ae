"""The plan of a drill: what it refuses, that a watchdog stands before the fault, and that it is always repaired."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from balbook.commands.command import Result
from balbook.errors import ParameterError, Refused
from balbook.inventory import read_inventory
from balbook.plan.model import Plan, Run
from balbook.procedures import procedure
from balbook.procedures.parts.site import Site
from balbook.testing import FakeFleet, arguments_of, name_of
from tests.small_fleet import edit_inventory, fleet_with, make_plan


def drill(folder: Path, fault: str = "kill", *, allowed: bool = True, **application: Any) -> Plan:
    fleet = fleet_with(folder, "1.0.0", **application)
    _allow(fleet, "allowed" if allowed else "forbidden")
    return make_plan(fleet, "failover_drill", fault=fault, rate=200, seconds=5)


def _allow(fleet: FakeFleet, drill: str, *hosts: str) -> None:
    path = fleet.inventory.path
    data = yaml.safe_load(path.read_text())
    for name, host in data["hosts"].items():
        if name in hosts or not hosts:
            host["drill"] = drill
    path.write_text(yaml.safe_dump(data))
    fleet.inventory = read_inventory(path)


def names(actions: Any) -> list[str]:
    return [name_of(action.command) for action in actions if isinstance(action, Run)]


def test_a_host_that_is_not_marked_for_drills_is_refused(tmp_path: Path) -> None:
    plan = drill(tmp_path, allowed=False)
    assert ["drills are allowed" in p.what for p in plan.unmet] == [True]


def test_the_balancers_host_must_allow_drills_too_where_the_fault_is_there(tmp_path: Path) -> None:
    fleet = fleet_with(tmp_path, "1.0.0")
    _allow(fleet, "allowed", "app1", "app2")
    assert not make_plan(fleet, "failover_drill", fault="kill").unmet
    assert [p.what for p in make_plan(fleet, "failover_drill", fault="drain").unmet] == ["lb1: drills are allowed on this host"]


@pytest.mark.parametrize(("fault", "within_s"), [("kill", "35"), ("hang", "35"), ("drain", "105")])
def test_a_watchdog_stands_before_the_fault_and_is_called_off_by_the_repair(tmp_path: Path, fault: str, within_s: str) -> None:
    """One that is drained may have a request in hand for as long as its route allows."""
    plan = drill(tmp_path, fault)
    assert not plan.unmet
    steps = {step.verb: step for step in plan.steps}
    assert names(steps["inject"].actions)[0] == "watchdog-set"
    assert len(names(steps["inject"].actions)) == 2
    assert names(steps["repair"].actions)[-1] == "watchdog-end"
    assert names(steps["inject"].undo) == names(steps["repair"].actions)
    assert within_s in steps["inject"].actions[0].command.argv  # type: ignore[union-attr]


def test_what_systemd_keeps_running_is_broken_too_and_kept_down_as_long(tmp_path: Path) -> None:
    fleet = fleet_with(tmp_path, "1.0.0")
    _allow(fleet, "allowed")
    hosts = yaml.safe_load(fleet.inventory.path.read_text())["hosts"]
    edit_inventory(fleet, hosts={name: {**host, "supervisor": "systemd"} for name, host in hosts.items()})
    plan = make_plan(fleet, "failover_drill", fault="kill", seconds=5)
    steps = {step.verb: step for step in plan.steps}
    assert names(steps["inject"].actions) == ["watchdog-set", "drill-keep-down", "drill-kill"]
    assert names(steps["repair"].actions) == ["drill-start-again", "watchdog-end"]
    assert "drill-start-again" in steps["inject"].actions[0].command.argv  # type: ignore[union-attr]
    assert not [p for p in plan.unmet if "processes" in p.what]
    fleet.answers["app1", "watchdog-pending"] = lambda host, command: Result(0, f"kill {arguments_of(command)[0]}\n")
    assert names(make_plan(fleet).steps[0].actions) == ["watchdog-end", "drill-let-up"]
    fleet.answers.clear()
    hanging = {step.verb: step for step in make_plan(fleet, "failover_drill", fault="hang", seconds=5).steps}
    assert names(hanging["inject"].actions) == ["watchdog-set", "drill-hang"]


def test_the_watchdog_runs_what_the_repair_runs(tmp_path: Path) -> None:
    for fault in ("kill", "hang", "drain"):
        steps = {step.verb: step for step in drill(tmp_path / fault, fault).steps}
        watchdog, repair = steps["inject"].actions[0].command, steps["repair"].actions[0].command  # type: ignore[union-attr]
        assert watchdog.argv[-len(repair.argv) :] == repair.argv
        assert watchdog.stdin == repair.stdin


def test_everything_is_one_unit_so_that_a_stop_takes_it_back(tmp_path: Path) -> None:
    plan = drill(tmp_path)
    assert {step.unit for step in plan.steps} == {("app1:9090",)}


def test_another_strategy_is_put_in_force_and_the_inventorys_put_back(tmp_path: Path) -> None:
    fleet = fleet_with(tmp_path, "1.0.0")
    _allow(fleet, "allowed")
    plan = make_plan(fleet, "failover_drill", fault="kill", strategy="active_passive")
    steps = {step.verb: step for step in plan.steps}
    assert not steps["configure"].is_done
    assert not steps["restore"].is_done
    assert "backup" in str([action.command.stdin for action in steps["configure"].actions])  # type: ignore[union-attr]
    assert "backup" not in str([action.command.stdin for action in steps["restore"].actions])  # type: ignore[union-attr]
    assert steps["configure"].undo == steps["restore"].actions


def test_a_watchdog_brings_the_inventorys_configuration_back_where_the_drill_is_of_another(tmp_path: Path) -> None:
    fleet = fleet_with(tmp_path, "1.0.0")
    _allow(fleet, "allowed")
    steps = make_plan(fleet, "failover_drill", fault="drain", seconds=5, strategy="active_passive").steps
    assert [step.verb for step in steps][:3] == ["watch configuration", "configure", "inject"]
    assert [step.verb for step in steps][-2:] == ["restore", "call off"]
    watch, inject = steps[0].actions[0].command, steps[2].actions[0].command  # type: ignore[union-attr]
    restore = steps[-2].actions[0].command  # type: ignore[union-attr]
    assert watch.argv[-len(restore.argv) :] == restore.argv
    assert watch.stdin == restore.stdin
    assert int(watch.argv[6]) > int(inject.argv[6]) + 4 * 70, "it comes after the drill and the other watchdog"
    file = watch.argv[4]
    assert arguments_of(steps[-1].actions[0].command) == (file,)  # type: ignore[union-attr]
    assert names(steps[0].undo) == ["balbook-nginx-apply", "watchdog-end"]
    assert file != inject.argv[4]
    assert not [step.verb for step in drill(tmp_path / "own", "drain").steps if step.verb in ("watch configuration", "call off")]


def test_a_watchdog_that_outlived_its_drill_is_called_off_before_anything_else(tmp_path: Path) -> None:
    fleet = fleet_with(tmp_path, "1.0.0")
    _allow(fleet, "allowed")
    fleet.answers["app2", "watchdog-pending"] = lambda host, command: Result(0, f"blackhole {arguments_of(command)[0]}\n")
    fleet.answers["lb1", "watchdog-pending"] = lambda host, command: Result(0, f"configuration {arguments_of(command)[-1]}\n")
    shown = procedure("hot_deploy").preflight(Site(fleet.inventory, fleet, {"application": "hotel"}))
    assert shown.note == "A drill was cut off; its watchdogs still stand: blackhole on app2, configuration on lb1"
    for runbook, options in {"failover_drill": {"fault": "kill"}, "hot_deploy": {}, "rollback": {"release": "1.0.0"}}.items():
        first, second, *others = make_plan(fleet, runbook, **options).steps
        assert [first.id, second.id] == ["end watchdog app2 1", "end watchdog lb1 1"]
        assert names(first.actions) == ["watchdog-end", "drill-blackhole"]
        assert arguments_of(first.actions[1].command) == ("off", "9090")  # type: ignore[union-attr]
        assert names(second.actions) == ["watchdog-end"]
        assert not [step for step in others if "watchdog-end" in names(step.actions) and step.verb.startswith("end")]
    fleet.answers["app2", "watchdog-pending"] = lambda host, command: Result(0, f"hang {arguments_of(command)[0]}\n")
    assert names(make_plan(fleet).steps[0].actions) == ["watchdog-end", "drill-wake"]


def test_a_drill_that_is_resumed_repairs_and_does_nothing_else(tmp_path: Path) -> None:
    fleet = fleet_with(tmp_path, "1.0.0")
    _allow(fleet, "allowed")
    plan = make_plan(fleet, "failover_drill", fault="kill", strategy="active_passive")
    left = plan.restricted_to(plan.settings.on_resume)
    assert [step.verb for step in left.steps] == ["repair", "healthy", "restore", "call off"]


def test_an_unknown_fault_is_refused_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="'kil'") as refused:
        drill(tmp_path, "kil")
    assert "kill" in refused.value.advice


def test_without_a_balancer_there_is_nothing_to_drill(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="no balancer"):
        drill(tmp_path, balancer=False)


def test_a_single_instance_is_not_broken(tmp_path: Path) -> None:
    assert "another instance can take over" in [p.what for p in drill(tmp_path, hosts=1).unmet]


def test_only_gets_are_judged_since_a_post_in_flight_is_lost_with_every_balancer(tmp_path: Path) -> None:
    probe = drill(tmp_path).settings.probe
    assert probe
    assert probe.judged_methods == ("GET",)
    assert probe.rate == 200
