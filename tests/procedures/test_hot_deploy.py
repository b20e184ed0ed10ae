"""Hot deployment: the plans, and what comes of them on a fleet in memory that watches the capacity floor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from balbook.engine import loop
from balbook.engine.loop import StopRequest
from balbook.errors import HostUnreachable
from balbook.facts.balancer import parse_servers
from balbook.procedures import procedure
from balbook.procedures.parts.site import Site
from balbook.record.journal import Journal
from balbook.testing import FakeFleet, name_of
from tests.journals import lines
from tests.small_fleet import carry_out, change_inventory, edit_inventory, fleet_with, make_plan, outcomes, publish

BOTH = ["app1:9090", "app2:9090"]


def deploy(fleet: FakeFleet, folder: Path, version: str = "2.0.0", **parameters: Any) -> tuple[loop.Applied, Journal]:
    publish(fleet.inventory, version)
    journal = Journal(folder / f"{version}-{len(fleet.commands)}.jsonl")
    return carry_out(fleet, make_plan(fleet, **parameters), journal), journal


def changed_in_order(journal: Journal) -> list[str]:
    return [e["step"] for e in lines(journal) if e["event"] == "step_finished" and e["outcome"] == "changed"]


def versions(fleet: FakeFleet) -> dict[str, str]:
    return {name: release.rpartition("-")[0] for name, release in fleet.running("hotel").items()}


def test_a_first_deployment_brings_every_instance_into_service(tmp_path: Path) -> None:
    fleet = fleet_with(tmp_path)
    applied, _ = deploy(fleet, tmp_path, "1.0.0")
    assert (applied.verdict, applied.why) == ("succeeded", "")
    assert versions(fleet) == {"app1:9090": "1.0.0", "app2:9090": "1.0.0"}
    assert fleet.serving("hotel") == BOTH


def test_a_new_release_replaces_one_instance_after_the_other(tmp_path: Path) -> None:
    fleet = fleet_with(tmp_path, "1.0.0")
    applied, journal = deploy(fleet, tmp_path)
    assert applied.verdict == "succeeded"
    assert versions(fleet) == {"app1:9090": "2.0.0", "app2:9090": "2.0.0"}
    order = changed_in_order(journal)
    one = [f"{what} app1:9090" for what in ("drain", "stop", "switch", "start", "admit")]
    two = [f"{what} app2:9090" for what in ("drain", "stop", "switch", "start", "admit")]
    assert [s for s in order if s.endswith(":9090")] == one + two
    assert {"upload app1", "stage app1", "upload app2", "stage app2"} == set(order[:4])


def test_no_instance_is_stopped_while_it_is_in_service(tmp_path: Path) -> None:
    fleet = fleet_with(tmp_path, "1.0.0")

    class Watched(FakeFleet):
        def answer(self, host: str, command: Any) -> Any:
            if name_of(command) == "process-stop":
                servers = parse_servers(self.configuration_in_force("hotel"))
                assert not servers[f"{self.inventory.hosts[host].address}:9090"]
                stopped.append(host)
            return super().answer(host, command)

    stopped: list[str] = []
    fleet.__class__ = Watched
    deploy(fleet, tmp_path)
    assert stopped == ["app1", "app2"]


@pytest.mark.parametrize(("address", "place"), [("fd00::21", "[fd00::21]:9090"), ("localhost", "localhost:9090")])
def test_an_ipv6_address_or_a_name_is_known_as_the_balancer_has_it(tmp_path: Path, address: str, place: str) -> None:
    fleet = fleet_with(tmp_path)
    hosts = yaml.safe_load(fleet.inventory.path.read_text())["hosts"]
    edit_inventory(fleet, hosts={**hosts, "app1": {**hosts["app1"], "address": address}})
    publish(fleet.inventory, "1.0.0", "2.0.0")
    assert carry_out(fleet, make_plan(fleet, release="1.0.0"), Journal(tmp_path / "first")).verdict == "succeeded"
    assert fleet.serving("hotel") == BOTH
    plan = make_plan(fleet)
    assert plan.settings.probe.instances == {place: "app1:9090", "127.0.0.22:9090": "app2:9090"}
    assert "public: take app1:9090 out of service" in [step.title for step in plan.steps]


def test_what_is_so_already_is_a_plan_with_nothing_to_do(tmp_path: Path) -> None:
    fleet = fleet_with(tmp_path, "1.0.0")
    deploy(fleet, tmp_path)
    plan = make_plan(fleet)
    assert plan.pending == ()
    assert carry_out(fleet, plan, Journal(tmp_path / "again")).changes == 0


def test_the_same_facts_give_the_same_digest(tmp_path: Path) -> None:
    fleet = fleet_with(tmp_path, "1.0.0")
    publish(fleet.inventory, "2.0.0")
    first = make_plan(fleet).digest
    fleet.hosts["app1"].system = {"disk_mb": "60000"}
    assert make_plan(fleet).digest == first
    fleet.hosts["app1"].processes.clear()
    assert make_plan(fleet).digest != first


def test_making_a_plan_changes_nothing(tmp_path: Path) -> None:
    fleet = fleet_with(tmp_path, "1.0.0")
    publish(fleet.inventory, "2.0.0")
    before = repr(fleet.hosts)
    make_plan(fleet)
    assert repr(fleet.hosts) == before
    assert fleet.uploads[2:] == []


def test_a_change_of_configuration_alone_is_a_deployment_with_a_diff(tmp_path: Path) -> None:
    fleet = fleet_with(tmp_path, "1.0.0")
    before = fleet.running("hotel")
    change_inventory(fleet, environment={"LOG_LEVEL": "debug"})
    plan = make_plan(fleet)
    assert "+LOG_LEVEL=debug" in next(s.diff for s in plan.steps if s.id == "stage app1")
    journal = Journal(tmp_path / "config")
    assert carry_out(fleet, plan, journal).verdict == "succeeded"
    assert versions(fleet) == {"app1:9090": "1.0.0", "app2:9090": "1.0.0"}
    assert fleet.running("hotel") != before
    assert [upload.path for _, upload in fleet.uploads[-2:]] == [upload.path for _, upload in fleet.uploads[:2]]


def test_a_changed_timeout_shows_in_the_plan_as_it_will_stand_in_the_balancers_file(tmp_path: Path) -> None:
    fleet = fleet_with(tmp_path, "1.0.0")
    assert not [step.diff for step in make_plan(fleet).steps if step.diff]
    change_inventory(fleet, routes={"/": {"timeout_s": 45}})
    plan = make_plan(fleet)
    (step,) = plan.pending
    changed = [line for line in step.diff.splitlines() if "proxy_read_timeout" in line]
    assert changed == ["-        proxy_read_timeout 60s;", "+        proxy_read_timeout 45s;"]
    assert step.diff.splitlines()[0].endswith("/conf.d/balbook-hotel.conf")
    assert make_plan(fleet).digest == plan.digest


def test_a_release_that_never_becomes_healthy_goes_back_and_ends_the_rollout(tmp_path: Path) -> None:
    fleet = fleet_with(tmp_path, "1.0.0")
    publish(fleet.inventory, "2.0.0")
    plan = make_plan(fleet)
    fleet.sick.add(str(plan.subject["release"]))
    journal = Journal(tmp_path / "sick")
    applied = carry_out(fleet, plan, journal)
    assert applied.verdict == "failed"
    assert versions(fleet) == {"app1:9090": "1.0.0", "app2:9090": "1.0.0"}
    assert fleet.serving("hotel") == BOTH
    assert not [s for s in outcomes(journal) if s.endswith("app2:9090")]
    assert f"prove {'app1'}" not in outcomes(journal)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What ran before is given no more time than a new release."""
    monkeypatch.setattr("balbook.procedures.parts.batch.KNOWN_GOOD_WITHIN_S", 0.0)


