"""`rollback`: returns to an earlier release without a notebook, so that no kernel has to start; the same plan as the runbook's."""

from __future__ import annotations

import argparse
import time

from balbook.cli import common
from balbook.plan.tables import plan_table
from balbook.procedures import rollback as procedure
from balbook.record.journal import history_of
from balbook.run.headless import ended
from balbook.run.without_notebook import apply_directly, connected

EXAMPLE = "balbook rollback hotel --reason 'prices are wrong'"
ARGUMENTS = (
    common.INVENTORY,
    common.APPLICATION,
    common.argument("--to", default="", metavar="RELEASE", help="name or version of the release (default: the previous proven one)"),
    common.REASON,
    common.JSON,
)


def run(args: argparse.Namespace) -> int:
    """Returns every instance to the release; shows the plan and applies it."""
    began = time.monotonic()
    inventory = common.inventory_of(args)
    parameters = {"application": common.require_application(inventory, args.application), "release": args.to, "reason": args.reason}
    common.require_words(inventory, **parameters)
    with connected(inventory, parameters) as site:
        plan = procedure.plan(site)
    if not args.json:
        common.say(str(plan_table(plan)))
    stated, record = apply_directly(inventory, plan, parameters, common.say)
    done = ended("rollback", record, history_of(record), stated, time.monotonic() - began)
    release = plan.subject.get("release", "")
    first = f"rollback of {args.application} to {release or '-'}: {done.verdict} in {done.seconds:.1f} s (run {done.run_id})"
    common.show(args, common.summary(done, release=release), common.told(done, first, done.why))
    return done.exit_status
