"""The run's own process: started by whoever applies, followed through the journal, asked to stop by a signal.

It has a session of its own, so that the end of a kernel, a terminal or a scheduler does not end it. It learns from its
standard input (a pipe that closes when its controller dies) that nobody is watching any more.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from balbook.errors import BadInput, Refused
from balbook.local import locks
from balbook.local.processes import identity
from balbook.record.events import Event, StopAsked
from balbook.record.journal import Journal
from balbook.secrets.references import without_secrets
from balbook.secrets.vault import Vault

PID_FILE = "run.pid"
LOG_FILE = "engine.log"
STOP_FILE = "stop-requested"
POLL_S = 0.05
TAKEN_WITHIN_S = 1.0
"""Who only looks whether the run is alive has its lock for an instant."""
TAKEN = 75
"""Exit status of a process that found another one at work on its run."""


def start(run_dir: Path, secrets: Vault) -> subprocess.Popen[bytes]:
    """Starts the process that applies `run_dir/plan.json`. It has its secrets of us alone, none in its environment."""
    with (run_dir / LOG_FILE).open("ab") as log, secrets.handed_over() as fd:
        return subprocess.Popen(
            [sys.executable, "-m", "balbook.engine.worker", str(run_dir), str(fd)],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            env=without_secrets(os.environ, secrets.references),
            pass_fds=(fd,),
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
    try:
        return locks.take(run_dir / PID_FILE, mode=0o644, within_s=TAKEN_WITHIN_S)
    except BlockingIOError:
        raise _taken(run_dir) from None


def write_pid(run_dir: Path) -> None:
    """Records this process with its identity, so that a reused PID is not taken for it."""
    (run_dir / PID_FILE).write_text(json.dumps({"pid": os.getpid(), "identity": identity(os.getpid())}))


def is_alive(run_dir: Path) -> bool:
    """Whether the run's process lives, on whichever machine that shares these records."""
    return locks.is_held(run_dir / PID_FILE)


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
        raise BadInput(f"{run_dir.name}: no process of this run is running", advice="Nothing was stopped. See: balbook records show RUN_ID")
    return pid is not None


def is_stop_requested(run_dir: Path) -> bool:
    """Whether somebody asked the run to stop before it began to apply."""
    return (run_dir / STOP_FILE).exists()


def _taken(run_dir: Path) -> Refused:
    return Refused(f"{run_dir.name}: another process is at work on this run", advice="Wait for its end. See: balbook records show RUN_ID")
