"""What is refused before any connection, and what a published archive is held against."""

from __future__ import annotations

import base64
import io
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from balbook.commands.command import Command, Result
from balbook.errors import BadInput, BalbookError
from balbook.facts.ballerina import PackageId
from balbook.inventory import Inventory, read_inventory
from balbook.plan.model import Plan
from balbook.procedures import check_names, procedure
from balbook.procedures.parts.packages import is_of
from balbook.procedures.parts.site import Site
from balbook.testing import FakeTransport, arguments_of, name_of

ROOMS = PackageId("acme", "rooms", "1.0.0")
TOML = '[package]\norg = "acme"\nname = "rooms"\nversion = "1.0.0"\n'
FILES = {
    "Ballerina.toml": TOML.encode(),
    "rooms.bal": b"// rooms\n",
    "modules/beds/beds.bal": b"// beds\n",
    "resources/rates.csv": b"1\n",
    "tests/rooms_test.bal": b"// tests\n",
}


@pytest.fixture
def inventory(tmp_path: Path) -> Inventory:
    return write(tmp_path)


def write(folder: Path, **central: str) -> Inventory:
    hotel: dict[str, Any] = {"packages": [], "instances": [{"host": "app1", "port": 9090}]}
    hosts = {"build1": {"address": "10.0.0.1", "roles": ["build"]}, "app1": {"address": "10.0.0.2", "roles": ["app"]}}
    data = {"version": 1, "hosts": hosts, "applications": {"hotel": hotel}, "artifacts": "store", "central": central}
    (folder / "inventory.yaml").write_text(yaml.safe_dump(data))
    return read_inventory(folder / "inventory.yaml")


def package(folder: Path, org: str = "acme", name: str = "rooms", version: str = "1.0.0") -> Path:
    folder.mkdir(parents=True)
    (folder / "Ballerina.toml").write_text(f'[package]\norg = "{org}"\nname = "{name}"\nversion = "{version}"\n')
    (folder / "rooms.bal").write_text("// rooms\n")
    return folder


