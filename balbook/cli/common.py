"""Options that several commands share, where their inventory comes from, and how a runbook is run and told of."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from balbook.errors import BadInput, ExitStatus, nearest
from balbook.inventory import Inventory, find_inventory, read_inventory
from balbook.local.lab_place import running_inventory
from balbook.secrets.scrubbing import ScrubbedStream

if TYPE_CHECKING:
    from balbook.run.headless import Outcome
    from balbook.run.pipeline import Pipeline, PipelineOutcome


def add_inventory(parser: argparse.ArgumentParser) -> None:
    """`-i`."""
    parser.add_argument(
        "-i", "--inventory", type=Path, metavar="FILE", help="inventory (else BALBOOK_INVENTORY, ./inventory.yaml, the running lab's)"
    )


def add_json(parser: argparse.ArgumentParser) -> None:
    """`--json`."""
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output and nothing else there")


def add_run(parser: argparse.ArgumentParser) -> None:
    """The arguments of `plan` and `apply`."""
    add_inventory(parser)
    parser.add_argument("-p", "--parameter", action="append", default=[], metavar="K=V", help="a parameter; may be repeated")
    parser.add_argument("-f", "--parameters-file", type=Path, metavar="FILE", help="YAML file of parameters; -p wins over it")
    parser.add_argument("--key", default="", metavar="KEY", help="of a job that may be retried: what was done with it is not done again")
    add_json(parser)


def add_run_id(parser: argparse.ArgumentParser, what: str) -> None:
    """`RUN_ID`; `run_of` finds it."""
    parser.add_argument("run_id", metavar="RUN_ID", help=f"{what}: its id, an unambiguous beginning of it, or its folder")


def run_of(inventory: Inventory, said: str) -> Path:
    """The folder of the run that was named on the command line."""
    from balbook.record.keeping import records_folder
    from balbook.record.run_ids import find_run

    return find_run(records_folder(inventory), said)


def inventory_of(args: argparse.Namespace, parameter: str = "") -> Inventory:
    """The inventory by the documented order; which one is said on standard error."""
    path, source = find_inventory(
        args.inventory, parameter=parameter, environ=os.environ, cwd=Path.cwd(), lab_inventory=running_inventory(os.environ)
    )
    say(f"inventory: {path} ({source})")
    inventory = read_inventory(path)
    if inventory.secrets.references:  # from now on this program prints none that it has read
        scrubber = inventory.secrets.scrubber
        sys.stdout, sys.stderr = ScrubbedStream(sys.stdout, scrubber), ScrubbedStream(sys.stderr, scrubber)
    return inventory


def say(line: str) -> None:
    """Progress and messages go to standard error."""
    print(line, file=sys.stderr, flush=True)


def print_json(data: Any) -> None:
    """The result on standard output."""
    print(json.dumps(data, indent=1, ensure_ascii=False))


def parameters(args: argparse.Namespace) -> dict[str, Any]:
    from balbook.notebook.parameters import parse_assignments, read_parameters_file
    from balbook.notebook.runbook import read_runbook, runbook_path

    pipeline = _pipeline(args.name)
    declared = pipeline.parameters if pipeline else read_runbook(runbook_path(args.name)).parameters
    given = read_parameters_file(args.parameters_file, declared) if args.parameters_file else {}
    given |= parse_assignments(declared, args.parameter)
    return given


def run(
    args: argparse.Namespace,
    name: str,
    parameters: dict[str, Any],
    *,
    expected_digest: str = "",
    shown_in: str = "",
    key: str = "",
    is_drift_failure: bool = False,
) -> int:
    inventory = inventory_of(args, parameter=str(parameters.get("inventory", "")))
    parameters.pop("inventory", None)
    pipeline = _pipeline(name)
    if key:
        if pipeline:
            raise BadInput(f"--key goes with a runbook, and {name} is a pipeline", advice="Give it to each of its runbooks.")
        from balbook.run.keyed import execute_once

        outcome = execute_once(key, name, inventory, parameters, say=say)
        return report(args, outcome, (outcome,), is_drift_failure)
    if pipeline:
        from balbook.run.pipeline import run_pipeline

        done = run_pipeline(pipeline, inventory, parameters, say=say)
        return report(args, done, done.outcomes, is_drift_failure)
    from balbook.run.headless import execute

    outcome = execute(name, inventory, parameters, expected_digest=expected_digest, shown_in=shown_in, say=say)
    return report(args, outcome, (outcome,), is_drift_failure)


def report(args: argparse.Namespace, done: Outcome | PipelineOutcome, outcomes: Sequence[Outcome], is_drift_failure: bool) -> int:
    """Prints what came of it, as the contract's object or for people; the exit status."""
    from balbook.run.pipeline import PipelineOutcome

    name = done.name if isinstance(done, PipelineOutcome) else done.runbook
    if args.json:
        print_json(
            {
                "run_id": done.run_id,
                "name": name,
                "verdict": done.verdict,
                "seconds": round(done.seconds, 1),
                "record": str(done.record),
                "runbooks": [outcome.data() for outcome in outcomes],
            }
        )
    else:
        for outcome in outcomes:
            _print(outcome)
        if isinstance(done, PipelineOutcome):
            print(f"{name}: {done.verdict} in {done.seconds:.1f} s (run {done.run_id})\nrecord: {done.record}")
            if done.why and not any(outcome.exit_status for outcome in outcomes):
                print(f"  {done.why}")
    if not is_drift_failure or done.verdict != "planned":
        return done.exit_status
    if unmet := sum(_unmet(outcome) for outcome in outcomes):
        say(f"{unmet} preconditions are not met")
        return ExitStatus.FAILED
    return ExitStatus.DRIFT if done.changes > 0 else done.exit_status


