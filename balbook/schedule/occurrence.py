"""One run of a schedule: never two at once; its exit status and its record are kept; a failure calls the user's command.

Outcomes are lines of JSON: `at` and `seconds`, `exit_status`, and what `--json` said of the run: `verdict`, `run_id`, `record`.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from balbook.errors import BadInput, BalbookError, Failed, Refused
from balbook.inventory import read_inventory
from balbook.local import locks
from balbook.local.signals import answered
from balbook.record.journal import timestamp
from balbook.record.keeping import bare_environment
from balbook.schedule import calendar
from balbook.schedule.book import find, last_outcome
from balbook.schedule.definition import Schedule
from balbook.schedule.environment import read_environment
from balbook.schedule.places import Places

Say = Callable[[str], None]
ON_FAILURE_WITHIN_S = 600.0
GRACE = timedelta(minutes=2)
USUAL = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "TZ", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS")
"""Variables that hold no secret."""


def run_once(name: str, where: Places, *, say: Say, now: Callable[[], datetime], only_if_missed: bool = False) -> int:
    """Runs it to its end; its exit status. Refused where the run before still goes on. `now` gives the local time."""
    schedule = find(name, where)
    if only_if_missed and (not is_missed(schedule, where, now()) or _is_running(schedule, where)):
        return 0
    with _alone(schedule, where):
        outcome = _run(schedule, now, say)
        _keep(where, name, outcome)
    say(f"{name}: exit status {outcome['exit_status']}" + (f", record {outcome['record']}" if outcome["record"] else ""))
    if outcome["exit_status"] and schedule.backend == "cron":  # systemd starts its own unit, also where this process was killed
        _call_on_failure(schedule, say)
    return int(outcome["exit_status"])


def is_missed(schedule: Schedule, where: Places, now: datetime) -> bool:
    """Whether a time that was due has passed without a run since the schedule was added or last ran."""
    due = calendar.parse(schedule.when).before(now.replace(tzinfo=None))
    if due is None or now.replace(tzinfo=None) - due < GRACE:  # cron is about to start that one itself
        return False
    last = last_outcome(where, schedule.name)
    added = where.definition(schedule.name).stat().st_mtime
    since = datetime.fromisoformat(last["at"]).timestamp() if last else added
    return due.timestamp() > since


def command_of(schedule: Schedule) -> list[str]:
    """The argv of the run itself."""
    argv = [sys.executable, "-m", "balbook", schedule.mode, schedule.runs, "--inventory", schedule.inventory, "--json"]
    if schedule.parameters_file:
        argv += ["--parameters-file", schedule.parameters_file]
    for assignment in schedule.parameters:
        argv += ["--parameter", assignment]
    return [*argv, *(["--fail-on-changes"] if schedule.is_drift_failure else [])]


@contextlib.contextmanager
def _alone(schedule: Schedule, where: Places) -> Iterator[None]:
    """Holds the schedule's lock, which ends with this process however that ends."""
    try:
        where.state.mkdir(parents=True, exist_ok=True, mode=0o700)
        held = locks.take(where.lock(schedule.name), within_s=0)
    except BlockingIOError as exc:
        raise Refused(
            f"{schedule.name}: the run before still goes on; this one was left out", advice="Give it more time between two runs."
        ) from exc
    except OSError as exc:
        raise Failed(f"{where.state} cannot be written: {exc.strerror}", advice="May you write there, and is there space?") from exc
    try:
        yield
    finally:
        os.close(held)


def _is_running(schedule: Schedule, where: Places) -> bool:
    try:
        with _alone(schedule, where):
            return False
    except Refused:
        return True


def _run(schedule: Schedule, now: Callable[[], datetime], say: Say) -> dict[str, Any]:
    at, started = now(), time.monotonic()
    try:
        environ = {**os.environ, **(read_environment(Path(schedule.environment_file)) if schedule.environment_file else {})}
    except BadInput as exc:
        say(f"{schedule.name}: {exc.message}")
        return {"at": timestamp(at), "seconds": 0.0, "exit_status": exc.exit_status, **_said("")}
    argv = command_of(schedule)
    with subprocess.Popen(argv, stdout=subprocess.PIPE, cwd=schedule.folder, env=environ, text=True) as child, _forwarding(child):
        printed, _ = child.communicate()
    status = child.returncode if child.returncode >= 0 else 1
    return {"at": timestamp(at), "seconds": round(time.monotonic() - started, 1), "exit_status": status, **_said(printed)}


def _said(printed: str) -> dict[str, str]:
    try:
        data = json.loads(printed)
        return {key: str(data.get(key, "")) for key in ("verdict", "run_id", "record")}
    except (ValueError, AttributeError):
        return {"verdict": "", "run_id": "", "record": ""}


@contextlib.contextmanager
def _forwarding(child: subprocess.Popen[str]) -> Iterator[None]:
    """SIGTERM and SIGINT go to the run, which reaches a safe state; this process waits for that."""

    def forward(number: int, frame: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            child.send_signal(number)

    with answered((signal.SIGTERM, signal.SIGINT), forward):
        yield


def _keep(where: Places, name: str, outcome: dict[str, Any]) -> None:
    fd = os.open(where.outcomes(name), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, json.dumps(outcome, sort_keys=True).encode() + b"\n")
        os.fsync(fd)
    finally:
        os.close(fd)


def _call_on_failure(schedule: Schedule, say: Say) -> None:
    argv: Sequence[str] = schedule.on_failure
    if not argv:
        return
    try:
        environ = {**_environment(schedule), "BALBOOK_SCHEDULE": schedule.name}
        done = subprocess.run(argv, cwd=schedule.folder, env=environ, stdin=subprocess.DEVNULL, timeout=ON_FAILURE_WITHIN_S, check=False)
        if done.returncode:
            say(f"{schedule.name}: the command on failure ended with {done.returncode}")
    except (OSError, subprocess.TimeoutExpired) as exc:
        say(f"{schedule.name}: the command on failure did not work: {exc}")


def _environment(schedule: Schedule) -> dict[str, str]:
    """What the command inherits: all but the inventory's secrets, and hardly anything where nobody can say which these are."""
    try:
        return bare_environment(read_inventory(Path(schedule.folder) / schedule.inventory))
    except BalbookError:
        return {name: os.environ[name] for name in USUAL if name in os.environ}
