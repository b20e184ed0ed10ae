"""The overview that an engineer sees first: deployed releases, the last runs, the runbooks. Only reads; changes no host."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from balbook.artifacts.store import Store
from balbook.engine import process
from balbook.errors import BadInput, BalbookError
from balbook.inventory import Inventory, find_inventory, read_inventory
from balbook.inventory.models import Instance
from balbook.local.atomic_files import write_bytes
from balbook.local.lab_place import running_inventory
from balbook.local.resources import resource
from balbook.notebook.runbook import Runbook, find_runbooks, read_runbook
from balbook.procedures.parts.look import Seen, look_within
from balbook.record.journal import history_of, utc_now
from balbook.record.listing import list_records
from balbook.record.statement import run_id_of
from balbook.show.table import Link, Table
from balbook.transport import Transport

WITHIN_S = 5.0
LAST = 5
DEPLOYED = ("application", "instance", "release", "packages", "healthy", "in service", "since (UTC)")
RAN = ("at (UTC)", "runbook", "mode", "about", "verdict", "reason", "by", "run")
UNKNOWN = "unreachable"


def deployed(inventory: Inventory | None = None, *, within_s: float = WITHIN_S, connection: Transport | None = None) -> Table:
    """A row for each instance: release, package versions, health, start of its process.

    Takes at most `within_s` seconds; a host that has not answered by then is called unreachable.
    """
    try:
        found = inventory or _inventory()
    except BalbookError as exc:
        return Table(DEPLOYED, (), title="Deployed releases", note=str(exc))
    seen = look_within(found, within_s, connection)
    rows = [row for name in found.applications for row in _instance_rows(found, name, seen[name])]
    lab = ", a lab for rehearsing" if found.lab else ""
    locks = [
        f"{name} is locked by {about.holder.who}, run {about.holder.run_id}, since {about.holder.since}"
        for name, about in seen.items()
        if about.holder
    ]
    silent = dict.fromkeys(why.message for about in seen.values() for why in about.silent.values())
    notes = [f"Environment {found.environment}{lab}; inventory {found.path}", *locks, *silent]
    note = found.secrets.scrubber.text("\n".join(notes))
    return Table(DEPLOYED, rows, title=f"Deployed releases as of {_time(utc_now())} UTC", note=note)


def recent_runs(inventory: Inventory | None = None, *, last: int = LAST, folder: Path | None = None, copies: str = "") -> Table:
    """The newest runs first, with their verdicts; `running` while the run's process works, `open` until somebody closes the run.

    `copies` is a folder below `folder` (else the current one) for copies of the executed notebooks, to which the table links: a
    front end can write to a notebook that it opens, and a sealed record must stay as it was sealed.
    """
    try:
        found = inventory or _inventory()
    except BalbookError as exc:
        return Table(RAN, (), title="The last runs", note=exc.message)
    records = found.resolve(found.records.path)
    target = (folder or Path.cwd()) / copies if copies else None
    rows = [_run_row(records / listed.record, target) for listed in list_records(records)[: -last - 1 : -1]]
    return Table(RAN, rows, title="The last runs", note=f"Records: {records}" if rows else f"No run is recorded in {records} yet.")


def runbooks(*places: str, folder: Path | None = None) -> Table:
    """A link to each runbook in these places below `folder` (else the current one), with its purpose.

    balbook's own folder of runbooks is left out: engineers open copies of them.
    """
    here, own = folder or Path.cwd(), resource("runbooks").resolve()
    wanted = [place for place in places or (".",) if (here / place).is_dir() and (here / place).resolve() != own]
    rows = [
        (Link(runbook.name, f"{place}/{runbook.path.name}".removeprefix("./")), _purpose(runbook) or runbook.title)
        for place in wanted
        for runbook in _runbooks_in(here / place)
    ]
    return Table(("runbook", "purpose"), rows, title="Runbooks", note="" if rows else f"No runbook is in {here}.")


def _runbooks_in(folder: Path) -> Iterator[Runbook]:
    """The notebooks of a folder that have a cell which opens a run; a notebook that cannot be read is passed over."""
    for path in find_runbooks(folder).values():
        with suppress(BadInput):
            runbook = read_runbook(path)
            if any(cell.role == "setup" for cell in runbook.cells):
                yield runbook


def _inventory() -> Inventory:
    """The inventory that runbooks opened here use."""
    found, _ = find_inventory(None, environ=os.environ, cwd=Path.cwd(), lab_inventory=running_inventory(os.environ))
    return read_inventory(found)


def _instance_rows(inventory: Inventory, name: str, seen: Seen) -> Iterator[tuple[object, ...]]:
    versions = _versions(inventory, name)
    application = inventory.applications[name]
    for instance in application.instances:
        if instance.host in seen.silent and instance.name not in seen.is_healthy:
            yield name, instance.name, UNKNOWN, "", "", _service(inventory, name, instance, seen), ""
            continue
        there = seen.instance(instance)
        release = (there.running or there.current if there else None) or "-"
        packages = "\n".join(f"{package} {version}" for package, version in versions.get(release.rpartition("-")[0], {}).items())
        healthy = "yes" if seen.is_healthy.get(instance.name) else "no" if there else "-"
        since = _time(datetime.fromtimestamp(there.since, UTC)) if there and there.since else "-"
        yield name, instance.name, release, packages or "-", healthy, _service(inventory, name, instance, seen), since


def _versions(inventory: Inventory, name: str) -> dict[str, dict[str, str]]:
    """The packages of each version, as the artifact store has them; empty where the store cannot be read."""
    with suppress(BalbookError, OSError):
        return {a.version: dict(a.packages) for a in Store(inventory.resolve(inventory.artifacts)).artifacts(name)}
    return {}


def _service(inventory: Inventory, name: str, instance: Instance, seen: Seen) -> str:
    balancer = inventory.applications[name].balancer
    if not balancer:
        return "no balancer"
    if inventory.balancers[balancer].host in seen.silent and not seen.in_service:
        return UNKNOWN
    return "yes" if seen.in_service.get(instance.name) else "no" if seen.instance(instance) else "-"


def _run_row(folder: Path, copies: Path | None) -> tuple[object, ...]:
    verdict, opened, is_running = "unreadable", None, process.find(folder) is not None
    with suppress(BadInput):
        history = history_of(folder)
        verdict, opened = "running" if is_running else "open" if history.is_open else history.verdict[0], history.opened
    if opened is None:
        return "", folder.name, "-", "-", verdict, "-", "-", run_id_of(folder)
    about = " ".join(str(opened.parameters[key]) for key in ("application", "release") if opened.parameters.get(key))
    run = opened.run_id if copies is None or is_running else _copied(folder, opened.runbook, opened.run_id, copies)
    at, by = opened.at[:19].replace("T", " "), str(opened.who.get("user", "-"))
    return at, opened.runbook, opened.mode, about or "-", verdict, opened.reason or "-", by, run


def _copied(folder: Path, name: str, run_id: str, copies: Path) -> Link | str:
    """A link to a copy of the executed notebook, relative to the folder above `copies`; the bare id where no copy can be made.

    An earlier copy is kept.
    """
    target = copies / f"{name}-{run_id}.ipynb"
    with suppress(OSError):
        executed = (folder / f"{name}.ipynb").read_bytes()
        target.parent.mkdir(exist_ok=True)
        if not target.exists():
            write_bytes(target, executed)
        return Link(run_id, f"{copies.name}/{target.name}")
    return run_id


def _purpose(runbook: Runbook) -> str:
    """The sentence after `**Purpose.**` in its title cell."""
    found = re.search(r"\*\*Purpose\.?\*\*\s*(.+?)(?:\n\s*\n|\Z)", runbook.cells[0].source if runbook.cells else "", re.DOTALL)
    return " ".join(found[1].split()) if found else ""


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}"