@pytest.mark.parametrize("is_sick_before", [False, True])
def test_one_whose_old_release_does_not_become_healthy_again_is_left_out_of_service(
    tmp_path: Path, is_sick_before: bool, impatient: None
) -> None:
    fleet = fleet_with(tmp_path, "1.0.0")
    publish(fleet.inventory, "2.0.0")
    if is_sick_before:
        fleet.answers["app1", "balbook-is-healthy"] = 1
    plan = make_plan(fleet)
    fleet.answers["app1", "balbook-is-healthy"] = 1
    applied = carry_out(fleet, plan, Journal(tmp_path / "sick"))
    assert "app1:9090 could NOT be taken back; look at this instance now; the instance was left out of service" in applied.why
    assert applied.units["app1:9090"] == "NOT taken back"
    assert fleet.serving("hotel") == ["app2:9090"]
    assert fleet.running("hotel")["app1:9090"].startswith("1.0.0"), "it runs, for whoever looks at it"


def test_the_only_one_is_put_back_into_service_whatever_it_answers(tmp_path: Path, impatient: None) -> None:
    fleet = fleet_with(tmp_path, "1.0.0", hosts=1, capacity_floor=0)
    publish(fleet.inventory, "2.0.0")
    plan = make_plan(fleet)
    fleet.answers["app1", "balbook-is-healthy"] = 1
    applied = carry_out(fleet, plan, Journal(tmp_path / "sick"))
    assert (
        "app1:9090 could NOT be taken back; look at this instance now; the instance is in service, since no other instance serves"
        in applied.why
    )
    assert fleet.serving("hotel") == ["app1:9090"]


