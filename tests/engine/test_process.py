"""Asking a run to stop: by its process where there is one, and under the name of what somebody did."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from balbook.engine import process
from balbook.engine.worker import asked
from balbook.errors import BadInput, Refused
from balbook.record.journal import Journal
from balbook.secrets.vault import Vault
from tests.journals import last, lines, made


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    journal = Journal(tmp_path / "journal.jsonl")
    journal.append(made("apply_started", digest="d", pid=1, steps=1))
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
    journal.append(made("resumed", by=8))
    assert asked(journal, signal.SIGINT) == "asked by SIGINT"


def test_the_process_of_a_closed_run_ends_without_a_trace(tmp_path: Path, journal: Journal) -> None:
    journal.append(made("run_closed", verdict="inconclusive", why="left"))
    sealed = journal.path.read_bytes()
    done = subprocess.run([sys.executable, "-m", "balbook.engine.worker", str(tmp_path)], stdin=subprocess.DEVNULL, check=False, timeout=60)
    assert done.returncode == 2
    assert journal.path.read_bytes() == sealed
    assert [p.name for p in tmp_path.iterdir()] == ["journal.jsonl"]


def test_a_run_that_has_ended_cannot_be_asked_and_nothing_is_written(tmp_path: Path, journal: Journal) -> None:
    with pytest.raises(BadInput, match="no process of this run is running"):
        process.ask_to_stop(tmp_path, "Stop safely")
    assert last(journal, "stop_asked") is None


HOLDS = """import sys
from pathlib import Path
from balbook.engine import process
process.take(Path(sys.argv[1]))
print("has it", flush=True)
input()"""


@pytest.fixture
def another(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process has the run."""
    argv = [sys.executable, "-c", HOLDS, str(tmp_path)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "has it\n"
        yield holder
        holder.kill()


def test_of_two_that_resume_at_once_the_second_is_refused_and_the_first_is_seen_alive(
    tmp_path: Path, journal: Journal, another: subprocess.Popen[str]
) -> None:
    assert process.is_alive(tmp_path)
    before = len(lines(journal))
    second = process.start(tmp_path, Vault((), tmp_path))
    with pytest.raises(Refused, match="another process is at work on this run"):
        process.follow(second, journal, 0, lambda event: None)
    assert len(lines(journal)) == before, "it wrote nothing into the other's journal"
    assert process.is_alive(tmp_path)
    another.kill()
    another.wait(20)
    assert not process.is_alive(tmp_path)


def test_who_only_looks_whether_it_is_alive_keeps_nobody_from_taking_it(tmp_path: Path) -> None:
    looking = os.open(tmp_path / process.PID_FILE, os.O_RDWR | os.O_CREAT)
    fcntl.flock(looking, fcntl.LOCK_SH)
    threading.Timer(0.2, lambda: os.close(looking)).start()
    process.take(tmp_path)
    process.write_pid(tmp_path)
    assert process.is_alive(tmp_path)
    assert process.find(tmp_path) == os.getpid()
