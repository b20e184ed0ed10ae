"""What is built, and what is not because somebody has built it already. `bal` itself does not run here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from balbook.artifacts.backends import open_registry
from balbook.artifacts.store import Store
from balbook.engine.loop import Loop, StopRequest
from balbook.inventory import Inventory, read_inventory
from balbook.plan.model import Plan
from balbook.plan.reading import plan_from
from balbook.procedures import procedure
from balbook.procedures.parts.site import Site
from balbook.record.journal import Journal
from balbook.testing import FakeTransport
from tests.journals import last, made
from tests.small_fleet import BEGIN

BAL = "Ballerina 2201.13.1 (Swan Lake Update 13)\n"


@pytest.fixture
def first(tmp_path: Path) -> Inventory:
    """A controller whose single package is built from its folder, and whose registry is shared."""
    sources = tmp_path / "rooms"
    sources.mkdir()
    (sources / "Ballerina.toml").write_text('[package]\norg = "acme"\nname = "rooms"\nversion = "0.1.0"\n')
    (sources / "rooms.bal").write_text("// rooms\n")
    return controller(tmp_path, "first")


def controller(folder: Path, name: str, registry: str = "") -> Inventory:
    """An inventory with a store of its own."""
    data: dict[str, Any] = {
        "version": 1,
        "hosts": {"build1": {"address": "10.0.0.1", "roles": ["build"]}, "app1": {"address": "10.0.0.2", "roles": ["app"]}},
        "applications": {"rooms": {"source": "rooms", "instances": [{"host": "app1", "port": 9090}]}},
        "artifacts": f"store-{name}",
        "registry": {"url": registry or "registry"},
    }
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(data))
    return read_inventory(folder / f"{name}.yaml")


def site_of(inventory: Inventory) -> Site:
    return Site(inventory, FakeTransport(otherwise=BAL), {"application": "rooms", "release": "latest"})


def plan_of(inventory: Inventory, runbook: str = "build") -> Plan:
    return procedure(runbook).plan(site_of(inventory))


def built(inventory: Inventory, content: str, **changed: Any) -> Plan:
    """What the plan's own step would put into the store; no two builds have the same content."""
    plan = plan_of(inventory)
    file = inventory.path.with_name(f"{inventory.path.stem}.jar")
    file.write_text(content)
    details = {"input_digest": plan.subject["input_digest"], **changed}
    Store(inventory.resolve(inventory.artifacts)).publish(
        "rooms", str(plan.subject["version"]), "jar", file, at=BEGIN, packages={"acme/rooms": "0.1.0"}, details=details
    )
    return plan


def carried_out(inventory: Inventory, plan: Plan, journal: Path) -> str:
    return Loop(plan_from(plan.data()), FakeTransport(), Journal(journal), StopRequest()).apply().verdict


def test_what_another_controller_built_and_published_from_the_same_input_is_retrieved(first: Inventory, tmp_path: Path) -> None:
    built(first, "one", phases={"compile": 1.0}, build_s=1.1)
    assert carried_out(first, plan_of(first, "publish_artifact"), tmp_path / "publish") == "succeeded"
    second = controller(tmp_path, "second")
    plan = plan_of(second)
    assert [step.id for step in plan.steps] == [f"retrieve rooms {plan.subject['version']}"]
    assert carried_out(second, plan, tmp_path / "journal.jsonl") == "succeeded"
    assert [check for check in procedure("build").verify(site_of(second), plan) if not check.is_so] == []
    store = Store(second.resolve(second.artifacts))
    assert store.find("rooms").path.read_text() == "one"
    assert plan_of(second).pending == ()
    publishing = plan_of(second, "publish_artifact")  # the same again is there already
    assert (publishing.unmet, publishing.pending) == ((), ())
    Journal(tmp_path / "journal.jsonl").append(made("apply_finished", verdict="succeeded", changes=1))
    procedure("build").evidence(site_of(second), plan, tmp_path)
    assert last(tmp_path / "journal.jsonl", "timed") is None  # the other's build, not one of this run


def test_what_was_published_from_another_input_or_cannot_be_asked_for_hinders_no_build(first: Inventory, tmp_path: Path) -> None:
    version = str(plan_of(first).subject["version"])
    (tmp_path / "other.jar").write_text("other")
    open_registry(str(tmp_path / "registry")).publish("rooms", version, "jar", tmp_path / "other.jar", at=BEGIN, details={})
    unreachable = controller(tmp_path, "third", "http://127.0.0.1:9/raw")
    for inventory in (first, unreachable):
        assert [step.id for step in plan_of(inventory).steps] == ["sources acme/rooms", "test acme/rooms", "build rooms"]


def test_two_builds_of_one_input_at_the_same_time_are_told_apart_from_a_version_that_wants_raising(
    first: Inventory, tmp_path: Path
) -> None:
    second = controller(tmp_path, "second")
    built(first, "one")
    built(second, "two")
    assert carried_out(first, plan_of(first, "publish_artifact"), tmp_path / "publish") == "succeeded"
    (unmet,) = plan_of(second, "publish_artifact").unmet
    assert "both were built from the same input" in unmet.found
