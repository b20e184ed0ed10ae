"""`rollback`: without a notebook, so that no kernel has to start in an emergency; the same plan as the runbook's."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from balbook.cli import common
from balbook.inventory import Inventory
from balbook.plan.model import Plan
from balbook.record.journal import history_of
from balbook.record.statement import run_id_of
from balbook.record.verdict import Stated


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments of `rollback`."""
    parser.epilog = "example: balbook rollback hotel --reason 'prices are wrong'"
    common.add_inventory(parser)
    parser.add_argument("application", metavar="APPLICATION")
    parser.add_argument("--to", default="", metavar="RELEASE", help="its name or version (default: the previous one that was proven)")
    parser.add_argument("--reason", default="", metavar="TEXT", help="kept in the record")
    common.add_json(parser)
    parser.set_defaults(run=rollback)


def rollback(args: argparse.Namespace) -> int:
    """Brings every instance back; the plan is shown and applied."""
    from balbook.plan.tables import plan_table
    from balbook.run.without_notebook import apply_directly

    began = time.monotonic()
    inventory = common.inventory_of(args)
    parameters = {"application": common.require_application(inventory, args.application), "release": args.to, "reason": args.reason}
    common.require_words(inventory, **parameters)
    plan = _plan(inventory, parameters)
    if not args.json:
        common.say(str(plan_table(plan)))
    stated, record = apply_directly(inventory, plan, parameters, common.say)
    seconds = time.monotonic() - began
    if args.json:
        common.print_json(_data(plan, stated, record, seconds))
    else:
        release = plan.subject.get("release", "-")
        print(f"rollback of {args.application} to {release}: {stated.verdict} in {seconds:.1f} s (run {run_id_of(record)})")
        if stated.why:
            print(f"  {stated.why}")
        print(f"record: {record}")
    return stated.exit_status


def _plan(inventory: Inventory, parameters: dict[str, str]) -> Plan:
    from balbook import transport
    from balbook.procedures import rollback as procedure
    from balbook.procedures.parts.site import Site

    site = Site(inventory, transport.connect(inventory), parameters)
    try:
        return procedure.plan(site)
    finally:
        site.transport.close()


def _data(plan: Plan, stated: Stated, record: Path, seconds: float) -> dict[str, object]:
    history = history_of(record)
    about = {
        "runbook": "rollback",
        "verdict": stated.verdict,
        "why": stated.why,
        "seconds": round(seconds, 1),
        "notebook": "",
        "release": plan.subject.get("release", ""),
        "changes": history.applied.changes if history.applied else 0,
        "measurements": history.measured.payload() if history.measured else {},
    }
    run_id = run_id_of(record)
    head = {"run_id": run_id, "name": "rollback", "verdict": stated.verdict, "seconds": about["seconds"], "record": str(record)}
    return {**head, "runbooks": [about]}
