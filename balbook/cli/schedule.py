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
from balbook.errors import BadInput
from balbook.inventory import read_inventory
from balbook.inventory.secret_references import environment_names
from balbook.schedule.book import available_backend
from balbook.schedule.definition import BACKENDS, MODES
from balbook.schedule.environment import read_environment
from balbook.show.table import Table


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments of `schedule`, one parser for each action."""
    parser.epilog = "example: balbook schedule add drift --from weekly-drift-report && balbook schedule list"
    actions = parser.add_subparsers(metavar="ACTION", required=True, dest="action")
    adding = _action(actions, "add", "a new schedule", "balbook schedule add drill --runs failover_drill --when 'Mon..Fri 02:30'")
    adding.add_argument("name", metavar="NAME", help="lower-case letters, digits, - and _")
    _add_definition(adding)
    adding.set_defaults(run=add_one)
    listing = _action(actions, "list", "all schedules, when they are due, what the last run came to", "balbook schedule list")
    common.add_json(listing)
    listing.set_defaults(run=list_all)
    removing = _action(actions, "remove", "take a schedule away; what it recorded stays", "balbook schedule remove drill")
    removing.add_argument("name", metavar="NAME")
    removing.set_defaults(run=remove)
    running = _action(actions, "run", "run it now, as systemd or cron would", "balbook schedule run drill")
    running.add_argument("name", metavar="NAME")
    running.add_argument("--if-missed", action="store_true", help="only where a time that was due has passed without a run")
    running.set_defaults(run=run)
    _add_airflow(actions)


def add_one(args: argparse.Namespace) -> int:
    """Adds a schedule and says when it is due."""
    where = schedules.places(os.environ, is_system=args.system)
    schedule = _schedule(args, schedules.read_example(args.example) if args.example else {})
    schedules.add(schedule, where)
    added = next(item for item in schedules.list_schedules(where, datetime.now()) if item.schedule.name == schedule.name)
    print(f"{schedule.name}: {schedule.mode} {schedule.runs}, kept by {schedule.backend}, next {added.next_at}")
    if missing := _not_provided(schedule):
        common.say(f"note: {', '.join(missing)}: named by the inventory, and no --environment-file gives the runs a value")
    if schedule.backend == "systemd" and not args.system:
        common.say(f"It runs while you are logged in; to have it run always: loginctl enable-linger {getpass.getuser()}")
    return 0


def _not_provided(schedule: schedules.Schedule) -> list[str]:
    """The `env:` references of the inventory that the runs will not have a value for."""
    given = read_environment(Path(schedule.environment_file)) if schedule.environment_file else {}
    return [f"env:{name}" for name in sorted(environment_names(read_inventory(Path(schedule.inventory)))) if name not in given]


def list_all(args: argparse.Namespace) -> int:
    """One line a schedule."""
    found = schedules.list_schedules(schedules.places(os.environ, is_system=args.system), datetime.now())
    if args.json:
        common.print_json({"schedules": [{**asdict(item.schedule), "next": item.next_at, "last": item.last} for item in found]})
        return 0
    rows = [
        (
            item.schedule.name,
            f"{item.schedule.mode} {item.schedule.runs}",
            item.schedule.when,
            item.next_at if item.is_kept else f"lost: {item.schedule.backend} does not have it",
            f"{item.last['at'][:19]} status {item.last['exit_status']} {item.last['verdict']}".rstrip() if item.last else "-",
        )
        for item in found
    ]
    print(Table(("name", "runs", "when", "next", "last"), rows, note="" if rows else "Nothing is scheduled."))
    return 0


def remove(args: argparse.Namespace) -> int:
    """Takes one away."""
    outcomes = schedules.remove(args.name, schedules.places(os.environ, is_system=args.system))
    print(f"{args.name}: removed" + (f"; its outcomes stay in {outcomes}" if outcomes.exists() else ""))
    return 0


def run(args: argparse.Namespace) -> int:
    """One run, now."""
    where = schedules.places(os.environ, is_system=args.system)
    return schedules.run_once(args.name, where, say=common.say, now=lambda: datetime.now().astimezone(), only_if_missed=args.if_missed)


def write_airflow(args: argparse.Namespace) -> int:
    """Writes a DAG file; its path on standard output."""
    from balbook.schedule import airflow

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
        common.say(f"note: {wanted.balbook} is not on this machine; on the workers it has to be")
    common.say(f"once for each Airflow: {shlex.join(airflow.pools_command(wanted))}")
    print(path if is_new else f"{path} is there already")
    return 0


def _add_airflow(actions: Any) -> None:
    example = "balbook schedule airflow centralized --output /srv/airflow/dags --when 'Mon..Fri 06:30'"
    adding: argparse.ArgumentParser = actions.add_parser(
        "airflow",
        help="write a DAG for Apache Airflow 3",
        description="Writes a DAG: a task for each runbook.",
        epilog=f"example: {example}",
    )
    common.add_inventory(adding)
    adding.add_argument("runs", metavar="NAME", help="a pipeline or a runbook")
    adding.add_argument("--dag-id", default="", metavar="ID", help="default: balbook_NAME_ENVIRONMENT")
    adding.add_argument("--when", default="", metavar="EXPRESSION", help="calendar expression, UTC (default: only when it is triggered)")
    adding.add_argument("--mode", choices=MODES, default="apply", help="unless a DAG run's configuration says otherwise (default: apply)")
    adding.add_argument("--retries", type=int, default=2, metavar="N", help="of each task (default: 2)")
    adding.add_argument("--retry-delay", type=int, default=60, metavar="SECONDS", help="before a retry (default: 60)")
    adding.add_argument("--balbook", type=Path, metavar="PATH", help="the program on the workers (default: this one)")
    adding.add_argument("--output", type=Path, metavar="DIR", help="Airflow's dags folder (default: as AIRFLOW_HOME says, else ./dags)")
    adding.set_defaults(run=write_airflow)


def _dags_folder(environ: Mapping[str, str]) -> Path:
    named, home = environ.get("AIRFLOW__CORE__DAGS_FOLDER"), environ.get("AIRFLOW_HOME")
    return Path(named or (f"{home}/dags" if home else "dags"))


def _add_definition(parser: argparse.ArgumentParser) -> None:
    common.add_inventory(parser)
    parser.add_argument("--from", dest="example", default="", metavar="FILE", help="YAML file, or a shipped example, with what is left out")
    parser.add_argument("--runs", metavar="NAME", help="a runbook or a pipeline")
    parser.add_argument("--when", metavar="EXPRESSION", help="calendar expression as systemd.time(7) has it: daily, Mon..Fri 02:30")
    parser.add_argument("--mode", choices=MODES, help="plan changes nothing (default: apply)")
    parser.add_argument("-f", "--parameters-file", type=Path, metavar="FILE", help="YAML file of parameters, read anew by every run")
    parser.add_argument("-p", "--parameter", action="append", default=[], metavar="K=V", help="a parameter; may be repeated")
    what = "NAME=value lines with the secrets that the inventory refers to as env:NAME; private (chmod 600), read by every run"
    parser.add_argument("--environment-file", type=Path, metavar="FILE", help=what)
    parser.add_argument("--fail-on-changes", action="store_true", default=None, help="with --mode plan: changes are a failure (drift)")
    parser.add_argument("--catch-up", action=argparse.BooleanOptionalAction, help="make up for a run that was missed (default: no)")
    parser.add_argument("--on-failure", metavar="COMMAND", help="called after a failure; words are split as a shell would, no shell runs")
    parser.add_argument("--with", dest="backend", choices=BACKENDS, help="what keeps the schedule (default: systemd where it runs)")


def _action(actions: Any, name: str, what: str, example: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = actions.add_parser(name, help=what, description=what, epilog=f"example: {example}")
    parser.add_argument("--system", action="store_true", help="the machine's schedules, by systemd (needs root); else your own")
    return parser


def _schedule(args: argparse.Namespace, example: dict[str, Any]) -> schedules.Schedule:
    runs, when = args.runs or example.get("runs"), args.when or example.get("when")
    if not runs or not when:
        raise BadInput("what runs when is not said", advice="Give --runs and --when, or --from a file that has them.")
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
        parameters_file=str(args.parameters_file.expanduser().absolute()) if args.parameters_file else "",
        parameters=(*_assignments(example.get("parameters") or {}, args.parameter), *args.parameter),
        has_catch_up=bool(example.get("catch_up", False)) if args.catch_up is None else args.catch_up,
        is_drift_failure=bool(args.fail_on_changes if args.fail_on_changes is not None else example.get("fail_on_changes", False)),
        on_failure=tuple(map(str, on_failure)),
        backend=backend,
        environment_file=str(args.environment_file.expanduser().absolute()) if args.environment_file else "",
    )


def _assignments(parameters: dict[str, Any], given: list[str]) -> list[str]:
    """The example's parameters as the command line writes them, less those that are given there."""
    named = {assignment.partition("=")[0] for assignment in given}
    written = {name: ",".join(v) if isinstance(v, list) else str(v).lower() if isinstance(v, bool) else v for name, v in parameters.items()}
    return [f"{name}={value}" for name, value in written.items() if name not in named]
