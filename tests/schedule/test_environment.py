"""The file with a run's secrets: what is read, what is refused, and who gets it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from balbook.cli import main
from balbook.errors import BadInput
from balbook.schedule import add, run_once, systemd
from balbook.schedule.environment import read_environment
from tests.schedule.conftest import Machine

INVENTORY = """
version: 1
hosts: {app1: {address: 127.0.0.1, roles: [app], become: sudo, become_password: "env:SUDO"}}
central: {token: "env:CENTRAL"}
notify: {webhook: "https://chat.example.com/x", token: "file:hook"}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "secrets of 100%.env"
    path.write_text('# tokens\n\nCENTRAL=abc=def ghi \nQUOTED=\'a\\b "c" #d\'\nDOUBLED="it\'s"\nEMPTY=\n')
    path.chmod(0o600)
    return path


def test_values_are_read_as_systemd_reads_them(file: Path) -> None:
    assert read_environment(file) == {"CENTRAL": "abc=def ghi", "QUOTED": 'a\\b "c" #d', "DOUBLED": "it's", "EMPTY": ""}


@pytest.mark.parametrize("line", ["export A=1", "word", "1A=b", "A=a\\b", "A='b", "A='b'c", 'A="b\\n"', "A = b"])
def test_what_the_two_would_read_differently_is_refused_and_not_shown(file: Path, line: str) -> None:
    file.write_text(f"B=1\n{line}\n")
    with pytest.raises(BadInput, match=":2: the line is not NAME=value") as refused:
        read_environment(file)
    assert line not in str(refused.value)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_file_that_others_may_read_is_refused(machine: Machine, file: Path, mode: int) -> None:
    file.chmod(mode)
    with pytest.raises(BadInput, match="is open to others"):
        add(machine.schedule(environment_file=str(file)), machine.where)
    assert machine.units == []


@pytest.mark.parametrize("path", ["/nonexistent/file", "/tmp"])
def test_a_file_that_is_none_is_refused(machine: Machine, path: str) -> None:
    with pytest.raises(BadInput, match="environment file"):
        add(machine.schedule(environment_file=path), machine.where)


def test_systemds_unit_names_the_file_and_no_value_is_kept_anywhere(machine: Machine, file: Path) -> None:
    schedule = machine.schedule(environment_file=str(file))
    assert (
        f"EnvironmentFile={str(file).replace('%', '%%')}\n"
        in systemd.units(schedule, ["/bin/true"], is_system=False)["balbook-drift.service"]
    )
    add(schedule, machine.where)
    kept = [path for folder in (machine.where.units, machine.where.definitions) for path in folder.iterdir()]
    assert not [path for path in kept if "abc=def" in path.read_text()]


@pytest.mark.parametrize("backend", ["systemd", "cron"])
def test_the_run_reads_the_file_and_the_command_on_failure_does_not_get_it(
    machine: Machine, file: Path, balbook: Callable[[str], None], backend: str
) -> None:
    command = machine.home / "on_failure"
    command.write_text(f'#!/bin/sh\necho "${{CENTRAL-}}" >"{machine.home}/told"\n')
    command.chmod(0o755)
    add(machine.schedule(backend=backend, environment_file=str(file), on_failure=(str(command),)), machine.where)
    balbook(f'echo "$CENTRAL" >"{machine.home}/got"; exit 1')
    assert run(machine) == 1
    assert (machine.home / "got").read_text() == "abc=def ghi\n"
    assert backend == "systemd" or (machine.home / "told").read_text() == "\n"
    assert "CENTRAL" not in os.environ


def test_a_run_without_its_file_is_a_failure_that_is_kept(machine: Machine, file: Path, balbook: Callable[[str], None]) -> None:
    add(machine.schedule(backend="cron", environment_file=str(file)), machine.where)
    balbook("exit 0")
    file.unlink()
    assert run(machine) == 2
    assert json.loads(machine.where.outcomes("drift").read_text())["exit_status"] == 2


def test_adding_says_which_references_have_no_value(
    machine: Machine, file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(machine.home)
    (machine.home / "inventory.yaml").write_text(INVENTORY)
    argv = ["schedule", "add", "--runs", "provision", "--when", "Mon 06:00", "--with", "cron"]
    assert main([*argv, "a", "--environment-file", file.name]) == 0
    told = capsys.readouterr().err
    assert "note: the inventory refers to env:SUDO" in told
    file.write_text("CENTRAL=a\nSUDO=b\n")
    assert main([*argv, "b", "--environment-file", file.name]) == 0
    assert "note" not in capsys.readouterr().err
    assert main([*argv, "c"]) == 0
    assert "env:CENTRAL, env:SUDO" in capsys.readouterr().err


def run(machine: Machine) -> int:
    return run_once("drift", machine.where, say=lambda line: None, now=lambda: datetime.now().astimezone())
