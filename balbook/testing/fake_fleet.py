"""The hosts of an inventory, in memory, and the invariants that must hold after every command."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from balbook.commands import balancer as balancing
from balbook.commands.command import Command
from balbook.errors import BadInput, CommandFailed, StoreError
from balbook.facts.balancer import parse_servers
from balbook.inventory.models import Inventory
from balbook.local.digests import sha256_of_file
from balbook.plan.model import Upload
from balbook.testing.hosts import ACTS, FakeHost
from balbook.testing.transport import Answer, FakeTransport, arguments_of, name_of

REFUSED_SHA256 = 65


class InvariantBroken(BaseException):
    """A state of the fleet that balbook promises never to bring about; no code of balbook catches this exception."""


class FakeFleet(FakeTransport):
    """The hosts of an inventory, in memory. `sick`: releases that never become healthy; `refusals`: texts that NGINX refuses.

    `answers` replace the fleet's own answers.
    """

    def __init__(self, inventory: Inventory, **options: object) -> None:
        super().__init__(**options)  # type: ignore[arg-type]
        self.inventory = inventory
        self.hosts = {name: FakeHost() for name in inventory.hosts}
        self.sick: set[str] = set()
        self.refusals: set[str] = set()
        self._has_reached_floor: set[str] = set()

    def answer(self, host: str, command: Command) -> Answer:
        """Carries the command out on the model, then checks the invariants."""
        name = name_of(command)
        scripted = self.answers.get((host, name), self.answers.get(name))
        if scripted is not None:
            return scripted
        if command.argv[:2] == ("sh", "-c") and name not in ACTS:
            raise NotImplementedError(f"no act for the script {name!r}; add one to ACTS in balbook.testing.hosts")
        result = ACTS[name](self, self.hosts[host], host, command) if command.argv[:2] == ("sh", "-c") else 0
        self.hold_invariants(f"{host}: {name} {' '.join(arguments_of(command)[:3])}")
        return result

    def receive(self, host: str, upload: Upload) -> bool:
        """Takes the file where its sha256 is the upload's; True for a new file."""
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

    def serving(self, application: str) -> list[str]:
        """The instances (`host:port`) that are healthy, and in service in the configuration in force."""
        app = self.inventory.applications[application]
        if not app.balancer:
            return [i.name for i in app.instances if self.is_healthy(i.host, str(i.port))]
        servers = parse_servers(self.configuration_in_force(application))
        in_service = {s.name for s in balancing.servers_of(self.inventory, application, {}) if servers.get(s.address)}
        return [i.name for i in app.instances if i.name in in_service and self.is_healthy(i.host, str(i.port))]

    def running(self, application: str) -> dict[str, str]:
        """The release of each instance that runs one."""
        found = {}
        for i in self.inventory.applications[application].instances:
            place = f"{self.inventory.hosts[i.host].root}/{application}/instances/{i.port}"
            if place in self.hosts[i.host].processes:
                found[i.name] = self.hosts[i.host].processes[place]
        return found

    def configuration_in_force(self, application: str) -> str:
        """The configuration that the application's balancer serves; empty before the first one."""
        balancer = self.inventory.applications[application].balancer
        if not balancer:
            return ""
        path = balancing.configuration_path(self.inventory, application)
        return self.hosts[self.inventory.balancers[balancer].host].in_force.get(path, "")

    def is_healthy(self, host: str, port: str) -> bool:
        """True where a process that is not sick has this port."""
        runs = [r for place, r in self.hosts[host].processes.items() if PurePosixPath(place).name == port]
        return any(release not in self.sick for release in runs)

    def hold_invariants(self, after: str) -> None:
        """Raises InvariantBroken where the floor is broken or a configuration in force is not whole."""
        for name, app in self.inventory.applications.items():
            count = len(self.serving(name))
            if count >= app.floor:
                self._has_reached_floor.add(name)
            elif name in self._has_reached_floor:
                raise InvariantBroken(f"{name}: {count} instances serve (floor {app.floor}), after {after}")
            try:
                if text := self.configuration_in_force(name):
                    balancing.generation_of(text)
            except BadInput as exc:
                raise InvariantBroken(f"{name}: the configuration in force is not whole, after {after}") from exc
