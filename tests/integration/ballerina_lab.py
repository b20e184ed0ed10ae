"""A loopback lab with Ballerina's side of it, and what tests ask of it: procedures and engine, without notebooks."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from balbook import transport as transports
from balbook.engine.loop import Applied, Loop, StopRequest
from balbook.inventory import Inventory, read_inventory
from balbook.lab import loopback
from balbook.lab.loopback import Lab
from balbook.local import processes
from balbook.local.lab_place import VARIABLE
from balbook.plan.model import Plan
from balbook.procedures import procedure, with_defaults
from balbook.procedures.parts.site import Site
from balbook.record.journal import Journal

USUAL: dict[str, dict[str, Any]] = {
    "provision": {"hosts": []},
    "install": {"hosts": [], "version": "", "source": ""},
    "pack_push": {"packages": [], "repository": "central"},
    "consolidate": {"application": "hotel"},
    "build": {"application": "hotel"},
    "hot_deploy": {"application": "hotel", "release": "latest", "strategy": "", "serial": 1},
    **{name: {"application": "rooms", "release": "latest"} for name in ("publish_artifact", "retrieve", "configure", "verify")},
    "deploy": {"application": "rooms", "release": "latest", "serial": 1},
    "rollback": {"application": "hotel", "release": ""},
}


@dataclass(frozen=True)
class Done:
    """What applying a plan came to, with the text of its journal."""

    plan: Plan
    applied: Applied
    journal: Journal

    @property
    def why(self) -> str:
        return self.applied.why

    @property
    def written(self) -> str:
        return self.journal.path.read_text()


@dataclass
class BallerinaLab:
    """The lab; `environ` is that of its processes."""

    lab: Lab
    scratch: Path
    runs: int = 0

    @property
    def root(self) -> Path:
        """The build host's root, a folder of this machine."""
        return self.lab.servers["build1"].home / "balbook"

    def inventory(self, change: Callable[[dict[str, Any]], object] = lambda data: None) -> Inventory:
        """The lab's inventory, changed, in a file of its own beside it."""
        data = yaml.safe_load(self.lab.inventory.read_text())
        change(data)
        self.runs += 1
        path = self.lab.folder / f"inventory-{self.runs}.yaml"
        path.write_text(yaml.safe_dump(data))
        return read_inventory(path)

    @contextmanager
    def site(self, runbook: str, inventory: Inventory | None = None, **parameters: Any) -> Iterator[Site]:
        found = inventory or read_inventory(self.lab.inventory)
        given = with_defaults(found, runbook, {**USUAL[runbook], **parameters})
        site = Site(found, transports.connect(found), given)
        try:
            yield site
        finally:
            site.transport.close()

    def plan(self, runbook: str, inventory: Inventory | None = None, **parameters: Any) -> Plan:
        with self.site(runbook, inventory, **parameters) as site:
            return procedure(runbook).plan(site)

    def apply(self, runbook: str, inventory: Inventory | None = None, **parameters: Any) -> Done:
        """Plans and applies in this process, whatever comes of it; nothing may be unmet."""
        with self.site(runbook, inventory, **parameters) as site:
            plan = procedure(runbook).plan(site)
            assert plan.unmet == (), plan.unmet
            return self.carry_out(site, plan)

    def carry_out(self, site: Site, plan: Plan) -> Done:
        self.runs += 1
        folder = self.scratch / f"run-{self.runs}"
        folder.mkdir()
        journal = Journal(folder / "journal.jsonl")
        return Done(plan, Loop(plan, site.transport, journal, StopRequest()).apply(), journal)

    def until_gone(self, pid: int) -> None:
        """Waits until no process has this pid."""
        deadline = time.monotonic() + 10
        while processes.identity(pid):
            assert time.monotonic() < deadline, f"process {pid} of {self.lab.folder} does not end"
            time.sleep(0.02)

    def write_package(self, name: str, source: str, *, version: str = "0.1.0", test: str = "") -> Path:
        """A package `acme/NAME` in a directory of its own."""
        place = self.scratch / "packages" / name
        (place / "tests").mkdir(parents=True, exist_ok=True)
        (place / "Ballerina.toml").write_text(f'[package]\norg = "acme"\nname = "{name}"\nversion = "{version}"\n')
        (place / f"{name}.bal").write_text(source)
        if test:
            (place / "tests" / f"{name}_test.bal").write_text(f"import ballerina/test;\n\n{test}")
        return place

    def commit(self, package: str, change: Callable[[Path], object]) -> None:
        """A change in the package's source repository."""
        place = self.lab.folder / "repositories" / package
        change(place)
        if (place / ".git").exists():
            words = ["git", "-c", "user.name=Ada", "-c", "user.email=ada@example.invalid", "commit", "-q", "-a", "-m", "change"]
            environ = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
            subprocess.run(words, cwd=place, check=True, env=environ, timeout=30)


@contextmanager
def ballerina_lab(folder: Path, hosts: tuple[str, ...]) -> Iterator[BallerinaLab]:
    """A lab of these hosts below `folder`, with Ballerina's distribution installed."""
    environ = {**os.environ, VARIABLE: str(folder / "labs")}
    scratch = folder / "scratch"
    scratch.mkdir()
    try:
        yield BallerinaLab(loopback.up("ballerina", hosts, environ=environ), scratch)
    finally:
        loopback.down("ballerina", environ=environ)
