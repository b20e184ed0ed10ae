"""What a lab of VMs asks of this machine, and the parts of it that need no VM to be seen."""

from __future__ import annotations

import ipaddress
import os
import random
import sys
from pathlib import Path

import pytest

from balbook.cli import main
from balbook.errors import BadInput, ParameterError, Refused
from balbook.inventory import read_inventory
from balbook.lab import fleet, needs, vm, vm_faults, vm_host, vm_image, vm_needs, vm_network, vm_services
from balbook.local.lab_place import State, write_state
from balbook.local.processes import identity
from tests.vm import watches

LIST = """# deb http://one.example/debian bookworm main
deb-src http://two.example/debian bookworm main
deb [arch=amd64 signed-by=/k] http://three.example/debian/ bookworm contrib main
"""
SOURCES = """Types: deb
URIs: http://other.example/tools
Suites: stable
Components: main

Types: deb deb-src
# a comment
URIs: http://four.example/debian
Suites: bookworm bookworm-updates
Components: main
"""


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"sources.list": LIST}, "http://three.example/debian"),
        ({"sources.list.d/debian.sources": SOURCES}, "http://four.example/debian"),
        ({"sources.list.d/debian.sources": SOURCES.replace("Types: deb deb-src", "Enabled: no\nTypes: deb")}, ""),
        ({"sources.list": LIST.replace("bookworm", "trixie")}, ""),
        ({}, ""),
    ],
)
def test_the_mirror_is_the_one_that_this_machine_uses(tmp_path: Path, files: dict[str, str], expected: str) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert vm_image.mirror(tmp_path) == expected


def test_another_recipe_is_another_image(tmp_path: Path) -> None:
    recipe = vm_image.recipe(tmp_path)
    assert vm_image.name_of(recipe) == vm_image.name_of(vm_image.recipe(tmp_path))
    for key in recipe:
        assert vm_image.name_of(recipe | {key: "other"}) != vm_image.name_of(recipe)


def test_an_image_is_whole_as_long_as_nothing_in_it_has_changed(tmp_path: Path) -> None:
    (tmp_path / "root" / "etc").mkdir(parents=True)
    (tmp_path / "root" / "etc" / "hosts").write_text("one")
    assert not vm_image.is_whole(tmp_path)
    (tmp_path / "contents").write_text(vm_image.contents(tmp_path / "root"))
    assert vm_image.is_whole(tmp_path)
    (tmp_path / "root" / "etc" / "hosts").write_text("three")
    assert not vm_image.is_whole(tmp_path)


def test_addresses_avoid_every_network_that_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vm_network, "_routes", lambda: ["10.0.0.0/9", "192.168.0.0/16"])
    taken = ["10.200.0.11/24"]
    for seed in range(50):
        found = vm_network.addresses(["app1", "lb1"], taken, random.Random(seed))
        first, second = (ipaddress.ip_address(address) for address in found.values())
        assert int(second) == int(first) + 1
        assert first in ipaddress.ip_network("10.128.0.0/9")
        assert first not in ipaddress.ip_network("10.200.0.0/24")


@pytest.mark.parametrize(
    ("count", "hosts"),
    [
        (1, ("app1",)),
        (2, ("app1", "lb1")),
        (3, ("app1", "app2", "lb1")),
        (4, fleet.HOSTS),
        (20, ("build1", *(f"app{n}" for n in range(1, 19)), "lb1")),
    ],
)
def test_hosts_by_their_number(count: int, hosts: tuple[str, ...]) -> None:
    assert fleet.machines(count) == hosts


@pytest.mark.parametrize("count", [0, -1, 1000])
def test_a_number_of_hosts_that_cannot_be_is_refused(count: int) -> None:
    with pytest.raises(BadInput, match=f"a lab cannot have {count} hosts"):
        fleet.machines(count)