def test_the_next_plan_after_a_failure_begins_with_what_was_staged(tmp_path: Path) -> None:
    fleet = fleet_with(tmp_path, "1.0.0")
    publish(fleet.inventory, "2.0.0")
    plan = make_plan(fleet)
    fleet.sick.add(str(plan.subject["release"]))
    carry_out(fleet, plan, Journal(tmp_path / "sick"))
    fleet.sick.clear()
    again = make_plan(fleet)
    assert all(s.is_done for s in again.steps if s.group == "stage")
    assert carry_out(fleet, again, Journal(tmp_path / "mended")).verdict == "succeeded"


@pytest.mark.parametrize(("instances", "floor", "serial"), [(1, None, 1), (2, None, 2), (3, None, 2), (4, 3, 2)])
def test_what_would_break_the_capacity_floor_is_refused_before_anything_leaves(
    tmp_path: Path, instances: int, floor: int | None, serial: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "GUARD_WITHIN_S", 0)
    fleet = fleet_with(tmp_path, "1.0.0", hosts=instances, capacity_floor=floor)
    applied, _ = deploy(fleet, tmp_path, serial=serial)
    assert applied.verdict == "failed"
    assert "capacity floor" in applied.why
    assert set(versions(fleet).values()) == {"1.0.0"}
    assert len(fleet.serving("hotel")) == instances


def test_another_instance_that_fails_meanwhile_ends_the_rollout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "GUARD_WITHIN_S", 0)
    fleet = fleet_with(tmp_path, "1.0.0", capacity_floor=1)
    publish(fleet.inventory, "2.0.0")
    plan = make_plan(fleet)
    fleet.hosts["app2"].processes.clear()
    assert "capacity floor" in carry_out(fleet, plan, Journal(tmp_path / "j")).why
    assert versions(fleet) == {"app1:9090": "1.0.0"}


def test_an_only_instance_may_be_replaced_where_the_floor_is_zero(tmp_path: Path) -> None:
    fleet = fleet_with(tmp_path, "1.0.0", hosts=1, capacity_floor=0)
    assert deploy(fleet, tmp_path)[0].verdict == "succeeded"
    assert versions(fleet) == {"app1:9090": "2.0.0"}


def test_two_at_a_time_change_together_and_go_back_together(tmp_path: Path) -> None:
    fleet = fleet_with(tmp_path, "1.0.0", hosts=4, capacity_floor=2)
    publish(fleet.inventory, "2.0.0")
    plan = make_plan(fleet, serial=2)
    assert list(dict.fromkeys(s.unit_name for s in plan.steps if s.unit)) == ["app1:9090+app2:9090", "app3:9090+app4:9090"]
    fleet.answers["app4", "process-start"] = 1
    applied = carry_out(fleet, plan, Journal(tmp_path / "j"))
    assert applied.verdict == "failed"
    del fleet.answers["app4", "process-start"]
    assert [v for _, v in sorted(versions(fleet).items())][:3] == ["2.0.0", "2.0.0", "1.0.0"]
    assert len(fleet.serving("hotel")) >= 2


