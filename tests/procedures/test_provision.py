"""Provisioning on a fleet in memory."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from balbook.commands.command import Result
from balbook.errors import BadInput, CommandFailed, HostUnreachable
from balbook.facts.certificates import DAY_S, FORM
from balbook.inventory import read_inventory
from balbook.procedures import procedure
from balbook.procedures.parts.site import Site
from balbook.record.journal import Journal
from balbook.testing import FakeFleet
from tests.small_fleet import carry_out, change_inventory, fleet_with, make_plan, write_inventory


@pytest.fixture
def fleet(tmp_path: Path) -> FakeFleet:
    """Bare hosts whose clocks are right."""
    fleet = FakeFleet(write_inventory(tmp_path))
    for host in fleet.hosts.values():
        host.system = {"epoch": str(int(time.time()))}
    return fleet


def test_bare_hosts_get_their_directories_and_the_balancer(fleet: FakeFleet, tmp_path: Path) -> None:
    plan = make_plan(fleet, "provision")
    assert plan.unmet == ()
    assert {s.id for s in plan.pending} == {"directories app1", "directories app2", "directories lb1", "balancer public"}
    assert carry_out(fleet, plan, Journal(tmp_path / "j")).verdict == "succeeded"
    assert fleet.hosts["lb1"].is_balancer_running
    assert "/opt/balbook/hotel/releases" in fleet.hosts["app1"].directories


def test_a_second_plan_has_nothing_to_do(tmp_path: Path) -> None:
    fleet = fleet_with(tmp_path)
    assert make_plan(fleet, "provision").pending == ()
    assert make_plan(fleet, "provision").digest == make_plan(fleet, "provision").digest


def test_a_changed_balancer_is_shown_before_it_is_reloaded(tmp_path: Path) -> None:
    fleet = fleet_with(tmp_path)
    change_inventory(fleet, routes={"/": {"timeout_s": 90}})
    (step,) = make_plan(fleet, "provision").pending
    assert "+worker_shutdown_timeout 95s;" in step.diff
    assert "-worker_shutdown_timeout 65s;" in step.diff


def test_a_port_of_the_balancer_that_another_program_has_is_an_unmet_precondition(fleet: FakeFleet, tmp_path: Path) -> None:
    fleet.hosts["lb1"].system["listens"] = f"{18080:04X}\nlistens {18099:04X}"
    whats = [f"lb1: port {port} is free or the balancer public's own" for port in (18080, 18099)]
    assert [p.what for p in make_plan(fleet, "provision").unmet] == whats
    fleet.hosts["lb1"].is_balancer_running = True
    assert make_plan(fleet, "provision").unmet == ()


def test_only_the_named_hosts_are_prepared(fleet: FakeFleet) -> None:
    plan = make_plan(fleet, "provision", hosts=["app2"])
    assert {s.host for s in plan.steps} == {"app2"}
    assert {host for host, _ in fleet.commands} == {"app2"}


def test_an_unknown_host_is_refused_with_the_nearest_name_and_nothing_is_asked(fleet: FakeFleet) -> None:
    with pytest.raises(BadInput) as caught:
        make_plan(fleet, "provision", hosts=["ap2"])
    assert "app2" in caught.value.advice
    assert fleet.commands == []


@pytest.mark.parametrize(
    ("facts", "what"),
    [
        ({"memory_mb": "100"}, "app1: at least 512 MB of memory"),
        ({"disk_mb": "1023"}, "app1: at least 1024 MB free below /opt/balbook"),
        ({"nofile": "1024"}, "app1: a process can open 8192 files"),
        ({"epoch": "1700000000"}, "app1: clock within 5 s of this machine's"),
        ({"listens": "2382"}, "app1: port 9090 is free or hotel's own"),
    ],
)
def test_what_a_host_lacks_is_an_unmet_precondition(fleet: FakeFleet, facts: dict[str, str], what: str) -> None:
    fleet.hosts["app1"].system |= facts
    assert [p.what for p in make_plan(fleet, "provision").unmet] == [what]


def test_the_needs_of_all_applications_on_a_host_count_together(fleet: FakeFleet) -> None:
    fleet.hosts["app1"].system |= {"memory_mb": "1000"}
    change_inventory(fleet, requires={"memory_mb": 1001})
    assert [p.what for p in make_plan(fleet, "provision").unmet] == ["app1: at least 1001 MB of memory"]


def test_without_privilege_it_does_what_it_may_and_lists_the_rest(fleet: FakeFleet, tmp_path: Path) -> None:
    path = fleet.inventory.path
    path.write_text(path.read_text().replace("supervisor: process", "supervisor: systemd"))
    change_inventory(fleet, requires={"os_packages": ["libpq5"]})
    plan = make_plan(fleet, "provision")
    assert plan.unmet == ()
    left_out = [p.what for p in plan.preconditions if p.said == "left out"]
    assert left_out == [f"{host}: {what}" for host in fleet.hosts for what in ("service accounts", "OS packages", "system limits")]
    assert carry_out(fleet, plan, Journal(tmp_path / "j")).verdict == "succeeded"
    assert not fleet.hosts["app1"].packages


def test_with_privilege_accounts_and_packages_are_made_first(fleet: FakeFleet, tmp_path: Path) -> None:
    path = fleet.inventory.path
    path.write_text(path.read_text().replace("supervisor: process", "supervisor: systemd\n    become: sudo"))
    change_inventory(fleet, requires={"os_packages": ["libpq5"]})
    plan = make_plan(fleet, "provision")
    assert [s.id for s in plan.steps[:2]] == ["packages app1", "packages app2"]
    assert carry_out(fleet, plan, Journal(tmp_path / "j")).verdict == "succeeded"
    assert fleet.hosts["app1"].packages == {"libpq5"}
    assert fleet.hosts["app1"].accounts == {"hotel"}
    assert fleet.hosts["lb1"].packages == set()


def test_hosts_that_cannot_be_reached_are_rows_of_the_first_look(fleet: FakeFleet) -> None:
    fleet.answers["app1", "system"] = HostUnreachable("app1", "no route to host", advice="Is it up?")
    table = procedure("provision").preflight(Site(fleet.inventory, fleet, {"hosts": []}))
    assert [(row[0], row[1] == "unreachable") for row in table.rows] == [("app1", True), ("app2", False), ("lb1", False)]


def test_a_host_that_does_not_answer_is_a_precondition_and_the_others_are_planned(fleet: FakeFleet) -> None:
    fleet.answers["app1", "system"] = HostUnreachable("app1", "no route to host", advice="Is it up?")
    plan = make_plan(fleet, "provision")
    assert [(p.what, p.found) for p in plan.unmet] == [("app1: takes commands", "unreachable: no route to host. Is it up?")]
    assert {s.host for s in plan.pending} == {"app2", "lb1"}


def test_where_no_host_answers_or_something_else_is_wrong_there_is_no_plan(fleet: FakeFleet) -> None:
    fleet.answers["app1", "system"] = HostUnreachable("app1", "no route to host", advice="Is it up?")
    with pytest.raises(HostUnreachable, match="no route to host"):
        make_plan(fleet, "provision", hosts=["app1"])
    fleet.answers["app2", "system"] = 1
    with pytest.raises(CommandFailed, match="2 of 3 hosts failed"):
        make_plan(fleet, "provision")


def test_verification_asks_the_hosts_anew(tmp_path: Path) -> None:
    fleet = fleet_with(tmp_path)
    plan = make_plan(fleet, "provision")
    fleet.hosts["lb1"].is_balancer_running = False
    wrong = [c.what for c in procedure("provision").verify(Site(fleet.inventory, fleet, {"hosts": []}), plan) if not c.is_so]
    assert len(wrong) == 1
    assert wrong[0].startswith("lb1: ")


@pytest.mark.parametrize(
    ("said", "unmet"),
    [
        (lambda now: f"ends {time.strftime(FORM, time.gmtime(now + 15 * DAY_S))}", []),
        (lambda now: f"ends {time.strftime(FORM, time.gmtime(now + 13 * DAY_S))}", ["13 days left"]),
        (lambda now: f"ends {time.strftime(FORM, time.gmtime(now - 2 * DAY_S))}", ["expired 2 days ago"]),
        (lambda now: "problem the file is not a certificate in PEM", ["the file is not a certificate in PEM"]),
    ],
)
def test_a_certificate_must_be_valid_for_two_weeks_yet(fleet: FakeFleet, said: Callable[[float], str], unmet: list[str]) -> None:
    data = yaml.safe_load(fleet.inventory.path.read_text())
    data["balancers"]["public"]["tls"] = {"certificate": "/etc/ssl/hotel.crt", "key": "/etc/ssl/private/hotel.key", "listen": 18443}
    fleet.inventory.path.write_text(yaml.safe_dump(data))
    change_inventory(fleet)
    fleet.answers["lb1", "certificate-end"] = Result(0, said(time.time()) + "\n", "")
    found = [p for p in make_plan(fleet, "provision").preconditions if "certificate" in p.what]
    assert [p.what for p in found] == ["lb1: the certificate /etc/ssl/hotel.crt is valid for at least 14 more days"]
    assert [p.found for p in found if p.said == "unmet"] == unmet


def test_a_host_without_applications_needs_some_disk_too(fleet: FakeFleet) -> None:
    fleet.hosts["lb1"].system |= {"disk_mb": "255"}
    assert [p.what for p in make_plan(fleet, "provision").unmet] == ["lb1: at least 256 MB free below /opt/balbook"]


def with_a_build_host(fleet: FakeFleet, **build1: object) -> FakeFleet:
    """The fleet's inventory with a build host more; it says nothing of curl or of anything that unpacks a zip."""
    data = yaml.safe_load(fleet.inventory.path.read_text())
    data["hosts"]["build1"] = {"address": "127.0.0.41", "roles": ["build"], "port": 1, **build1}
    fleet.inventory.path.write_text(yaml.safe_dump(data))
    found = FakeFleet(read_inventory(fleet.inventory.path))
    found.answers["build1", "system"] = f"cpus 4\nmemory_mb 8192\ndisk_mb 65536\nos debian 12\nuid 1000\nepoch {int(time.time())}\n"
    return found


