"""`schema`: prints the JSON Schema of the inventory."""

from __future__ import annotations

import argparse

from balbook.cli import common
from balbook.inventory.load import inventory_schema

EXAMPLE, ARGUMENTS = "balbook schema > schema.json", ()


def run(args: argparse.Namespace) -> int:
    """Prints the inventory's JSON Schema."""
    common.print_json(inventory_schema())
    return 0
