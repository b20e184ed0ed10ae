"""`doctor`: what this machine and the inventory's hosts have and lack. Changes nothing."""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from balbook.cli import common
from balbook.errors import BalbookError, InventoryError
from balbook.inventory import Inventory, find_inventory, read_inventory
from balbook.local.lab_place import running_inventory
from balbook.show.table import Table

if TYPE_CHECKING:
    from balbook.facts.system import System
    from balbook.transport import Transport

Row = tuple[str, str, str]
"""What is looked at, its state (one of these), and what was found."""
THERE, LACKING, OPTIONAL = "there", "no", "not needed"
PROGRAMS = (
    ("ssh-keygen", LACKING, "signs and verifies records"),
    ("git", OPTIONAL, "says in records which commit of the inventory was used"),
)
"""Programs of this machine, the state where one is missing, and what it does."""
PACKAGES = ("papermill", "ipykernel", "jupyterlab", "paramiko", "pydantic", "matplotlib", "pandas")
MAX_CLOCK_OFF_S = 5


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments of `doctor`."""
    parser.epilog = "example: balbook doctor -i inventory.yaml"
    common.add_inventory(parser)
    common.add_json(parser)
    parser.set_defaults(run=doctor)


def doctor(args: argparse.Namespace) -> int:
    """Shows a table of each; 1 where something lacks."""
    inventory, rows = _inventory(args.inventory)
    parts = {"this machine": _machine(), "inventory": rows}
    if inventory is not None:
        parts["hosts"] = _hosts(inventory)
    if args.json:
        common.print_json({part: [dict(zip(("what", "state", "found"), row, strict=True)) for row in rows] for part, rows in parts.items()})
    else:
        print("\n\n".join(str(Table(("what", "state", "found"), rows, title=part)) for part, rows in parts.items()))
    return 1 if any(state == LACKING for rows in parts.values() for _, state, _ in rows) else 0


# This machine ------------------------------------------------------------------------------------------------------------------


def _machine() -> list[Row]:
    rows: list[Row] = [("Python 3.11 or newer", THERE if sys.version_info >= (3, 11) else LACKING, platform.python_version())]
    rows += [_package(name) for name in PACKAGES]
    rows += [_program(name, otherwise, why) for name, otherwise, why in PROGRAMS]
    return [*rows, _lab()]


def _package(name: str) -> Row:
    try:
        return f"package {name}", THERE, metadata.version(name)
    except metadata.PackageNotFoundError:
        return f"package {name}", LACKING, "Install balbook again: pip install balbook"


def _program(name: str, otherwise: str, why: str) -> Row:
    path = shutil.which(name)
    return f"{name}: {why}", THERE if path else otherwise, path or "not on PATH"


def _lab() -> Row:
    from balbook.lab import needs

    if lacking := needs.missing():
        return "programs of the lab", OPTIONAL, f"missing: {', '.join(need.program for need in lacking)} (only `balbook lab` asks for them)"
    return "programs of the lab", THERE, ", ".join(need.program for need in needs.NEEDS if not need.group)


# The inventory -----------------------------------------------------------------------------------------------------------------


def _inventory(named: Path | None) -> tuple[Inventory | None, list[Row]]:
    """An inventory that is named but wrong lacks something; none at all does not, the machine alone is looked at then."""
    lab = running_inventory(os.environ)
    try:
        path, source = find_inventory(named, environ=os.environ, cwd=Path.cwd(), lab_inventory=lab)
    except InventoryError as exc:
        if named is not None or os.environ.get("BALBOOK_INVENTORY"):
            return None, [("inventory", LACKING, exc.message)]
        return None, [("inventory", OPTIONAL, "none here: balbook init DIR makes one, balbook lab up brings its own")]
    try:
        inventory = read_inventory(path)
    except InventoryError as exc:
        common.say(f"balbook: {exc}")
        return None, [(str(path), LACKING, exc.message)]
    found = f"{len(inventory.hosts)} hosts, {len(inventory.applications)} applications, environment {inventory.environment}"
    places = {"records": inventory.records.path, "artifacts": inventory.artifacts}
    return inventory, [(f"{path} ({source})", THERE, found), *(_writable(what, inventory.resolve(p)) for what, p in places.items())]


def _writable(what: str, place: Path) -> Row:
    """Whether a folder can be written, or made in the nearest one above it that exists."""
    nearest = next(folder for folder in (place, *place.parents) if folder.exists())
    is_writable = nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)
    return f"{what} can be written", THERE if is_writable else LACKING, str(place)


# The hosts ---------------------------------------------------------------------------------------------------------------------


def _hosts(inventory: Inventory) -> list[Row]:
    from balbook import transport as transports
    from balbook.transport import fan_out

    transport = transports.connect(inventory)
    try:
        outcomes = fan_out(inventory.hosts, lambda host: _host(transport, inventory, host))
    finally:
        transport.close()
    rows: list[Row] = []
    for name in inventory.hosts:
        outcome = outcomes.by_host[name]
        rows += [(f"{name}: takes commands", LACKING, _why(outcome.error))] if outcome.error else outcome.value or []
    return rows


def _host(transport: Transport, inventory: Inventory, name: str) -> list[Row]:
    from balbook import transport as transports
    from balbook.commands.command import Command
    from balbook.facts.system import system

    host = inventory.hosts[name]
    fact = system(host.root)
    before = time.time()
    found: System = fact.parse(transports.run(transport, name, fact.command).stdout)
    off_s = min((found.epoch - int(edge) for edge in (before, time.time())), key=abs)  # the host's clock is read in whole seconds
    rows: list[Row] = [
        (f"{name}: takes commands", THERE, f"{found.os}, {found.cpus} processors, {found.memory_mb:,} MB, login {found.user}"),
        (
            f"{name}: clock within {MAX_CLOCK_OFF_S} s of this machine's",
            THERE if abs(off_s) <= MAX_CLOCK_OFF_S else LACKING,
            f"{off_s:+.0f} s",
        ),
    ]
    if host.become:
        status = transport.execute(name, Command(("true",), is_privileged=True)).status
        found_so = "without a password" if status == 0 else f"sudo -n ended with status {status}"
        rows.append((f"{name}: {host.become}", THERE if status == 0 else LACKING, found_so))
    return rows


def _why(error: BalbookError) -> str:
    return " ".join(part for part in (error.message, error.advice) if part).replace("\n", " ")
