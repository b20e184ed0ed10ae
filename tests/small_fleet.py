"""An application `hotel` on two hosts behind one NGINX, all of it in memory; what tests of plans and of the engine share."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from balbook.artifacts.store import Store
from balbook.commands.command import Command
from balbook.engine.loop import Applied, Loop, StopRequest
from balbook.inventory import Inventory, read_inventory
from balbook.plan.model import Plan, Run, Step
from balbook.plan.reading import plan_from
from balbook.procedures import procedure
from balbook.procedures.parts.site import Site
from balbook.record.journal import Journal
from balbook.testing import FakeFleet
from tests.journals import lines, made

BEGIN = datetime(2026, 1, 31, 9, 0, tzinfo=UTC)


def write_inventory(folder: Path, *, hosts: int = 2, balancer: bool = True, **application: Any) -> Inventory:
    """An inventory of that many hosts with an instance each; `application` goes over the usual settings of `hotel`."""
    # Should a test ever connect, then to this machine, where nothing listens on that port.
    usual = {"port": 1, "supervisor": "process"}
    app_hosts = {f"app{n}": {"address": f"127.0.0.2{n}", "roles": ["app"], **usual} for n in range(1, hosts + 1)}
    lb1 = {"address": "127.0.0.31", "roles": ["balancer"], **usual}
    hotel = {
        "instances": [{"host": name, "port": 9090} for name in app_hosts],
        "health": {"within_s": 0.05, "passes": 1},
        **({"balancer": "public"} if balancer else {}),
        **application,
    }
    data: dict[str, Any] = {"version": 1, "hosts": app_hosts, "applications": {"hotel": hotel}, "artifacts": "store"}
    if balancer:
        data["hosts"]["lb1"] = lb1
        data["balancers"] = {"public": {"host": "lb1", "configuration": "own", "listen": 18080, "generation_port": 18099}}
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "inventory.yaml"
    path.write_text(yaml.safe_dump(data))
    return read_inventory(path)


def publish(inventory: Inventory, *versions: str, application: str = "hotel") -> None:
    """Artifacts of an application, a minute after each other in the order given; those that are there already stay."""
    store = Store(inventory.resolve(inventory.artifacts))
    known = len(store.artifacts(application))
    for number, version in enumerate(versions, known):
        file = inventory.path.with_name(f"app-{version}.jar")
        file.write_text(f"{application} {version}")
        store.publish(application, version, "jar", file, at=BEGIN + timedelta(minutes=number))


def make_plan(fleet: FakeFleet, runbook: str = "hot_deploy", **parameters: Any) -> Plan:
    """What the runbook's procedure plans on the fleet as it is."""
    usual = {} if runbook == "provision" else {"application": "hotel", "release": "latest", "strategy": "", "serial": 1}
    return procedure(runbook).plan(Site(fleet.inventory, fleet, {**usual, **parameters}))


def carry_out(fleet: FakeFleet, plan: Plan, journal: Journal, stop: StopRequest | None = None) -> Applied:
    """Applies the plan as the run's process does: read back from its JSON, announced in the journal."""
    read_back = plan_from(json.loads(json.dumps(plan.data())))
    journal.append(made("apply_started", digest=read_back.digest, pid=1, steps=len(plan.steps)))
    return Loop(read_back, fleet, journal, stop or StopRequest()).apply()


def written(command: Command) -> Command:
    """The command as it comes back from the JSON of a plan that has it."""
    plan = Plan("a_runbook", "", (Step("run", "app1", "run it", (Run(command),)),))
    (action,) = plan_from(json.loads(json.dumps(plan.data()))).steps[0].actions
    assert isinstance(action, Run)
    return action.command


def fleet_with(folder: Path, version: str = "", **application: Any) -> FakeFleet:
    """A provisioned fleet; where a version is named, `hotel` is deployed in that version already."""
    fleet = FakeFleet(write_inventory(folder, **application))
    provisioned = carry_out(fleet, make_plan(fleet, "provision"), Journal(folder / "provision.jsonl"))
    assert provisioned.verdict == "succeeded", provisioned.why
    if version:
        publish(fleet.inventory, version)
        deployed = carry_out(fleet, make_plan(fleet), Journal(folder / "first.jsonl"))
        assert deployed.verdict == "succeeded", deployed.why
    return fleet


def change_inventory(fleet: FakeFleet, **application: Any) -> None:
    """The user edits `hotel` in the inventory; the hosts are as they were."""
    path = fleet.inventory.path
    data = yaml.safe_load(path.read_text())
    data["applications"]["hotel"] |= application
    path.write_text(yaml.safe_dump(data))
    fleet.inventory = read_inventory(path)


def edit_inventory(fleet: FakeFleet, **sections: Any) -> None:
    """The user edits whole sections of the inventory; `...` takes one away."""
    path = fleet.inventory.path
    data = yaml.safe_load(path.read_text()) | sections
    path.write_text(yaml.safe_dump({name: section for name, section in data.items() if section is not ...}))
    fleet.inventory = read_inventory(path)


def outcomes(journal: Journal) -> Mapping[str, str]:
    """The last outcome of each step, by its id."""
    return {e["step"]: e["outcome"] for e in lines(journal) if e["event"] == "step_finished"}
