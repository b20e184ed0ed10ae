from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

import balbook as project
from balbook.errors import BadInput, Refused
from balbook.schedule import add, run_once
from balbook.schedule.occurrence import command_of, is_missed
from tests.schedule.conftest import Machine

SAYS = """echo '{"run_id": "3f2a90c1", "verdict": "failed", "record": "/srv/records/x"}'"""
Put = Callable[[str], None]


def now() -> datetime:
    return datetime.now().astimezone()


def run(machine: Machine, **options: bool) -> int:
    return run_once("drift", machine.where, say=lambda line: None, now=now, **options)


def outcomes(machine: Machine) -> list[dict[str, object]]:
    return [json.loads(line) for line in machine.where.outcomes("drift").read_text().splitlines()]


def test_exit_status_and_record_of_each_run_are_kept(machine: Machine, balbook: Put) -> None:
    add(machine.schedule(backend="cron"), machine.where)
    balbook(f"{SAYS}; exit 4")
    assert run(machine) == 4
    balbook("exit 2")
    assert run(machine) == 2
    first, second = outcomes(machine)
    assert (first["exit_status"], first["run_id"], first["verdict"], first["record"]) == (4, "3f2a90c1", "failed", "/srv/records/x")
    assert (second["exit_status"], second["record"]) == (2, "")


def test_the_run_gets_what_the_schedule_says_as_words(machine: Machine, balbook: Put) -> None:
    add(machine.schedule(backend="cron", parameters=("reason=a $(b) 'c'",)), machine.where)
    balbook(f'printf "%s\\n" "$@" >"{machine.home}/argv"')
    assert run(machine) == 0
    inventory = str(machine.home / "inventory.yaml")
    assert (machine.home / "argv").read_text().splitlines() == [
        *("-m", "balbook", "plan", "provision", "--inventory", inventory, "--json"),
        *("--parameter", "reason=a $(b) 'c'", "--fail-on-changes"),
    ]


def test_the_words_are_those_that_balbook_understands(machine: Machine, tmp_path: Path) -> None:
    file = tmp_path / "parameters.yaml"
    file.write_text("reason: weekly\n")
    schedule = machine.schedule(parameters_file=str(file), parameters=("ticket=OPS-1",))
    done = subprocess.run(command_of(schedule), capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path)
    assert done.returncode == 2
    assert f"{machine.home}/inventory.yaml" in done.stderr  # it got as far as the inventory, which is not there
    assert "usage" not in done.stderr


def test_two_runs_never_overlap(machine: Machine, balbook: Put) -> None:
    add(machine.schedule(backend="cron"), machine.where)
    balbook(f'touch "{machine.home}/began"; while [ ! -e "{machine.home}/go" ]; do sleep 0.05; done; {SAYS}')
    first = _in_another_process(machine)
    try:
        _wait_for(lambda: (machine.home / "began").exists())
        with pytest.raises(Refused, match="still goes on"):
            run(machine)
        _make_overdue(machine)
        assert run(machine, only_if_missed=True) == 0
    finally:
        (machine.home / "go").touch()
        assert first.wait(timeout=20) == 0
    assert len(outcomes(machine)) == 1
    assert run(machine) == 0


def test_a_run_that_is_told_to_stop_lets_balbook_reach_a_safe_state(machine: Machine, balbook: Put) -> None:
    add(machine.schedule(backend="cron"), machine.where)
    balbook(f'trap "{SAYS.replace(chr(34), chr(92) + chr(34))}; exit 1" TERM; touch "{machine.home}/began"; while :; do sleep 0.05; done')
    running = _in_another_process(machine)
    _wait_for(lambda: (machine.home / "began").exists())
    running.send_signal(signal.SIGTERM)
    assert running.wait(timeout=20) == 1
    (outcome,) = outcomes(machine)
    assert (outcome["exit_status"], outcome["run_id"]) == (1, "3f2a90c1")


