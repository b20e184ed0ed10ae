"""`plan`, `apply`, `resume`, `stop`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from balbook.cli import options
from balbook.errors import BadInput, ParameterError, nearest
from balbook.record.journal import Journal
from balbook.run.headless import Outcome
from balbook.run.pipeline import Pipeline, PipelineOutcome

EXAMPLES = {
    "plan": "balbook plan hot_deploy -p application=hotel -p release=2.0.0",
    "apply": "balbook apply hot_deploy -p application=hotel -p release=2.0.0 -p reason='new prices'",
    "resume": "balbook resume 3f2a90c1",
    "stop": "balbook stop 3f2a90c1",
}
DRIFT = 4


def add(name: str, parser: argparse.ArgumentParser) -> None:
    """The arguments of one of these commands."""
    parser.epilog = f"example: {EXAMPLES[name]}"
    options.add_inventory(parser)
    if name in ("resume", "stop"):
        parser.add_argument("run_id", metavar="RUN_ID", help="id of the run (balbook records list)")
        parser.set_defaults(run=resume if name == "resume" else stop)
        if name == "resume":
            options.add_json(parser)
        return
    parser.add_argument("name", nargs="?" if name == "apply" else None, metavar="NAME", help="a runbook or a pipeline")
    parser.add_argument("-p", "--parameter", action="append", default=[], metavar="K=V", help="a parameter; may be repeated")
    parser.add_argument("-f", "--parameters-file", type=Path, metavar="FILE", help="YAML file of parameters; -p wins over it")
    parser.add_argument("--key", default="", metavar="KEY", help="of a job that may be retried: what was done with it is not done again")
    options.add_json(parser)
    if name == "plan":
        what = "exit with 4 where there is something to change (drift), with 1 where a precondition is not met"
        parser.add_argument("--fail-on-changes", action="store_true", help=what)
    else:
        parser.add_argument("--plan", metavar="RUN_ID", help="apply exactly the plan that this run showed")
    parser.set_defaults(run=plan if name == "plan" else apply)


def plan(args: argparse.Namespace) -> int:
    """Shows what would change."""
    parameters = _parameters(args) | {"mode": "plan"}
    return _run(args, args.name, parameters, key=args.key, is_drift_failure=args.fail_on_changes)


def apply(args: argparse.Namespace) -> int:
    """Runs it; with `--plan` exactly what another run showed."""
    if not args.plan:
        if not args.name:
            raise BadInput("no runbook is named", advice="Give its name, or --plan RUN_ID.")
        return _run(args, args.name, _parameters(args) | {"mode": "apply"}, key=args.key)
    if args.key:
        raise BadInput("--key and --plan do not go together", advice="A plan that was shown is applied once anyway.")
    from balbook.run.folder import find_run

    inventory = options.inventory_of(args)
    opened, planned = _events(Journal(find_run(inventory, args.plan) / "journal.jsonl"), args.plan)
    if args.name and args.name not in (opened["runbook"], opened.get("notebook")):
        raise BadInput(f"run {args.plan} is of the runbook {opened['runbook']}, not {args.name}", advice="Leave the name out.")
    args.inventory = Path(opened["inventory"]["path"])
    agreed = {k: v for k, v in opened["parameters"].items() if k != "inventory"}
    if args.parameter or args.parameters_file:
        _refuse_other_parameters(args, opened, agreed)
    return _run(args, _notebook(opened), agreed | {"mode": "apply"}, expected_digest=str(planned["digest"]), shown_in=args.plan)


def resume(args: argparse.Namespace) -> int:
    """Goes on with a run whose process died: its own plan, the steps that are left."""
    from balbook.run.folder import find_run
    from balbook.run.pipeline import pipeline_of, run_pipeline
    from balbook.run.without_notebook import resume as go_on

    inventory = options.inventory_of(args)
    options.hide_secrets(inventory)
    run_dir = find_run(inventory, args.run_id)
    opened = Journal(run_dir / "journal.jsonl").last("run_opened") or {}
    if opened.get("pipeline"):
        done = run_pipeline(pipeline_of(run_dir), inventory, opened["parameters"], resumed=run_dir, say=options.say)
        return _report(args, done, done.outcomes, is_drift_failure=False)
    stated = go_on(run_dir, options.say)
    if args.json:
        options.print_json({"run_id": args.run_id, "verdict": stated.verdict, "why": stated.why})
    else:
        print(f"{args.run_id}: {stated.verdict}" + (f": {stated.why}" if stated.why else ""))
    return stated.exit_status


def stop(args: argparse.Namespace) -> int:
    """Asks the run's process to stop; it finishes or undoes the step in hand. A pipeline passes it on, and begins no other runbook."""
    from balbook.engine.process import ask_to_stop, find
    from balbook.run.folder import find_run

    run_dir = find_run(options.inventory_of(args), args.run_id)
    opened = Journal(run_dir / "journal.jsonl").last("run_opened") or {}
    if opened.get("pipeline") and find(run_dir) is None:
        raise BadInput(f"{run_dir.name}: no process of this pipeline is running here", advice=f"Look: balbook records show {args.run_id}")
    is_applying = ask_to_stop(run_dir, "balbook stop")
    then = "it finishes the step in hand and reaches a safe state" if is_applying else "it has applied nothing and will not"
    print(f"{args.run_id}: asked to stop; {then}")
    return 0


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


