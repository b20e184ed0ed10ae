"""Instances out of service and back, while other hosts do not answer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from balbook.errors import BalbookError, CommandFailed, DeadlineExceeded, HostUnreachable, Refused
from balbook.plan.model import Plan
from balbook.procedures.parts.maintenance import drain, readmit
from balbook.procedures.parts.site import Site
from balbook.record.journal import Journal
from balbook.testing import FakeFleet
from tests.small_fleet import carry_out, fleet_with

DEAD = HostUnreachable("app1", "no route to host", advice="Is it up?")


@pytest.fixture
def fleet(tmp_path: Path) -> FakeFleet:
    """Three instances, one of which must serve."""
    return fleet_with(tmp_path, "1.0.0", hosts=3, capacity_floor=1)


def maintain(fleet: FakeFleet, what: Callable[[Site, str], Plan], instance: str) -> Plan:
    return what(Site(fleet.inventory, fleet, {"application": "hotel", "instance": instance}), instance)


def fail(fleet: FakeFleet, host: str, error: BalbookError) -> None:
    for name in ("inspect", "balbook-is-healthy", "system"):
        fleet.answers[host, name] = error


@pytest.mark.parametrize("error", [DEAD, DeadlineExceeded("app1: inspect did not end within 60 s")])
@pytest.mark.parametrize("instance", ["app1:9090", "app2:9090"])
def test_a_dead_host_and_its_siblings_are_drained(fleet: FakeFleet, tmp_path: Path, instance: str, error: BalbookError) -> None:
    fail(fleet, "app1", error)
    applied = carry_out(fleet, maintain(fleet, drain, instance), Journal(tmp_path / "drain"))
    assert applied.verdict == "succeeded", applied.why
    assert instance not in fleet.serving("hotel")
    if instance == "app2:9090":
        again = carry_out(fleet, maintain(fleet, readmit, instance), Journal(tmp_path / "readmit"))
        assert again.verdict == "succeeded", again.why
        assert instance in fleet.serving("hotel")


def test_the_floor_counts_those_that_answer(fleet: FakeFleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("balbook.engine.loop.GUARD_WITHIN_S", 0.0)
    for host in ("app1", "app3"):
        fail(fleet, host, DEAD)
    applied = carry_out(fleet, maintain(fleet, drain, "app2:9090"), Journal(tmp_path / "drain"))
    assert "capacity floor: 0 of the other instances serve" in applied.why
    assert "app2:9090" in fleet.serving("hotel")


def test_one_whose_host_is_dead_is_not_readmitted(fleet: FakeFleet) -> None:
    fail(fleet, "app1", DEAD)
    with pytest.raises(Refused, match="app1:9090 is not healthy: app1: no route to host"):
        maintain(fleet, readmit, "app1:9090")


def test_the_balancers_host_must_answer_and_nothing_else_be_wrong(fleet: FakeFleet) -> None:
    fail(fleet, "app1", CommandFailed("app1: inspect ended with status 1"))
    with pytest.raises(CommandFailed, match="status 1"):
        maintain(fleet, drain, "app2:9090")
    fail(fleet, "app1", DEAD)
    fleet.answers["lb1", "configuration"] = HostUnreachable("lb1", "no route to host")
    with pytest.raises(CommandFailed, match="2 of 4 hosts failed"):
        maintain(fleet, drain, "app2:9090")