def test_a_managed_build_host_gets_curl_unzip_and_its_own_packages(fleet: FakeFleet, tmp_path: Path) -> None:
    built = with_a_build_host(fleet, become="sudo", os_packages=["libpq-dev"])
    plan = make_plan(built, "provision", hosts=["build1"])
    assert plan.unmet == ()
    assert [step.title for step in plan.steps if step.group == "packages"] == ["OS packages: curl, libpq-dev, unzip"]
    told = {p.what: p.found for p in plan.preconditions}
    assert told["build1: curl is installed"] == told["build1: unzip or python3 is installed"] == "installed by this plan"
    assert carry_out(built, plan, Journal(tmp_path / "j")).verdict == "succeeded"
    assert built.hosts["build1"].packages == {"curl", "libpq-dev", "unzip"}


def test_a_host_that_is_not_managed_is_told_what_to_install_by_hand(fleet: FakeFleet) -> None:
    plan = make_plan(with_a_build_host(fleet, supervisor="process", os_packages=["libpq-dev"]), "provision", hosts=["build1"])
    assert [p.what for p in plan.unmet] == ["build1: curl is installed", "build1: unzip or python3 is installed"]
    assert all(p.found.startswith("install this program by hand") for p in plan.unmet)
    assert [p.what for p in plan.preconditions if p.said == "left out"] == ["build1: OS packages: libpq-dev"]


