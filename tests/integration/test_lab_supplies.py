"""What a lab has of Ballerina: a distribution, a Central that is a process of the lab's, repositories with a history."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from balbook.artifacts.sources import from_directory, from_git, is_git
from balbook.facts.ballerina import parse_sha256
from balbook.inventory import read_inventory
from balbook.lab import loopback
from balbook.lab.loopback import Lab
from balbook.lab.supplies import Supplies
from balbook.local.digests import sha256_of_file
from balbook.local.lab_place import VARIABLE
from balbook.secrets.references import resolve
from tests.integration.ballerina_lab import BallerinaLab

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def environ() -> Iterator[dict[str, str]]:
    with tempfile.TemporaryDirectory(prefix="balbook-it-") as folder:
        settings = {**os.environ, VARIABLE: f"{folder}/labs"}
        yield settings
        loopback.down(environ=settings)


@pytest.fixture
def lab(environ: dict[str, str]) -> Lab:
    return loopback.up(hosts=("build1", "app1"), environ=environ)


def supplies_of(lab: Lab) -> Supplies:
    assert lab.supplies is not None
    return lab.supplies


def test_the_distribution_has_the_sha256_that_is_listed_beside_it(lab: Lab) -> None:
    path = supplies_of(lab).distribution
    listed = parse_sha256(path.with_name(f"{path.name}.sha256").read_text(), "it")
    assert listed == sha256_of_file(path)
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == [f"{path.stem}/bin/bal"]
        assert "lab stand-in" in archive.read(f"{path.stem}/bin/bal").decode()


def test_its_token_is_private_and_named_by_the_inventory(lab: Lab) -> None:
    inventory = read_inventory(lab.inventory)
    assert supplies_of(lab).token.stat().st_mode & 0o077 == 0
    token = resolve(inventory.central.token or "", {}, base=lab.folder)
    assert len(token) >= 8
    assert token not in lab.inventory.read_text()
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True, timeout=30).stdout
    assert token not in listed


def test_the_inventorys_defaults_name_sources_that_can_be_read(lab: Lab, tmp_path: Path) -> None:
    inventory = read_inventory(lab.inventory)
    packages = inventory.defaults["pack_push"]["packages"]
    assert isinstance(packages, list)
    read = [from_git(source, tmp_path) if is_git(source) else from_directory(Path(source), tmp_path) for source in packages]
    assert [name for found in read for name in ("rooms", "bookings", "payments") if f'name = "{name}"' in found.text("Ballerina.toml")] == [
        "rooms",
        "bookings",
        "payments",
    ]
    assert inventory.resolve(str(inventory.defaults["install"]["source"])) == supplies_of(lab).distribution


def test_a_central_that_died_is_started_again_with_its_packages(lab: Lab, environ: dict[str, str]) -> None:
    (central,) = loopback.status(environ=environ).registries
    assert central.pid is not None
    kept = lab.folder / "central" / "packages" / "acme" / "kept"
    kept.mkdir(parents=True, exist_ok=True)
    (kept / "1.0.0.bala").write_bytes(b"kept")
    os.kill(central.pid, signal.SIGKILL)
    BallerinaLab(lab, lab.folder).until_gone(central.pid)
    assert not loopback.status(environ=environ).registries[0].is_alive
    again = loopback.up(hosts=("build1", "app1"), environ=environ)
    assert loopback.status(environ=environ).registries[0].is_alive
    with urllib.request.urlopen(f"{supplies_of(again).central_url}/packages/acme/kept", timeout=10) as answer:
        assert answer.read() == b'["1.0.0"]'


def test_a_lab_without_a_build_host_has_none_of_it(environ: dict[str, str]) -> None:
    try:
        lab = loopback.up("small", hosts=("app1",), environ=environ)
        assert lab.supplies is None
        assert not (lab.folder / "central").exists()
        assert read_inventory(lab.inventory).central.url is None
    finally:
        loopback.down("small", environ=environ)


def test_nothing_of_it_is_left_after_the_end(environ: dict[str, str]) -> None:
    try:
        lab = loopback.up("brief", hosts=("build1",), environ=environ)
        (central,) = loopback.status("brief", environ=environ).registries
        assert central.pid is not None
    finally:
        loopback.down("brief", environ=environ)
    BallerinaLab(lab, lab.folder).until_gone(central.pid)
    assert not lab.folder.exists()
