"""An artifact's way to the registry and from there to the hosts, with all that may be wrong with it on the way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from balbook.artifacts.backends import open_registry
from balbook.artifacts.store import Store
from balbook.engine.loop import Applied, Loop, StopRequest
from balbook.errors import BadInput
from balbook.local.digests import sha256_of_file
from balbook.plan.model import CONTROLLER, Exchange, Plan, secrets_of
from balbook.plan.reading import plan_from
from balbook.procedures import procedure
from balbook.procedures.parts.site import Site
from balbook.record.journal import Journal
from balbook.testing import FakeFleet
from tests.registry_servers import CREDENTIALS, RawRepository, raw_repository
from tests.small_fleet import BEGIN, change_inventory, edit_inventory, fleet_with, publish


@pytest.fixture
def fleet(tmp_path: Path) -> FakeFleet:
    """A provisioned fleet with 1.0.0 of `hotel` in the store, and a registry that is a folder."""
    fleet = fleet_with(tmp_path, balancer=False)
    edit_inventory(fleet, registry={"url": "registry"})
    publish(fleet.inventory, "1.0.0")
    return fleet


@pytest.fixture
def server() -> Iterator[RawRepository]:
    with raw_repository() as made:
        yield made


def site_of(fleet: FakeFleet, **parameters: Any) -> Site:
    return Site(fleet.inventory, fleet, {"application": "hotel", "release": "latest", **parameters})


def plan_of(runbook: str, fleet: FakeFleet, **parameters: Any) -> Plan:
    return procedure(runbook).plan(site_of(fleet, **parameters))


def apply(runbook: str, fleet: FakeFleet, **parameters: Any) -> Applied:
    """Plans, applies from the plan's JSON, and verifies what was applied."""
    plan = plan_of(runbook, fleet, **parameters)
    assert plan.unmet == ()
    journal = Journal(fleet.inventory.path.parent / f"{runbook}-{fleet.calls}.jsonl")
    applied = Loop(plan_from(plan.data()), fleet, journal, StopRequest(), reveal=lambda secret: CREDENTIALS).apply()
    if applied.verdict == "succeeded":
        wrong = [check for check in procedure(runbook).verify(site_of(fleet, **parameters), plan) if not check.is_so]
        assert wrong == []
    return applied


def forget(fleet: FakeFleet) -> Store:
    """Another machine's store, where nothing is yet."""
    edit_inventory(fleet, artifacts="elsewhere")
    return Store(fleet.inventory.resolve("elsewhere"))


def unmet(plan: Plan) -> str:
    return "; ".join(f"{row.what}: {row.found}" for row in plan.unmet)


def test_what_is_published_is_retrieved_elsewhere_and_brought_to_every_host(fleet: FakeFleet) -> None:
    assert apply("publish_artifact", fleet).changes == 1
    store = forget(fleet)
    assert apply("retrieve", fleet).changes == 3
    artifact = store.find("hotel", "1.0.0")
    assert artifact.sha256 == sha256_of_file(artifact.path)
    assert artifact.details["registry"] == "registry"
    for host in ("app1", "app2"):
        assert fleet.hosts[host].files[f"{fleet.inventory.hosts[host].root}/hotel/artifacts/{artifact.sha256}"] == artifact.sha256


def test_the_same_again_is_there_already(fleet: FakeFleet) -> None:
    for runbook in ("publish_artifact", "retrieve"):
        apply(runbook, fleet)
        assert plan_of(runbook, fleet).pending == ()
        assert apply(runbook, fleet).changes == 0


def test_a_release_is_named_by_version_or_by_digest(fleet: FakeFleet) -> None:
    publish(fleet.inventory, "2.0.0")
    apply("publish_artifact", fleet, release="1.0.0")
    apply("publish_artifact", fleet)
    first = Store(fleet.inventory.resolve("store")).find("hotel", "1.0.0")
    assert plan_of("retrieve", fleet, release=first.sha256[:12]).subject["version"] == "1.0.0"
    assert plan_of("retrieve", fleet, release="1.0.0").subject["version"] == "1.0.0"
    assert plan_of("retrieve", fleet).subject["version"] == "2.0.0"
    assert "no release '3.0.0'" in unmet(plan_of("retrieve", fleet, release="3.0.0"))


