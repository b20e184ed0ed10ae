"""The run's own process: started by whoever applies, followed through the journal, asked to stop by a signal.

It has a session of its own, so that the end of a kernel, a terminal or a scheduler does not end it. It learns from its
standard input (a pipe that closes when its controller dies) that nobody is watching any more.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from balbook.errors import BadInput, Refused
from balbook.local.processes import identity
from balbook.record.events import Event, StopAsked
from balbook.record.journal import Journal

PID_FILE = "run.pid"
LOG_FILE = "engine.log"
STOP_FILE = "stop-requested"
POLL_S = 0.05
TAKEN_WITHIN_S = 1.0
TAKEN = 75
"""Exit status of a process that found another one at work on its run."""


def start(run_dir: Path) -> subprocess.Popen[bytes]:
    """Starts the process that applies `run_dir/plan.json`."""
    with (run_dir / LOG_FILE).open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "balbook.engine.worker", str(run_dir)],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def follow(process: subprocess.Popen[bytes], journal: Journal, position: int, on_event: Callable[[Event], None]) -> None:
    """Hands on every event until the process has ended. An interrupt asks the process to stop and goes on following.

    Raises Refused where the process found another one at work on the run.
    """
    while True:
        try:
            has_ended = process.poll() is not None
            events, position = journal.follow(position)
            for event in events:
                on_event(event)
            if has_ended:
                if process.poll() == TAKEN:
                    raise _taken(journal.path.parent)
                return
            time.sleep(POLL_S)
        except KeyboardInterrupt:
            process.send_signal(signal.SIGTERM)


@contextlib.contextmanager
def present(run_dir: Path) -> Iterator[None]:
    """Meanwhile this process is the run's: it is found, seen to be alive, and asked to stop by a signal."""
    held = take(run_dir)
    write_pid(run_dir)
    try:
        yield
    finally:
        (run_dir / PID_FILE).unlink(missing_ok=True)
        os.close(held)


def take(run_dir: Path) -> int:
    """Takes the run for this process, for as long as it lives; the open file. Refused where another process has it.

    The lock is on a file that stays the same: by that other machines see it, where they share the records.
    """
    fd = os.open(run_dir / PID_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)  # NFS locks what is open for writing
    deadline = time.monotonic() + TAKEN_WITHIN_S
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return fd
        except BlockingIOError:
            if time.monotonic() > deadline:  # who only looks whether it is alive has it for an instant
                os.close(fd)
                raise _taken(run_dir) from None
            time.sleep(POLL_S)


def write_pid(run_dir: Path) -> None:
    """Records this process with its identity, so that a reused PID is not taken for it."""
    (run_dir / PID_FILE).write_text(json.dumps({"pid": os.getpid(), "identity": identity(os.getpid())}))


def is_alive(run_dir: Path) -> bool:
    """Whether the run's process lives, on whichever machine that shares these records."""
    try:
        fd = os.open(run_dir / PID_FILE, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
    finally:
        os.close(fd)


def find(run_dir: Path) -> int | None:
    """The PID of the run's process, None where it does not run (any more)."""
    try:
        about = json.loads((run_dir / PID_FILE).read_text())
        pid = int(about["pid"])
        return pid if identity(pid) == about["identity"] else None
    except (OSError, ValueError, KeyError):
        return None


def ask_to_stop(run_dir: Path, by: str = "") -> bool:
    """Asks the run to end in a safe state; False where it has not begun to apply, and then it never will.

    `by`: what somebody did to ask for it, `Stop safely` say; the verdict names it. Without it the verdict names the signal.
    BadInput where the run has ended or lost its process: nothing is there to be stopped.
    """
    journal = Journal(run_dir / "journal.jsonl")
    history = journal.history()
    if not (history.has_applied or history.concluded or history.closed):
        # Before the look for the process: one that starts meanwhile looks for the file after it has said who it is.
        (run_dir / STOP_FILE).touch()
    pid = find(run_dir)
    if pid is not None:
        if by:
            journal.append(StopAsked(by=by))  # before the signal, which cannot say it
        os.kill(pid, signal.SIGTERM)
    elif not is_stop_requested(run_dir):
        raise BadInput(f"{run_dir.name}: no process of this run is running", advice="Nothing to stop. Look: balbook records show.")
    return pid is not None


def is_stop_requested(run_dir: Path) -> bool:
    """Whether somebody asked the run to stop before it began to apply."""
    return (run_dir / STOP_FILE).exists()


def _taken(run_dir: Path) -> Refused:
    return Refused(f"{run_dir.name}: another process is at work on this run", advice="Wait for its end: balbook records show.")
