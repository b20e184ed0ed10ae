"""`schedule add|list|remove`, `schedule run`, which systemd and cron call, and `schedule airflow`."""

from __future__ import annotations

import argparse
import getpass
import os
import shlex
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from balbook import schedule as schedules
from balbook.cli import common
from balbook.cli.common import Action, argument
from balbook.errors import BadInput
from balbook.inventory import read_inventory
from balbook.inventory.secret_references import environment_names
from balbook.schedule import airflow
from balbook.schedule.book import available_backend
from balbook.schedule.definition import BACKENDS, MODES
from balbook.schedule.environment import read_environment
from balbook.show.table import Table


def _places(args: argparse.Namespace) -> schedules.Places:
    return schedules.places(os.environ, is_system=args.system)


def _add(args: argparse.Namespace) -> int:
    """Adds a schedule and prints its next time."""
    where = _places(args)
    schedule = _schedule(args, schedules.read_example(args.example) if args.example else {})
    schedules.add(schedule, where)
    added = next(item for item in schedules.list_schedules(where, datetime.now()) if item.schedule.name == schedule.name)
    print(f"{schedule.name}: {schedule.mode} {schedule.runs}, kept by {schedule.backend}, next {added.next_at}")
    given = read_environment(Path(schedule.environment_file)) if schedule.environment_file else {}
    if missing := sorted(set(environment_names(read_inventory(Path(schedule.inventory)))) - set(given)):
        names = ", ".join(f"env:{name}" for name in missing)
        common.say(f"note: the inventory refers to {names}; give the runs these values by --environment-file")
    if schedule.backend == "systemd" and not args.system:
        common.say(f"The schedule runs while you are logged in; to run it always: loginctl enable-linger {getpass.getuser()}")
    return 0


def _list(args: argparse.Namespace) -> int:
    """Prints one line for each schedule."""
    found = schedules.list_schedules(_places(args), datetime.now())
    rows = [
        (
            item.schedule.name,
            f"{item.schedule.mode} {item.schedule.runs}",
            item.schedule.when,
            item.next_at if item.is_kept else f"lost: {item.schedule.backend} does not have this schedule",
            f"{item.last['at'][:19]} status {item.last['exit_status']} {item.last['verdict']}".rstrip() if item.last else "-",
        )
        for item in found
    ]
    data = {"schedules": [{**asdict(item.schedule), "next": item.next_at, "last": item.last} for item in found]}
    common.show(args, data, Table(("name", "runs", "when", "next", "last"), rows, note="" if rows else "Nothing is scheduled."))
    return 0


def _remove(args: argparse.Namespace) -> int:
    """Removes a schedule."""
    outcomes = schedules.remove(args.name, _places(args))
    print(f"{args.name}: removed" + (f"; its outcomes stay in {outcomes}" if outcomes.exists() else ""))
    return 0


def _run(args: argparse.Namespace) -> int:
    """Runs a schedule once, now."""
    return schedules.run_once(
        args.name, _places(args), say=common.say, now=lambda: datetime.now().astimezone(), only_if_missed=args.if_missed
    )


def _write_airflow(args: argparse.Namespace) -> int:
    """Writes a DAG file; its path on standard output."""
    wanted = airflow.Wanted(
        runs=args.runs,
        inventory=common.inventory_of(args),
        balbook=(args.balbook or airflow.OWN).expanduser(),
        dag_id=args.dag_id,
        when=args.when,
        mode=args.mode,
        retries=args.retries,
        retry_delay_s=args.retry_delay,
    )
    path, is_new = airflow.write_dag(wanted, (args.output or _dags_folder(os.environ)).expanduser(), Path.cwd())
    if not wanted.balbook.is_file():
        common.say(f"note: {wanted.balbook} is not on this machine; the workers must have it")
    common.say(f"run this once for each Airflow: {shlex.join(airflow.pools_command(wanted))}")
    print(path if is_new else f"{path} is there already")
    return 0


def _dags_folder(environ: Mapping[str, str]) -> Path:
    named, home = environ.get("AIRFLOW__CORE__DAGS_FOLDER"), environ.get("AIRFLOW_HOME")
    return Path(named or (f"{home}/dags" if home else "dags"))


