"""The arguments that several commands share, the search for their inventory, and the run of a runbook with its result."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from balbook.errors import BadInput, ExitStatus, InventoryError, nearest
from balbook.inventory import Inventory, find_inventory, read_inventory
from balbook.local.lab_place import running_inventory
from balbook.secrets.scrubbing import ScrubbedStream

if TYPE_CHECKING:
    from balbook.record.verdict import Stated
    from balbook.run.headless import Outcome
    from balbook.run.pipeline import Pipeline

Argument = tuple[tuple[str, ...], dict[str, Any]]
Run = Callable[[argparse.Namespace], int]


def argument(*flags: str, **about: Any) -> Argument:
    """An argument of a command, in the words of `ArgumentParser.add_argument`."""
    return flags, about


def run_id(what: str) -> Argument:
    """`RUN_ID`; `run_of` finds the run."""
    return argument("run_id", metavar="RUN_ID", help=f"{what}: its id, an unambiguous beginning of the id, or its folder")


@dataclass(frozen=True)
class Action:
    """One action of a command, as `balbook.cli.fill` takes it."""

    summary: str
    EXAMPLE: str
    ARGUMENTS: Sequence[Argument]
    run: Run


INVENTORY = argument(
    "-i", "--inventory", type=Path, metavar="FILE", help="inventory (default: BALBOOK_INVENTORY, ./inventory.yaml, the running lab's)"
)
JSON = argument("--json", action="store_true", help="print one JSON object on standard output and nothing else there")
PARAMETER = argument("-p", "--parameter", action="append", default=[], metavar="K=V", help="a parameter; repeatable")
APPLICATION = argument("application", metavar="APPLICATION")
REASON = argument("--reason", default="", metavar="TEXT", help="kept in the record")
RUN = (
    INVENTORY,
    PARAMETER,
    argument("-f", "--parameters-file", type=Path, metavar="FILE", help="YAML file of parameters; -p overrides the file"),
    argument("--key", default="", metavar="KEY", help="the key of a job that is retried: a finished run with this key is not repeated"),
    JSON,
)
MAINTENANCE = (INVENTORY, APPLICATION, argument("instance", metavar="HOST:PORT"), REASON)


def run_of(inventory: Inventory, said: str) -> Path:
    """The folder of the run that was named on the command line."""
    from balbook.record.keeping import records_folder
    from balbook.record.run_ids import find_run

    return find_run(records_folder(inventory), said)


def found_inventory(named: Path | None, parameter: str = "") -> tuple[Path, str]:
    """The inventory's file by the documented order, and the source that named the file."""
    environ = os.environ
    return find_inventory(named, parameter=parameter, environ=environ, cwd=Path.cwd(), lab_inventory=running_inventory(environ))


def found_or_none(named: Path | None) -> tuple[Path, str] | InventoryError:
    """As `found_inventory`; an error where no inventory exists and no user has named one."""
    try:
        return found_inventory(named)
    except InventoryError as exc:
        if named or os.environ.get("BALBOOK_INVENTORY"):
            raise
        return exc


def inventory_of(args: argparse.Namespace, parameter: str = "") -> Inventory:
    """The inventory by the documented order; standard error names its file."""
    path, source = found_inventory(args.inventory, parameter)
    say(f"inventory: {path} ({source})")
    inventory = read_inventory(path)
    if inventory.secrets.references:  # from now on this program prints no secret that it has read
        scrubber = inventory.secrets.scrubber
        sys.stdout, sys.stderr = ScrubbedStream(sys.stdout, scrubber), ScrubbedStream(sys.stderr, scrubber)
    return inventory


def say(line: str) -> None:
    """Prints progress and messages, on standard error."""
    print(line, file=sys.stderr, flush=True)


def print_json(data: Any) -> None:
    """Prints the result on standard output."""
    print(json.dumps(data, indent=1, ensure_ascii=False))


def show(args: argparse.Namespace, data: Any, text: object) -> None:
    """Prints the result: the data under `--json`, else the text."""
    print_json(data) if args.json else print(text)


def parameters(args: argparse.Namespace) -> dict[str, Any]:
    """The parameters that the command line gives, as the runbook or pipeline declares them. BadInput where one is wrong."""
    from balbook.notebook.parameters import parse_assignments, read_parameters_file
    from balbook.notebook.runbook import read_runbook, runbook_path

    pipeline = _pipeline(args.name)
    declared = pipeline.parameters if pipeline else read_runbook(runbook_path(args.name)).parameters
    given = read_parameters_file(args.parameters_file, declared) if args.parameters_file else {}
    return given | parse_assignments(declared, args.parameter)


def run(
    args: argparse.Namespace,
    name: str,
    parameters: dict[str, Any],
    *,
    inventory: Inventory | None = None,
    key: str = "",
    is_drift_failure: bool = False,
    **agreed: Any,
) -> int:
    """Runs the runbook or pipeline and reports the outcome; `agreed` goes to `headless.execute`. Returns the exit status.

    `inventory`: the one that the command has read already, with its secrets.
    """
    from balbook.run.headless import execute
    from balbook.run.keyed import execute_once
    from balbook.run.pipeline import run_pipeline

    named = str(parameters.pop("inventory", ""))
    inventory = inventory or inventory_of(args, parameter=named)
    pipeline = _pipeline(name)
    if pipeline and key:
        raise BadInput(f"--key works with a runbook, and {name} is a pipeline", advice="Give the key to each runbook of the pipeline.")
    if pipeline:
        return report(args, run_pipeline(pipeline, inventory, parameters, say=say), is_drift_failure)
    if key:
        return report(args, execute_once(key, name, inventory, parameters, say=say), is_drift_failure)
    return report(args, execute(name, inventory, parameters, say=say, **agreed), is_drift_failure)


