"""An application's balancer, as procedures see it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from balbook.commands.balancer import PACKAGED
from balbook.inventory.balancers import KINDS, Kind
from balbook.procedures.parts.balancing import FRONTS, file_diff, front
from balbook.procedures.parts.site import Site
from balbook.testing import FakeFleet
from tests.small_fleet import edit_inventory, write_inventory


def test_a_diff_leaves_out_states_that_come_and_go_and_files_of_others() -> None:
    ours = "# balbook: balancer public; changes…\nbackend hotel\n"
    assert file_diff("/etc/haproxy.cfg", f"{ours}# runtime app1:9090 8\n", ours) == ""
    assert "+backend inn" in file_diff("/etc/haproxy.cfg", ours, ours.replace("hotel", "inn"))
    assert "secret" not in file_diff("/etc/haproxy.cfg", "stats auth ops:secret\n", ours)


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


def test_every_kind_of_balancer_is_described_and_can_be_placed_and_changed() -> None:
    assert set(KINDS) == set(FRONTS) == set(get_args(Kind))
    assert {traits.program for traits in KINDS.values()} == set(PACKAGED)