def _pipeline(name: str) -> Pipeline | None:
    """The pipeline of this name; None where a runbook is meant. An unknown name names the nearest of both."""
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


def _unmet(outcome: Outcome) -> int:
    """How many preconditions of its plan are not met."""
    from balbook.record.journal import history_of

    planned = history_of(outcome.record).planned
    return planned.unmet if planned else 0


def _print(outcome: Outcome) -> None:
    from balbook.plan.reading import FILE, read_plan
    from balbook.plan.tables import diffs, plan_table, precondition_table

    if (outcome.record / FILE).exists() and outcome.verdict == "planned":
        shown = read_plan(outcome.record)
        parts = [str(precondition_table(shown)) if shown.unmet else "", str(plan_table(shown)), diffs(shown)]
        print("\n\n".join(part for part in parts if part))
    what = "would change" if outcome.verdict == "planned" else "changed"
    print(
        f"{outcome.runbook}: {outcome.verdict} in {outcome.seconds:.1f} s, {outcome.changes} steps {what} something (run {outcome.run_id})"
    )
    if outcome.why:
        print(f"  {outcome.why}")
    print(f"record: {outcome.record}")


def require_application(inventory: Inventory, name: str) -> str:
    """The name, if the inventory has it."""
    if name not in inventory.applications:
        raise BadInput(f"application {name!r} is not in {inventory.path}", advice=nearest(name, inventory.applications))
    return name


def require_words(inventory: Inventory, **words: str) -> None:
    """Holds words of the command line to the rules for a runbook's parameters, before any host is asked; raises BadInput."""
    from balbook.notebook.parameters import Parameter, check_parameters
    from balbook.procedures import check_names
    from balbook.run.run import require_no_secrets

    check_parameters([Parameter(name, "str", "") for name in words], words)
    check_names(inventory, words)
    require_no_secrets(words, inventory.secrets.everything())


def add_maintenance(parser: argparse.ArgumentParser) -> None:
    """The arguments of `drain` and `readmit`."""
    add_inventory(parser)
    parser.add_argument("application", metavar="APPLICATION")
    parser.add_argument("instance", metavar="HOST:PORT")
    parser.add_argument("--reason", default="", metavar="TEXT", help="kept in the record")


def maintain(args: argparse.Namespace, what: str) -> int:
    from balbook import transport
    from balbook.procedures.parts import maintenance
    from balbook.procedures.parts.site import Site
    from balbook.run.without_notebook import apply_directly

    inventory = inventory_of(args)
    parameters = {"application": require_application(inventory, args.application), "instance": args.instance, "reason": args.reason}
    require_words(inventory, **parameters)
    site = Site(inventory, transport.connect(inventory), parameters)
    try:
        plan = maintenance.drain(site, args.instance) if what == "drain" else maintenance.readmit(site, args.instance)
    finally:
        site.transport.close()
    stated, record = apply_directly(inventory, plan, parameters, say)
    print(f"{what} {args.instance}: {stated.verdict}" + (f": {stated.why}" if stated.why else ""))
    print(f"record: {record}")
    return stated.exit_status