def bala(**changed: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        entries = {
            "bala.json": '{"built_at": "now"}',
            "package.json": '{"built_at": "now"}',
            "docs/README.md": "read me",
            "modules/rooms/rooms.bal": "// rooms\n",
            "modules/rooms.beds/beds.bal": "// beds\n",
            "modules/rooms/tests/rooms_test.bal": "// other tests\n",
            "resources/rates.csv": "1\n",
        }
        for name, text in {**entries, **changed}.items():
            archive.writestr(name, text)
    return buffer.getvalue()


def planned(inventory: Inventory, transport: FakeTransport, *packages: str, repository: str = "central") -> Plan:
    site = Site(inventory, transport, {"packages": list(packages), "repository": repository})
    return procedure("pack_push").plan(site)


def central(status: str, archive: bytes = b"", recorded: str = "") -> FakeTransport:
    """A build host whose Central answers a look at a version with this status."""

    def curl(host: str, command: Command) -> Result:
        return Result(0 if status else 7, status or "000", "" if status else "curl: (7) Failed to connect")

    answers = {"read": recorded or Result(1), "curl": curl, "fetch-base64": base64.b64encode(archive).decode()}
    return FakeTransport(answers)


@pytest.mark.parametrize(
    ("org", "name", "version"),
    [
        ("ac-me", "rooms", "1.0.0"),
        ("acme; reboot", "rooms", "1.0.0"),
        ("acme", "../rooms", "1.0.0"),
        ("acme", "my rooms", "1.0.0"),
        ("acme", "$(id)", "1.0.0"),
        ("acme", "rooms", "1.0"),
        ("acme", "rooms", "1.0.0/../2"),
    ],
)
def test_a_name_that_ballerina_does_not_allow_is_refused_before_any_connection(
    inventory: Inventory, tmp_path: Path, org: str, name: str, version: str
) -> None:
    place, transport = package(tmp_path / "p", org, name, version), FakeTransport()
    for look in (lambda: planned(inventory, transport, str(place)), lambda: preflight(inventory, transport, str(place))):
        with pytest.raises(BadInput, match="is not allowed") as caught:
            look()
        assert caught.value.exit_status == 2
    assert transport.commands == []


def preflight(inventory: Inventory, transport: FakeTransport, *packages: str) -> object:
    return procedure("pack_push").preflight(Site(inventory, transport, {"packages": list(packages)}))


@pytest.mark.parametrize("named", ["rooms; reboot", "../nowhere/rooms", "-rf", "..", "git+https://host/rooms.git@a..b", "a b"])
def test_what_names_no_package_is_refused_before_any_connection(inventory: Inventory, named: str) -> None:
    transport = FakeTransport()
    with pytest.raises(BadInput):
        planned(inventory, transport, named)
    assert transport.commands == []


def test_no_package_and_an_unknown_repository_are_refused(inventory: Inventory, tmp_path: Path) -> None:
    place = str(package(tmp_path / "p"))
    for packages, repository in (((), "central"), ((place,), "elsewhere"), ((place, str(package(tmp_path / "q"))), "central")):
        with pytest.raises(BadInput):
            planned(inventory, FakeTransport(), *packages, repository=repository)


def test_a_directory_without_a_package_is_named(inventory: Inventory, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match=r"empty has no Ballerina\.toml"):
        planned(inventory, FakeTransport(), str(tmp_path / "empty"))


@pytest.mark.parametrize("packages", [["acme/rooms;id"], ["acme/../rooms"], ["acme/my rooms"], ["rooms"], ["acme/rooms:1.0.0"]])
def test_a_package_of_the_inventory_that_is_none_is_refused(tmp_path: Path, packages: list[str]) -> None:
    data = yaml.safe_load(write(tmp_path).path.read_text())
    data["applications"]["hotel"]["packages"] = packages
    (tmp_path / "inventory.yaml").write_text(yaml.safe_dump(data))
    with pytest.raises(BadInput):
        read_inventory(tmp_path / "inventory.yaml")


@pytest.mark.parametrize("version", ["", "latest", "2201.13", "2201.13.1;id", "../2201.13.1"])
def test_a_version_of_ballerina_that_is_none_is_refused_before_any_connection(inventory: Inventory, version: str) -> None:
    transport = FakeTransport()
    site = Site(inventory, transport, {"version": version, "source": "", "hosts": []})
    for look in (procedure("install").plan, procedure("install").preflight):
        with pytest.raises(BadInput):
            look(site)
    assert transport.commands == []


def test_a_credential_in_an_address_is_refused_before_it_is_written_anywhere(inventory: Inventory) -> None:
    with pytest.raises(BadInput, match="credential"):
        check_names(inventory, {"packages": ["git+https://open-sesame@host/rooms.git@main"]})


def test_nothing_to_consolidate_is_refused_before_any_connection(inventory: Inventory) -> None:
    transport = FakeTransport()
    site = Site(inventory, transport, {"application": "hotel"})
    for look in (procedure("consolidate").preflight, procedure("consolidate").plan):
        with pytest.raises(BadInput, match="nothing to consolidate"):
            look(site)
    assert transport.commands == []


@pytest.mark.parametrize(
    ("reference", "value", "said"),
    [
        ("", "", "no central.token"),
        ("env:BALBOOK_TEST_TOKEN", None, "is not set"),
        ("env:BALBOOK_TEST_TOKEN", "", "is empty"),
        ("file:nowhere", None, "cannot be read"),
    ],
)
def test_a_token_that_is_missing_or_empty_stops_the_run_before_the_push(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reference: str, value: str | None, said: str
) -> None:
    monkeypatch.delenv("BALBOOK_TEST_TOKEN", raising=False)
    if value is not None:
        monkeypatch.setenv("BALBOOK_TEST_TOKEN", value)
    inventory = write(tmp_path, **({"token": reference} if reference else {}))
    found = planned(inventory, central("404"), str(package(tmp_path / "p")))
    assert [p.said for p in found.unmet if said in p.found] == ["unmet"], found.unmet


def test_a_push_to_the_local_repository_needs_no_token(inventory: Inventory, tmp_path: Path) -> None:
    assert planned(inventory, central("404"), str(package(tmp_path / "p")), repository="local").unmet == ()


def test_the_token_is_nowhere_in_the_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BALBOOK_TEST_TOKEN", "open-sesame")
    found = planned(write(tmp_path, token="env:BALBOOK_TEST_TOKEN"), central("404"), str(package(tmp_path / "p")))
    assert found.unmet == ()
    assert "sesame" not in str(found.data())


@pytest.mark.parametrize(("status", "said"), [("500", "answers 500"), ("401", "answers 401"), ("", "does not answer")])
def test_a_central_that_does_not_say_what_it_has_stops_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: str, said: str
) -> None:
    monkeypatch.setenv("BALBOOK_TEST_TOKEN", "open-sesame")
    found = planned(write(tmp_path, token="env:BALBOOK_TEST_TOKEN"), central(status), str(package(tmp_path / "p")))
    assert len([p for p in found.unmet if said in p.found]) == 1, found.unmet


