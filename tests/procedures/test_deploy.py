"""Configure, deploy and verify one application, with and without a balancer, on a fleet in memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from balbook.commands.command import Result
from balbook.engine.downtime import downtimes, note_downtime
from balbook.facts.footprint import Footprint, parse_footprint
from balbook.plan.model import Plan, Step
from balbook.plan.settings import Settings
from balbook.procedures import procedure
from balbook.procedures.parts.site import Site
from balbook.record.journal import Journal
from balbook.testing import FakeFleet
from tests.journals import Line, history, last, made
from tests.small_fleet import carry_out, change_inventory, edit_inventory, fleet_with, make_plan, outcomes, publish


def site_of(fleet: FakeFleet, application: str = "hotel") -> Site:
    return Site(fleet.inventory, fleet, {"application": application, "release": "latest"})


def wrong(runbook: str, fleet: FakeFleet, plan: Plan) -> list[str]:
    return [check.what for check in procedure(runbook).verify(site_of(fleet), plan) if not check.is_so]


def test_configuring_stages_the_release_and_leaves_what_runs_alone(tmp_path: Path) -> None:
    fleet = fleet_with(tmp_path, "1.0.0")
    before = fleet.running("hotel")
    change_inventory(fleet, environment={"LOG_LEVEL": "debug"})
    plan = make_plan(fleet, "configure")
    assert "+LOG_LEVEL=debug" in "".join(step.diff for step in plan.steps)
    assert {step.id for step in plan.pending} == {"upload app1", "stage app1", "upload app2", "stage app2"}
    assert carry_out(fleet, plan, Journal(tmp_path / "j")).verdict == "succeeded"
    assert fleet.running("hotel") == before
    assert wrong("configure", fleet, plan) == []
    assert make_plan(fleet, "configure").pending == ()
    deploying = make_plan(fleet, "deploy")
    assert not [step.id for step in deploying.pending if step.id.startswith(("upload", "stage"))]


def test_a_configuration_that_others_may_read_is_no_success(tmp_path: Path) -> None:
    fleet = fleet_with(tmp_path, "1.0.0")
    fleet.answers[("app2", "is-private")] = 1
    assert wrong("configure", fleet, make_plan(fleet, "configure")) == ["app2: no other account can read the configuration"]


def test_systemd_units_are_configured_with_the_limits(tmp_path: Path) -> None:
    fleet = fleet_with(tmp_path, balancer=False)
    edit_inventory(fleet, hosts={name: {"address": "127.0.0.2", "roles": ["app"], "become": "sudo"} for name in ("app1", "app2")})
    publish(fleet.inventory, "1.0.0")
    change_inventory(fleet, system={"nofile": 4096, "memory_mb": 256})
    plan = make_plan(fleet, "configure")
    assert [step.id for step in plan.pending][:2] == ["unit app1 hotel", "unit app2 hotel"]
    assert not [row for row in plan.unmet if "systemd unit" in row.what]


def test_behind_a_balancer_deploying_is_a_hot_deployment(tmp_path: Path) -> None:
    fleet = fleet_with(tmp_path, "1.0.0")
    publish(fleet.inventory, "2.0.0")
    plan, hot = make_plan(fleet, "deploy"), make_plan(fleet)
    assert plan.steps == hot.steps
    assert not plan.settings.downtime
    assert carry_out(fleet, plan, Journal(tmp_path / "j")).verdict == "succeeded"
    assert wrong("deploy", fleet, plan) == []


def test_a_sole_instance_without_a_balancer_is_restarted_with_its_downtime_measured(tmp_path: Path) -> None:
    fleet = fleet_with(tmp_path, "1.0.0", hosts=1, balancer=False)
    publish(fleet.inventory, "2.0.0")
    plan, journal = make_plan(fleet, "deploy"), Journal(tmp_path / "j")
    assert carry_out(fleet, plan, journal).verdict == "succeeded"
    note_downtime(plan, journal)
    measured = last(journal, "measured") or {}
    assert list(measured["downtime_s"]) == ["app1:9090"]
    assert measured["longest_downtime_s"] == measured["downtime_s"]["app1:9090"] >= 0
    assert next(iter(fleet.running("hotel").values())).startswith("2.0.0")
    assert make_plan(fleet, "deploy").pending == ()


def test_a_sole_instance_is_not_hot_deployed_but_sent_to_deploy(tmp_path: Path) -> None:
    fleet = fleet_with(tmp_path, hosts=1, balancer=False)
    publish(fleet.inventory, "1.0.0")
    assert [row.found for row in make_plan(fleet).unmet] == ["use the runbook deploy"]
    assert make_plan(fleet, "deploy").unmet == ()


def test_a_release_that_is_never_healthy_is_taken_back_without_a_balancer_too(tmp_path: Path) -> None:
    fleet = fleet_with(tmp_path, "1.0.0", hosts=1, balancer=False)
    before = fleet.running("hotel")
    publish(fleet.inventory, "2.0.0")
    plan, journal = make_plan(fleet, "deploy"), Journal(tmp_path / "j")
    fleet.sick.add(str(plan.subject["release"]))
    assert carry_out(fleet, plan, journal).verdict == "failed"
    assert fleet.running("hotel") == before
    assert outcomes(journal)["stop app1:9090"] == "undone"
    note_downtime(plan, journal)
    assert list((last(journal, "measured") or {})["downtime_s"]) == ["app1:9090"]


def event(name: str, step: str, second: int, outcome: str = "") -> Line:
    return {"event": name, "step": step, "at": f"2026-03-01T10:00:{second:02d}.500Z", "outcome": outcome}


def test_downtime_is_from_the_request_to_stop_until_something_is_healthy_again() -> None:
    events = [
        event("step_started", "stop a:1", 1),
        event("step_finished", "stop a:1", 2, "changed"),
        event("step_started", "start a:1", 2),
        event("step_finished", "start a:1", 4, "changed"),
        event("step_started", "stop b:1", 5),
        event("step_finished", "start b:1", 9, "failed"),
        event("step_finished", "start b:1", 10, "undone"),
        event("step_finished", "stop b:1", 12, "undone"),
        event("step_started", "stop c:1", 13),
        event("step_finished", "start d:1", 14, "changed"),
    ]
    names = ("a:1", "b:1", "c:1", "d:1")
    steps = tuple(Step(verb, "app1", verb, (), unit=(name,)) for name in names for verb in ("stop", "start"))
    assert downtimes(history(events), Plan("deploy", "hotel", steps, settings=Settings(downtime=names))) == {"a:1": 3.0, "b:1": 7.0}


def test_verifying_asks_every_instance_and_changes_nothing(tmp_path: Path) -> None:
    fleet = fleet_with(tmp_path, "1.0.0")
    change_inventory(fleet, verify={"requests": [{"path": "/rooms", "contains": "version {version}"}], "allowed_errors": ["no guests"]})
    plan = make_plan(fleet, "verify")
    assert (plan.steps, plan.unmet, plan.subject["version"]) == ((), (), "1.0.0")
    before = repr(fleet.hosts)
    found = procedure("verify").verify(site_of(fleet), plan)
    assert all(check.is_so for check in found)
    assert [check.what for check in found if "/rooms" in check.what] == [
        f"app{n}:9090: GET /rooms answers 200 with 'version 1.0.0'" for n in (1, 2)
    ]
    assert repr(fleet.hosts) == before
    (log, *_) = [command for _, command in fleet.commands if command.argv[3] == "log-errors"]
    assert log.argv[-1] == "no guests"


@pytest.mark.parametrize(
    ("name", "answer", "said"),
    [
        ("http-check", Result(1, "status 500, not 200\n"), "app1:9090: GET /health answers 200"),
        ("log-errors", Result(1, "level=ERROR\n"), "app1:9090: no error in the log since the start"),
    ],
)
def test_what_is_not_so_fails_the_verification_with_what_was_found(tmp_path: Path, name: str, answer: Result, said: str) -> None:
    fleet = fleet_with(tmp_path, "1.0.0")
    fleet.answers[("app1", name)] = answer
    found = {c.what: c.found for c in procedure("verify").verify(site_of(fleet), make_plan(fleet, "verify")) if not c.is_so}
    assert found == {said: answer.stdout.strip()}


def test_another_version_than_the_one_that_is_to_be_served_fails_the_verification(tmp_path: Path) -> None:
    fleet = fleet_with(tmp_path, "1.0.0")
    publish(fleet.inventory, "2.0.0")
    plan = make_plan(fleet, "verify")
    assert wrong("verify", fleet, plan) == [f"app{n}:9090 runs {plan.subject['release']}" for n in (1, 2)]


def test_what_instances_take_is_kept_in_the_record_of_an_applied_run(tmp_path: Path) -> None:
    fleet = fleet_with(tmp_path, "1.0.0")
    plan, journal = make_plan(fleet, "verify"), Journal(tmp_path / "journal.jsonl")
    (table,) = procedure("verify").evidence(site_of(fleet), plan, tmp_path)
    assert "50 MB" in str(table)
    assert "0.75 s" in str(table)
    assert last(journal, "measured") is None
    journal.append(made("verified", checks=[]))
    procedure("verify").evidence(site_of(fleet), plan, tmp_path)
    measured = last(journal, "measured") or {}
    assert (measured["kind"], measured["version"]) == ("jar", "1.0.0")
    assert measured["rss_mb"] == dict.fromkeys(("app1:9090", "app2:9090"), 50.0)
    assert measured["start_s"] == dict.fromkeys(("app1:9090", "app2:9090"), 0.75)


def test_a_footprint_is_read_as_far_as_it_is_known() -> None:
    assert parse_footprint("rss_kb 51400\nready_s 1.32\n") == Footprint(50.2, 1.32)
    assert parse_footprint("rss_kb 2048\n") == Footprint(2.0, None)
    assert parse_footprint("") == Footprint()


def two_applications(folder: Path) -> FakeFleet:
    fleet = fleet_with(folder, balancer=False)
    inn = {"instances": [{"host": "app1", "port": 9191}], "health": {"within_s": 0.05, "passes": 1}, "environment": {"NAME": "inn"}}
    edit_inventory(fleet, applications={"hotel": {"instances": [{"host": "app1", "port": 9090}], "health": inn["health"]}, "inn": inn})
    publish(fleet.inventory, "1.0.0")
    publish(fleet.inventory, "1.0.0", application="inn")
    for application in ("hotel", "inn"):
        plan = make_plan(fleet, "deploy", application=application)
        assert carry_out(fleet, plan, Journal(folder / f"{application}.jsonl")).verdict == "succeeded"
    return fleet


def test_two_applications_on_a_host_do_not_touch_each_other(tmp_path: Path) -> None:
    fleet = two_applications(tmp_path)
    root = fleet.inventory.hosts["app1"].root
    host = fleet.hosts["app1"]

    def of(application: str) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
        mine = f"{root}/{application}/"
        files, links, running = ({k: v for k, v in part.items() if k.startswith(mine)} for part in (host.files, host.links, host.processes))
        return files, links, running

    before = of("inn")
    assert "NAME=inn\n" in before[0].values()
    assert "NAME=inn\n" not in of("hotel")[0].values()
    publish(fleet.inventory, "2.0.0")
    for runbook in ("configure", "deploy"):
        plan = make_plan(fleet, runbook)
        assert carry_out(fleet, plan, Journal(tmp_path / runbook)).verdict == "succeeded"
    assert of("inn") == before
    host.processes.pop(f"{root}/hotel/instances/9090")
    assert make_plan(fleet, "deploy", application="inn").pending == ()
    assert [step.id for step in make_plan(fleet, "deploy").pending if "9090" in step.id] == ["switch app1:9090", "start app1:9090"]


def test_each_application_has_an_account_and_a_unit_of_its_own_under_systemd(tmp_path: Path) -> None:
    fleet = two_applications(tmp_path)
    edit_inventory(fleet, hosts={"app1": {"address": "127.0.0.2", "roles": ["app"], "become": "sudo"}})
    steps = {step.id: step for step in make_plan(fleet, "provision").steps}
    assert {"account app1 hotel", "account app1 inn", "unit app1 hotel", "unit app1 inn"} <= set(steps)
    assert "User=inn" in str(steps["unit app1 inn"])
    assert "User=inn" not in str(steps["unit app1 hotel"])
