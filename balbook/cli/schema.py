"""`schema`: the JSON Schema of the inventory."""

from __future__ import annotations

import argparse

from balbook.cli import common


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments of `schema`."""
    parser.epilog = "example: balbook schema > schema.json"
    parser.set_defaults(run=schema)


def schema(args: argparse.Namespace) -> int:
    """Prints the inventory's JSON Schema."""
    from balbook.inventory.load import inventory_schema

    common.print_json(inventory_schema())
    return 0