def test_the_inventory_has_machines_as_in_production(tmp_path: Path) -> None:
    addresses = {host: f"10.1.2.{number}" for number, host in enumerate(fleet.HOSTS, 11)}
    path = tmp_path / "inventory.yaml"
    path.write_text(fleet.machines_inventory_text(tmp_path, fleet.HOSTS, addresses, "ops"))
    inventory = read_inventory(path)
    assert {host: known.address for host, known in inventory.hosts.items()} == addresses
    assert {(h.user, h.become, h.supervisor, h.root) for h in inventory.hosts.values()} == {("ops", "sudo", "systemd", "/opt/balbook")}
    assert [i.name for i in inventory.applications["hotel"].instances] == ["app1:9090", "app2:9090"]
    assert (inventory.balancers["public"].configuration, inventory.balancers["public"].listen) == ("include", 80)


def test_without_root_it_is_said_before_anything_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(BadInput, match="needs root"):
        vm.up("default", environ={"BALBOOK_LAB_HOME": str(tmp_path / "labs")})
    assert not (tmp_path / "labs").exists()


def test_on_another_system_than_linux_the_other_lab_is_recommended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(BadInput, match="needs Linux") as caught:
        vm_needs.require_machine(tmp_path, 4, {})
    assert "loopback" in caught.value.advice


@pytest.fixture
def suitable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, str]:
    """A machine that can have VMs, whatever this one is; the environment of its user."""
    if not sys.platform.startswith("linux"):
        pytest.skip("only Linux has /proc")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(needs, "require", lambda groups, environ: None)
    monkeypatch.setattr(vm_needs, "_file_system", lambda folder: "ext4")
    monkeypatch.setattr(vm_host, "hierarchies", lambda: [tmp_path])
    monkeypatch.setattr(vm_needs, "_inotify_in_use", lambda: 2)
    monkeypatch.setattr(vm_needs, "_inotify_most", lambda: 128)
    monkeypatch.setattr(vm_needs, "_kernel_file_systems", lambda: ["ext4", "overlay"])
    return {"BALBOOK_LAB_HOME": str(tmp_path / "labs")}


def test_a_suitable_machine_is_taken(suitable: dict[str, str], tmp_path: Path) -> None:
    vm_needs.require_machine(tmp_path / "labs" / "default", 1, suitable)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("_file_system", "tmpfs", "lies on tmpfs"),
        ("_file_system", "overlay", "lies on overlay"),
        ("_kernel_file_systems", ["ext4"], "no overlay file system"),
        ("_inotify_most", 8, "needs 14 inotify instances"),
        ("_free_mb", 100, "has 100 MB free; a lab of 2 VMs needs"),
    ],
)
def test_what_a_machine_lacks_is_said(
    suitable: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: object, message: str
) -> None:
    monkeypatch.setattr(vm_needs, name, lambda *_: value)
    with pytest.raises(BadInput, match=message):
        vm_needs.require_machine(tmp_path / "labs" / "default", 2, suitable)
    assert not (tmp_path / "labs").exists()