def test_of_active_and_passive_the_passive_one_changes_first(tmp_path: Path) -> None:
    fleet = fleet_with(tmp_path, "1.0.0", strategy="active_passive")
    publish(fleet.inventory, "2.0.0")
    plan = make_plan(fleet)
    assert list(dict.fromkeys(s.unit_name for s in plan.steps if s.unit)) == ["app2:9090", "app1:9090"]
    assert carry_out(fleet, plan, Journal(tmp_path / "j")).verdict == "succeeded"
    assert versions(fleet) == {"app1:9090": "2.0.0", "app2:9090": "2.0.0"}


def test_without_a_balancer_instances_are_replaced_one_by_one(tmp_path: Path) -> None:
    fleet = fleet_with(tmp_path, "1.0.0", balancer=False)
    assert deploy(fleet, tmp_path)[0].verdict == "succeeded"
    assert versions(fleet) == {"app1:9090": "2.0.0", "app2:9090": "2.0.0"}
    assert not any(name.startswith("balbook-nginx") for name in fleet.names())


def test_a_graceful_stop_leaves_the_balancer_alone_and_still_holds_the_floor(tmp_path: Path) -> None:
    fleet = fleet_with(tmp_path, "1.0.0", drain="graceful_stop")
    publish(fleet.inventory, "2.0.0")
    plan = make_plan(fleet)
    assert not [s.id for s in plan.steps if s.id.startswith("drain")]
    assert {s.guards_needed for s in plan.steps if s.id.startswith("stop")} == {1}
    begun = len(fleet.commands)
    assert carry_out(fleet, plan, Journal(tmp_path / "j")).verdict == "succeeded"
    assert "balbook-nginx-apply" not in [name_of(c) for _, c in fleet.commands[begun:]]
    assert versions(fleet) == {"app1:9090": "2.0.0", "app2:9090": "2.0.0"}


def test_a_configuration_that_nginx_refuses_leaves_the_old_one_in_force(tmp_path: Path) -> None:
    fleet = fleet_with(tmp_path, "1.0.0")
    before = fleet.configuration_in_force("hotel")
    fleet.refusals.add("down;")
    applied, _ = deploy(fleet, tmp_path)
    assert applied.verdict == "failed"
    assert "nginx refuses the configuration" in applied.why
    assert fleet.configuration_in_force("hotel") == before
    assert versions(fleet) == {"app1:9090": "1.0.0", "app2:9090": "1.0.0"}


def test_a_stop_in_the_middle_leaves_whole_instances(tmp_path: Path) -> None:
    fleet = fleet_with(tmp_path, "1.0.0")
    publish(fleet.inventory, "2.0.0")
    for number in range(1, 12):
        stop = StopRequest()
        started = 0

        def on_start(host: str, command: Any, stop: StopRequest = stop, number: int = number) -> int:
            nonlocal started
            started += 1
            if started == number:
                stop.ask("asked by SIGTERM")
            return 0 if host in fleet.hosts and fleet.is_healthy(host, "9090") else 1

        fleet.answers["balbook-is-healthy"] = on_start
        plan = make_plan(fleet)
        if not stop.is_asked:
            applied = carry_out(fleet, plan, Journal(tmp_path / f"{number}"), stop)
            assert applied.verdict == ("failed" if stop.is_asked else "succeeded")
        del fleet.answers["balbook-is-healthy"]
        fleet.hold_invariants(f"a stop at look {number}")
        assert fleet.serving("hotel") == BOTH


def test_an_artifact_that_was_changed_in_the_store_is_an_unmet_precondition_and_nothing_is_planned(tmp_path: Path) -> None:
    fleet = fleet_with(tmp_path, "1.0.0")
    publish(fleet.inventory, "2.0.0")
    (fleet.inventory.resolve(fleet.inventory.artifacts) / "hotel" / "2.0.0" / "app.jar").write_text("evil")
    plan = make_plan(fleet)
    assert plan.steps == ()
    assert [p.what for p in plan.unmet] == ["the artifact is in the store"]


