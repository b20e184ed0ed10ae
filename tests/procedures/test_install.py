"""Installing Ballerina: where its archive and its digest come from, and what goes to which host."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from balbook.commands.command import Command, Result
from balbook.inventory import read_inventory
from balbook.plan.model import Plan, Run
from balbook.procedures import procedure
from balbook.procedures.parts.site import Site
from balbook.record.journal import Journal
from balbook.testing import FakeFleet, FakeTransport, arguments_of
from tests.small_fleet import carry_out

SHA256 = "ab" * 32
NAME = "ballerina-2201.13.1-swan-lake.zip"


def planned(folder: Path, transport: FakeTransport, source: str = "") -> Plan:
    build1: dict[str, Any] = {"address": "127.0.0.1", "roles": ["build"]}
    (folder / "inventory.yaml").write_text(yaml.safe_dump({"version": 1, "hosts": {"build1": build1}}))
    site = Site(read_inventory(folder / "inventory.yaml"), transport, {"hosts": [], "version": "2201.13.1", "source": source})
    return procedure("install").plan(site)


@pytest.mark.parametrize(
    ("source", "zip_at", "sha256_at"),
    [
        (
            "",
            f"https://dist.ballerina.io/downloads/2201.13.1/{NAME}",
            f"https://github.com/ballerina-platform/ballerina-distribution/releases/download/v2201.13.1/{NAME}.sha256",
        ),
        ("https://mirror/bal/", f"https://mirror/bal/2201.13.1/{NAME}", f"https://mirror/bal/2201.13.1/{NAME}.sha256"),
        ("https://mirror/bal.zip", "https://mirror/bal.zip", "https://mirror/bal.zip.sha256"),
    ],
)
def test_the_archive_and_its_digest_come_from_where_they_are(tmp_path: Path, source: str, zip_at: str, sha256_at: str) -> None:
    asked: list[str] = []

    def curl(host: str, command: Command) -> Result:
        asked.append(command.argv[-1])
        return Result(0, f"SHA2-256(/build/{NAME})= {SHA256}\n")

    plan = planned(tmp_path, FakeTransport({"curl": curl, "system": "java 21.0.2\n", "bal": Result(127)}), source)
    assert asked == [sha256_at]
    bring = next(step for step in plan.steps if step.id == "distribution build1").actions[0]
    assert isinstance(bring, Run)
    assert arguments_of(bring.command)[0] == zip_at
    assert arguments_of(bring.command)[2] == SHA256


@pytest.fixture
def fleet(tmp_path: Path) -> FakeFleet:
    """A build host and an app host that balbook manages, with Java 17; Ballerina is about to be installed from a file."""
    usual: dict[str, Any] = {"port": 1, "become": "sudo"}
    hosts = {"build1": {"address": "127.0.0.21", "roles": ["build"], **usual}, "app1": {"address": "127.0.0.22", "roles": ["app"], **usual}}
    applications = {"hotel": {"packages": ["acme/rooms"], "instances": [{"host": "app1", "port": 9090}]}}
    (tmp_path / "inventory.yaml").write_text(yaml.safe_dump({"version": 1, "hosts": hosts, "applications": applications}))
    (tmp_path / "bal.zip").write_bytes(b"zip")
    fleet = FakeFleet(read_inventory(tmp_path / "inventory.yaml"))
    said = iter((1,))  # not before it is unpacked
    fleet.answers |= dict.fromkeys(("install-distribution", "pull-tool"), 0)
    fleet.answers |= {"bal": "", "has-version": lambda *_: next(said, 0), "has-tool": 0}
    return fleet


def installing(fleet: FakeFleet) -> Plan:
    return procedure("install").plan(Site(fleet.inventory, fleet, {"hosts": [], "version": "2201.13.1", "source": "bal.zip"}))


@pytest.mark.parametrize(
    ("offers", "package"),
    [
        ({"openjdk-17-jre-headless", "openjdk-21-jre-headless", "temurin-21-jre"}, "openjdk-21-jre-headless"),
        ({"openjdk-17-jre-headless", "temurin-21-jre", "temurin-25-jre"}, "temurin-21-jre"),
        ({"java-17-openjdk-headless", "java-21-openjdk-headless"}, "java-21-openjdk-headless"),
        ({"openjdk-25-jre-headless"}, "openjdk-25-jre-headless"),
    ],
)
def test_the_first_package_of_java_that_is_offered_and_new_enough_goes_to_build_and_app_hosts(
    fleet: FakeFleet, tmp_path: Path, offers: set[str], package: str
) -> None:
    for host in fleet.hosts.values():
        host.offers = offers
    plan = installing(fleet)
    assert plan.unmet == ()
    assert [(p.what, p.found) for p in plan.preconditions] == [
        (f"{host}: the package manager offers Java 21 or later", package) for host in ("build1", "app1")
    ]
    assert [step.id for step in plan.steps[:3]] == ["java build1", "java app1", "distribution build1"]
    applied = carry_out(fleet, plan, Journal(tmp_path / "j"))
    assert applied.verdict == "succeeded", applied.why
    assert installing(fleet).steps[0].is_done


def test_where_no_package_is_new_enough_the_plan_says_what_to_do(fleet: FakeFleet) -> None:
    unmet = installing(fleet).unmet
    assert [p.what for p in unmet] == [f"{host}: the package manager offers Java 21 or later" for host in ("build1", "app1")]
    assert "Java 17, and no package is offered: add a repository that has one (Adoptium's has temurin-21-jre)" in unmet[0].found


def test_a_host_whose_package_lists_were_never_fetched_is_told_by_installing(fleet: FakeFleet) -> None:
    fleet.answers["java-package"] = 3
    assert installing(fleet).unmet == ()


def test_a_runtime_that_is_not_new_enough_after_all_fails_the_step(fleet: FakeFleet, tmp_path: Path) -> None:
    fleet.answers["java-package"] = 0
    applied = carry_out(fleet, installing(fleet), Journal(tmp_path / "j"))
    assert applied.verdict == "failed"
    assert "has-java" in applied.why
