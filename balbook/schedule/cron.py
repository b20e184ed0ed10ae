"""Lines of the user's crontab, between two lines that name the schedule. Other lines are left as they are."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Sequence

from balbook.errors import BadInput, Failed
from balbook.schedule import calendar
from balbook.schedule.definition import Schedule
from balbook.schedule.places import Places

DEADLINE_S = 30.0
IF_MISSED = "--if-missed"


def entry(schedule: Schedule, command: Sequence[str]) -> str:
    """The lines of one schedule. Pure. Cron looks for a missed run at every start of the machine and every hour."""
    line = _escaped(command)
    lines = [_begin(schedule.name), f"{calendar.parse(schedule.when).cron_fields()} {line}"]
    if schedule.has_catch_up:
        lines += [f"{at} {_escaped([*command, IF_MISSED])}" for at in ("@reboot", "30 * * * *")]
    return "\n".join([*lines, _end(schedule.name)]) + "\n"


def with_entry(crontab: str, name: str, lines: str) -> str:
    """The crontab with these lines in the place of the schedule's own, or at its end. Pure."""
    if crontab and not crontab.endswith("\n"):
        crontab += "\n"
    if not has_entry(crontab, name):
        return crontab + lines
    own = re.compile(rf"^{re.escape(_begin(name))}\n(?:.*\n)*?{re.escape(_end(name))}\n", re.MULTILINE)
    if not own.search(crontab):
        raise BadInput(f"the crontab has {_begin(name)!r} without its end", advice="Correct the crontab by hand: crontab -e.")
    return own.sub(lambda _: lines, crontab, count=1)


def has_entry(crontab: str, name: str) -> bool:
    """True where the crontab has this schedule."""
    return _begin(name) in crontab.splitlines()


def is_kept(name: str, where: Places) -> bool:
    """True where the user's crontab has the schedule."""
    return shutil.which("crontab") is not None and has_entry(read(), name)


def enable(schedule: Schedule, command: Sequence[str], where: Places) -> None:
    """Writes the entry into the user's crontab."""
    _write(with_entry(read(), schedule.name, entry(schedule, command)))


def disable(name: str, where: Places) -> None:
    """Takes the entry out of the user's crontab."""
    there = read()
    if has_entry(there, name):
        _write(with_entry(there, name, ""))


def read() -> str:
    """The user's crontab; empty where the user has none."""
    done = _crontab("-l")
    if done.returncode == 0:
        return done.stdout
    if done.stderr.lower().startswith("no crontab for"):  # cron has no status of its own for it
        return ""
    raise Failed(
        f"crontab -l: {done.stderr.strip() or f'status {done.returncode}'}",
        advice="Check in /etc/cron.allow that you are allowed to use cron.",
    )


def _write(text: str) -> None:
    done = _crontab("-", text=text)
    if done.returncode != 0:
        raise Failed(f"crontab: {done.stderr.strip() or f'status {done.returncode}'}", advice="The crontab was not changed.")


def _crontab(word: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
    program = shutil.which("crontab")
    if program is None:
        raise BadInput("crontab is not on this machine", advice="Install cron, or keep the schedule with systemd: --with systemd.")
    english = {**os.environ, "LC_ALL": "C"}
    return subprocess.run([program, word], input=text, capture_output=True, text=True, timeout=DEADLINE_S, check=False, env=english)


def _begin(name: str) -> str:
    return f"# balbook schedule {name}: begin"


def _end(name: str) -> str:
    return f"# balbook schedule {name}: end"


def _escaped(command: Sequence[str]) -> str:
    """One command for cron, where a bare % is the end of the line."""
    if any("\n" in word for word in command):
        raise BadInput(f"{list(command)!r} has a line break", advice="Remove the line break: a crontab's line cannot hold it.")
    return shlex.join(command).replace("%", "\\%")
