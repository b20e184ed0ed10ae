"""`doctor`: checks this machine and the inventory's hosts for the things that balbook needs. Changes nothing."""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import sys
import time
from contextlib import closing
from functools import partial
from importlib import metadata
from pathlib import Path

from balbook import transport as transports
from balbook.cli import common
from balbook.commands.command import Command
from balbook.errors import BalbookError, InventoryError
from balbook.facts.system import system
from balbook.inventory import Inventory, read_inventory
from balbook.lab import needs
from balbook.show.table import Table
from balbook.transport import Transport, fan_out

Row = tuple[str, str, str]
"""The thing that was checked, its state (one of these), and what was found."""
THERE, LACKING, OPTIONAL = "there", "no", "not needed"
PROGRAMS = (
    ("ssh-keygen", LACKING, "signs and verifies records"),
    ("git", OPTIONAL, "adds the inventory's commit to records"),
)
"""Programs of this machine, the state where a program is missing, and its task."""
PACKAGES = ("papermill", "ipykernel", "jupyterlab", "paramiko", "pydantic", "matplotlib", "pandas")
MAX_CLOCK_OFF_S = 5
EXAMPLE = "balbook doctor -i inventory.yaml"
ARGUMENTS = (common.INVENTORY, common.JSON)
HEADS = ("what", "state", "found")


def run(args: argparse.Namespace) -> int:
    """Shows a table of each part; exit status 1 if something is lacking."""
    inventory, rows = _inventory(args.inventory)
    parts = {"this machine": _machine(), "inventory": rows}
    if inventory is not None:
        parts["hosts"] = _hosts(inventory)
    data = {part: [dict(zip(HEADS, row, strict=True)) for row in rows] for part, rows in parts.items()}
    common.show(args, data, "\n\n".join(str(Table(HEADS, rows, title=part)) for part, rows in parts.items()))
    return 1 if any(state == LACKING for rows in parts.values() for _, state, _ in rows) else 0


def _row(what: str, is_there: bool, found: str, otherwise: str = LACKING) -> Row:
    return what, THERE if is_there else otherwise, found


# This machine ------------------------------------------------------------------------------------------------------------------


def _machine() -> list[Row]:
    paths = {name: shutil.which(name) for name, _, _ in PROGRAMS}
    lacking = ", ".join(need.program for need in needs.missing())
    wanted = ", ".join(need.program for need in needs.NEEDS if not need.group)
    return [
        _row("Python 3.11 or newer", sys.version_info >= (3, 11), platform.python_version()),
        *(_package(name) for name in PACKAGES),
        *(_row(f"{name}: {task}", bool(paths[name]), paths[name] or "not on PATH", otherwise) for name, otherwise, task in PROGRAMS),
        _row("programs of the lab", not lacking, f"missing: {lacking} (only `balbook lab` needs them)" if lacking else wanted, OPTIONAL),
    ]


def _package(name: str) -> Row:
    try:
        return f"package {name}", THERE, metadata.version(name)
    except metadata.PackageNotFoundError:
        return f"package {name}", LACKING, "Install balbook again: pip install balbook"


# The inventory -----------------------------------------------------------------------------------------------------------------


def _inventory(named: Path | None) -> tuple[Inventory | None, list[Row]]:
    """The inventory and its rows. An inventory that is named but wrong is lacking; without any, only the machine is checked."""
    try:
        found = common.found_or_none(named)
    except InventoryError as exc:
        return None, [("inventory", LACKING, exc.message)]
    if isinstance(found, InventoryError):
        return None, [("inventory", OPTIONAL, "no inventory: `balbook init DIR` makes one, `balbook lab up` brings its own")]
    path, source = found
    try:
        inventory = read_inventory(path)
    except InventoryError as exc:
        common.say(f"balbook: {exc}")
        return None, [(str(path), LACKING, exc.message)]
    about = f"{len(inventory.hosts)} hosts, {len(inventory.applications)} applications, environment {inventory.environment}"
    places = {"records": inventory.records.path, "artifacts": inventory.artifacts}
    return inventory, [(f"{path} ({source})", THERE, about), *(_writable(what, inventory.resolve(p)) for what, p in places.items())]


def _writable(what: str, place: Path) -> Row:
    """A row on a folder: can balbook write into the folder, or make it in the nearest folder above it that exists?"""
    nearest = next(folder for folder in (place, *place.parents) if folder.exists())
    return _row(f"{what} can be written", nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK), str(place))


# The hosts ---------------------------------------------------------------------------------------------------------------------


def _hosts(inventory: Inventory) -> list[Row]:
    with closing(transports.connect(inventory)) as transport:
        outcomes = fan_out(inventory.hosts, partial(_host, transport, inventory))
    rows: list[Row] = []
    for name, outcome in outcomes.by_host.items():
        rows += [(f"{name}: takes commands", LACKING, _why(outcome.error))] if outcome.error else outcome.value or []
    return rows


def _host(transport: Transport, inventory: Inventory, name: str) -> list[Row]:
    host = inventory.hosts[name]
    fact = system(host.root)
    before = time.time()
    found = fact.parse(transports.run(transport, name, fact.command).stdout)
    off_s = min((found.epoch - int(edge) for edge in (before, time.time())), key=abs)  # the host's clock is read in whole seconds
    about = f"{found.os}, {found.cpus} processors, {found.memory_mb:,} MB, login {found.user}"
    rows = [
        _row(f"{name}: takes commands", True, about),
        _row(f"{name}: clock within {MAX_CLOCK_OFF_S} s of this machine's", abs(off_s) <= MAX_CLOCK_OFF_S, f"{off_s:+.0f} s"),
    ]
    if host.become:
        status = transport.execute(name, Command(("true",), is_privileged=True)).status
        told = f"sudo -n ended with status {status}" if status else "without a password"
        rows.append(_row(f"{name}: {host.become}", status == 0, told))
    return rows


def _why(error: BalbookError) -> str:
    return " ".join(part for part in (error.message, error.advice) if part).replace("\n", " ")
