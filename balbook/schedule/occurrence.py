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
from collections.abc import Callable, Iterator
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
    """Runs the schedule once, to the end; the exit status. Refused where the previous run still goes on. `now` gives the local time."""
    schedule = find(name, where)
    if only_if_missed and (not is_missed(schedule, where, now()) or locks.is_held(where.lock(name))):
        return 0
    with _alone(schedule, where):
        outcome = _run(schedule, now, say)
        _keep(where, name, outcome)
    say(f"{name}: exit status {outcome['exit_status']}" + (f", record {outcome['record']}" if outcome["record"] else ""))
    if (
        outcome["exit_status"] and schedule.on_failure and schedule.backend == "cron"
    ):  # systemd starts its own unit, also where this process was killed
        _call_on_failure(schedule, say)
    return int(outcome["exit_status"])


def is_missed(schedule: Schedule, where: Places, now: datetime) -> bool:
    """True where a due time has passed without a run since the schedule was added or last ran."""
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
    why = f"{schedule.name}: the previous run still goes on; this one was left out"
    taken = Refused(why, advice="Give the schedule more time between two runs.")
    with contextlib.ExitStack() as held:
        try:
            where.state.mkdir(parents=True, exist_ok=True, mode=0o700)
            held.enter_context(locks.holding(where.lock(schedule.name), within_s=0, taken=taken))
        except OSError as exc:
            advice = "Check that you are allowed to write there, and that there is space."
            raise Failed(f"{where.state} cannot be written: {exc.strerror}", advice=advice) from exc
        yield


def _run(schedule: Schedule, now: Callable[[], datetime], say: Say) -> dict[str, Any]:
    at, started = now(), time.monotonic()
    try:
        environ = {**os.environ, **(read_environment(Path(schedule.environment_file)) if schedule.environment_file else {})}
    except BadInput as exc:
        say(f"{schedule.name}: {exc.message}")
        return {"at": timestamp(at), "seconds": 0.0, "exit_status": exc.exit_status, **_said("")}
    with (
        subprocess.Popen(command_of(schedule), stdout=subprocess.PIPE, cwd=schedule.folder, env=environ, text=True) as child,
        # The run reaches a safe state on these signals; this process waits for that.
        answered((signal.SIGTERM, signal.SIGINT), lambda number, _: child.send_signal(number)),
    ):
        printed, _ = child.communicate()
    status = child.returncode if child.returncode >= 0 else 1
    return {"at": timestamp(at), "seconds": round(time.monotonic() - started, 1), "exit_status": status, **_said(printed)}


def _said(printed: str) -> dict[str, str]:
    try:
        data = json.loads(printed)
        return {key: str(data.get(key, "")) for key in ("verdict", "run_id", "record")}
    except (ValueError, AttributeError):
        return {"verdict": "", "run_id": "", "record": ""}


def _keep(where: Places, name: str, outcome: dict[str, Any]) -> None:
    with open(where.outcomes(name), "a", encoding="utf-8", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
        file.write(json.dumps(outcome, sort_keys=True) + "\n")
        file.flush()
        os.fsync(file.fileno())


def _call_on_failure(schedule: Schedule, say: Say) -> None:
    argv, environ = schedule.on_failure, {**_environment(schedule), "BALBOOK_SCHEDULE": schedule.name}
    try:
        done = subprocess.run(argv, cwd=schedule.folder, env=environ, stdin=subprocess.DEVNULL, timeout=ON_FAILURE_WITHIN_S, check=False)
        if done.returncode:
            say(f"{schedule.name}: the command on failure ended with status {done.returncode}")
    except (OSError, subprocess.TimeoutExpired) as exc:
        say(f"{schedule.name}: the command on failure failed: {exc}")


def _environment(schedule: Schedule) -> dict[str, str]:
    """The variables for the command: all but the inventory's secrets, and hardly any where the inventory cannot be read."""
    try:
        return bare_environment(read_inventory(Path(schedule.folder) / schedule.inventory))
    except BalbookError:
        return {name: os.environ[name] for name in USUAL if name in os.environ}
