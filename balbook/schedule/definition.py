"""A schedule as data: a runbook or a pipeline, its times and its parameters; checked as a whole before anything is written."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from balbook.errors import BadInput, nearest
from balbook.local.resources import resource
from balbook.local.typed_json import read_json
from balbook.notebook.parameters import check_parameters, parse_assignments, read_parameters_file
from balbook.notebook.runbook import find_runbooks, runbook_path
from balbook.run.pipeline import Entry, Pipeline, find_pipelines, read_pipeline
from balbook.schedule import calendar
from balbook.schedule.environment import read_environment

VERSION = 1
MODES = ("plan", "apply")
BACKENDS = ("systemd", "cron")
EXAMPLE_KEYS = {"version", "runs", "mode", "when", "catch_up", "fail_on_changes", "on_failure", "parameters"}


@dataclass(frozen=True)
class Schedule:
    """A runbook or pipeline at set times.

    `folder`: the working directory. `parameters_file` is read anew by every run; `parameters` (`name=value`) win over it.
    `environment_file`: variables of the run (`environment`), read anew too. `on_failure`: the argv of a command; no shell reads it.
    `is_drift_failure`: a plan that finds changes is a failure.
    """

    name: str
    runs: str
    when: str
    inventory: str
    folder: str
    mode: str = "apply"
    parameters_file: str = ""
    parameters: tuple[str, ...] = ()
    has_catch_up: bool = False
    is_drift_failure: bool = False
    on_failure: tuple[str, ...] = ()
    backend: str = "systemd"
    environment_file: str = ""
    version: int = VERSION


def check(schedule: Schedule) -> None:
    """Raises BadInput where a field of the schedule is wrong."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,62}", schedule.name):
        raise BadInput(f"the schedule's name {schedule.name!r} is not allowed", advice="Use lower-case letters, digits, - and _.")
    if schedule.mode not in MODES:
        raise BadInput(f"the mode {schedule.mode!r} is neither plan nor apply", advice="The mode plan changes nothing.")
    if schedule.backend not in BACKENDS:
        raise BadInput(f"{schedule.backend!r} cannot keep schedules", advice=nearest(schedule.backend, BACKENDS))
    for text in (schedule.folder, schedule.environment_file, *schedule.on_failure):
        if re.search(r"[\x00-\x1f\x7f]", text):
            raise BadInput(f"{text!r} has a line break or a control character", advice="Neither a unit file nor a crontab can hold it.")
    if schedule.is_drift_failure and schedule.mode != "plan":
        raise BadInput("only a plan can fail on changes", advice="Add --mode plan, or leave --fail-on-changes out.")
    if schedule.backend == "cron":
        calendar.parse(schedule.when)
    else:
        calendar.check_for_systemd(schedule.when)
    _check_parameters(schedule)
    if schedule.environment_file:
        read_environment(Path(schedule.environment_file))
    if schedule.on_failure and shutil.which(schedule.on_failure[0]) is None:
        raise BadInput(
            f"--on-failure: {schedule.on_failure[0]!r} is not a program of this machine", advice="Name a program, or its whole path."
        )


def schedule_from(path: Path) -> Schedule:
    """The schedule that is kept in this file; BadInput where it cannot be read."""
    advice = f"Add the schedule again: balbook schedule remove {path.stem}, then add."
    return read_json(path, Schedule, lambda why: BadInput(why, advice=advice), version=VERSION)


def read_example(name: str) -> dict[str, Any]:
    """Fields of a schedule from a YAML file, one of the user's or a shipped one by its name."""
    folder = resource("templates", "schedules")
    shipped = {path.stem: path for path in sorted(folder.glob("*.yaml"))}
    path = shipped.get(name, Path(name).expanduser())
    if not path.is_file():
        raise BadInput(f"{name!r} is neither an example nor a file", advice=nearest(name, shipped))
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as exc:
        raise BadInput(f"{path} cannot be read: {exc}", advice="Write the file like the examples that balbook ships.") from exc
    if not isinstance(data, dict) or data.get("version") != VERSION:
        raise BadInput(f"{path} is not a schedule of version {VERSION}", advice=f"Begin the file with `version: {VERSION}`.")
    if unknown := sorted(set(map(str, data)) - EXAMPLE_KEYS):
        raise BadInput(f"{path}: {unknown[0]!r} is not a known field", advice=nearest(unknown[0], EXAMPLE_KEYS))
    return {key: value for key, value in data.items() if key != "version"}


def named(runs: str, folder: Path) -> Pipeline:
    """The pipeline of this name, or a runbook (its name or path) as a pipeline of one; BadInput for an unknown name."""
    pipelines, runbooks = find_pipelines(folder), find_runbooks()
    if runs in pipelines:
        return read_pipeline(pipelines[runs])
    if runs in runbooks or runs.endswith(".ipynb"):
        return Pipeline(runs, runbook_path(runs), (Entry(runs),))
    raise BadInput(f"there is no runbook or pipeline {runs!r}", advice=nearest(runs, [*runbooks, *pipelines]))


def _check_parameters(schedule: Schedule) -> None:
    declared = named(schedule.runs, Path(schedule.folder)).parameters
    given = read_parameters_file(Path(schedule.parameters_file), declared) if schedule.parameters_file else {}
    check_parameters(declared, {**given, **parse_assignments(declared, schedule.parameters)})
