"""`drain`: one instance leaves service."""

from __future__ import annotations

import argparse

from balbook.cli import common


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments of `drain`."""
    parser.epilog = "example: balbook drain hotel app1:9090 --reason 'new disk'"
    common.add_maintenance(parser)
    parser.set_defaults(run=drain)


def drain(args: argparse.Namespace) -> int:
    """Takes one instance out of service."""
    return common.maintain(args, "drain")