def _parameters(args: argparse.Namespace) -> dict[str, Any]:
    from balbook.notebook.parameters import parse_assignments, read_parameters_file
    from balbook.notebook.runbook import read_runbook, runbook_path

    pipeline = _pipeline(args.name)
    declared = pipeline.parameters if pipeline else read_runbook(runbook_path(args.name)).parameters
    given = read_parameters_file(args.parameters_file, declared) if args.parameters_file else {}
    given |= parse_assignments(declared, args.parameter)
    return given


def _run(
    args: argparse.Namespace,
    name: str,
    parameters: dict[str, Any],
    *,
    expected_digest: str = "",
    shown_in: str = "",
    key: str = "",
    is_drift_failure: bool = False,
) -> int:
    inventory = options.inventory_of(args, parameter=str(parameters.get("inventory", "")))
    parameters.pop("inventory", None)
    options.hide_secrets(inventory)
    pipeline = _pipeline(name)
    if key:
        if pipeline:
            raise BadInput(f"--key goes with a runbook, and {name} is a pipeline", advice="Give it to each of its runbooks.")
        from balbook.run.keyed import execute_once

        outcome = execute_once(key, name, inventory, parameters, say=options.say)
        return _report(args, outcome, (outcome,), is_drift_failure)
    if pipeline:
        from balbook.run.pipeline import run_pipeline

        done = run_pipeline(pipeline, inventory, parameters, say=options.say)
        return _report(args, done, done.outcomes, is_drift_failure)
    from balbook.run.headless import execute

    outcome = execute(name, inventory, parameters, expected_digest=expected_digest, shown_in=shown_in, say=options.say)
    return _report(args, outcome, (outcome,), is_drift_failure)


def _report(args: argparse.Namespace, done: Outcome | PipelineOutcome, outcomes: Sequence[Outcome], is_drift_failure: bool) -> int:
    """Prints what came of it, as the contract's object or for people; the exit status."""
    name = done.name if isinstance(done, PipelineOutcome) else done.runbook
    if args.json:
        options.print_json(
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
        options.say(f"{unmet} preconditions are not met")
        return 1
    return DRIFT if done.changes > 0 else done.exit_status


def _unmet(outcome: Outcome) -> int:
    """How many preconditions of its plan are not met."""
    return int((Journal(outcome.record / "journal.jsonl").last("planned") or {}).get("unmet", 0))


def _print(outcome: Outcome) -> None:
    from balbook.plan.model import plan_from
    from balbook.plan.tables import diffs, plan_table, precondition_table

    path = outcome.record / "plan.json"
    if path.exists() and outcome.verdict == "planned":
        shown = plan_from(json.loads(path.read_text(encoding="utf-8")))
        parts = [str(precondition_table(shown)) if shown.unmet else "", str(plan_table(shown)), diffs(shown)]
        print("\n\n".join(part for part in parts if part))
    what = "would change" if outcome.verdict == "planned" else "changed"
    print(
        f"{outcome.runbook}: {outcome.verdict} in {outcome.seconds:.1f} s, {outcome.changes} steps {what} something (run {outcome.run_id})"
    )
    if outcome.why:
        print(f"  {outcome.why}")
    print(f"record: {outcome.record}")


def _notebook(opened: dict[str, Any]) -> str:
    """What was executed: one of ours by its name, another by its file."""
    from balbook.notebook.runbook import find_runbooks

    ours = find_runbooks().get(opened["runbook"])
    is_ours = ours is not None and str(ours.resolve()) == str(opened.get("notebook", ours.resolve()))
    return str(opened["runbook"] if is_ours else opened["notebook"])


def _events(journal: Journal, run_id: str) -> tuple[dict[str, Any], dict[str, Any]]:
    opened, planned = journal.last("run_opened"), journal.last("planned")
    if opened is None or planned is None:
        raise BadInput(f"run {run_id} never showed a plan", advice="Make one: balbook plan NAME.")
    return opened, planned


def _refuse_other_parameters(args: argparse.Namespace, opened: dict[str, Any], agreed: dict[str, Any]) -> None:
    from balbook.notebook.parameters import parse_assignments
    from balbook.notebook.runbook import read_runbook, runbook_path

    declared = read_runbook(runbook_path(_notebook(opened))).parameters
    for key, value in parse_assignments(declared, args.parameter).items():
        if agreed.get(key) != value and key not in ("reason", "ticket"):
            raise ParameterError(f"parameter {key}: the plan was made with {agreed.get(key)!r}", advice="Leave it out, or make a new plan.")
        agreed[key] = value
