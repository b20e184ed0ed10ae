"""The loopback lab with the hotel sample on it, and what tests ask of it; one for all tests of a session."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

import balbook
from balbook import procedures
from balbook import transport as transports
from balbook.artifacts.store import Store
from balbook.inventory import Inventory, read_inventory
from balbook.lab.ballerina.jar import sample_jar
from balbook.lab.loopback import Lab
from balbook.plan.model import Plan
from balbook.procedures.parts.look import Seen, look
from balbook.procedures.parts.site import Site
from balbook.record.verdict import Stated
from balbook.run.without_notebook import apply_directly
from tests.journals import Line, lines, verified

ROOT = Path(balbook.__file__).parents[1]
GOOD = ("1.0.0", "2.0.0")
NEVER_HEALTHY, ENDS_AT_START = "3.0.0", "4.0.0"
PATIENCE_S = 120.0
"""What is waited for comes much sooner, but the machine may be busy with something else."""
PUBLISHED_FIRST = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Hotel:
    """The application on a lab. `environ` is that of commands: the lab's home, and this interpreter first on the path."""

    lab: Lab
    environ: dict[str, str]

    @property
    def inventory(self) -> Inventory:
        return read_inventory(self.lab.inventory)

    @property
    def home(self) -> Path:
        """The root of balbook's own directory on lb1."""
        return Path(self.inventory.hosts["lb1"].root)

    @property
    def balancer(self) -> Path:
        """The folder of the lab's NGINX."""
        return self.home / "balancers" / "public"

    def publish(self) -> None:
        """Two good releases, one that is never healthy and one that ends at its start; the good 2.0.0 is not the latest."""
        store = Store(self.inventory.resolve(self.inventory.artifacts))
        faults: dict[str, dict[str, int]] = {NEVER_HEALTHY: {"health_status": 503}, ENDS_AT_START: {"exit_status": 7}}
        for number, version in enumerate([*faults, *GOOD]):
            jar = sample_jar(self.lab.folder / "jars" / f"{version}.jar", version, **faults.get(version, {}))
            at = PUBLISHED_FIRST + timedelta(days=number)
            store.publish("hotel", version, "jar", jar, at=at, packages={"acme/rooms": version})

    def edited(self, path: Path, change: Callable[[dict[str, Any]], object]) -> Inventory:
        """The lab's inventory with a change, as another file."""
        data = yaml.safe_load(self.lab.inventory.read_text())
        change(data)
        path.write_text(yaml.safe_dump(data))
        return read_inventory(path)

    @contextlib.contextmanager
    def site(self, inventory: Inventory | None = None, **parameters: Any) -> Iterator[Site]:
        found = inventory or self.inventory
        site = Site(found, transports.connect(found), {"application": "hotel", **parameters})
        try:
            yield site
        finally:
            site.transport.close()

    def look(self) -> Seen:
        with self.site() as site:
            return look(site)

    def running(self) -> dict[str, str]:
        """The version that each instance runs, of those that are healthy and in service."""
        seen = self.look()
        return {
            i.name: str(seen.running(i)).rpartition("-")[0] for i in self.inventory.applications["hotel"].instances if seen.is_serving(i)
        }

    def other(self) -> str:
        """The good version that does not run on the first instance."""
        return GOOD[1] if next(iter(self.running().values()), "") == GOOD[0] else GOOD[0]

    def plan(self, release: str, *, inventory: Inventory | None = None, is_measured: bool = False, **parameters: Any) -> Plan:
        """The plan of a deployment, without a notebook; unless measured it does without the probe, which takes seconds."""
        with self.site(inventory, release=release, **parameters) as site:
            plan = procedures.procedure("hot_deploy").plan(site)
        return plan if is_measured else replace(plan, settings=replace(plan.settings, probe=None))

    def apply(self, plan: Plan, inventory: Inventory | None = None) -> tuple[Stated, Path]:
        """Applies a plan in a process of its own; the verdict and the record."""
        parameters = {"application": "hotel", "release": plan.subject.get("version", "latest")}
        return apply_directly(inventory or self.inventory, plan, parameters, lambda line: None)

    def make_whole(self) -> None:
        """Both instances serve the same good release, as the lab's inventory has it, afterwards; nothing is done where they do."""
        shutil.rmtree(self.home / "locks" / "hotel", ignore_errors=True)
        version = next(iter(self.running().values()), "")
        plan = self.plan(version if version in GOOD else GOOD[0])
        if not plan.pending:
            return
        stated, record = self.apply(plan)
        assert stated.verdict == "succeeded", (stated, record)

    def is_nginx_valid(self) -> bool:
        """What `nginx -t` says of the configuration that lies on the disk now."""
        main, log = self.balancer / "nginx.conf", self.balancer / "logs" / "error.log"
        argv = ["nginx", "-t", "-q", "-p", str(self.balancer), "-c", str(main), "-e", str(log)]
        return subprocess.run(argv, env=self.environ, capture_output=True, timeout=20, check=False).returncode == 0

    def balbook(self, *words: str, cwd: Path | None = None, within_s: float = 90) -> subprocess.CompletedProcess[str]:
        """Runs one command to its end."""
        argv = [sys.executable, "-m", "balbook", *words]
        return subprocess.run(
            argv, env=self.environ, cwd=cwd or ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=within_s, check=False
        )

    def start(self, *words: str, module: str = "balbook", cwd: Path | None = None) -> subprocess.Popen[str]:
        """Starts a command in a session of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", module, *words],
            env=self.environ,
            cwd=cwd or ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def records(self) -> set[Path]:
        folder = self.inventory.resolve(self.inventory.records.path)
        return {p for p in folder.glob("2*") if p.is_dir()}

    def new_record(self, before: set[Path], within_s: float = PATIENCE_S) -> Path:
        """The folder of the run that began since."""
        until(lambda: self.records() - before, within_s, "a new record")
        return (self.records() - before).pop()


def until(is_so: Callable[[], Any], within_s: float = PATIENCE_S, what: str = "the condition") -> None:
    """Waits for it; fails after `within_s`."""
    deadline = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < deadline, f"{what} did not come true within {within_s} s"
        time.sleep(0.03)


def wait_for(record: Path, event: str, within_s: float = PATIENCE_S, **fields: Any) -> Line:
    """Waits for an event of the run with these fields."""
    found: list[Line] = []

    def is_there() -> bool:
        events = lines(record / "journal.jsonl")
        found.extend(e for e in events if e["event"] == event and all(e.get(k) == v for k, v in fields.items()))
        return bool(found)

    until(is_there, within_s, f"{event} {fields}")
    return found[0]


def events(record: Path) -> list[Line]:
    """The events of an unbroken journal."""
    return verified(record / "journal.jsonl")


def last(record: Path, name: str) -> Line:
    return next(e for e in reversed(events(record)) if e["event"] == name)


def printed_json(shown: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """Standard output, which is one JSON object and nothing else."""
    data: dict[str, Any] = json.loads(shown.stdout)
    return data


def command_environment(labs: Path) -> dict[str, str]:
    """The environment of commands that work on the labs in this folder."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    dropped = ("BALBOOK_INVENTORY", "BALBOOK_REQUEST")
    kept = {k: v for k, v in os.environ.items() if k not in dropped}
    return {**kept, "PATH": path, "BALBOOK_LAB_HOME": str(labs), "PYTHONPATH": str(ROOT), "JUPYTER_PREFER_ENV_PATH": "1"}
