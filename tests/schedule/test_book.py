from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from balbook.cli import main
from balbook.errors import BadInput, Failed, Refused
from balbook.local.resources import resource
from balbook.schedule import add, cron, list_schedules, read_example, remove, systemd
from balbook.schedule.book import available_backend
from tests.schedule.conftest import Machine

DATA = Path(__file__).parents[1] / "data" / "schedules"
COMMAND = ("/opt/balbook/bin/python", "-m", "balbook", "schedule", "run", "drift")
NOW = datetime(2026, 3, 4, 12)


@pytest.mark.parametrize("unit", ["balbook-drift.service", "balbook-drift.timer", "balbook-drift-failed.service"])
def test_the_units_are_the_golden_files(machine: Machine, unit: str) -> None:
    schedule = machine.schedule(folder="/srv/50% off", on_failure=("/bin/echo", "drift $HOME", 'say "100%"'), has_catch_up=True)
    texts = systemd.units(schedule, COMMAND, is_system=True)
    assert sorted(texts) == ["balbook-drift-failed.service", "balbook-drift.service", "balbook-drift.timer"]
    assert texts[unit] == (DATA / unit).read_text()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not on this machine")
@pytest.mark.parametrize("is_system", [True, False])
def test_systemd_finds_nothing_wrong_with_the_units(machine: Machine, tmp_path: Path, is_system: bool) -> None:
    folder = tmp_path / "a folder of 100% $HOME"
    folder.mkdir()
    schedule = machine.schedule(folder=str(folder), on_failure=("/bin/echo", 'say "100%" $HOME; \\n'))
    texts = systemd.units(schedule, ("/bin/true", *COMMAND[1:]), is_system=is_system)
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    argv = ["systemd-analyze", "verify", *(str(tmp_path / name) for name in texts)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    ours = [line for line in (done.stdout + done.stderr).splitlines() if "balbook-" in line or str(tmp_path) in line]
    assert (done.returncode, ours) == (0, [])


def test_the_services_name_no_command_on_failure_where_none_was_given(machine: Machine) -> None:
    texts = systemd.units(machine.schedule(), COMMAND, is_system=False)
    assert sorted(texts) == ["balbook-drift.service", "balbook-drift.timer"]
    assert "OnFailure" not in texts["balbook-drift.service"]
    assert "Persistent=false" in texts["balbook-drift.timer"]


def test_a_schedule_is_added_listed_and_removed_with_systemd(machine: Machine) -> None:
    schedule = machine.schedule(on_failure=("true",))
    add(schedule, machine.where)
    assert machine.units == ["balbook-drift-failed.service", "balbook-drift.service", "balbook-drift.timer"]
    assert machine.asked == ["--user daemon-reload", "--user enable --now balbook-drift.timer"]
    assert machine.where.definition("drift").stat().st_mode & 0o777 == 0o600
    (listed,) = list_schedules(machine.where, NOW)
    assert (listed.schedule, listed.is_kept, listed.last) == (schedule, True, {})
    assert "06:00" in listed.next_at
    remove("drift", machine.where)
    assert machine.units == []
    assert machine.asked[2:] == ["--user disable --now balbook-drift.timer", "--user daemon-reload"]
    assert list_schedules(machine.where, NOW) == []


def test_a_schedule_is_added_listed_and_removed_with_cron_and_other_lines_stay(machine: Machine) -> None:
    (machine.home / "crontab").write_text("# mine\n0 1 * * * backup")
    schedule = machine.schedule(backend="cron", has_catch_up=True)
    add(schedule, machine.where)
    mine, begin, due, at_start, hourly, end = machine.crontab.splitlines()[1:]
    assert mine == "0 1 * * * backup"
    assert (begin, end) == ("# balbook schedule drift: begin", "# balbook schedule drift: end")
    assert due.startswith("0 6 * * 1 ")
    assert due.endswith("-m balbook schedule run drift")
    assert at_start.startswith("@reboot ")
    assert hourly.startswith("30 * * * * ")
    assert hourly.endswith("schedule run drift --if-missed")
    (listed,) = list_schedules(machine.where, NOW)
    assert (listed.next_at, listed.is_kept) == ("Mon 2026-03-09 06:00", True)
    remove("drift", machine.where)
    assert machine.crontab == "# mine\n0 1 * * * backup\n"
    assert machine.asked == []


def test_a_percent_sign_does_not_end_the_line_of_a_crontab(machine: Machine) -> None:
    lines = cron.entry(machine.schedule(backend="cron"), ("/opt/50% off/python", "-m", "balbook"))
    assert "'/opt/50\\% off/python'" in lines
    assert len(lines.splitlines()) == 3
    with pytest.raises(BadInput):
        cron.entry(machine.schedule(backend="cron"), ("a\nb",))


def test_a_crontab_whose_end_was_lost_is_not_guessed_at(machine: Machine) -> None:
    add(machine.schedule(backend="cron"), machine.where)
    (machine.home / "crontab").write_text(machine.crontab.replace("# balbook schedule drift: end", "0 1 * * * backup"))
    before = machine.crontab
    with pytest.raises(BadInput, match="without its end"):
        remove("drift", machine.where)
    assert machine.crontab == before


@pytest.mark.parametrize("backend", ["systemd", "cron"])
def test_a_name_that_is_taken_is_refused_and_what_is_there_stays(machine: Machine, backend: str) -> None:
    add(machine.schedule(backend=backend), machine.where)
    with pytest.raises(Refused, match="the schedule 'drift' exists already"):
        add(machine.schedule(backend=backend, when="daily"), machine.where)
    assert list_schedules(machine.where, NOW)[0].schedule.when == "Mon 06:00"


@pytest.mark.parametrize("backend", ["systemd", "cron"])
def test_nothing_is_left_where_systemd_or_cron_refuses(machine: Machine, backend: str) -> None:
    (machine.home / "systemctl.refuses").touch()
    (machine.home / "crontab.refuses").touch()
    if backend == "cron":
        with pytest.raises(Failed, match="you may not use this program"):
            add(machine.schedule(backend=backend), machine.where)
    else:
        with pytest.raises(Failed, match="Failed to connect to bus"):
            add(machine.schedule(backend=backend), machine.where)
    assert machine.units == []
    assert not machine.where.definition("drift").exists()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"name": "../drift"}, "name"),
        ({"name": "Drift"}, "name"),
        ({"runs": "provison"}, "no runbook or pipeline"),
        ({"when": "often"}, "often"),
        ({"when": "often", "backend": "cron"}, "often"),
        ({"mode": "apply"}, "only a plan"),
        ({"parameters": ("hosst=a",)}, "hosst"),
        ({"parameters_file": "/nowhere.yaml"}, "nowhere"),
        ({"on_failure": ("no-such-program",)}, "no-such-program"),
        ({"folder": "/a\nb"}, "line break"),
        ({"backend": "at"}, "at"),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(machine: Machine, changed: dict[str, object], message: str) -> None:
    schedule = replace(machine.schedule(), **changed)  # type: ignore[arg-type]
    with pytest.raises(BadInput, match=re.escape(message)):
        add(schedule, machine.where)
    assert machine.units == []
    assert machine.asked == []
    assert not machine.where.definitions.exists()


