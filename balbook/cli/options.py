"""Options that several commands share, and where their inventory comes from."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

from balbook.inventory import Inventory, find_inventory, read_inventory
from balbook.local.lab_place import running_inventory
from balbook.secrets.references import FORMS
from balbook.secrets.scrubbing import QUIET, ScrubbedStream, known_secrets


def add_inventory(parser: argparse.ArgumentParser) -> None:
    """`-i`."""
    parser.add_argument(
        "-i", "--inventory", type=Path, metavar="FILE", help="inventory (else BALBOOK_INVENTORY, ./inventory.yaml, the running lab's)"
    )


def add_json(parser: argparse.ArgumentParser) -> None:
    """`--json`."""
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output and nothing else there")


def inventory_of(args: argparse.Namespace, parameter: str = "") -> Inventory:
    """The inventory by the documented order; which one is said on standard error."""
    path, source = find_inventory(
        args.inventory, parameter=parameter, environ=os.environ, cwd=Path.cwd(), lab_inventory=running_inventory(os.environ)
    )
    say(f"inventory: {path} ({source})")
    inventory = read_inventory(path)
    hide_secrets(inventory, QUIET)
    return inventory


def hide_secrets(inventory: Inventory, kinds: Collection[str] = tuple(FORMS)) -> None:
    """From now on this program prints no secret of the inventory; of those kinds of references that can be read here."""
    scrubber = known_secrets(inventory, os.environ, kinds)
    if scrubber.values:
        sys.stdout, sys.stderr = ScrubbedStream(sys.stdout, scrubber), ScrubbedStream(sys.stderr, scrubber)


def say(line: str) -> None:
    """Progress and messages go to standard error."""
    print(line, file=sys.stderr, flush=True)


def print_json(data: Any) -> None:
    """The result on standard output."""
    print(json.dumps(data, indent=1, ensure_ascii=False))
