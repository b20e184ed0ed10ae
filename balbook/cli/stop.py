"""`stop`: asks a run to end in a safe state."""

from __future__ import annotations

import argparse

from balbook.cli import common
from balbook.engine.process import ask_to_stop, find
from balbook.errors import BadInput
from balbook.record.journal import opening_of
from balbook.record.statement import run_id_of

EXAMPLE = "balbook stop 3f2a90c1"
ARGUMENTS = (common.INVENTORY, common.run_id("the run to stop"))


def run(args: argparse.Namespace) -> int:
    """Asks the run's process to stop: the process finishes or undoes its current step. A pipeline starts no other runbook."""
    run_dir = common.run_of(common.inventory_of(args), args.run_id)
    run_id = run_id_of(run_dir)
    opened = opening_of(run_dir)
    if opened and opened.pipeline and find(run_dir) is None:
        raise BadInput(
            f"{run_dir.name}: this machine runs no process of this pipeline", advice=f"Look at its record: balbook records show {run_id}"
        )
    is_applying = ask_to_stop(run_dir, "balbook stop")
    then = "the run finishes its current step and reaches a safe state" if is_applying else "the run has applied nothing and will not"
    print(f"{run_id}: asked to stop; {then}")
    return 0
