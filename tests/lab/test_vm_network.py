"""The programs that make a lab's network: where they are found, and what is said when they fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from balbook.errors import Failed
from balbook.lab import vm_network


def test_programs_of_root_are_found_after_a_plain_su(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    assert vm_network.run(["sh", "-c", "echo $PATH"]).strip() == f"/usr/bin:/bin:{vm_network.SBIN}"


def test_a_program_that_does_not_end_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vm_network, "WITHIN_S", 0.2)
    with pytest.raises(Failed, match=r"`sleep 30` did not end within 0\.2 s"):
        vm_network.run(["sleep", "30"])


@pytest.mark.parametrize(("program", "word"), [("umount", "fuser"), ("mount", "dmesg"), ("ip", "kernel")])
def test_the_advice_fits_the_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, word: str) -> None:
    (tmp_path / program).write_text("#!/bin/sh\necho 'it is busy' >&2; exit 32\n")
    (tmp_path / program).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Failed, match=f"{program} place: it is busy") as caught:
        vm_network.run([program, "place"])
    assert word in caught.value.advice
