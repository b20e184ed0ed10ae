"""What is so of each instance before a plan is applied."""

from __future__ import annotations

from pathlib import Path

from balbook.engine.order import units_before
from balbook.testing import FakeFleet
from tests.small_fleet import fleet_with, make_plan, publish


def half_deployed(folder: Path) -> FakeFleet:
    """Two serve through the balancer, of a third the process is gone."""
    fleet = fleet_with(folder, "1.0.0", hosts=3)
    fleet.hosts["app3"].processes.clear()
    return fleet


def test_who_needs_nothing_is_so_already_and_the_others_are_not_reached(tmp_path: Path) -> None:
    assert units_before(make_plan(half_deployed(tmp_path))) == {"app3:9090": "not reached", "app1:9090": "already", "app2:9090": "already"}


def test_an_instance_of_a_unit_of_several_has_the_outcome_of_its_unit(tmp_path: Path) -> None:
    fleet = fleet_with(tmp_path, "1.0.0", hosts=4, capacity_floor=2)
    publish(fleet.inventory, "2.0.0")
    pairs = ("app1:9090+app2:9090", "app3:9090+app4:9090")
    assert units_before(make_plan(fleet, serial=2)) == dict.fromkeys(pairs, "not reached")
