"""The command line: exit statuses, nearest names, help, and what it refuses before it touches anything."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from balbook import transport
from balbook.cli import COMMANDS, main
from balbook.engine import process
from balbook.errors import HostUnreachable
from balbook.plan.model import Precondition
from balbook.plan.reading import read_plan
from balbook.procedures.parts import maintenance
from balbook.record.journal import Journal
from balbook.testing import FakeFleet
from tests.journals import last, made
from tests.plan.test_version_1 import DATA as VERSION_1
from tests.run_folders import run_folder
from tests.small_fleet import carry_out, change_inventory, edit_inventory, fleet_with, write_inventory

VENDORS = ("pandas", "matplotlib", "papermill", "paramiko", "pydantic", "yaml", "IPython", "nbformat", "jinja2", "httpx", "argcomplete")
HOSTILE = ["; rm -rf /", "$(id)", "`id`", "a b", "a\nb", "../../etc", "/etc/passwd", "-rf", "a\0b", "\udcff", "ä", "x" * 200]


@pytest.fixture
def inventory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An inventory whose hosts nobody may connect to."""

    def connect(*args: object) -> Any:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(transport, "connect", connect)
    monkeypatch.chdir(tmp_path)
    for variable in ("BALBOOK_INVENTORY", "BALBOOK_REQUEST"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("BALBOOK_LAB_HOME", str(tmp_path / "no-lab"))
    return write_inventory(tmp_path / "ops").path


@pytest.fixture
def fleet(tmp_path: Path, inventory: Path, monkeypatch: pytest.MonkeyPatch) -> FakeFleet:
    """The same hosts in memory, with `hotel` 1.0.0 in service."""
    fleet = fleet_with(tmp_path / "ops", "1.0.0")
    monkeypatch.setattr(transport, "connect", lambda *args: fleet)
    return fleet


def run(*words: str) -> int:
    """The exit status, also where the parser itself ends the program."""
    try:
        return main(list(words))
    except SystemExit as exc:
        return int(exc.code or 0)


def loaded(*words: str) -> set[str]:
    """The vendors that a command loads."""
    code = f"import sys, contextlib\nfrom balbook.cli import main\nwith contextlib.suppress(SystemExit): main({list(words)!r})\n"
    code += "print('\\n' + ' '.join(m for m in sys.modules if '.' not in m))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    return set(shown.splitlines()[-1].split()) & set(VENDORS)


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["nonsense"], []])
def test_help_loads_no_vendor(words: list[str]) -> None:
    assert loaded(*words) == set()


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--help") == 0
    shown = capsys.readouterr().out
    assert [name for name in COMMANDS if f"\n    {name} " not in shown] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example_of_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(name, "--help") == 0
    captured = capsys.readouterr()
    assert f"balbook {name}" in captured.out.partition("example")[2]
    assert captured.err == ""


