"""A loopback lab with a hotel in it, driven as the command line drives it but without notebooks; for tests and benchmarks."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

import balbook
from balbook import transport as transports
from balbook.artifacts.store import Store
from balbook.inventory import Inventory, read_inventory
from balbook.lab import loopback
from balbook.lab.ballerina.jar import sample_jar
from balbook.local.lab_place import VARIABLE
from balbook.procedures import Check, procedure
from balbook.procedures.parts.site import Site
from balbook.record.verdict import Stated
from balbook.run import without_notebook as direct
from tests.journals import Line, lines

ROOT = Path(balbook.__file__).parents[1]
JAVA_OPTIONS = ["-Xshare:auto", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx64m"]


def until(is_so: Callable[[], bool], within_s: float = 20.0, what: str = "it") -> None:
    deadline = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < deadline, f"{what} did not happen within {within_s:g} s"
        time.sleep(0.02)


@dataclass
class RolloutLab:
    """`folder` is a short one, for the sockets below it. `application` and `balancer` are merged into the lab's inventory."""

    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="bb-")))
    kind: str = "nginx"
    strategy: str = "active_active"
    apps: int = 2
    application: dict[str, Any] = field(default_factory=dict)
    balancer: dict[str, Any] = field(default_factory=dict)
    inventory_more: dict[str, Any] = field(default_factory=dict)

    def up(self) -> RolloutLab:
        """The lab, provisioned, with no release yet and `1.0.0` and `2.0.0` in its store."""
        hosts = (*(f"app{number}" for number in range(1, self.apps + 1)), "lb1")
        self.environ = {**os.environ, VARIABLE: str(self.folder / "labs")}
        self.lab = loopback.up(hosts=hosts, environ=self.environ)
        data = yaml.safe_load(self.lab.inventory.read_text())
        data["applications"]["hotel"] |= {"strategy": self.strategy, "java_options": JAVA_OPTIONS, **self.application}
        data["balancers"]["public"] |= {"kind": self.kind, **self.balancer}
        self.lab.inventory.write_text(yaml.safe_dump({**data, **self.inventory_more}, sort_keys=False))
        for version in ("1.0.0", "2.0.0"):
            self.publish(version)
        stated, _ = self.apply("provision", hosts=[])
        assert stated.verdict == "succeeded", stated
        return self

    def down(self) -> None:
        loopback.down(environ=self.environ)
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def inventory(self) -> Inventory:
        return read_inventory(self.lab.inventory)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.lab.ports['lb1.listen']}"

    def publish(self, version: str, **options: Any) -> None:
        jar = self.folder / f"{version}.jar"
        sample_jar(jar, version.partition("-")[0], **options)
        Store(self.lab.folder / "artifacts").publish("hotel", version, "jar", jar, at=datetime.now(UTC))

    def parameters(self, **given: Any) -> dict[str, Any]:
        return {"application": "hotel", "mode": "apply", "reason": "", **given}

    def site(self, **given: Any) -> Site:
        inventory = self.inventory
        return Site(inventory, transports.connect(inventory), self.parameters(**given))

    def apply(self, name: str, say: Callable[[str], None] = lambda line: None, **given: Any) -> tuple[Stated, Path]:
        """Plans and applies a runbook's procedure; the verdict and the record."""
        site = self.site(**given)
        try:
            plan = procedure(name).plan(site)
        finally:
            site.transport.close()
        return direct.apply_directly(self.inventory, plan, self.parameters(**given), say)

    def deploy(self, version: str, **given: Any) -> Path:
        """Deploys, and insists on success; the record."""
        stated, record = self.apply("hot_deploy", release=version, **given)
        assert stated.verdict == "succeeded", (stated, (record / "engine.log").read_text())
        return record

    def checks(self, version: str) -> list[Check]:
        """What is not as it should be if `version` is deployed."""
        site = self.site(release=version)
        try:
            plan = procedure("hot_deploy").plan(site)
            return [check for check in procedure("hot_deploy").verify(site, plan) if not check.is_so]
        finally:
            site.transport.close()

    def releases(self) -> dict[str, str]:
        """Instance → version that it runs; empty where nothing runs."""
        from balbook.procedures.parts.look import look

        site = self.site()
        try:
            seen = look(site)
            return {i.name: (seen.running(i) or "").rpartition("-")[0] for i in site.application.instances}
        finally:
            site.transport.close()

    def names(self) -> list[str]:
        return [instance.name for instance in self.inventory.applications["hotel"].instances]

    def pid(self, host: str) -> int:
        found = next(e for e in loopback.status(environ=self.environ).instances if e.name.startswith(f"{host}:"))
        assert found.pid is not None, f"nothing runs on {host}"
        return found.pid

    def command(self, *words: str, within_s: float = 120, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """The `balbook` command with this lab's inventory."""
        return subprocess.run(
            [sys.executable, "-m", "balbook", words[0], "-i", str(self.lab.inventory), *words[1:]],
            env={**self.environ, "PYTHONPATH": str(ROOT), **(env or {})},
            capture_output=True,
            text=True,
            timeout=within_s,
            check=False,
        )


def events(record: Path, name: str = "") -> list[Line]:
    found = lines(record / "journal.jsonl")
    return [event for event in found if not name or event["event"] == name]


def measured(record: Path) -> Line:
    return events(record, "measured")[-1]


class Clients:
    """Fresh GET requests at a steady pace from another thread, whatever becomes of them; `failed` says what went wrong."""

    def __init__(self, url: str, rate: float = 50, timeout_s: float = 10) -> None:
        self.url, self.interval_s, self.timeout_s = url, 1 / rate, timeout_s
        self.sent, self.failed, self.worst_s = 0, [], 0.0  # type: ignore[var-annotated]
        self._is_over = threading.Event()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Clients:
        self._threads = [threading.Thread(target=self._go_on, daemon=True)]
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join(self.timeout_s + 2)

    def _go_on(self) -> None:
        while not self._is_over.wait(self.interval_s):
            thread = threading.Thread(target=self._one, daemon=True)
            self._threads.append(thread)
            thread.start()

    def _one(self) -> None:
        began = time.monotonic()
        self.sent += 1
        try:
            with urllib.request.urlopen(self.url, timeout=self.timeout_s) as answer:
                answer.read()
        except (OSError, urllib.error.URLError) as exc:
            self.failed.append(f"{type(exc).__name__}: {exc}")
        self.worst_s = max(self.worst_s, time.monotonic() - began)