def test_other_content_under_a_version_that_is_taken_is_refused_with_what_to_do(fleet: FakeFleet, tmp_path: Path) -> None:
    (tmp_path / "other.jar").write_text("another hotel")
    open_registry(str(tmp_path / "registry")).publish("hotel", "1.0.0", "jar", tmp_path / "other.jar", at=BEGIN)
    assert "raise the version" in unmet(plan_of("publish_artifact", fleet))
    plan = plan_of("retrieve", fleet)
    applied = Loop(plan, fleet, Journal(tmp_path / "j"), StopRequest()).apply()
    assert applied.verdict == "failed"
    assert "already published with sha256" in applied.why
    assert Store(fleet.inventory.resolve("store")).find("hotel", "1.0.0").path.read_text() == "hotel 1.0.0"


def test_a_file_that_was_built_elsewhere_goes_into_the_store_first(fleet: FakeFleet, tmp_path: Path) -> None:
    built = tmp_path / "target" / "bin"
    built.mkdir(parents=True)
    (built / "hotel.jar").write_text("built elsewhere")
    (built / "hotel").write_text("no jar")
    assert apply("publish_artifact", fleet, release="3.0.0", file="target/bin").changes == 2
    assert Store(fleet.inventory.resolve("store")).find("hotel", "3.0.0").path.read_text() == "built elsewhere"
    assert apply("publish_artifact", fleet, release="3.0.0", file=str(built / "hotel.jar")).changes == 0
    (built / "hotel.jar").write_text("built again")
    assert "the store has no other content" in unmet(plan_of("publish_artifact", fleet, release="3.0.0", file="target/bin"))


@pytest.mark.parametrize(
    ("file", "release", "said"), [("target", "1.1.0", "does not exist"), (".", "1.1.0", "holds 2"), ("a.jar", "latest", "version")]
)
def test_a_file_that_is_none_or_has_no_version_is_bad_input(fleet: FakeFleet, tmp_path: Path, file: str, release: str, said: str) -> None:
    for name in ("a.jar", "app-1.0.0.jar"):
        (tmp_path / name).write_text("x")
    with pytest.raises(BadInput, match=said):
        plan_of("publish_artifact", fleet, file=file, release=release)


def test_a_file_that_changes_after_the_plan_was_made_is_not_taken(fleet: FakeFleet, tmp_path: Path) -> None:
    (tmp_path / "a.jar").write_text("one")
    plan = plan_of("publish_artifact", fleet, file="a.jar", release="3.0.0")
    (tmp_path / "a.jar").write_text("two")
    applied = Loop(plan, fleet, Journal(tmp_path / "j"), StopRequest()).apply()
    assert applied.verdict == "failed"
    assert "Make a new plan" in applied.why
    assert not (tmp_path / "registry").exists()


def test_nothing_built_is_met_by_the_runbook_build(fleet: FakeFleet) -> None:
    forget(fleet)
    assert {row.said for row in plan_of("publish_artifact", fleet).unmet} == {"met by runbook build"}
    assert "no artifact of 'hotel' is there" in unmet(plan_of("retrieve", fleet))


