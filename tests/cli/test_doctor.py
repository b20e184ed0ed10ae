"""`doctor`: what is there and what lacks, of this machine and of every host."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
import yaml

from balbook.cli import doctor, main
from balbook.lab.loopback import Lab


def rows(capsys: pytest.CaptureFixture[str], *words: str, status: int) -> dict[str, dict[str, str]]:
    assert main(["doctor", "--json", *words]) == status
    return {row["what"]: row for part in json.loads(capsys.readouterr().out).values() for row in part}


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_without_an_inventory_this_machine_alone_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    found = rows(capsys, status=0)
    assert found["inventory"]["state"] == "not needed"
    assert found["package paramiko"]["state"] == "there"


def test_a_program_that_is_missing_is_named_and_exits_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(doctor, "PROGRAMS", (("balbook-absent", "no", "does things"),))
    assert rows(capsys, status=1)["balbook-absent: does things"] == {
        "what": "balbook-absent: does things",
        "state": "no",
        "found": "not on PATH",
    }


def test_a_faulty_inventory_lacks_something_and_says_what(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "inventory.yaml"
    path.write_text("version: 1\nhosts: {app1: {adress: 127.0.0.1, roles: [app]}}\n")
    assert "adress" in rows(capsys, "-i", str(path), status=1)[str(path)]["found"]
    assert "not a file" in rows(capsys, "-i", str(tmp_path / "absent.yaml"), status=1)["inventory"]["found"]


def test_stores_that_cannot_be_written_lack_something(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "inventory.yaml"
    (tmp_path / "taken").touch()
    hosts = "hosts: {app1: {address: 127.0.0.1, port: 1, roles: [app]}}\n"
    for text, state in (("artifacts: taken/artifacts\nrecords: {path: taken}\n", "no"), ("artifacts: file:///tmp/new\n", "there")):
        path.write_text(f"version: 1\n{hosts}{text}")
        found = rows(capsys, "-i", str(path), status=1)
        assert found["artifacts can be written"]["state"] == found["records can be written"]["state"] == state


def test_a_host_that_is_not_reachable_hides_no_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hosts = {name: {"address": "127.0.0.1", "port": closed_port(), "roles": ["app"]} for name in ("app1", "app2")}
    path = tmp_path / "inventory.yaml"
    path.write_text(yaml.safe_dump({"version": 1, "hosts": hosts}))
    found = rows(capsys, "-i", str(path), status=1)
    assert [found[f"{host}: takes commands"]["state"] for host in hosts] == ["no", "no"]
    assert "cannot be reached" in found["app2: takes commands"]["found"]


@pytest.mark.integration
def test_every_host_of_a_lab_takes_commands(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    found = rows(capsys, status=0)
    assert {found[f"{host}: takes commands"]["state"] for host in lab.servers} == {"there"}
    assert all(found[f"{host}: clock within 5 s of this machine's"]["state"] == "there" for host in lab.servers)
