"""`apply`: runs a runbook or a pipeline, or applies exactly the plan that another run showed."""

from __future__ import annotations

import argparse
from pathlib import Path

from balbook.cli import common
from balbook.errors import BadInput, ParameterError
from balbook.notebook.runbook import find_runbooks
from balbook.plan.reading import read_plan, require_current
from balbook.record.events import RunOpened
from balbook.record.journal import history_of
from balbook.record.statement import run_id_of

EXAMPLE = "balbook apply hot_deploy -p application=hotel -p release=2.0.0 -p reason='new prices'"
ARGUMENTS = (
    common.argument("name", nargs="?", metavar="NAME", help="a runbook or a pipeline"),
    *common.RUN,
    common.argument("--plan", metavar="RUN_ID", help="apply exactly the plan that this run showed"),
)


def run(args: argparse.Namespace) -> int:
    """Runs the runbook or pipeline; with `--plan` applies exactly the plan that another run showed."""
    if not args.plan:
        if not args.name:
            raise BadInput("apply needs a runbook, a pipeline or a plan", advice="Give a name, or --plan RUN_ID.")
        return common.run(args, args.name, common.parameters(args) | {"mode": "apply"}, key=args.key)
    if args.key:
        raise BadInput("--key and --plan do not go together", advice="Leave --key out: a plan that was shown is applied only once.")
    inventory = common.inventory_of(args)
    run_dir = common.run_of(inventory, args.plan)
    run_id, history = run_id_of(run_dir), history_of(run_dir)
    if history.opened is None or history.planned is None:
        raise BadInput(f"run {run_id} showed no plan", advice="Make a plan: balbook plan NAME.")
    opened = history.opened
    require_current(read_plan(run_dir))
    if args.name and args.name not in (opened.runbook, opened.notebook):
        raise BadInput(f"run {run_id} is of the runbook {opened.runbook}, not {args.name}", advice="Leave the name out.")
    if (planned_with := Path(opened.inventory["path"])) != inventory.path:
        args.inventory = planned_with
        inventory = common.inventory_of(args)
    args.name = _notebook(opened)
    agreed = {k: v for k, v in opened.parameters.items() if k != "inventory"}
    for key, value in common.parameters(args).items():
        if agreed.get(key) != value and key not in ("reason", "ticket"):
            problem = f"parameter {key}: the plan was made with {agreed.get(key)!r}"
            raise ParameterError(problem, advice="Leave the parameter out, or make a new plan.")
        agreed[key] = value
    agreed["mode"], digest = "apply", history.planned.digest
    return common.run(args, args.name, agreed, inventory=inventory, expected_digest=digest, shown_in=run_id)


def _notebook(opened: RunOpened) -> str:
    """The executed runbook: its name if it is one of ours, else its file."""
    ours = find_runbooks().get(opened.runbook)
    is_ours = ours is not None and str(ours.resolve()) == (opened.notebook or str(ours.resolve()))
    return opened.runbook if is_ours else opened.notebook
