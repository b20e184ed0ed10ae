"""The hosts of an inventory, in memory, and what must hold on them after every command."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from balbook.commands import balancer as balancing
from balbook.commands.command import Command
from balbook.errors import BadInput, CommandFailed, StoreError
from balbook.facts.balancer import parse_servers
from balbook.inventory.models import Inventory
from balbook.local.digests import sha256_of_file
from balbook.plan.model import Upload
from balbook.testing.hosts import ACTS, Act, FakeHost
from balbook.testing.transport import Answer, FakeTransport, arguments_of, name_of

REFUSED_SHA256 = 65


class InvariantBroken(BaseException):
    """The fleet was in a state that balbook promises never to bring about; no code of balbook catches it."""


class FakeFleet(FakeTransport):
    """The hosts of an inventory, in memory. `sick`: releases that never become healthy; `refusals`: texts that NGINX refuses.

    `answers` come before what the fleet would do itself.
    """

    def __init__(self, inventory: Inventory, **options: object) -> None:
        super().__init__(**options)  # type: ignore[arg-type]
        self.inventory = inventory
        self.hosts = {name: FakeHost() for name in inventory.hosts}
        self.sick: set[str] = set()
        self.refusals: set[str] = set()
        self._has_reached_floor: set[str] = set()

    def answer(self, host: str, command: Command) -> Answer:
        """Carries the command out on the model, then holds the invariants."""
        name = name_of(command)
        scripted = self.answers.get((host, name), self.answers.get(name))
        if scripted is not None:
            return scripted
        result = self._act(name)(self, self.hosts[host], host, command) if command.argv[:2] == ("sh", "-c") else 0
        self.hold_invariants(f"{host}: {name} {' '.join(arguments_of(command)[:3])}")
        return result

    def receive(self, host: str, upload: Upload) -> bool:
        """The file arrives if its sha256 is the upload's."""
        files = self.hosts[host].files
        if files.get(upload.path) == upload.sha256:
            return False
        source = Path(upload.source)
        if not source.exists():
            raise StoreError(f"{source}: the file to upload does not exist")
        if sha256_of_file(source) != upload.sha256:
            raise CommandFailed(f"{host}: receive-file {upload.path} ended with status {REFUSED_SHA256}")
        files[upload.path] = upload.sha256
        return True

    def _act(self, name: str) -> Act:
        if name not in ACTS:
            raise NotImplementedError(f"the fleet's hosts do not know the script {name}; teach it to balbook.testing.hosts")
        return ACTS[name]

    def serving(self, application: str) -> list[str]:
        """The instances (`host:port`) that are healthy and in service in the configuration in force."""
        app = self.inventory.applications[application]
        if not app.balancer:
            return [i.name for i in app.instances if self.is_healthy(i.host, str(i.port))]
        text = self.configuration_in_force(application)
        servers = parse_servers(text)
        in_service = {s.name for s in balancing.servers_of(self.inventory, application, {}) if servers.get(s.address)}
        return [i.name for i in app.instances if i.name in in_service and self.is_healthy(i.host, str(i.port))]

    def running(self, application: str) -> dict[str, str]:
        """The release that each instance runs; those that run nothing are left out."""
        found = {}
        for i in self.inventory.applications[application].instances:
            place = f"{self.inventory.hosts[i.host].root}/{application}/instances/{i.port}"
            if place in self.hosts[i.host].processes:
                found[i.name] = self.hosts[i.host].processes[place]
        return found

    def configuration_in_force(self, application: str) -> str:
        """What the application's balancer serves by; empty where it has nothing yet."""
        balancer = self.inventory.applications[application].balancer
        if not balancer:
            return ""
        path = balancing.configuration_path(self.inventory, application)
        return self.hosts[self.inventory.balancers[balancer].host].in_force.get(path, "")

    def is_healthy(self, host: str, port: str) -> bool:
        """Whether a process that is not sick has this port."""
        runs = [r for place, r in self.hosts[host].processes.items() if PurePosixPath(place).name == port]
        return any(release not in self.sick for release in runs)

    def hold_invariants(self, after: str) -> None:
        """Raises InvariantBroken where the floor is broken or a configuration in force is not whole."""
        for name, app in self.inventory.applications.items():
            count = len(self.serving(name))
            if count >= app.floor:
                self._has_reached_floor.add(name)
            elif name in self._has_reached_floor:
                raise InvariantBroken(f"{name}: {count} instances serve, the floor is {app.floor}, after {after}")
            try:
                if text := self.configuration_in_force(name):
                    balancing.generation_of(text)
            except BadInput as exc:
                raise InvariantBroken(f"{name}: the configuration in force is not whole, after {after}") from exc