@pytest.mark.parametrize(("become", "state"), [("", "unmet"), ("sudo", "met by runbook provision")])
def test_a_deployment_without_curl_says_whether_provision_brings_it(tmp_path: Path, become: str, state: str) -> None:
    fleet = fleet_with(tmp_path, "1.0.0")
    path = fleet.inventory.path
    path.write_text(
        path.read_text().replace("supervisor: process", f"supervisor: {'systemd' if become else 'process'}\n    become: '{become}'")
    )
    change_inventory(fleet)
    fleet.answers["app1", "system"] = "cpus 4\nroot_writable yes\nos debian 12\nuid 1000\njava 17.0.15\n"
    row = next(p for p in make_plan(fleet, "hot_deploy").preconditions if p.what == "app1: curl is installed")
    assert (row.said, row.found.startswith("install this program by hand")) == (state, not become)


def test_a_memory_limit_that_nothing_enforces_is_left_out_and_the_plan_says_so(tmp_path: Path) -> None:
    fleet = fleet_with(tmp_path, "1.0.0", system={"memory_mb": 256})
    wanted = [f"{host}: hotel is limited to 256 MB of memory" for host in ("app1", "app2")]
    for runbook in ("provision", "hot_deploy"):
        plan = make_plan(fleet, runbook)
        assert [p.what for p in plan.preconditions if p.said == "left out"] == wanted
        assert [p.what for p in plan.unmet if "memory" in p.what] == []
    path = fleet.inventory.path
    path.write_text(path.read_text().replace("supervisor: process", "supervisor: systemd\n    become: sudo"))
    change_inventory(fleet)
    assert not [p for p in make_plan(fleet, "provision").preconditions if "held to" in p.what]