@pytest.fixture
def kept(suitable: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A lab that is up, of app1 that is on and app2 that is off; its environment."""
    folder = tmp_path / "labs" / "default"
    folder.mkdir(parents=True)
    (folder / "inventory.yaml").touch()
    servers = {"app1": (os.getpid(), identity(os.getpid()))}
    addresses = {"app1": "10.0.0.11", "app2": "10.0.0.12"}
    write_state(folder, State("vm", servers=servers, is_up=True, addresses=addresses, odd={"app1": ["clock", "port"]}))
    monkeypatch.setattr(vm_services, "names", lambda hosts: [])
    monkeypatch.setattr(vm_host, "end", lambda word: [])
    monkeypatch.setattr(vm_host, "boot", lambda machine: (os.getpid(), identity(os.getpid())))
    monkeypatch.setattr(vm_host, "wait_until_up", lambda *_: None)
    return suitable


def test_of_a_lab_that_is_up_only_the_hosts_that_are_off_are_counted(kept: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(vm_needs, "require_machine", lambda folder, hosts, environ: asked.append(hosts))
    for _ in range(2):
        vm.up("default", ["app1", "app2"], environ=kept)
    assert asked == [1]


def test_hosts_of_a_lab_that_is_up_do_not_become_odd(kept: dict[str, str]) -> None:
    for odd in (["app2:clock"], ["app1:clock"]):
        with pytest.raises(Refused, match="lab default is up with app1:clock, app1:port"):
            vm.up("default", ["app1", "app2"], odd=odd, environ=kept)
    vm.up("default", ["app1", "app2"], odd=["app1:port", "app1:clock"], environ=kept)


def test_no_hosts_at_all_are_not_the_usual_four(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(vm, "up", lambda *_, **__: pytest.fail("four hosts"))
    assert main(["lab", "up", "--backend", "vm", "--hosts", "0"]) == 2
    assert "a lab cannot have 0 hosts" in capsys.readouterr().err


@pytest.mark.parametrize(("before", "raised"), [("128\n", 240), ("9999\n", 9999)])
def test_the_limit_of_watches_is_raised_meanwhile_and_restored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str, raised: int
) -> None:
    limit = tmp_path / "max_user_instances"
    limit.write_text(before)
    monkeypatch.setattr(watches, "LIMIT", limit)
    with watches.watches_for(20):
        assert int(limit.read_text()) == raised
    assert limit.read_text() == before
    monkeypatch.setattr(watches, "LIMIT", tmp_path / "none")
    with watches.watches_for(20):
        assert not (tmp_path / "none").exists()


def test_a_fault_of_a_host_leaves_its_ssh_alone_and_that_of_a_port_all_others() -> None:
    assert 'iifname "host0" meta l4proto tcp th dport != 22 drop' in vm_faults.rules("blackhole", None)
    assert 'oifname "host0" meta l4proto tcp th sport 9090 drop' in vm_faults.rules("blackhole", 9090)
    assert "reject with tcp reset" in vm_faults.rules("reject", 9090)
    assert "numgen random mod 100 < 20 drop" in vm_faults.rules("loss", 9090)


@pytest.fixture
def nftables(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is given to programs, for a lab whose app1 has its SSH on port 2222."""
    given: list[str] = []
    lab = vm.Lab("default", Path("/lab"), {"app1": vm_host.Machine("app1", Path("/lab"), Path("/image"), "10.0.0.11", ("port",), 2222)})
    monkeypatch.setattr(vm, "lab_of", lambda name, environ: lab)
    monkeypatch.setattr(vm_network, "run", lambda argv, text="": given.append(text) or "")
    return given


def test_a_fault_of_a_host_leaves_its_ssh_alone_on_another_port_too(nftables: list[str]) -> None:
    vm_faults.inject("blackhole", "app1")
    assert "th dport != 2222 drop" in nftables[-1]
    assert "th sport != 2222 drop" in nftables[-1]


def test_a_port_alone_is_not_delayed(nftables: list[str]) -> None:
    with pytest.raises(ParameterError, match="a delay cannot be limited to one port: app1:9090"):
        vm_faults.inject("delay", "app1:9090")
    assert nftables == [], "what was there stays"


def test_a_fault_may_come_from_one_side_alone() -> None:
    rules = vm_faults.rules("blackhole", 9090, "10.1.2.3")
    assert 'iifname "host0" ip saddr 10.1.2.3 meta l4proto tcp th dport 9090 drop' in rules
    assert 'oifname "host0" ip daddr 10.1.2.3 meta l4proto tcp th sport 9090 drop' in rules


def test_two_labs_are_called_differently(tmp_path: Path) -> None:
    words = {vm_network.word_of(tmp_path / name) for name in ("one", "two")}
    assert len(words) == 2
    assert all(len(word) <= 15 for word in words), "an interface's name is no longer"
