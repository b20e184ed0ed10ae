"""Lines of the user's crontab, between two lines that name the schedule. Other lines are left as they are."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Sequence

from balbook.errors import BadInput, Failed
from balbook.schedule import calendar
from balbook.schedule.definition import Schedule

DEADLINE_S = 30.0
IF_MISSED = "--if-missed"


def entry(schedule: Schedule, command: Sequence[str]) -> str:
    """The lines of one schedule. Pure. What was missed is looked for at every start of the machine and every hour."""
    line = _escaped(command)
    lines = [_begin(schedule.name), f"{calendar.parse(schedule.when).cron_fields()} {line}"]
    if schedule.has_catch_up:
        lines += [f"{at} {_escaped([*command, IF_MISSED])}" for at in ("@reboot", "30 * * * *")]
    return "\n".join([*lines, _end(schedule.name)]) + "\n"


def with_entry(crontab: str, name: str, lines: str) -> str:
    """The crontab with these lines in the place of the schedule's own, or at its end. Pure."""
    before, after = _around(crontab, name)
    return before + lines + after


def has_entry(crontab: str, name: str) -> bool:
    """Whether the crontab has this schedule."""
    return _begin(name) in crontab.splitlines()


def enable(schedule: Schedule, command: Sequence[str]) -> None:
    """Writes the entry into the user's crontab."""
    _write(with_entry(read(), schedule.name, entry(schedule, command)))


def disable(name: str) -> None:
    """Takes the entry away."""
    there = read()
    if has_entry(there, name):
        _write(with_entry(there, name, ""))


def read() -> str:
    """The user's crontab; empty where there is none."""
    done = subprocess.run([_crontab(), "-l"], capture_output=True, text=True, timeout=DEADLINE_S, check=False, env=_plain())
    if done.returncode == 0:
        return done.stdout
    if done.stderr.lower().startswith("no crontab for"):  # cron has no status of its own for it
        return ""
    raise Failed(f"crontab -l: {done.stderr.strip() or f'status {done.returncode}'}", advice="May you use cron here? See /etc/cron.allow.")


def _write(text: str) -> None:
    done = subprocess.run([_crontab(), "-"], input=text, capture_output=True, text=True, timeout=DEADLINE_S, check=False, env=_plain())
    if done.returncode != 0:
        raise Failed(f"crontab: {done.stderr.strip() or f'status {done.returncode}'}", advice="The crontab is as it was.")


def _around(crontab: str, name: str) -> tuple[str, str]:
    """What stands before and behind the schedule's lines."""
    if crontab and not crontab.endswith("\n"):
        crontab += "\n"
    if not has_entry(crontab, name):
        return crontab, ""
    lines = crontab.splitlines(keepends=True)
    bare = [line.rstrip("\n") for line in lines]
    first = bare.index(_begin(name))
    if _end(name) not in bare[first:]:
        raise BadInput(f"the crontab has {_begin(name)!r} without its end", advice="Mend it by hand: crontab -e.")
    last = bare.index(_end(name), first)
    return "".join(lines[:first]), "".join(lines[last + 1 :])


def _begin(name: str) -> str:
    return f"# balbook schedule {name}: begin"


def _end(name: str) -> str:
    return f"# balbook schedule {name}: end"


def _escaped(command: Sequence[str]) -> str:
    """One command for cron, where a bare % is the end of the line."""
    if any("\n" in word for word in command):
        raise BadInput(f"{list(command)!r} has a line break", advice="A crontab's line cannot hold it.")
    return shlex.join(command).replace("%", "\\%")


def _crontab() -> str:
    program = shutil.which("crontab")
    if program is None:
        raise BadInput("crontab is not on this machine", advice="Install cron, or keep the schedule with systemd: --with systemd.")
    return program


def _plain() -> dict[str, str]:
    """An environment in which messages are English."""
    return {**os.environ, "LC_ALL": "C"}