def test_a_timer_that_somebody_removed_by_hand_is_listed_as_lost(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    add(machine.schedule(), machine.where)
    (machine.where.units / "balbook-drift.timer").unlink()
    assert not list_schedules(machine.where, NOW)[0].is_kept
    assert main(["schedule", "list"]) == 0
    assert "lost: systemd does not have this schedule" in capsys.readouterr().out


def test_systemd_is_taken_where_it_runs_else_cron(machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert available_backend(booted=tmp_path) == "systemd"
    assert available_backend(booted=tmp_path / "nowhere") == "cron"
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(BadInput, match="neither"):
        available_backend(booted=tmp_path)


def test_every_shipped_example_that_names_a_known_runbook_can_be_added(machine: Machine) -> None:
    drift = read_example("weekly-drift-report")
    assert drift == {"runs": "provision", "mode": "plan", "when": "Mon 06:00", "catch_up": True, "fail_on_changes": True}
    drill = read_example("nightly-failover-drill")
    assert (drill["runs"], drill["mode"], drill["catch_up"]) == ("failover_drill", "apply", False)
    checks = read_example("daily-certificate-and-disk-checks")
    assert (checks["runs"], checks["mode"], checks["fail_on_changes"]) == ("provision", "plan", True)
    for backend in ("systemd", "cron"):
        for number, example in enumerate((drift, drill, checks)):
            add(machine.schedule(f"a-{backend}-{number}", when=example["when"], backend=backend), machine.where)


@pytest.mark.parametrize("text", ["[]", "version: 2\n", "version: 1\nrun: x\n", "a: [", "version: 1\nversions: 2\n"])
def test_an_example_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "example.yaml"
    path.write_text(text)
    with pytest.raises(BadInput, match=re.escape(str(path))):
        read_example(str(path))
    with pytest.raises(BadInput, match="weekly-drift-report"):
        read_example("weekly-drift-repot")


def test_the_commands_add_list_and_remove(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    inventory = resource("templates", "deployment", "inventory.yaml")
    argv = ["schedule", "add", "drift", "--from", "weekly-drift-report", "-i", str(inventory), "--with", "cron"]
    argv += ["--on-failure", "true 'a b'"]
    assert main(argv) == 0
    assert "drift: plan provision, kept by cron, next Mon " in capsys.readouterr().out
    assert main(argv) == 2
    assert main([*argv[:2], "other", *argv[3:], "--when", "often"]) == 2
    capsys.readouterr()
    assert main(["schedule", "list", "--json"]) == 0
    (listed,) = json.loads(capsys.readouterr().out)["schedules"]
    assert (listed["runs"], listed["on_failure"], listed["has_catch_up"]) == ("provision", ["true", "a b"], True)
    assert listed["inventory"] == str(inventory)
    assert main(["schedule", "remove", "drift"]) == 0
    assert main(["schedule", "remove", "drift"]) == 2
