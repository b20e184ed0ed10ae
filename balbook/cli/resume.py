"""`resume`: continues a run after its process died."""

from __future__ import annotations

import argparse

from balbook.cli import common
from balbook.record.journal import opening_of
from balbook.record.statement import run_id_of
from balbook.run.pipeline import pipeline_of, run_pipeline
from balbook.run.without_notebook import resume

EXAMPLE = "balbook resume 3f2a90c1"
ARGUMENTS = (common.INVENTORY, common.run_id("the run to continue"), common.JSON)


def run(args: argparse.Namespace) -> int:
    """Continues a run after its process died: the same plan, the remaining steps."""
    inventory = common.inventory_of(args)
    run_dir = common.run_of(inventory, args.run_id)
    opened = opening_of(run_dir)
    if opened and opened.pipeline:
        return common.report(args, run_pipeline(pipeline_of(run_dir), inventory, opened.parameters, resumed=run_dir, say=common.say))
    stated, run_id = resume(run_dir, common.say, inventory), run_id_of(run_dir)
    data = {"run_id": run_id, "verdict": stated.verdict, "why": stated.why}
    common.show(args, data, f"{run_id}: {common.with_reason(stated)}")
    return stated.exit_status
