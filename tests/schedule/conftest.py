"""A machine of a test's own: a home, a fake `systemctl` that writes down what it was asked, a fake `crontab` that keeps a file."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from balbook.schedule import Places, Schedule, places

SYSTEMCTL = """#!/bin/sh
echo "$*" >>"{home}/systemctl.log"
if [ -e "{home}/systemctl.refuses" ]; then echo "Failed to connect to bus" >&2; exit 1; fi
"""
CRONTAB = """#!/bin/sh
if [ -e "{home}/crontab.refuses" ]; then echo "you may not use this program" >&2; exit 1; fi
case "$1" in
-l) if [ -e "{home}/crontab" ]; then cat "{home}/crontab"; else echo "no crontab for you" >&2; exit 1; fi ;;
-) cat >"{home}/crontab" ;;
*) exit 2 ;;
esac
"""


@dataclass(frozen=True)
class Machine:
    """Where the fakes are and what they did."""

    home: Path
    where: Places

    @property
    def asked(self) -> list[str]:
        log = self.home / "systemctl.log"
        return log.read_text().splitlines() if log.exists() else []

    @property
    def crontab(self) -> str:
        return (self.home / "crontab").read_text()

    @property
    def units(self) -> list[str]:
        return sorted(path.name for path in self.where.units.iterdir()) if self.where.units.exists() else []

    def schedule(self, name: str = "drift", **changed: object) -> Schedule:
        given: dict[str, object] = {"runs": "provision", "when": "Mon 06:00", "mode": "plan", "is_drift_failure": True}
        given |= {"inventory": str(self.home / "inventory.yaml"), "folder": str(self.home), **changed}
        return Schedule(name, **given)  # type: ignore[arg-type]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in (("systemctl", SYSTEMCTL), ("crontab", CRONTAB)):
        _write_program(programs / name, text.format(home=tmp_path))
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    return Machine(tmp_path, places(os.environ))


@pytest.fixture
def balbook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Puts a script in the place of the interpreter that a schedule's run starts."""

    def put(script: str) -> None:
        _write_program(tmp_path / "python", f"#!/bin/sh\n{script}\n")
        monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))

    return put


def _write_program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