def test_a_version_that_central_has_from_the_same_code_is_done(inventory: Inventory, tmp_path: Path) -> None:
    place = package(tmp_path / "p")
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr("modules/rooms/rooms.bal", "// rooms\n")
    found = planned(inventory, central("302", archive.getvalue()), str(place))
    assert found.unmet == ()
    assert found.pending == ()
    (place / "rooms.bal").write_text("// other rooms\n")
    found = planned(inventory, central("302", archive.getvalue()), str(place))
    assert "raise the version" in found.unmet[0].found


def test_a_record_alone_does_not_make_a_version_published(inventory: Inventory, tmp_path: Path) -> None:
    place = package(tmp_path / "p")
    uploads = [a for s in planned(inventory, central("404"), str(place)).steps for a in s.actions if hasattr(a, "sha256")]
    found = planned(inventory, central("404", recorded=f"{uploads[0].sha256}\n"), str(place), repository="central")
    assert [step.done for step in found.pending] == [None] * 4
    assert planned(inventory, central("302", recorded=f"{uploads[0].sha256}\n"), str(place)).pending == ()


def test_a_directory_that_is_not_there_becomes_a_package(inventory: Inventory, tmp_path: Path) -> None:
    found = planned(inventory, central("404"), "spa")
    assert [step.id for step in found.pending] == ["new spa"]
    assert found.unmet == ()


def test_a_host_is_told_names_as_arguments_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BALBOOK_TEST_TOKEN", "open-sesame")
    found = planned(write(tmp_path, token="env:BALBOOK_TEST_TOKEN"), central("404"), str(package(tmp_path / "p")))
    commands = [action.command for step in found.steps for action in step.actions if hasattr(action, "command")]
    assert {name_of(c) for c in commands} == {"unpack", "bal", "bal-push", "remember"}
    assert not any("acme" in c.argv[2] for c in commands if c.argv[0] == "sh")
    assert any("acme" in word for c in commands for word in arguments_of(c))


def test_an_archive_is_of_the_sources_that_it_was_made_of() -> None:
    assert is_of(bala(), ROOMS, FILES)


@pytest.mark.parametrize(
    "changed",
    [
        {"modules/rooms/rooms.bal": "// ROOMS\n"},
        {"modules/rooms/more.bal": "// more\n"},
        {"resources/rates.csv": "2\n"},
        {"modules/rooms.spa/spa.bal": "// spa\n"},
    ],
)
def test_an_archive_of_other_sources_is_told_from_it(changed: dict[str, str]) -> None:
    assert not is_of(bala(**changed), ROOMS, FILES)
    assert not is_of(bala()[:200], ROOMS, FILES)


def test_every_refusal_says_what_to_do(inventory: Inventory) -> None:
    with pytest.raises(BalbookError) as caught:
        planned(inventory, FakeTransport(), "rooms; reboot")
    assert caught.value.advice