def _schedule(args: argparse.Namespace, example: dict[str, Any]) -> schedules.Schedule:
    runs, when = args.runs or example.get("runs"), args.when or example.get("when")
    if not runs or not when:
        raise BadInput(
            "a schedule needs a runbook or pipeline and a time", advice="Give --runs and --when, or --from a file that has them."
        )
    backend = args.backend or ("systemd" if args.system else available_backend())
    if args.system and backend != "systemd":
        raise BadInput("--system goes with systemd", advice="Leave --system out: the entry goes into your own crontab.")
    on_failure = shlex.split(args.on_failure) if args.on_failure is not None else example.get("on_failure", [])
    return schedules.Schedule(
        name=args.name,
        runs=str(runs),
        when=str(when),
        inventory=str(common.inventory_of(args).path),
        folder=str(Path.cwd()),
        mode=args.mode or str(example.get("mode", "apply")),
        parameters_file=_absolute(args.parameters_file),
        parameters=(*_assignments(example.get("parameters") or {}, args.parameter), *args.parameter),
        has_catch_up=bool(example.get("catch_up", False)) if args.catch_up is None else args.catch_up,
        is_drift_failure=bool(args.fail_on_changes or example.get("fail_on_changes", False)),
        on_failure=tuple(map(str, on_failure)),
        backend=backend,
        environment_file=_absolute(args.environment_file),
    )


def _absolute(path: Path | None) -> str:
    return str(path.expanduser().absolute()) if path else ""


def _assignments(parameters: dict[str, Any], given: list[str]) -> list[str]:
    """The example's parameters in the form of the command line, without those that the command line gives."""
    named = {assignment.partition("=")[0] for assignment in given}
    written = {name: ",".join(v) if isinstance(v, list) else str(v).lower() if isinstance(v, bool) else v for name, v in parameters.items()}
    return [f"{name}={value}" for name, value in written.items() if name not in named]


EXAMPLE = "balbook schedule add drift --from weekly-drift-report && balbook schedule list"
SYSTEM = argument("--system", action="store_true", help="the machine's schedules, by systemd (needs root); default: your own")
NAME = argument("name", metavar="NAME")
DEFINITION = (
    argument("name", metavar="NAME", help="lower-case letters, digits, - and _"),
    common.INVENTORY,
    argument("--from", dest="example", default="", metavar="FILE", help="YAML file, or a shipped example, for all that is not given here"),
    argument("--runs", metavar="NAME", help="a runbook or a pipeline"),
    argument("--when", metavar="EXPRESSION", help="calendar expression as in systemd.time(7): daily, Mon..Fri 02:30"),
    argument("--mode", choices=MODES, help="plan changes nothing (default: apply)"),
    argument("-f", "--parameters-file", type=Path, metavar="FILE", help="YAML file of parameters, read anew by every run"),
    common.PARAMETER,
    argument(
        "--environment-file",
        type=Path,
        metavar="FILE",
        help="NAME=value lines with the secrets that the inventory refers to as env:NAME; private (chmod 600), read by every run",
    ),
    argument("--fail-on-changes", action="store_true", help="with --mode plan: changes are a failure (drift)"),
    argument("--catch-up", action=argparse.BooleanOptionalAction, help="run later if a run was missed (default: no)"),
    argument("--on-failure", metavar="COMMAND", help="called after a failure; words are split as a shell would, no shell runs"),
    argument("--with", dest="backend", choices=BACKENDS, help="the program that keeps the schedule (default: systemd where it runs)"),
)
DAG = (
    common.INVENTORY,
    argument("runs", metavar="NAME", help="a pipeline or a runbook"),
    argument("--dag-id", default="", metavar="ID", help="default: balbook_NAME_ENVIRONMENT"),
    argument("--when", default="", metavar="EXPRESSION", help="calendar expression, UTC (default: only when triggered)"),
    argument("--mode", choices=MODES, default="apply", help="unless a DAG run's configuration has another mode (default: apply)"),
    argument("--retries", type=int, default=2, metavar="N", help="of each task (default: 2)"),
    argument("--retry-delay", type=int, default=60, metavar="SECONDS", help="before a retry (default: 60)"),
    argument("--balbook", type=Path, metavar="PATH", help="the program on the workers (default: this one)"),
    argument("--output", type=Path, metavar="DIR", help="Airflow's dags folder (default: from AIRFLOW_HOME, else ./dags)"),
)
IF_MISSED = argument("--if-missed", action="store_true", help="only if a due time has passed without a run")
ACTIONS = {
    "add": Action(
        "add a schedule", "balbook schedule add drill --runs failover_drill --when 'Mon..Fri 02:30'", (SYSTEM, *DEFINITION), _add
    ),
    "list": Action("list all schedules, with the next time and the last outcome", "balbook schedule list", (SYSTEM, common.JSON), _list),
    "remove": Action("remove a schedule and keep its records", "balbook schedule remove drill", (SYSTEM, NAME), _remove),
    "run": Action("run a schedule now, as systemd or cron would", "balbook schedule run drill", (SYSTEM, NAME, IF_MISSED), _run),
    "airflow": Action(
        "write a DAG for Apache Airflow 3, with a task for each runbook",
        "balbook schedule airflow centralized --output /srv/airflow/dags --when 'Mon..Fri 06:30'",
        DAG,
        _write_airflow,
    ),
}
