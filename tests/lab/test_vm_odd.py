"""What odd hosts are called, and what the inventory says of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from balbook.cli import fill, lab
from balbook.errors import BadInput
from balbook.inventory import read_inventory
from balbook.lab import fleet, vm_odd


def test_kinds_are_kept_by_host_each_once() -> None:
    assert vm_odd.read_odd(["app1:shell", "app2:clock", "app1:port", "app1:port"], fleet.HOSTS) == {
        "app1": ("port", "shell"),
        "app2": ("clock",),
    }
    assert vm_odd.read_odd([], fleet.HOSTS) == {}


@pytest.mark.parametrize(
    ("word", "hosts", "message"),
    [
        ("app9:clock", fleet.HOSTS, "no host 'app9'"),
        ("app1:clok", fleet.HOSTS, "'clok' is not a known kind"),
        ("app1", fleet.HOSTS, "'' is not a known kind"),
        ("app1:jump", ("app1",), "needs a second host"),
    ],
)
def test_what_there_is_not_is_refused(word: str, hosts: tuple[str, ...], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        vm_odd.read_odd([word], hosts)


def test_the_inventory_knows_the_port_and_the_way(tmp_path: Path) -> None:
    odd = vm_odd.read_odd(["app1:port", "app2:jump", "lb1:jump", "build1:clock", "build1:host-key"], fleet.HOSTS)
    addresses = {host: f"10.1.2.{number}" for number, host in enumerate(fleet.HOSTS, 11)}
    path = tmp_path / "inventory.yaml"
    changes = vm_odd.inventory_changes(odd, fleet.HOSTS, Path("/lab"))
    path.write_text(fleet.machines_inventory_text(tmp_path, fleet.HOSTS, addresses, "ops", changes=changes))
    hosts = read_inventory(path).hosts
    assert [hosts[name].port for name in fleet.HOSTS] == [None, vm_odd.PORT, None, None]
    assert hosts["build1"].known_hosts == f"/lab/{vm_odd.KNOWN_BEFORE}"
    assert {name: hosts[name].jump for name in fleet.HOSTS} == {"build1": None, "app1": None, "app2": "app1", "lb1": "app1"}


def test_what_was_known_before_has_the_same_hosts_and_another_key(tmp_path: Path) -> None:
    vm_odd.known_before(tmp_path, "10.1.2.11 ssh-ed25519 AAAA\n[10.1.2.12]:2222 ssh-ed25519 BBBB\n")
    lines = [line.split() for line in (tmp_path / vm_odd.KNOWN_BEFORE).read_text().splitlines()]
    assert [line[:2] for line in lines] == [["10.1.2.11", "ssh-ed25519"], ["[10.1.2.12]:2222", "ssh-ed25519"]]
    assert not {line[2] for line in lines} & {"AAAA", "BBBB"}
    assert [path.name for path in tmp_path.iterdir()] == [vm_odd.KNOWN_BEFORE], "no key is left"


def test_the_commands_help_names_every_kind() -> None:
    import argparse

    parser = argparse.ArgumentParser()
    fill(parser, lab)
    named = re.search(r"KIND (banner[a-z, -]+)", " ".join(parser.format_help().split()))
    assert named
    assert set(re.findall(r"[a-z-]+", named[1])) >= set(vm_odd.ODD)
