"""The inventory of a lab and its ports."""

from __future__ import annotations

import random
import socket
from pathlib import Path

import pytest

from balbook.errors import BadInput, Failed
from balbook.inventory.load import read_inventory
from balbook.lab import fleet, ports


def numbered(hosts: tuple[str, ...]) -> dict[str, int]:
    return {what: 20000 + number for number, what in enumerate(fleet.ports_wanted(hosts))}


def test_the_usual_lab_is_a_valid_inventory_that_says_it_is_a_labs(tmp_path: Path) -> None:
    (tmp_path / "inventory.yaml").write_text(fleet.inventory_text(tmp_path, fleet.HOSTS, numbered(fleet.HOSTS), "ops"))
    inventory = read_inventory(tmp_path / "inventory.yaml")
    assert inventory.lab
    assert {name: host.roles for name, host in inventory.hosts.items()} == {
        "build1": ["build"],
        "app1": ["app"],
        "app2": ["app"],
        "lb1": ["balancer"],
    }
    assert inventory.hosts["app1"].root == f"{tmp_path}/hosts/app1/home/balbook"
    assert inventory.resolve(inventory.records.path) == tmp_path / "records"
    assert [i.host for i in inventory.applications["hotel"].instances] == ["app1", "app2"]
    assert inventory.balancers["public"].configuration == "own"


def test_all_ports_of_a_lab_differ(tmp_path: Path) -> None:
    wanted = fleet.ports_wanted(fleet.HOSTS)
    found = ports.reserve(wanted, (), random.Random(1))
    assert sorted(found) == sorted(wanted)
    assert len(set(found.values())) == len(wanted) == 11


def test_hosts_may_be_more_or_fewer(tmp_path: Path) -> None:
    for hosts in (("app1", "app2", "app3"), ("build1",), ("lb1", "app1")):
        (tmp_path / "inventory.yaml").write_text(fleet.inventory_text(tmp_path, hosts, numbered(hosts), "ops"))
        assert set(read_inventory(tmp_path / "inventory.yaml").hosts) == set(hosts)


@pytest.mark.parametrize("hosts", [("web1",), ("app",), ("app1", "app1"), ("lb1", "lb2"), (), ("app1;reboot",)])
def test_hosts_without_a_role_or_a_name_of_their_own_are_refused(hosts: tuple[str, ...]) -> None:
    with pytest.raises(BadInput):
        fleet.ports_wanted(hosts)


def test_a_port_that_is_taken_or_listened_on_is_not_handed_out(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        monkeypatch.setattr(ports, "FIRST", port)
        monkeypatch.setattr(ports, "LAST", port)
        with pytest.raises(Failed, match="are free"):
            ports.reserve(["app1.ssh"], (), random.Random(1))
    with pytest.raises(Failed, match="are free"):
        ports.reserve(["app1.ssh"], {port}, random.Random(1))
