"""The demonstration's acts, without a lab: what follows from each outcome."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import balbook
from balbook.lab import demo
from balbook.lab.demo import Act
from balbook.lab.demo_report import Shown

ACTS = (Act("First"), Act("Second"), Act("Third"))


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was done to the lab, and which acts were played; an act's title in `failing` fails, one in `raising` raises."""
    done: list[str] = []
    monkeypatch.setattr(demo.loopback, "down", lambda name, say=None: done.append(f"down {name}"))
    monkeypatch.setattr(demo.loopback, "up", lambda name, say=None: done.append(f"up {name}") or SimpleNamespace())
    monkeypatch.setattr(demo, "_inventory", lambda lab, records: SimpleNamespace())
    return done


def playing(
    monkeypatch: pytest.MonkeyPatch, done: list[str], verdict: str = "succeeded", of: str = "", error: BaseException | None = None
) -> None:
    def run(act: Act, lab: Any, inventory: Any) -> list[Shown]:
        done.append(act.title)
        if act.title == of and error:
            raise error
        return [Shown(act.title, "hot_deploy", verdict if act.title == of else "succeeded", 0.1, why="because")]

    monkeypatch.setattr(demo, "_run", run)


def test_all_acts_are_played_in_order_on_a_lab_that_goes_down(
    told: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    playing(monkeypatch, told)
    assert demo.play(ACTS, tmp_path, "loopback") == 0
    assert told == ["down demo", "up demo", "First", "Second", "Third", "down demo"]
    assert "All as it should be." in capsys.readouterr().out


@pytest.mark.parametrize("verdict", ["failed", "inconclusive"])
def test_an_act_that_does_not_succeed_ends_it_with_1_and_its_reason(
    verdict: str, told: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    playing(monkeypatch, told, verdict, of="Second")
    assert demo.play(ACTS, tmp_path, "loopback") == 1
    assert told == ["down demo", "up demo", "First", "Second", "down demo"]
    assert f"Second: {verdict}: because" in capsys.readouterr().out


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("a defect")])
def test_whatever_is_raised_the_lab_goes_down(
    error: BaseException, told: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    playing(monkeypatch, told, of="First", error=error)
    with pytest.raises(type(error)):
        demo.play(ACTS, tmp_path, "loopback")
    assert told == ["down demo", "up demo", "First", "down demo"]


def test_a_lab_of_vms_is_brought_up_and_down_where_that_is_asked_for(
    told: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo.vm, "down", lambda name, say=None: told.append(f"down {name} of VMs"))
    monkeypatch.setattr(demo.vm, "up", lambda name, say=None: told.append(f"up {name} of VMs") or SimpleNamespace())
    playing(monkeypatch, told)
    assert demo.play(ACTS[:1], tmp_path, "vm") == 0
    assert told == ["down demo", "up demo of VMs", "First", "down demo of VMs"]
    assert "Bring up four hosts (vm)" in capsys.readouterr().out


def test_a_lab_that_there_is_not_is_bad_input(told: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert demo.main(["cloud"]) == 2
    assert told == []
    assert "'cloud' is not a known backend" in capsys.readouterr().err


def test_the_last_act_is_the_one_that_is_judged_under_load() -> None:
    assert [act.is_under_load for act in demo.ACTS] == [False] * (len(demo.ACTS) - 1) + [True]


INTERRUPTED_IN_AN_EXTENSION = """
import ctypes, sys
from balbook.lab.demo import _endings_unwind

run = ctypes.pythonapi.PyRun_String
run.restype, run.argtypes = ctypes.py_object, [ctypes.c_char_p, ctypes.c_int, ctypes.py_object, ctypes.py_object]
FILE_INPUT = 257
try:
    with _endings_unwind():
        run(b"import os, signal; os.kill(os.getpid(), signal.SIGTERM); [None for _ in range(1000)]", FILE_INPUT, globals(), globals())
except KeyboardInterrupt:
    sys.exit(1)
"""


def test_an_interruption_while_an_extension_is_imported_ends_it_as_any_other(tmp_path: Path) -> None:
    """An extension may run Python of its own; a plain KeyboardInterrupt out of that makes Python itself end by SIGINT."""
    (tmp_path / "interrupted.py").write_text(INTERRUPTED_IN_AN_EXTENSION)
    argv = [sys.executable, "-m", "interrupted"]
    assert (
        subprocess.run(
            argv, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(Path(balbook.__file__).parents[1])}, timeout=60, check=False
        ).returncode
        == 1
    )