def report(args: argparse.Namespace, done: Outcome, is_drift_failure: bool = False) -> int:
    """Prints the outcome, as the documented JSON object or for people. Returns the exit status."""
    from balbook.record.journal import history_of

    lines = [_told(outcome) for outcome in done.outcomes]
    if done.parts is not None:
        is_told = any(outcome.exit_status for outcome in done.parts)
        lines.append(told(done, f"{done.name}: {done.verdict} in {done.seconds:.1f} s (run {done.run_id})", "" if is_told else done.why))
    show(args, summary(done), "\n".join(lines))
    if not is_drift_failure or done.verdict != "planned":
        return done.exit_status
    plans = [history_of(outcome.record).planned for outcome in done.outcomes]
    if unmet := sum(planned.unmet for planned in plans if planned):
        say(f"{unmet} preconditions are not met")
        return ExitStatus.FAILED
    return ExitStatus.DRIFT if done.changes > 0 else done.exit_status


def summary(done: Outcome, **more: str) -> dict[str, Any]:
    """The documented JSON object of a run; `more` goes to its runbooks."""
    about = {"run_id": done.run_id, "name": done.name, "verdict": done.verdict, "seconds": round(done.seconds, 1)}
    return {**about, "record": str(done.record), "runbooks": [{**outcome.data(), **more} for outcome in done.outcomes]}


def told(done: Outcome, first: str, why: str) -> str:
    """The lines on a run for people: a first line, the reason for the verdict, the record."""
    return "\n".join([first, *([f"  {why}"] if why else []), f"record: {done.record}"])


def _pipeline(name: str) -> Pipeline | None:
    """The pipeline of this name; None where the name is a runbook's. BadInput suggests the nearest of both for an unknown name."""
    from balbook.notebook.runbook import find_runbooks
    from balbook.run.pipeline import find_pipelines, read_pipeline

    pipelines = find_pipelines(Path.cwd())
    if name in pipelines:
        return read_pipeline(pipelines[name])
    if name.endswith((".yaml", ".yml")) and Path(name).is_file():
        return read_pipeline(Path(name))
    if name not in find_runbooks() and not name.endswith(".ipynb"):
        raise BadInput(f"there is no runbook or pipeline {name!r}", advice=nearest(name, [*find_runbooks(), *pipelines]))
    return None


def _told(outcome: Outcome) -> str:
    from balbook.plan.reading import FILE, read_plan
    from balbook.plan.tables import diffs, plan_table, precondition_table

    plan, is_planned = "", outcome.verdict == "planned"
    if is_planned and (outcome.record / FILE).exists():
        shown = read_plan(outcome.record)
        parts = [str(precondition_table(shown)) if shown.unmet else "", str(plan_table(shown)), diffs(shown)]
        plan = "\n\n".join(part for part in parts if part) + "\n"
    changes = f"{outcome.changes} steps {'would change' if is_planned else 'changed'} something"
    first = f"{outcome.name}: {outcome.verdict} in {outcome.seconds:.1f} s, {changes} (run {outcome.run_id})"
    return plan + told(outcome, first, outcome.why)


def with_reason(stated: Stated) -> str:
    """The verdict, and after a colon its reason."""
    return f"{stated.verdict}: {stated.why}" if stated.why else stated.verdict


def require_application(inventory: Inventory, name: str) -> str:
    """The name; BadInput where the inventory has no such application."""
    if name not in inventory.applications:
        raise BadInput(f"application {name!r} is not in {inventory.path}", advice=nearest(name, inventory.applications))
    return name


def require_words(inventory: Inventory, **words: str) -> None:
    """Checks words of the command line by the rules for a runbook's parameters, before any host is asked; raises BadInput."""
    from balbook.notebook.parameters import Parameter, check_parameters
    from balbook.procedures import check_names
    from balbook.run.run import require_no_secrets

    check_parameters([Parameter(name, "str", "") for name in words], words)
    check_names(inventory, words)
    require_no_secrets(words, inventory.secrets.everything())


def maintain(args: argparse.Namespace, verb: str) -> int:
    """Drains or readmits one instance. Returns the exit status."""
    from balbook.procedures.parts import maintenance
    from balbook.run.without_notebook import apply_directly, connected

    inventory = inventory_of(args)
    parameters = {"application": require_application(inventory, args.application), "instance": args.instance, "reason": args.reason}
    require_words(inventory, **parameters)
    with connected(inventory, parameters) as site:
        plan = getattr(maintenance, verb)(site, args.instance)
    stated, record = apply_directly(inventory, plan, parameters, say)
    print(f"{verb} {args.instance}: {with_reason(stated)}\nrecord: {record}")
    return stated.exit_status