def test_an_artifact_that_changes_between_plan_and_apply_never_reaches_an_instance(tmp_path: Path) -> None:
    fleet = fleet_with(tmp_path, "1.0.0")
    publish(fleet.inventory, "2.0.0")
    plan = make_plan(fleet)
    (fleet.inventory.resolve(fleet.inventory.artifacts) / "hotel" / "2.0.0" / "app.jar").write_text("evil")
    assert carry_out(fleet, plan, Journal(tmp_path / "j")).verdict == "failed"
    assert versions(fleet) == {"app1:9090": "1.0.0", "app2:9090": "1.0.0"}


def test_hosts_that_lack_something_make_unmet_preconditions_that_name_the_runbook(tmp_path: Path) -> None:
    fleet = fleet_with(tmp_path, "1.0.0")
    fleet.hosts["app1"].system = {"java": "11.0.2"}
    fleet.hosts["app2"].system = {"root_writable": "no"}
    fleet.hosts["lb1"].is_balancer_running = False
    states = {p.what: p.said for p in make_plan(fleet).unmet}
    assert states == {
        "app1: a Java runtime, 17 or later": "unmet",
        "app2: balbook can write below /opt/balbook": "met by runbook provision",
        "lb1: the balancer public runs": "met by runbook provision",
    }


def test_every_host_that_cannot_be_reached_is_named(tmp_path: Path) -> None:
    fleet = fleet_with(tmp_path, "1.0.0")
    for host in ("app1", "app2"):
        fleet.answers[host, "inspect"] = HostUnreachable(host, "no route to host")
    with pytest.raises(Exception, match="2 of 3 hosts failed") as caught:
        make_plan(fleet)
    assert "app1" in str(caught.value)
    assert "app2" in str(caught.value)


def test_old_releases_go_and_what_one_may_go_back_to_stays(tmp_path: Path) -> None:
    fleet = fleet_with(tmp_path, "1.0.0", keep_releases=2)
    for version in ("2.0.0", "3.0.0", "4.0.0"):
        assert deploy(fleet, tmp_path, version)[0].verdict == "succeeded"
    found = procedure("hot_deploy").preflight(Site(fleet.inventory, fleet, {"application": "hotel"}))
    assert {row[1].rpartition("-")[0] for row in found.rows} == {"4.0.0"}  # type: ignore[attr-defined]
    kept = {p.split("/")[5].rpartition("-")[0] for p in fleet.hosts["app1"].files if p.startswith("/opt/balbook/hotel/releases/")}
    assert kept == {"3.0.0", "4.0.0"}


def test_a_failed_release_beyond_the_number_that_is_kept_is_no_drift(tmp_path: Path) -> None:
    fleet = fleet_with(tmp_path, "1.0.0", keep_releases=2)
    deploy(fleet, tmp_path, "2.0.0")
    publish(fleet.inventory, "3.0.0")
    plan = make_plan(fleet)
    fleet.sick.add(str(plan.subject["release"]))
    carry_out(fleet, plan, Journal(tmp_path / "sick"))
    assert make_plan(fleet, release="2.0.0").pending == ()


def test_fresh_facts_verify_a_deployment_and_find_what_is_wrong(tmp_path: Path) -> None:
    fleet = fleet_with(tmp_path, "1.0.0")
    site = Site(fleet.inventory, fleet, {"application": "hotel", "release": "latest", "strategy": "", "serial": 1})
    plan = make_plan(fleet)
    assert all(check.is_so for check in procedure("hot_deploy").verify(site, plan))
    fleet.hosts["app2"].processes.clear()
    wrong = [check.what for check in procedure("hot_deploy").verify(site, plan) if not check.is_so]
    assert wrong == [f"app2:9090 runs {plan.subject['release']}", "app2:9090 is healthy"]


def test_hooks_run_around_the_change_and_the_first_one_once(tmp_path: Path) -> None:
    hooks = {"before_rollout": ["migrate --up"], "before_drain": ["note 'going away; $(id)'"], "after_ready": ["warm up"]}
    fleet = fleet_with(tmp_path, "1.0.0", hooks=hooks)
    begun = len(fleet.commands)
    deploy(fleet, tmp_path)
    own = [(host, c.argv) for host, c in fleet.commands[begun:] if c.argv[0] in ("migrate", "note", "warm")]
    around = [("note", "going away; $(id)"), ("warm", "up")]
    assert own == [("app1", ("migrate", "--up")), *(("app1", a) for a in around), *(("app2", a) for a in around)]
