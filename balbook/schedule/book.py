"""Adding, listing and removing schedules: the definition, and its keeper, systemd or cron."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from balbook.errors import BadInput, Failed, Refused, nearest
from balbook.local.atomic_files import write_text
from balbook.schedule import calendar, cron, systemd
from balbook.schedule.definition import Schedule, check, schedule_from
from balbook.schedule.places import Places


class Keeper(Protocol):
    """A module that keeps schedules."""

    def is_kept(self, name: str, where: Places) -> bool: ...
    def enable(self, schedule: Schedule, command: Sequence[str], where: Places) -> None: ...
    def disable(self, name: str, where: Places) -> None: ...


BOOTED = Path("/run/systemd/system")
KEEPERS: dict[str, Keeper] = {"systemd": systemd, "cron": cron}


@dataclass(frozen=True)
class Listed:
    """A schedule, its next time, whether systemd or cron still keeps it, and the outcome of its last run."""

    schedule: Schedule
    next_at: str
    is_kept: bool
    last: Mapping[str, Any] = field(default_factory=dict)


def available_backend(booted: Path = BOOTED) -> str:
    """`systemd` where it runs, else `cron`; BadInput where there is neither."""
    if booted.is_dir() and shutil.which("systemctl"):
        return "systemd"
    if shutil.which("crontab"):
        return "cron"
    raise BadInput("this machine has neither systemd nor cron", advice="Install cron, or let another scheduler call balbook apply.")


def add(schedule: Schedule, where: Places) -> None:
    """Keeps a new schedule. Refused where the name is taken; nothing is left where systemd or cron refuses."""
    check(schedule)
    path, keeper = where.definition(schedule.name), KEEPERS[schedule.backend]
    if path.exists() or keeper.is_kept(schedule.name, where):
        advice = f"balbook schedule remove {schedule.name}"
        raise Refused(f"the schedule {schedule.name!r} exists already; nothing was changed", advice=advice)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_text(path, json.dumps(asdict(schedule), indent=1, sort_keys=True) + "\n", mode=0o600)
    except OSError as exc:
        raise Failed(f"{path} cannot be written: {exc.strerror}", advice="Check that you are allowed to write there.") from exc
    try:
        keeper.enable(schedule, command_of(schedule.name, where), where)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def remove(name: str, where: Places) -> Path:
    """Takes a schedule away; its outcomes stay, in the file that is returned."""
    KEEPERS[find(name, where).backend].disable(name, where)
    where.definition(name).unlink(missing_ok=True)
    return where.outcomes(name)


def find(name: str, where: Places) -> Schedule:
    """The schedule of this name; BadInput where there is none."""
    known = [path.stem for path in where.definitions.glob("*.json")]
    if name not in known:
        raise BadInput(f"there is no schedule {name!r}", advice=nearest(name, known))
    return schedule_from(where.definition(name))


def list_schedules(where: Places, now: datetime) -> list[Listed]:
    """All schedules, by name. `now` is the local time."""
    found = [schedule_from(path) for path in sorted(where.definitions.glob("*.json"))]
    return [Listed(s, _next(s, now), KEEPERS[s.backend].is_kept(s.name, where), last_outcome(where, s.name)) for s in found]


def last_outcome(where: Places, name: str) -> dict[str, Any]:
    """The last line of a schedule's outcomes; empty where it never ran."""
    path = where.outcomes(name)
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    last: dict[str, Any] = json.loads(lines[-1]) if lines else {}
    return last


def command_of(name: str, where: Places) -> list[str]:
    """The argv of one run, by this very interpreter."""
    return [sys.executable, "-m", "balbook", "schedule", "run", name, *(["--system"] if where.is_system else [])]


def _next(schedule: Schedule, now: datetime) -> str:
    if schedule.backend == "systemd" and (said := calendar.next_for_systemd(schedule.when)):
        return said
    due = calendar.parse(schedule.when).after(now)
    return f"{due:%a %Y-%m-%d %H:%M}" if due else ""
