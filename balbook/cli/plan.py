"""`plan`: shows the changes that a runbook or pipeline would make."""

from __future__ import annotations

import argparse

from balbook.cli import common

EXAMPLE = "balbook plan hot_deploy -p application=hotel -p release=2.0.0"
ARGUMENTS = (
    common.argument("name", metavar="NAME", help="a runbook or a pipeline"),
    *common.RUN,
    common.argument(
        "--fail-on-changes", action="store_true", help="exit with 4 if the plan has changes (drift), with 1 if a precondition is not met"
    ),
)


def run(args: argparse.Namespace) -> int:
    """Shows the changes."""
    parameters = common.parameters(args) | {"mode": "plan"}
    return common.run(args, args.name, parameters, key=args.key, is_drift_failure=args.fail_on_changes)
