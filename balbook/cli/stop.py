"""`stop`: a run is asked to end in a safe state."""

from __future__ import annotations

import argparse

from balbook.cli import common
from balbook.errors import BadInput
from balbook.record.journal import opening_of
from balbook.record.statement import run_id_of


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments of `stop`."""
    parser.epilog = "example: balbook stop 3f2a90c1"
    common.add_inventory(parser)
    common.add_run_id(parser, "the run to stop")
    parser.set_defaults(run=stop)


def stop(args: argparse.Namespace) -> int:
    """Asks the run's process to stop; it finishes or undoes the step in hand. A pipeline passes it on, and begins no other runbook."""
    from balbook.engine.process import ask_to_stop, find

    run_dir = common.run_of(common.inventory_of(args), args.run_id)
    run_id = run_id_of(run_dir)
    opened = opening_of(run_dir)
    if opened and opened.pipeline and find(run_dir) is None:
        raise BadInput(f"{run_dir.name}: no process of this pipeline is running here", advice=f"Look: balbook records show {run_id}")
    is_applying = ask_to_stop(run_dir, "balbook stop")
    then = "it finishes the step in hand and reaches a safe state" if is_applying else "it has applied nothing and will not"
    print(f"{run_id}: asked to stop; {then}")
    return 0
