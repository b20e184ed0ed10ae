"""What keeps instances running: the same plan by systemd and by balbook's own supervision, but for the commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from balbook.commands import systemd
from balbook.commands.command import Command
from balbook.engine.actions import is_done
from balbook.plan.model import Plan, Run
from balbook.procedures.parts import supervision
from balbook.procedures.parts.site import Site
from balbook.record.journal import Journal
from balbook.testing import FakeFleet
from tests.small_fleet import carry_out, change_inventory, fleet_with, make_plan, publish


@pytest.fixture
def fleet(tmp_path: Path) -> FakeFleet:
    """Hosts with systemd and sudo, provisioned."""
    found = fleet_with(tmp_path)
    path = found.inventory.path
    path.write_text(path.read_text().replace("supervisor: process", "supervisor: systemd\n    become: sudo"))
    change_inventory(found)
    assert carry_out(found, make_plan(found, "provision"), Journal(tmp_path / "provision")).verdict == "succeeded"
    publish(found.inventory, "1.0.0")
    return found


def site_of(fleet: FakeFleet) -> Site:
    return Site(fleet.inventory, fleet, {"application": "hotel"})


def commands_of(plan: Plan) -> list[Command]:
    return [action.command for step in plan.steps for action in (*step.actions, *step.undo) if isinstance(action, Run)]


def test_instances_are_started_and_stopped_by_systemd(fleet: FakeFleet) -> None:
    names = {command.argv[3] for command in commands_of(make_plan(fleet, "hot_deploy")) if len(command.argv) > 3}
    assert "systemd-start" in names
    assert not names & {"process-start", "process-stop"}


def test_all_that_changes_a_host_is_privileged(fleet: FakeFleet) -> None:
    commands = commands_of(make_plan(fleet, "hot_deploy"))
    assert commands
    assert [c.argv for c in commands if not c.is_privileged] == []


def test_the_unit_is_a_step_of_provision_that_is_done_anew_where_a_limit_changes(fleet: FakeFleet, tmp_path: Path) -> None:
    assert not make_plan(fleet, "provision").pending
    change_inventory(fleet, system={"nofile": 4096})
    assert [step.id for step in make_plan(fleet, "provision").pending] == ["unit app1 hotel", "unit app2 hotel"]
    rows = {p.what: p.said for p in make_plan(fleet, "hot_deploy").preconditions}
    assert rows["app1: the systemd unit matches the inventory"] == "met by runbook provision"
    assert carry_out(fleet, make_plan(fleet, "provision"), Journal(tmp_path / "again")).verdict == "succeeded"
    assert "LimitNOFILE=4096\n" in fleet.hosts["app1"].files[f"{systemd.UNITS}/balbook-hotel@.service"]


def test_the_time_to_stop_is_in_line_with_the_graceful_stop(fleet: FakeFleet) -> None:
    change_inventory(fleet, graceful_stop_s=40)
    site = site_of(fleet)
    assert "TimeoutStopSec=55\n" in supervision.unit_text(site, "app1", "hotel")
    assert supervision.stop_within_s(site.application) == 55


def test_the_unit_names_the_account_the_place_and_no_more_privilege_than_a_low_port_needs(fleet: FakeFleet) -> None:
    text = supervision.unit_text(site_of(fleet), "app1", "hotel")
    assert "User=hotel\n" in text
    assert "CapabilityBoundingSet=\n" in text
    assert "MemoryMax" not in text
    assert "MemoryDenyWriteExecute=" not in text
    change_inventory(fleet, account="inn", system={"memory_mb": 700}, instances=[{"host": "app1", "port": 443}])
    text = supervision.unit_text(site_of(fleet), "app1", "hotel")
    assert "User=inn\n" in text
    assert "MemoryMax=700M\n" in text
    assert "AmbientCapabilities=CAP_NET_BIND_SERVICE\n" in text


def test_an_application_below_a_home_can_read_it(fleet: FakeFleet) -> None:
    assert "ProtectHome=yes\n" in supervision.unit_text(site_of(fleet), "app1", "hotel")
    path = fleet.inventory.path
    path.write_text(path.read_text().replace("supervisor: systemd", "root: /home/ops/balbook\n    supervisor: systemd"))
    change_inventory(fleet)
    assert "ProtectHome=read-only\n" in supervision.unit_text(site_of(fleet), "app1", "hotel")


def test_balbooks_own_supervision_needs_no_unit_and_no_account(tmp_path: Path) -> None:
    site = site_of(fleet_with(tmp_path))
    instance = site.application.instances[0]
    assert supervision.has_unit(site, "app1", "hotel") is None
    assert supervision.account(site, "app1", "hotel") == ""
    assert supervision.log_source(site, instance) == site.instance_dir(instance)
    assert supervision.start(site, instance).argv[3] == "process-start"


def test_a_host_that_has_its_unit_is_left_alone(fleet: FakeFleet) -> None:
    (step,) = [s for s in make_plan(fleet, "provision").steps if s.id == "unit app1 hotel"]
    assert is_done(fleet, step)
    fleet.hosts["app1"].files[f"{systemd.UNITS}/balbook-hotel@.service"] += "MemoryMax=1\n"
    assert not is_done(fleet, step)