@pytest.mark.parametrize(("status", "calls"), [(0, []), (1, ["drift a b"]), (4, ["drift a b"])])
def test_a_failure_calls_the_users_command_under_cron(machine: Machine, balbook: Put, status: int, calls: list[str]) -> None:
    program = machine.home / "tell"
    program.write_text(f'#!/bin/sh\necho "$BALBOOK_SCHEDULE $1" >>"{machine.home}/told"\nexit 3\n')
    program.chmod(0o755)
    add(machine.schedule(backend="cron", on_failure=(str(program), "a b")), machine.where)
    balbook(f"exit {status}")
    assert run(machine) == status
    told = machine.home / "told"
    assert (told.read_text().splitlines() if told.exists() else []) == calls


def test_systemd_calls_the_users_command_itself(machine: Machine, balbook: Put) -> None:
    add(machine.schedule(on_failure=("touch", str(machine.home / "told"))), machine.where)
    balbook("exit 1")
    assert run(machine) == 1
    assert not (machine.home / "told").exists()
    assert "OnFailure=balbook-drift-failed.service" in (machine.where.units / "balbook-drift.service").read_text()


def test_a_missed_run_is_caught_up_once(machine: Machine, balbook: Put) -> None:
    add(machine.schedule(backend="cron", has_catch_up=True), machine.where)
    balbook(SAYS)
    assert run(machine, only_if_missed=True) == 0
    assert not machine.where.outcomes("drift").exists()  # it was added after the last time that was due
    _make_overdue(machine)
    assert run(machine, only_if_missed=True) == 0
    assert len(outcomes(machine)) == 1
    assert run(machine, only_if_missed=True) == 0
    assert len(outcomes(machine)) == 1


def test_the_time_that_is_due_now_is_not_missed(machine: Machine) -> None:
    schedule = machine.schedule(backend="cron", when="06:00")
    add(schedule, machine.where)
    _make_overdue(machine)
    due = datetime(2099, 3, 2, 6, 0)
    last = {"at": (due - timedelta(hours=20)).astimezone().isoformat()}
    machine.where.state.mkdir(parents=True)
    machine.where.outcomes("drift").write_text(json.dumps(last) + "\n")
    assert not is_missed(schedule, machine.where, due + timedelta(minutes=1))
    assert is_missed(schedule, machine.where, due + timedelta(minutes=5))


def test_a_schedule_that_is_not_there_is_bad_input(machine: Machine) -> None:
    with pytest.raises(BadInput, match="no schedule 'drift'"):
        run(machine)


def _make_overdue(machine: Machine) -> None:
    """As if it had been added two weeks ago."""
    long_ago = time.time() - 14 * 86400
    os.utime(machine.where.definition("drift"), (long_ago, long_ago))


def _in_another_process(machine: Machine) -> subprocess.Popen[bytes]:
    """The run in a process of its own, with the stand-in for the interpreter that this one has."""
    script = f"import sys; from balbook.cli import main\nsys.executable = {sys.executable!r}\nsys.exit(main(['schedule', 'run', 'drift']))"
    environ = {**os.environ, "PYTHONPATH": str(Path(project.__file__).parents[1])}
    return subprocess.Popen([REAL_PYTHON, "-c", script], env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


REAL_PYTHON = sys.executable


def _wait_for(is_so: Callable[[], bool], within_s: float = 20) -> None:
    end = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.02)


@pytest.mark.parametrize("is_readable", [True, False])
def test_the_command_on_failure_inherits_no_secret_of_the_inventory(
    machine: Machine, balbook: Put, monkeypatch: pytest.MonkeyPatch, is_readable: bool
) -> None:
    monkeypatch.setenv("CANARY", "Canary-Secret-1")
    monkeypatch.setenv("OTHER", "another value")
    add(machine.schedule(backend="cron", on_failure=("sh", "-c", f"env > {machine.home}/inherited")), machine.where)
    hosts = "hosts: {app1: {address: 127.0.0.1, roles: [app]}}"
    (machine.home / "inventory.yaml").write_text(f"version: 1\n{hosts if is_readable else ''}\ncentral: {{token: env:CANARY}}\n")
    balbook("exit 1")
    assert run(machine) == 1
    inherited = (machine.home / "inherited").read_text()
    assert "Canary-Secret-1" not in inherited
    assert ("OTHER=another value" in inherited) == is_readable
    assert "BALBOOK_SCHEDULE=drift" in inherited
