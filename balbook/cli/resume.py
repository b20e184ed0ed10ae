"""`resume`: on with a run whose process died."""

from __future__ import annotations

import argparse

from balbook.cli import common
from balbook.record.journal import opening_of


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments of `resume`."""
    parser.epilog = "example: balbook resume 3f2a90c1"
    common.add_inventory(parser)
    common.add_run_id(parser, "the run to go on with")
    common.add_json(parser)
    parser.set_defaults(run=resume)


def resume(args: argparse.Namespace) -> int:
    """Goes on with a run whose process died: its own plan, the steps that are left."""
    from balbook.record.statement import run_id_of
    from balbook.run.pipeline import pipeline_of, run_pipeline
    from balbook.run.without_notebook import resume as go_on

    inventory = common.inventory_of(args)
    run_dir = common.run_of(inventory, args.run_id)
    opened = opening_of(run_dir)
    if opened and opened.pipeline:
        done = run_pipeline(pipeline_of(run_dir), inventory, opened.parameters, resumed=run_dir, say=common.say)
        return common.report(args, done, done.outcomes, is_drift_failure=False)
    stated = go_on(run_dir, common.say, inventory)
    if args.json:
        common.print_json({"run_id": run_id_of(run_dir), "verdict": stated.verdict, "why": stated.why})
    else:
        print(f"{run_id_of(run_dir)}: {stated.verdict}" + (f": {stated.why}" if stated.why else ""))
    return stated.exit_status