@pytest.mark.parametrize(("word", "near"), [("aply", "apply"), ("sttaus", "status"), ("record", "records")])
def test_a_misspelt_command_is_answered_with_the_nearest(word: str, near: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(word) == 2
    assert f"Did you mean '{near}'?" in capsys.readouterr().err


@pytest.mark.parametrize("words", [[], ["plan"], ["apply"], ["plan", "--nonsense"], ["unlock", "hotel"], ["lab", "sideways"]])
def test_what_is_missing_or_unknown_on_the_line_is_bad_input(words: list[str], inventory: Path) -> None:
    assert run(*words) == 2


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["plan", "hot_deplyo", "-p", "application=hotel"], "hot_deploy"),
        (["plan", "hot_deploy", "-p", "aplication=hotel"], "application"),
        (["plan", "hot_deploy", "-p", "application=hotle"], "hotel"),
        (["plan", "hot_deploy", "-p", "application=hotel", "-p", "strategy=active_pasive"], "active_passive"),
        (["plan", "hot_deploy", "-p", "application=hotel", "-p", "serial=two"], "whole number"),
        (["plan", "hot_deploy", "-p", "application=hotel", "-p", "serial=0"], "serial"),
        (["plan", "provision", "-p", "hosts=ap1"], "app1"),
        (["plan", "provision", "-p", "hosts"], "name=value"),
        (["status", "hotle"], "hotel"),
        (["logs", "hotel", "app1:9091"], "app1:9090"),
        (["unlock", "hotle", "--reason", "x"], "hotel"),
        (["stop", "12345678"], "records list"),
        (["resume", "12345678"], "records list"),
        (["apply", "--plan", "12345678"], "records list"),
    ],
)
def test_a_wrong_name_exits_2_with_the_nearest_and_touches_nothing(
    words: list[str], says: str, inventory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(inventory.parent.rglob("*"))
    assert run(words[0], "-i", str(inventory), *words[1:]) == 2
    captured = capsys.readouterr()
    assert says in captured.err
    assert "Traceback" not in captured.err
    assert captured.out == ""
    assert sorted(inventory.parent.rglob("*")) == before


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize("command", ["plan", "apply"])
def test_a_hostile_value_exits_2_before_any_connection(
    command: str, value: str, inventory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(inventory.parent.rglob("*"))
    ways = [
        [f"application={value}"],
        ["application=hotel", f"release={value}"],
        ["application=hotel", f"strategy={value}"],
        [f"{value}=hotel"],
    ]
    for assignments in ways:
        given = [word for assignment in assignments for word in ("-p", assignment)]
        assert run(command, "hot_deploy", "-i", str(inventory), *given) == 2
    assert run(command, value, "-i", str(inventory)) == 2
    assert run(command, "provision", "-i", str(inventory), "-p", f"hosts=app1,{value}") == 2
    assert "Traceback" not in capsys.readouterr().err
    assert sorted(inventory.parent.rglob("*")) == before


@pytest.mark.parametrize("value", HOSTILE)
def test_a_hostile_word_to_the_other_commands_exits_2(value: str, inventory: Path) -> None:
    for words in (["status", value], ["drain", value, "app1:9090"], ["unlock", value, "--reason", "x"], ["stop", value], ["resume", value]):
        assert run(words[0], "-i", str(inventory), "--", *words[1:]) == 2


@pytest.mark.parametrize("value", ["a\nb", "\x1b[31m", "\udcff"])
def test_a_reason_with_control_characters_or_broken_text_is_refused(value: str, inventory: Path) -> None:
    assert run("plan", "hot_deploy", "-i", str(inventory), "-p", "application=hotel", "-p", f"reason={value}") == 2


@pytest.mark.parametrize("text", ["version: 2\nhosts: {}\n", "hosts: [", "", "version: 1\nhosts: {'a;b': {address: x, roles: [app]}}\n"])
def test_an_inventory_that_cannot_be_used_exits_2_naming_it(text: str, inventory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    inventory.write_text(text)
    assert run("status", "-i", str(inventory)) == 2
    assert str(inventory) in capsys.readouterr().err


def test_without_an_inventory_it_says_how_to_name_one(inventory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("status") == 2
    assert "balbook init" in capsys.readouterr().err


def test_status_shows_what_runs_and_exits_0_only_where_all_serves(fleet: FakeFleet, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["status", "-i", str(fleet.inventory.path)]
    assert run(*words, "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert [(i["instance"], i["healthy"], i["in_service"]) for i in shown["hotel"]["instances"]] == [
        ("app1:9090", "yes", "yes"),
        ("app2:9090", "yes", "yes"),
    ]
    fleet.hosts["app2"].processes.clear()
    assert run(*words) == 1
    captured = capsys.readouterr()
    assert "app2:9090" in captured.out
    assert str(fleet.inventory.path) in captured.err


def test_status_shows_all_that_answers_where_hosts_do_not(fleet: FakeFleet, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["status", "-i", str(fleet.inventory.path)]
    fleet.answers["app1", "inspect"] = HostUnreachable("app1", "no route to host", advice="Is it up?")
    assert run(*words, "--json") == 1
    shown = json.loads(capsys.readouterr().out)["hotel"]
    assert [(i["instance"], i["healthy"], i["in_service"]) for i in shown["instances"]] == [
        ("app1:9090", "no answer: no route to host", "yes"),
        ("app2:9090", "yes", "yes"),
    ]
    del fleet.answers["app1", "inspect"]
    for name in ("configuration", "lease"):
        fleet.answers["lb1", name] = HostUnreachable("lb1", "no route to host")
    assert run(*words, "--json") == 1
    shown = json.loads(capsys.readouterr().out)["hotel"]
    assert {i["in_service"] for i in shown["instances"]} == {"no answer: no route to host"} == {shown["lock"]}
    assert [i["healthy"] for i in shown["instances"]] == ["yes", "yes"]
    assert run(*words) == 1
    assert "no answer: no route to host" in capsys.readouterr().out


def test_unlock_takes_the_lock_away_and_leaves_a_record(fleet: FakeFleet, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["unlock", "hotel", "-i", str(fleet.inventory.path), "--reason", "its machine is gone"]
    run(*words)
    held = json.dumps({"run_id": "r1", "who": "ann@laptop", "since": "09:00", "reason": ""})
    fleet.hosts["lb1"].leases["/opt/balbook/locks/hotel"] = ("r1", held)
    capsys.readouterr()
    assert run(*words) == 0
    assert "ann@laptop" in capsys.readouterr().out
    assert fleet.hosts["lb1"].leases == {}
    journals = [p.read_text() for p in fleet.inventory.path.parent.glob("records/*-unlock-*/journal.jsonl")]
    assert sum("lease_broken" in text and "its machine is gone" in text for text in journals) == 1


def test_the_record_of_an_unlock_is_sealed_and_has_no_secret(
    fleet: FakeFleet, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    edit_inventory(fleet, central={"token": "env:CANARY"})
    monkeypatch.setenv("CANARY", "Canary-Secret-1")
    held = json.dumps({"run_id": "r1", "who": "ann@laptop", "since": "09:00", "reason": "it had Canary-Secret-1"})
    fleet.hosts["lb1"].leases["/opt/balbook/locks/hotel"] = ("r1", held)
    assert run("unlock", "hotel", "-i", str(fleet.inventory.path), "--reason", "it is dead, Canary-Secret-1") == 2
    assert run("unlock", "hotel", "-i", str(fleet.inventory.path), "--reason", "it is dead") == 0
    record = next(fleet.inventory.path.parent.glob("records/*-unlock-*"))
    said = (record / "journal.jsonl").read_text()
    assert "it had [secret env:CANARY]" in said
    assert "Canary-Secret-1" not in said + (record / "statement.json").read_text()
    assert run("records", "verify", "-i", str(fleet.inventory.path), str(record)) == 3, "it is not signed, and nothing is wrong with it"


def test_an_instance_that_is_not_healthy_is_not_readmitted(fleet: FakeFleet, capsys: pytest.CaptureFixture[str]) -> None:
    fleet.hosts["app2"].processes.clear()
    assert run("readmit", "hotel", "app2:9090", "-i", str(fleet.inventory.path)) == 2
    assert "balbook logs hotel app2:9090" in capsys.readouterr().err


@pytest.fixture
def process_of_its_own(fleet: FakeFleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run's process is a call in this one."""

    def start(run_dir: Path, secrets: object) -> Any:
        plan = read_plan(run_dir)
        journal = Journal(run_dir / "journal.jsonl")
        applied = carry_out(fleet, plan, journal)
        journal.append(made("apply_finished", verdict=applied.verdict, changes=applied.changes, why=applied.why))
        return SimpleNamespace(poll=lambda: 0)

    monkeypatch.setattr(process, "start", start)


def test_a_plan_of_version_1_is_not_applied_any_more(fleet: FakeFleet, capsys: pytest.CaptureFixture[str]) -> None:
    record = run_folder(fleet.inventory.path.parent / "records", run_id="k3x9", verdict="planned")
    (record / "plan.json").write_text(json.dumps(VERSION_1))
    assert run("apply", "--plan", "k3x9", "-i", str(fleet.inventory.path)) == 2
    assert "Make a new plan: balbook plan hot_deploy" in capsys.readouterr().err


def test_an_emergency_act_goes_without_approval_but_not_without_a_reason(
    fleet: FakeFleet, process_of_its_own: None, capsys: pytest.CaptureFixture[str]
) -> None:
    change_inventory(fleet, approvals=1)
    words = ["drain", "hotel", "app2:9090", "-i", str(fleet.inventory.path)]
    assert run(*words) == 2
    assert "hotel needs 1 approvals" in capsys.readouterr().err
    assert list(fleet.inventory.path.parent.glob("records/*-drain-*")) == []
    assert run(*words, "--reason", "its disk is broken") == 0
    record = next(fleet.inventory.path.parent.glob("records/*-drain-*"))
    said = last(record / "journal.jsonl", "not_approved")
    assert said is not None
    assert (said["needed"], said["reason"]) == (1, "its disk is broken")
    capsys.readouterr()
    assert run("records", "show", record.name, "-i", str(fleet.inventory.path)) == 0
    assert "not approved, an emergency act: its disk is broken" in capsys.readouterr().out


def test_a_plan_that_would_show_a_secret_is_not_applied_without_a_notebook_either(
    fleet: FakeFleet, process_of_its_own: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    edit_inventory(fleet, central={"token": "env:CANARY"})
    monkeypatch.setenv("CANARY", "Canary-Secret-1")
    genuine = maintenance.drain
    shown = Precondition("lb1 says Canary-Secret-1", "met")
    monkeypatch.setattr(maintenance, "drain", lambda *args: replace(genuine(*args), preconditions=(shown,)))
    assert run("drain", "hotel", "app2:9090", "-i", str(fleet.inventory.path)) == 2
    said = capsys.readouterr().err
    assert "the plan would show a secret in clear, in its preconditions" in said
    assert "Canary-Secret-1" not in said
    assert list(fleet.inventory.path.parent.glob("records/*-drain-*")) == []


@pytest.mark.parametrize("error", [RuntimeError("it was Canary-Secret-1"), OSError("it was Canary-Secret-1")])
def test_an_error_that_nobody_expected_exits_1_and_shows_no_secret(
    error: Exception, inventory: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object) -> Any:
        raise error from ValueError("before that Canary-Secret-1")

    inventory.write_text(inventory.read_text() + "central: {token: env:CANARY}\n")
    monkeypatch.setenv("CANARY", "Canary-Secret-1")
    monkeypatch.setattr(transport, "connect", fail)
    assert run("status", "-i", str(inventory)) == 1
    said = capsys.readouterr().err
    assert "Canary-Secret-1" not in said
    assert "it was [secret env:CANARY]" in said
    is_defect = not isinstance(error, OSError)
    assert ("defect in balbook: RuntimeError: it was" in said, "Traceback" in said) == (is_defect, is_defect)


def test_hosts_that_cannot_be_reached_leave_standard_output_empty(fleet: FakeFleet) -> None:
    words = [sys.executable, "-m", "balbook", "status", "--json", "-i", str(fleet.inventory.path)]
    bare = {"HOME": "/nonexistent", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60, env=bare)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
