"""An application's balancer, as procedures see it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from balbook.procedures.balancing import front
from balbook.procedures.site import Site
from balbook.testing import FakeFleet
from tests.small_fleet import edit_inventory, write_inventory


@pytest.mark.parametrize(
    ("routes", "others", "longest_s"),
    [
        ({}, None, 60),
        ({"/": {"timeout_s": 5}}, None, 5),
        ({"/api/": {"timeout_s": 5}}, None, 60),
        ({"/": {"timeout_s": 5}}, {"/": {"timeout_s": 1}, "/reports/": {"timeout_s": 300}}, 300),
    ],
)
def test_a_change_waits_for_whatever_may_be_in_hand_on_the_balancer(
    tmp_path: Path, routes: dict[str, Any], others: dict[str, Any] | None, longest_s: float
) -> None:
    """What has no route of its own has the usual one, and a reload waits for the requests of other applications too."""
    fleet = FakeFleet(write_inventory(tmp_path, routes=routes))
    if others is not None:
        hotel = yaml.safe_load(fleet.inventory.path.read_text())["applications"]["hotel"]
        inn = {**hotel, "routes": others, "instances": [{"host": "app1", "port": 9191}]}
        edit_inventory(fleet, applications={"hotel": hotel, "inn": inn})
    found = front(Site(fleet.inventory, fleet, {"application": "hotel"}))
    assert found is not None
    assert found.longest_s == longest_s
