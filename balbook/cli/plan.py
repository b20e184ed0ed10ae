"""`plan`: what a runbook or pipeline would change."""

from __future__ import annotations

import argparse

from balbook.cli import common


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments of `plan`."""
    parser.epilog = "example: balbook plan hot_deploy -p application=hotel -p release=2.0.0"
    parser.add_argument("name", metavar="NAME", help="a runbook or a pipeline")
    common.add_run(parser)
    what = "exit with 4 where there is something to change (drift), with 1 where a precondition is not met"
    parser.add_argument("--fail-on-changes", action="store_true", help=what)
    parser.set_defaults(run=plan)


def plan(args: argparse.Namespace) -> int:
    """Shows what would change."""
    parameters = common.parameters(args) | {"mode": "plan"}
    return common.run(args, args.name, parameters, key=args.key, is_drift_failure=args.fail_on_changes)
