"""The lab of VMs with the hotel sample on it, and what tests ask of it."""

from __future__ import annotations

import os
import socket
import subprocess
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from balbook import procedures
from balbook import transport as transports
from balbook.artifacts.store import Store
from balbook.commands.command import Command, Result, script
from balbook.errors import BalbookError
from balbook.inventory import Inventory
from balbook.lab import vm_faults, vm_host
from balbook.lab.ballerina.jar import sample_jar
from balbook.plan.model import Plan
from balbook.record.verdict import Stated
from tests.integration.hotel import GOOD, PUBLISHED_FIRST, Hotel, until

BRISK = {
    "graceful_stop_s": 1,
    "health": {"path": "/health", "expect": 200, "within_s": 30, "passes": 1},
    "routes": {"/": {"timeout_s": 1}},
}
"""A lab's application as it comes, only brisker; and a request that got no answer is passed on after a second."""


class Machines(Hotel):
    """The application on a lab of VMs."""

    def address(self, host: str) -> str:
        return self.inventory.hosts[host].address

    @property
    def url(self) -> str:
        """The application, through the balancer."""
        return f"http://{self.address('lb1')}/rooms"

    def provision_plan(self, inventory: Inventory | None = None, **parameters: Any) -> Plan:
        with self.site(inventory, **parameters) as site:
            return procedures.procedure("provision").plan(site)

    def provision(self) -> None:
        stated, record = self.apply(self.provision_plan())
        assert stated.verdict == "succeeded", (stated, record)

    def publish_big(self, version: str, megabytes: int) -> str:
        """A good release whose jar has bytes beside it that nothing makes smaller; its version."""
        jar = sample_jar(self.lab.folder / "jars" / f"{version}.jar", version)
        with zipfile.ZipFile(jar, "a", zipfile.ZIP_STORED) as archive:
            archive.writestr("ballast", os.urandom(megabytes << 20))
        Store(self.inventory.resolve(self.inventory.artifacts)).publish("hotel", version, "jar", jar, at=PUBLISHED_FIRST)
        return version

    def applying(self, plan: Plan, inventory: Inventory | None = None) -> tuple[Future[tuple[Stated, Path]], Path]:
        """Applies the plan beside the test: what comes of it, and the record as soon as there is one."""
        before = self.records()
        pool = ThreadPoolExecutor(1)
        ending = pool.submit(self.apply, plan, inventory)
        pool.shutdown(wait=False)
        return ending, self.new_record(before)

    def make_whole(self) -> None:
        """No fault is left, and both instances serve the same good release; nothing is done where they do."""
        for host in ("app1", "app2", "lb1"):
            self.fault("none", host)
        versions = self.running()
        if not (len(versions) == 2 and len(set(versions.values())) == 1 and set(versions.values()) <= set(GOOD)):
            stated, record = self.apply(self.plan(GOOD[0]))
            assert stated.verdict == "succeeded", (stated, record)
        until(lambda: len(self.answering()) == 2, what="both instances behind the balancer, which leaves out for a while what failed")

    def answering(self) -> set[str]:
        """The instances that the balancer sends requests to."""
        found = set()
        for _ in range(20):
            request = urllib.request.Request(self.url, headers={"X-Balbook-Probe": "1"})
            with suppress(OSError), urllib.request.urlopen(request, timeout=5) as answer:  # it may be on its way up
                found.add(str(answer.headers["X-Balbook-Upstream"]))
        return {addresses.rpartition(", ")[2] for addresses in found}

    def fault(self, fault: str, target: str, source: str = "") -> None:
        vm_faults.inject(fault, target, self.lab.name, source=source, environ=self.environ)

    @contextmanager
    def transport(self, inventory: Inventory | None = None) -> Iterator[transports.Transport]:
        opened = transports.connect(inventory or self.inventory)
        try:
            yield opened
        finally:
            opened.close()

    def run(self, host: str, text: str, *args: str, inventory: Inventory | None = None) -> Result:
        """A shell script as root on the host."""
        with self.transport(inventory) as opened:
            return transports.run(opened, host, script("test", text, *args, is_privileged=True))

    def execute(self, host: str, *argv: str, inventory: Inventory | None = None) -> Result:
        """A command of the login's."""
        with self.transport(inventory) as opened:
            return opened.execute(host, Command(argv))

    def inside(self, host: str, *argv: str, given: str = "") -> str:
        """A command of this machine's in the host's network namespace."""
        machine = self.lab.machines[host]  # type: ignore[attr-defined]
        done = subprocess.run(["ip", "netns", "exec", machine.word, *argv], input=given, capture_output=True, text=True, check=True)
        return done.stdout

    def can_connect(self, host: str, port: int) -> bool:
        """Whether this machine reaches the port."""
        try:
            with socket.create_connection((self.address(host), port), timeout=1):
                return True
        except OSError:
            return False

    def in_host(self, host: str, *argv: str) -> None:
        """A command as the host's root, without SSH."""
        pid = vm_host.first_pid(self.lab.machines[host].word)  # type: ignore[attr-defined]
        subprocess.run(["nsenter", "--target", str(pid), "--all", "--", *argv], check=True, stdin=subprocess.DEVNULL, timeout=30)

    def boot_id(self, host: str) -> str:
        """What changes with every boot of the host; empty while it does not answer."""
        with suppress(BalbookError):
            return self.execute(host, "systemctl", "show", "--property=UserspaceTimestampMonotonic").stdout
        return ""

    def reboot(self, host: str) -> None:
        """Reboots the host and waits until it takes commands again."""
        before = self.boot_id(host)
        with suppress(BalbookError):
            self.run(host, "systemctl reboot")
        until(lambda: self.boot_id(host) not in ("", before), 60, f"a reboot of {host}")
