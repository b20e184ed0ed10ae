"""Hosts of a lab of VMs, without one: what is slow is told, what has ended meanwhile is passed over."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from balbook.errors import Failed
from balbook.lab import vm_host
from balbook.lab.vm_host import Machine


@pytest.mark.parametrize("log", ["one\nsystemd is slow\n", ""])
def test_a_host_that_boots_too_slowly_is_told_with_its_consoles_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: str) -> None:
    def slow(argv: list[str], timeout: float, **_: Any) -> None:
        raise subprocess.TimeoutExpired(argv, timeout)

    machine = Machine("app1", tmp_path, tmp_path, "10.0.0.11")
    machine.folder.mkdir(parents=True)
    machine.log.write_text(log)
    monkeypatch.setattr(subprocess, "run", slow)
    with pytest.raises(Failed, match=r"app1: `sudo .*` did not end within 60 s") as caught:
        vm_host.wait_until_up(machine, tmp_path / "known_hosts", tmp_path / "key", {"PATH": os.environ["PATH"]})
    assert caught.value.message.endswith(log.strip() or "60 s")
    assert "lab up" in caught.value.advice


def test_processes_that_end_while_they_are_looked_at_do_not_stop_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    left, killed = [[11, 12], [12], []], []

    def gone(path: Path, *_: Any, **__: Any) -> str:
        raise ProcessLookupError(3, "No such process", str(path))

    monkeypatch.setattr(vm_host, "pids", lambda word: left.pop(0))
    monkeypatch.setattr(os, "kill", lambda pid, signal: killed.append(pid))
    monkeypatch.setattr(Path, "exists", lambda path: True)
    monkeypatch.setattr(Path, "read_text", gone)
    assert vm_host.end("bb00000000") == []
    assert killed == [11, 12, 12]
