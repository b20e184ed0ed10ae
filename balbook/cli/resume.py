"""`resume`: on with a run whose process died."""

from __future__ import annotations

import argparse

from balbook.cli import common
from balbook.record.journal import opening_of


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments of `resume`."""
    parser.epilog = "example: balbook resume 3f2a90c1"
    common.add_inventory(parser)
    parser.add_argument("run_id", metavar="RUN_ID", help="id of the run (balbook records list)")
    common.add_json(parser)
    parser.set_defaults(run=resume)


def resume(args: argparse.Namespace) -> int:
    """Goes on with a run whose process died: its own plan, the steps that are left."""
    from balbook.run.folder import find_run
    from balbook.run.pipeline import pipeline_of, run_pipeline
    from balbook.run.without_notebook import resume as go_on

    inventory = common.inventory_of(args)
    common.hide_secrets(inventory)
    run_dir = find_run(inventory, args.run_id)
    opened = opening_of(run_dir)
    if opened and opened.pipeline:
        done = run_pipeline(pipeline_of(run_dir), inventory, opened.parameters, resumed=run_dir, say=common.say)
        return common.report(args, done, done.outcomes, is_drift_failure=False)
    stated = go_on(run_dir, common.say)
    if args.json:
        common.print_json({"run_id": args.run_id, "verdict": stated.verdict, "why": stated.why})
    else:
        print(f"{args.run_id}: {stated.verdict}" + (f": {stated.why}" if stated.why else ""))
    return stated.exit_status