@pytest.mark.parametrize("change", ["vanished", "changed", "cut off"])
def test_content_that_is_not_what_was_published_is_refused_and_nothing_is_left(fleet: FakeFleet, tmp_path: Path, change: str) -> None:
    apply("publish_artifact", fleet)
    store = forget(fleet)
    (content,) = (tmp_path / "registry").rglob("app.jar")
    text = content.read_bytes()
    content.unlink()
    if change != "vanished":
        content.write_bytes(text[: len(text) // 2] if change == "cut off" else text + b"!")
    applied = Loop(plan_of("retrieve", fleet), fleet, Journal(tmp_path / "j"), StopRequest()).apply()
    assert applied.verdict == "failed"
    assert ("has vanished" if change == "vanished" else "was published") in applied.why
    assert store.artifacts("hotel") == []
    assert not [upload for _, upload in fleet.uploads if "artifacts/" in upload.path]


def test_half_an_upload_is_no_version_and_the_next_attempt_goes_on(fleet: FakeFleet, tmp_path: Path) -> None:
    apply("publish_artifact", fleet)
    (about,) = (tmp_path / "registry").rglob("artifact.json")
    about.unlink()
    assert "no artifact of" in unmet(plan_of("retrieve", fleet))
    assert apply("publish_artifact", fleet).changes == 1


def test_an_artifact_of_the_store_that_was_changed_is_not_published(fleet: FakeFleet) -> None:
    Store(fleet.inventory.resolve("store")).find("hotel", "1.0.0").path.write_text("tampered")
    assert "was published" in unmet(plan_of("publish_artifact", fleet))


def test_an_http_registry_takes_credentials_by_reference_and_the_plan_has_the_reference(
    fleet: FakeFleet, server: RawRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit_inventory(fleet, registry={"url": server.url, "credentials": "env:NEXUS"})
    assert "NEXUS is not set" in unmet(plan_of("publish_artifact", fleet))
    monkeypatch.setenv("NEXUS", "ci:a wrong password")
    assert "401" in unmet(plan_of("publish_artifact", fleet))
    monkeypatch.setenv("NEXUS", CREDENTIALS)
    plan = plan_of("publish_artifact", fleet)
    assert [secret.reference for secret in secrets_of(plan)] == ["env:NEXUS"]
    assert CREDENTIALS not in str(plan.data())
    apply("publish_artifact", fleet)
    assert apply("retrieve", fleet).changes == 2  # it cannot be listed: which one is the latest the store says
    digest = Store(fleet.inventory.resolve("store")).find("hotel", "1.0.0").sha256
    forget(fleet)
    assert plan_of("retrieve", fleet, release=digest).subject["version"] == "1.0.0"  # by who did not publish it
    assert "cannot be listed" in unmet(plan_of("retrieve", fleet))
    assert plan_of("retrieve", fleet, release="1.0.0").unmet == ()


def test_a_registry_that_does_not_answer_leaves_a_plan_that_says_so(fleet: FakeFleet) -> None:
    edit_inventory(fleet, registry={"url": "http://127.0.0.1:9/raw"})
    for runbook in ("publish_artifact", "retrieve"):
        found = plan_of(runbook, fleet, release="1.0.0")
        assert "Connection refused" in unmet(found)
        assert "Connection refused" in str(procedure(runbook).preflight(site_of(fleet, release="1.0.0")))


def test_without_a_registry_in_the_inventory_the_advice_shows_one(fleet: FakeFleet) -> None:
    edit_inventory(fleet, registry=...)
    for runbook in ("publish_artifact", "retrieve"):
        with pytest.raises(BadInput, match="no registry is named") as refused:
            plan_of(runbook, fleet)
        assert "registry: {url:" in refused.value.advice


def test_a_binary_where_the_inventory_wants_a_jar_is_not_deployed(fleet: FakeFleet, tmp_path: Path) -> None:
    apply("publish_artifact", fleet)
    change_inventory(fleet, artifact="native")
    assert "the artifact is a jar, the inventory says native" in unmet(plan_of("retrieve", fleet))


def test_what_is_done_on_this_machine_reads_back_from_json_as_it_was(fleet: FakeFleet) -> None:
    plan = plan_of("publish_artifact", fleet)
    assert plan_from(plan.data()) == plan
    (step,) = plan.steps
    assert step.host == CONTROLLER
    assert isinstance(step.actions[0], Exchange)
