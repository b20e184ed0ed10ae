"""Unit files of a schedule: a timer, the service that it starts, and the service that a failure starts."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from balbook.errors import BadInput, Failed
from balbook.local.atomic_files import write_text
from balbook.local.rendering import render
from balbook.schedule.definition import Schedule
from balbook.schedule.places import Places

DEADLINE_S = 60.0


def units(schedule: Schedule, command: Sequence[str], *, is_system: bool) -> dict[str, str]:
    """The text of each unit file by its name; `command` is the argv of one run. Pure."""
    on_failure = list(schedule.on_failure)
    if on_failure:
        on_failure[0] = shutil.which(on_failure[0]) or on_failure[0]  # a unit has a search path of its own
    texts = {name: getattr(schedule, name).replace("%", "%%") for name in ("runs", "folder", "environment_file")}
    words = {"command": " ".join(map(word, command)), "on_failure": " ".join(map(word, on_failure))}
    values = {**vars(schedule), **texts, **words, "is_system": is_system}
    kinds = {".service": "service.j2", ".timer": "timer.j2", **({"-failed.service": "failed.service.j2"} if on_failure else {})}
    return {f"balbook-{schedule.name}{end}": render(f"schedules/{template}", **values) for end, template in kinds.items()}


def word(value: str) -> str:
    """One word of an ExecStart: quoted, with systemd's specifiers, variables and escapes taken literally.

    >>> word("50% of $HOME")
    '"50%% of $$HOME"'
    """
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$") + '"'


def is_kept(name: str, where: Places) -> bool:
    """True where the timer's unit file is there."""
    return unit_paths(name, where)[0].exists()


def enable(schedule: Schedule, command: Sequence[str], where: Places) -> None:
    """Writes the unit files and starts the timer; Failed, with nothing left behind, where systemd refuses."""
    texts = units(schedule, command, is_system=where.is_system)
    with contextlib.ExitStack() as undoing:
        try:
            where.units.mkdir(parents=True, exist_ok=True)
            for name, text in texts.items():
                write_text(where.units / name, text)
                undoing.callback((where.units / name).unlink, missing_ok=True)
        except OSError as exc:
            advice = "Check that you are allowed to write there. Without --system the folder is your own."
            raise Failed(f"{where.units}: the units cannot be written: {exc.strerror}", advice=advice) from exc
        _systemctl(where, "daemon-reload")
        _systemctl(where, "enable", "--now", f"balbook-{schedule.name}.timer")
        undoing.pop_all()


def disable(name: str, where: Places) -> None:
    """Stops the timer and removes the unit files. A run that goes on is left alone."""
    paths = unit_paths(name, where)
    if paths[0].exists():
        _systemctl(where, "disable", "--now", paths[0].name)
    for path in paths:
        path.unlink(missing_ok=True)
    _systemctl(where, "daemon-reload")


def unit_paths(name: str, where: Places) -> list[Path]:
    """The paths of the unit files of a schedule, the timer's first."""
    return [where.units / f"balbook-{name}{end}" for end in (".timer", ".service", "-failed.service")]


def _systemctl(where: Places, *words: str) -> None:
    program = shutil.which("systemctl")
    if program is None:
        raise BadInput("systemctl is not on this machine", advice="Keep the schedule with cron: --with cron.")
    argv = [program, *([] if where.is_system else ["--user"]), *words]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    if done.returncode != 0:
        said = done.stderr.strip() or f"status {done.returncode}"
        raise Failed(
            f"systemctl {' '.join(words)}: {said}", advice="Check that systemd runs for you, or keep the schedule with cron: --with cron."
        )
