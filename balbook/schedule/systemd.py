"""Unit files of a schedule: a timer, the service that it starts, and the service that a failure starts."""

from __future__ import annotations

import re
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
    on_failure = _whole_path(schedule.on_failure)
    values = {
        "name": schedule.name,
        "runs": _text(schedule.runs),
        "mode": schedule.mode,
        "when": schedule.when,
        "folder": _text(schedule.folder),
        "environment_file": _text(schedule.environment_file),
        "command": " ".join(map(word, command)),
        "on_failure": " ".join(map(word, on_failure)),
        "has_catch_up": schedule.has_catch_up,
        "is_system": is_system,
    }
    made = {"service": "service.j2", "timer": "timer.j2"}
    texts = {f"balbook-{schedule.name}.{kind}": render(f"schedules/{template}", **values) for kind, template in made.items()}
    if on_failure:
        texts[f"balbook-{schedule.name}-failed.service"] = render("schedules/failed.service.j2", **values)
    return texts


def word(value: str) -> str:
    """One word of an ExecStart: quoted, with systemd's specifiers, variables and escapes taken literally.

    >>> word("50% of $HOME")
    '"50%% of $$HOME"'
    """
    _require_one_line(value)
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$") + '"'


def enable(schedule: Schedule, texts: dict[str, str], where: Places) -> None:
    """Writes the unit files and starts the timer; Failed, with nothing left behind, where systemd refuses."""
    written: list[Path] = []
    try:
        where.units.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            path = where.units / name
            write_text(path, text)
            written.append(path)
        _systemctl(where, "daemon-reload")
        _systemctl(where, "enable", "--now", f"balbook-{schedule.name}.timer")
    except (OSError, Failed) as exc:
        for path in written:
            path.unlink(missing_ok=True)
        if isinstance(exc, OSError):
            advice = "May you write there? Without --system it is your own folder."
            raise Failed(f"{where.units}: the units cannot be written: {exc.strerror}", advice=advice) from exc
        raise


def disable(name: str, where: Places) -> None:
    """Stops the timer and removes the unit files. A run that goes on is left alone."""
    paths = unit_paths(name, where)
    if paths[0].exists():
        _systemctl(where, "disable", "--now", paths[0].name)
    for path in paths:
        path.unlink(missing_ok=True)
    _systemctl(where, "daemon-reload")


def unit_paths(name: str, where: Places) -> list[Path]:
    """The files that a schedule of this name would have."""
    return [where.units / f"balbook-{name}{end}" for end in (".timer", ".service", "-failed.service")]


def _systemctl(where: Places, *words: str) -> None:
    program = shutil.which("systemctl")
    if program is None:
        raise BadInput("systemctl is not on this machine", advice="Keep the schedule with cron: --with cron.")
    argv = [program, *([] if where.is_system else ["--user"]), *words]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    if done.returncode != 0:
        said = done.stderr.strip() or f"status {done.returncode}"
        raise Failed(f"systemctl {' '.join(words)}: {said}", advice="Is systemd running for you? Otherwise: --with cron.")


def _whole_path(argv: Sequence[str]) -> list[str]:
    """The argv with its program's whole path: a unit has a search path of its own."""
    return [shutil.which(argv[0]) or argv[0], *argv[1:]] if argv else []


def _text(value: str) -> str:
    _require_one_line(value)
    return value.replace("%", "%%")


def _require_one_line(value: str) -> None:
    if re.search(r"[\x00-\x1f\x7f]", value):
        raise BadInput(f"{value!r} has a line break or a control character", advice="A unit file's line cannot hold it.")
