"""Rollback: which release is gone back to, how, and from which states."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from balbook.commands.command import Command
from balbook.engine.loop import Applied
from balbook.errors import ParameterError
from balbook.procedures.parts import maintenance
from balbook.procedures.parts.site import Site
from balbook.record.journal import Journal
from balbook.testing import Died, DyingJournal, FakeFleet, arguments_of, name_of
from balbook.testing.hosts import ACTS
from tests.small_fleet import carry_out, fleet_with, make_plan, publish

BOTH = ["app1:9090", "app2:9090"]


def deploy(fleet: FakeFleet, folder: Path, *versions: str) -> None:
    for version in versions:
        publish(fleet.inventory, version)
        applied = carry_out(fleet, make_plan(fleet, release=version), Journal(folder / f"{version}-{len(fleet.commands)}.jsonl"))
        assert applied.verdict == "succeeded", applied.why


def roll_back(fleet: FakeFleet, folder: Path, **parameters: Any) -> Applied:
    plan = make_plan(fleet, "rollback", release=parameters.pop("release", ""), **parameters)
    return carry_out(fleet, plan, Journal(folder / f"rollback-{len(fleet.commands)}.jsonl"))


def versions(fleet: FakeFleet) -> dict[str, str]:
    return {name: release.rpartition("-")[0] for name, release in fleet.running("hotel").items()}


def test_the_release_that_served_before_comes_back_without_an_upload(tmp_path: Path) -> None:
    fleet = fleet_with(tmp_path, "1.0.0")
    deploy(fleet, tmp_path, "2.0.0")
    plan = make_plan(fleet, "rollback", release="")
    assert not [step.id for step in plan.steps if step.id.startswith(("upload", "stage"))]
    assert roll_back(fleet, tmp_path).verdict == "succeeded"
    assert versions(fleet) == dict.fromkeys(BOTH, "1.0.0")
    assert fleet.serving("hotel") == BOTH


def test_going_back_twice_returns_to_the_release_that_was_left(tmp_path: Path) -> None:
    fleet = fleet_with(tmp_path, "1.0.0")
    deploy(fleet, tmp_path, "2.0.0", "3.0.0")
    roll_back(fleet, tmp_path)
    assert set(versions(fleet).values()) == {"2.0.0"}
    roll_back(fleet, tmp_path)
    assert set(versions(fleet).values()) == {"3.0.0"}


def test_a_release_is_chosen_by_its_version_or_by_its_name(tmp_path: Path) -> None:
    fleet = fleet_with(tmp_path, "1.0.0")
    name = next(iter(fleet.running("hotel").values()))
    deploy(fleet, tmp_path, "2.0.0", "3.0.0")
    assert make_plan(fleet, "rollback", release="1.0.0").subject["release"] == name
    assert make_plan(fleet, "rollback", release=name).subject["release"] == name


def test_a_release_that_was_never_proven_is_refused_with_the_nearest_that_was(tmp_path: Path) -> None:
    fleet = fleet_with(tmp_path, "1.0.0")
    with pytest.raises(ParameterError, match=r"'1\.0\.1' was not proven healthy"):
        make_plan(fleet, "rollback", release="1.0.1")


def test_where_there_is_nothing_to_go_back_to_the_plan_says_so(tmp_path: Path) -> None:
    plan = make_plan(fleet_with(tmp_path, "1.0.0"), "rollback", release="")
    assert plan.steps == ()
    assert plan.unmet[0].what == "a release that was proven healthy stands on every host"


def test_a_release_that_failed_its_rollout_is_no_candidate(tmp_path: Path) -> None:
    fleet = fleet_with(tmp_path, "1.0.0")
    deploy(fleet, tmp_path, "2.0.0")
    publish(fleet.inventory, "3.0.0")
    plan = make_plan(fleet, release="3.0.0")
    fleet.sick.add(plan.subject["release"])
    assert carry_out(fleet, plan, Journal(tmp_path / "sick.jsonl")).verdict == "failed"
    assert make_plan(fleet, "rollback", release="").subject["version"] == "1.0.0"


def test_a_drained_instance_is_not_asked_for_a_graceful_stop(tmp_path: Path) -> None:
    fleet = fleet_with(tmp_path, "1.0.0")
    deploy(fleet, tmp_path, "2.0.0")
    begin = len(fleet.commands)
    roll_back(fleet, tmp_path)
    stops = [arguments_of(c) for _, c in fleet.commands[begin:] if name_of(c) in ("process-stop", "systemd-stop")]
    assert len(stops) == 2
    assert {words[1] for words in stops} == {"0"}


def test_without_a_drain_the_graceful_stop_stays(tmp_path: Path) -> None:
    fleet = fleet_with(tmp_path, "1.0.0", drain="graceful_stop", graceful_stop_s=3)
    deploy(fleet, tmp_path, "2.0.0")
    begin = len(fleet.commands)
    roll_back(fleet, tmp_path)
    stops = [arguments_of(c) for _, c in fleet.commands[begin:] if name_of(c) in ("process-stop", "systemd-stop")]
    assert {words[1] for words in stops} == {"18"}


def test_what_a_drain_that_was_cut_off_left_in_hand_is_waited_for_before_the_stop(tmp_path: Path) -> None:
    fleet = fleet_with(tmp_path, "1.0.0")
    deploy(fleet, tmp_path, "2.0.0")
    publish(fleet.inventory, "3.0.0")
    plan = make_plan(fleet, release="3.0.0")
    carry_out(fleet, replace(plan, steps=tuple(s for s in plan.steps if s.id == "drain app1:9090")), Journal(tmp_path / "cut-off.jsonl"))
    # By the file it is out of service; the old workers have a request in hand.
    fleet.answers["balbook-is-applied"] = lambda host, command: 1 if arguments_of(command)[-1] else fleet_says(fleet, host, command)
    begin = len(fleet.commands)
    assert roll_back(fleet, tmp_path, release="1.0.0").verdict == "succeeded"
    names = [name_of(command) for _, command in fleet.commands[begin:]]
    assert names.index("balbook-nginx-apply") < names.index("process-stop")


def fleet_says(fleet: FakeFleet, host: str, command: Command) -> Any:
    return ACTS[name_of(command)](fleet, fleet.hosts[host], host, command)


def test_one_that_was_drained_for_maintenance_and_has_no_request_in_hand_is_no_change(tmp_path: Path) -> None:
    fleet = fleet_with(tmp_path, "1.0.0")
    deploy(fleet, tmp_path, "2.0.0")
    site = Site(fleet.inventory, fleet, {"application": "hotel"})
    assert carry_out(fleet, maintenance.drain(site, "app2:9090"), Journal(tmp_path / "drained.jsonl")).changes == 1
    plan = make_plan(fleet, "rollback", release="1.0.0")
    drains = [step.title for step in plan.steps if step.id.startswith("drain")]
    assert drains == ["public: wait until app2:9090 has no request", "public: take app1:9090 out of service"]
    applied = carry_out(fleet, plan, Journal(tmp_path / "back.jsonl"))
    assert applied.verdict == "succeeded"
    assert (applied.outcomes["drain app2:9090"], applied.outcomes["drain app1:9090"]) == ("already", "changed")


def test_what_serves_nobody_is_changed_together_and_first(tmp_path: Path) -> None:
    fleet = fleet_with(tmp_path, "1.0.0", hosts=3)
    deploy(fleet, tmp_path, "2.0.0")
    for host in ("app2", "app3"):
        fleet.hosts[host].processes.clear()
    fleet._has_reached_floor.clear()  # two died, which is nothing that balbook did
    units = list(dict.fromkeys(step.unit_name for step in make_plan(fleet, "rollback", release="").steps if step.unit))
    assert units == ["app2:9090+app3:9090", "app1:9090"]


def test_as_many_at_a_time_as_the_capacity_floor_allows(tmp_path: Path) -> None:
    fleet = fleet_with(tmp_path, "1.0.0", hosts=4, capacity_floor=2)
    deploy(fleet, tmp_path, "2.0.0")
    units = list(dict.fromkeys(step.unit_name for step in make_plan(fleet, "rollback", release="").steps if step.unit))
    assert units == ["app1:9090+app2:9090", "app3:9090+app4:9090"]
    assert roll_back(fleet, tmp_path).verdict == "succeeded"


def test_failed_requests_do_not_end_the_way_out_of_trouble(tmp_path: Path) -> None:
    fleet = fleet_with(tmp_path, "1.0.0", rollout={"on_failure": "rollback", "max_p99_ratio": 2})
    deploy(fleet, tmp_path, "2.0.0")
    settings = make_plan(fleet, "rollback", release="").settings
    assert settings.probe.is_gate is False
    assert settings.rollout.max_p99_ratio is None


@pytest.mark.integration  # a rollout for each moment at which it can die: too dear for `make check`
def test_a_rollout_that_died_after_any_event_is_undone(tmp_path: Path) -> None:
    number = 0
    while True:
        number += 1
        folder = tmp_path / str(number)
        fleet = fleet_with(folder, "1.0.0")
        publish(fleet.inventory, "2.0.0")
        try:
            carry_out(fleet, make_plan(fleet, release="2.0.0"), DyingJournal(folder / "dies.jsonl", fleet, number))
        except Died:
            fleet.is_dead = False
        else:
            break
        fleet.hold_invariants("the death of the controller")
        undone = roll_back(fleet, folder, release="1.0.0")
        assert undone.verdict == "succeeded", (number, undone.why)
        assert versions(fleet) == dict.fromkeys(BOTH, "1.0.0"), number
        assert fleet.serving("hotel") == BOTH
    assert number > 20


def test_the_way_back_from_half_a_rollout_is_what_served_before(tmp_path: Path) -> None:
    fleet = fleet_with(tmp_path, "1.0.0")
    publish(fleet.inventory, "2.0.0")
    plan = make_plan(fleet, release="2.0.0")
    half = replace(plan, steps=tuple(s for s in plan.steps if s.unit_name != "app2:9090" and s.phase != "settle"))
    assert carry_out(fleet, half, Journal(tmp_path / "half.jsonl")).verdict == "succeeded"
    assert sorted(versions(fleet).values()) == ["1.0.0", "2.0.0"]
    assert roll_back(fleet, tmp_path).verdict == "succeeded"
    assert set(versions(fleet).values()) == {"1.0.0"}
