"""Asking a run to stop: by its process where there is one, and under the name of what somebody did."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from balbook.engine import process
from balbook.engine.worker import asked
from balbook.errors import BadInput
from balbook.journal import Journal


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    journal = Journal(tmp_path / "journal.jsonl")
    journal.append("apply_started", digest="d", pid=1, steps=1)
    return journal


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The signals that were sent; the run's process is number 7."""
    sent: list[tuple[int, int]] = []
    monkeypatch.setattr(process, "find", lambda run_dir: 7)
    monkeypatch.setattr(os, "kill", lambda pid, number: sent.append((pid, number)))
    return sent


@pytest.mark.parametrize(("by", "why"), [("Stop safely", "on request (Stop safely)"), ("", "asked by SIGTERM")])
def test_the_process_learns_what_somebody_did_to_stop_it(
    tmp_path: Path, journal: Journal, sent: list[tuple[int, int]], by: str, why: str
) -> None:
    assert process.ask_to_stop(tmp_path, by)
    assert sent == [(7, signal.SIGTERM)]
    assert asked(journal, signal.SIGTERM) == why


def test_a_signal_to_a_run_that_was_resumed_is_not_the_stop_of_before(
    tmp_path: Path, journal: Journal, sent: list[tuple[int, int]]
) -> None:
    process.ask_to_stop(tmp_path, "Stop safely")
    journal.append("resumed", by=8)
    assert asked(journal, signal.SIGINT) == "asked by SIGINT"


def test_a_run_that_has_ended_cannot_be_asked_and_nothing_is_written(tmp_path: Path, journal: Journal) -> None:
    with pytest.raises(BadInput, match="no process of this run is running"):
        process.ask_to_stop(tmp_path, "Stop safely")
    assert journal.last("stop_asked") is None
