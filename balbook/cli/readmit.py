"""`readmit`: a drained instance returns to service."""

from __future__ import annotations

import argparse

from balbook.cli import common


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments of `readmit`."""
    parser.epilog = "example: balbook readmit hotel app1:9090"
    common.add_maintenance(parser)
    parser.set_defaults(run=readmit)


def readmit(args: argparse.Namespace) -> int:
    """Puts it back."""
    return common.maintain(args, "readmit")
