"""The order and the pace of a rollout, and what ends it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from balbook.engine.loop import Loop, StopRequest
from balbook.errors import InventoryError
from balbook.inventory import read_inventory
from balbook.plan.model import Plan
from balbook.record.journal import Journal
from balbook.testing import FakeFleet
from tests.journals import lines, made
from tests.small_fleet import carry_out, fleet_with, make_plan, publish

BOTH = ["app1:9090", "app2:9090"]


def planned(folder: Path, *, parameters: dict[str, Any] | None = None, **application: Any) -> Plan:
    fleet = fleet_with(folder, "1.0.0", **application)
    publish(fleet.inventory, "2.0.0")
    return make_plan(fleet, **(parameters or {}))


def units(plan: Plan) -> list[str]:
    return list(dict.fromkeys(step.unit_name for step in plan.steps if step.unit))


def steps_of(plan: Plan, unit: str) -> list[str]:
    return [step.id.rpartition(" ")[0] for step in plan.steps if step.unit_name == unit]


def test_a_canary_is_one_instance_that_soaks_before_the_rest_follows(tmp_path: Path) -> None:
    plan = planned(tmp_path, hosts=3, rollout={"canary": True, "soak_s": 0.5}, capacity_floor=1, parameters={"serial": 2})
    assert units(plan) == ["app1:9090", "app2:9090+app3:9090"]
    assert steps_of(plan, "app1:9090")[-2:] == ["admit", "soak"]
    assert not [step for step in plan.steps if step.id.startswith("soak app2")]


def test_the_canary_of_active_passive_is_one_that_stands_by(tmp_path: Path) -> None:
    plan = planned(tmp_path, strategy="active_passive", rollout={"canary": True, "soak_s": 0.5})
    assert units(plan) == ["app2:9090", "app1:9090"]
    assert "soak" in steps_of(plan, "app2:9090")


def test_one_that_stands_by_need_not_be_reached_unless_the_active_one_leaves(tmp_path: Path) -> None:
    """Nobody is sent to it while the active one serves: figures without it are whole."""
    fleet = fleet_with(tmp_path, "1.0.0", strategy="active_passive")
    publish(fleet.inventory, "2.0.0")
    plan = make_plan(fleet)
    assert plan.settings.probe.must_reach == tuple(BOTH)
    assert carry_out(fleet, plan, Journal(tmp_path / "whole")).verdict == "succeeded"
    fleet.hosts["app2"].processes.clear()
    fleet._has_reached_floor.clear()  # it died, which is nothing that balbook did
    again = make_plan(fleet)
    assert units(again) == [BOTH[1]]
    assert again.settings.probe.must_reach == (BOTH[0],)


def test_a_new_instance_is_warmed_up_and_healthy_for_a_while_before_it_is_readmitted(tmp_path: Path) -> None:
    rollout = {"warm_up_requests": 20, "min_healthy_s": 0.5}
    requests = [{"method": "POST", "path": "/orders"}, {"method": "GET", "path": "/rooms"}]
    plan = planned(tmp_path, rollout=rollout, probe={"requests": requests})
    assert steps_of(plan, BOTH[0]) == ["drain", "stop", "switch", "start", "warm up", "stay healthy", "admit"]
    warm_up = next(step for step in plan.steps if step.id.startswith("warm up"))
    assert warm_up.actions[0].command.argv[-1] == "/rooms"  # type: ignore[union-attr]


def test_hooks_run_around_the_change_and_migrations_once(tmp_path: Path) -> None:
    hooks = {"before_rollout": ["migrate --all"], "before_drain": ["tell leaving"], "after_ready": ["tell ready"]}
    plan = planned(tmp_path, hooks=hooks)
    titles = [step.title for step in plan.steps]
    assert titles.count("before the rollout: migrate --all") == 1
    ids = [step.id for step in plan.steps if "app1" in step.id and step.unit]
    assert ids[0] == "before drain 1 app1:9090"
    assert ids.index("after ready 1 app1:9090") == ids.index("admit app1:9090") - 1


def test_the_floor_is_looked_at_before_every_drain(tmp_path: Path) -> None:
    plan = planned(tmp_path, hosts=3)
    drains = [step for step in plan.steps if step.id.startswith("drain")]
    assert len(drains) == 3
    assert all(step.guards_needed == 2 and len(step.guards) == 2 for step in drains)


def test_an_instance_that_is_down_comes_first_so_that_the_others_can_leave_at_all(tmp_path: Path) -> None:
    fleet = fleet_with(tmp_path, "1.0.0")
    fleet.hosts["app2"].processes.clear()
    publish(fleet.inventory, "2.0.0")
    plan = make_plan(fleet)
    assert units(plan) == ["app2:9090", "app1:9090"]
    assert carry_out(fleet, plan, Journal(tmp_path / "deploy.jsonl")).verdict == "succeeded"
    assert fleet.serving("hotel") == BOTH


def test_the_strategy_of_the_parameters_stands_in_for_the_inventorys(tmp_path: Path) -> None:
    plan = planned(tmp_path, parameters={"strategy": "active_passive"})
    assert plan.subject["strategy"] == "active_passive"
    assert units(plan) == ["app2:9090", "app1:9090"]
    assert "backup" in str(next(step for step in plan.steps if step.id == "configure public"))


def test_active_checks_are_refused_on_an_open_source_nginx_with_advice(tmp_path: Path) -> None:
    with pytest.raises(InventoryError, match="active health checks") as refused:
        planned(tmp_path, parameters={"strategy": "active_active_checked"})
    assert "haproxy" in refused.value.advice


def test_nginx_plus_is_asked_for_and_an_open_source_one_is_no_substitute(tmp_path: Path) -> None:
    fleet = fleet_with(tmp_path, "1.0.0")
    publish(fleet.inventory, "2.0.0")
    data = yaml.safe_load(fleet.inventory.path.read_text())
    data["balancers"]["public"] |= {"kind": "nginx_plus"}
    fleet.inventory.path.write_text(yaml.safe_dump(data))
    fleet.inventory = read_inventory(fleet.inventory.path)
    (unmet,) = [p for p in make_plan(fleet, strategy="active_active_checked").unmet if "Plus" in p.what]
    assert "haproxy" in unmet.found
    fleet.answers["balbook-nginx-version"] = "nginx version: nginx/1.25.5 (nginx-plus-r32-p1)\n"
    assert not [p for p in make_plan(fleet, strategy="active_active_checked").unmet if "Plus" in p.what]


def test_several_that_stand_by_are_refused_on_nginx_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(InventoryError, match="all its backups"):
        planned(tmp_path, hosts=3, parameters={"strategy": "active_passive"})


class Spent:
    """A budget that is spent once this step was begun."""

    def __init__(self, journal: Journal, step: str) -> None:
        self.journal, self.step = journal, step

    def __call__(self) -> str:
        begun = any(e["event"] == "step_finished" and e["step"] == self.step for e in lines(self.journal))
        return "7 requests failed (limit 0)" if begun else ""


def spend(fleet: FakeFleet, folder: Path, step: str) -> tuple[Any, Journal]:
    journal = Journal(folder / "spent.jsonl")
    plan = make_plan(fleet)
    journal.append(made("apply_started", digest=plan.digest))
    return Loop(plan, fleet, journal, StopRequest(), is_spent=Spent(journal, step)).apply(), journal


def running(fleet: FakeFleet) -> list[str]:
    return [release.rpartition("-")[0] for _, release in sorted(fleet.running("hotel").items())]


@pytest.mark.parametrize(("on_failure", "left"), [("rollback", ["1.0.0", "1.0.0"]), ("pause", ["2.0.0", "1.0.0"])])
def test_a_spent_budget_takes_everything_back_or_stops_where_it_is(tmp_path: Path, on_failure: str, left: list[str]) -> None:
    fleet = fleet_with(tmp_path, "1.0.0", rollout={"on_failure": on_failure})
    publish(fleet.inventory, "2.0.0")
    applied, journal = spend(fleet, tmp_path, "start app2:9090")
    assert applied.verdict == "failed"
    assert "7 requests failed" in applied.why
    assert running(fleet) == left
    assert fleet.serving("hotel") == BOTH
    assert applied.units == {
        "app1:9090": "taken back" if on_failure == "rollback" else "changed",
        "app2:9090": "taken back",
    }
    assert bool([e for e in lines(journal) if e["event"] == "paused"]) == (on_failure == "pause")


def test_a_canary_that_costs_requests_while_it_soaks_is_taken_back(tmp_path: Path) -> None:
    fleet = fleet_with(tmp_path, "1.0.0", rollout={"canary": True, "soak_s": 1, "on_failure": "pause"})
    publish(fleet.inventory, "2.0.0")
    applied, _ = spend(fleet, tmp_path, "soak app1:9090")
    assert running(fleet) == ["1.0.0", "1.0.0"]
    assert applied.units == {"app1:9090": "taken back", "app2:9090": "not reached"}


def test_a_release_that_fails_on_the_second_instance_leaves_the_first_as_the_inventory_says(tmp_path: Path) -> None:
    for on_failure, left in (("rollback", ["1.0.0", "1.0.0"]), ("pause", ["2.0.0", "1.0.0"])):
        folder = tmp_path / on_failure
        fleet = fleet_with(folder, "1.0.0", rollout={"on_failure": on_failure})
        publish(fleet.inventory, "2.0.0")
        plan = make_plan(fleet)
        fleet.answers[("app2", "process-start")] = fleet.answers[("app2", "systemd-start")] = 1
        applied = carry_out(fleet, plan, Journal(folder / "fails.jsonl"))
        assert applied.units["app2:9090"] == "NOT taken back", "its old release cannot be started either"
        assert applied.units["app1:9090"] == "changed", "one that does not serve is enough"
        assert running(fleet)[0] == "2.0.0", left


def test_an_instance_is_not_taken_back_where_it_is_the_last_that_serves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("balbook.engine.loop.GUARD_WITHIN_S", 0)
    fleet = fleet_with(tmp_path, "1.0.0", rollout={"on_failure": "rollback"})
    publish(fleet.inventory, "2.0.0")
    plan, journal = make_plan(fleet), Journal(tmp_path / "dies.jsonl")
    journal.append(made("apply_started", digest=plan.digest))
    spent = Spent(journal, "admit app1:9090")

    def dies_and_is_noticed() -> str:
        why = spent()
        if why:
            fleet.hosts["app2"].processes.clear()
        return why

    applied = Loop(plan, fleet, journal, StopRequest(), is_spent=dies_and_is_noticed).apply()
    assert applied.verdict == "failed"
    assert "app1:9090 was NOT taken back: 0 of the other instances serve, 1 are needed; the unit keeps serving as it is" in applied.why
    assert applied.units["app1:9090"] == "changed"
    assert fleet.serving("hotel") == ["app1:9090"]
    assert fleet.running("hotel")["app1:9090"].startswith("2.0.0")
